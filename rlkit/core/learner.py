"""What an agent has for loops of one's own: noise that it draws itself, and its state as a dict.

    class Agent(Learner):          # all that an algorithm file says of it
        noise = {"target": Draw("normal", "B", "A")}
        def __init__(self, spec, config): ...
        def update(self, b, config): ...

`update` may then be called with a batch that has no noise. An engine gives every batch its own, so
a run is not touched by any of this. An agent need not be a Learner to be trained by one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from rlkit.core import state
from rlkit.core.lanes import float_fields
from rlkit.core.normaliser import Normaliser
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw, Streams

_CALLS = "own_noise.calls"  # entry of the state: a part of an agent cannot have this name


class Learner:
    """Base of an agent made by `Agent(spec, config)`; see the module."""

    noise: Mapping[str, Draw] = {}
    _spec: Spec
    _streams: Streams
    _calls: Tensor  # updates that drew their own noise
    normaliser: Normaliser  # where its spec has one

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "update" in vars(cls):
            cls.update = _complete(vars(cls)["update"])  # type: ignore[attr-defined]

    def __new__(cls, spec: Spec | None = None, config: Any = None, *_: Any, **__: Any) -> Any:
        agent = super().__new__(cls)
        if spec is not None:  # a copy gets its attributes from what it is copied from
            _check_resolved(config)
            agent._spec, agent._streams = spec, Streams(spec.seeds)
            agent._calls = torch.zeros((), dtype=torch.int64)
            if spec.normaliser is not None:
                agent.normaliser = spec.normaliser
        return agent

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters, targets and optimisers as tensors named `part.entry`, and how many updates
        drew their own noise. As torch's, it holds the live tensors: clone what is to stay."""
        return {**state.tensors(self), _CALLS: self._calls}

    def load_state_dict(self, saved: Mapping[str, Tensor]) -> None:
        """Copy a `state_dict()` into this agent, which then goes on as the other one would have.

        Raises ValueError naming the first tensor that is missing, unknown or of another shape;
        nothing is changed then.
        """
        rest = dict(saved)
        calls = rest.pop(_CALLS, None)
        if calls is None:
            raise ValueError(f"state lacks {_CALLS!r}; give what `state_dict()` of an agent gave")
        state.load(self, rest)
        self._calls.copy_(calls)


def _complete(update: Callable[..., Any]) -> Callable[..., Any]:
    """`update` with the noise that a batch has not brought."""

    @functools.wraps(update)
    def completed(self: Any, b: Any, config: Any, *args: Any, **kwargs: Any) -> Any:
        if not torch.compiler.is_compiling():  # by a loop of one's own, with noise
            _check_resolved(config)
            if b.noise is None and self.noise:
                b = b._replace(noise=_drawn(self, b.s.shape[1]))
        return update(self, b, config, *args, **kwargs)

    completed.bare = update  # type: ignore[attr-defined]
    return completed


def bare_update(agent: Any) -> Callable[..., dict[str, Tensor]]:
    """`agent.update` as its file has it. What completes it is one function for all agents, which
    the compiler would count as one that is compiled again and again, and give up."""
    bare = getattr(getattr(agent.update, "__func__", None), "bare", None)
    return agent.update if bare is None else bare.__get__(agent)


def _drawn(agent: Any, batch: int) -> dict[str, Tensor]:
    """The noise that `agent` declares, `[S, ...]` each, from streams of its own."""
    step = int(agent._calls)
    agent._calls += 1
    return {  # batches of another size draw from another stream: they share no numbers
        name: agent._streams.tensor(f"own/{name}/{batch}", draw, step, 1, agent._spec, batch)[0]
        for name, draw in agent.noise.items()
    }


_lanable = functools.cache(float_fields)


def _check_resolved(config: Any) -> None:
    kind: Any = type(config)
    for name in _lanable(kind):
        value = getattr(config, name)
        if isinstance(value, tuple | list):
            raise ValueError(
                f"config field {name!r} is {value!r}, one value a lane; give the agent and its "
                "update `rlkit.core.resolve(config, spec)`"
            )
