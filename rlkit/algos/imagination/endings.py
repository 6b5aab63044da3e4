"""When an episode ends in a model: by the task's own rule, by a rule of one's own, or as learnt.

`ModelConfig.termination` chooses:

    task                     the rule of a task that is known (`rlkit.envs.terminations`)
    never                    no state ends the episode
    package.module:function  one's own: next observations `[..., D]` in the environment's units, a
                             torch tensor, to bool `[...]`
    learnt                   a net p(end | s') fitted to the real rows whenever the model is, on as
                             many rows that ended as rows that did not: an episode ends where
                             p > 1/2. A lane that has seen no episode end ends none.

A learnt rule can only know ends that the rows have shown: `end_recall` and `end_false` in the
metrics tell which share of the rows that ended it recognises, and of the others it takes for ended.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from rlkit import nets
from rlkit.algos.imagination.rollout import Step, Terminate, rule_end
from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import generator
from rlkit.core.words.nearest import suggestion
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.envs.terminations import Termination, never, termination

WORDS = ("task", "never", "learnt")
_HIDDEN = (64, 64)
_LR = 1e-3
_HALF = 128  # rows of each kind in a minibatch
_FLOOR = 1e-12  # a constant number of the observation is not scaled


class Ending(Protocol):
    """A `terminate` of rollouts that may learn from real rows and has a state to be saved."""

    def __call__(self, step: Step) -> tuple[Tensor, Tensor]: ...

    def fit(self, real: Replay, number: int) -> dict[str, Tensor]:
        """Learns from all real rows; metrics `[S]`. `number` keys the randomness."""

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None: ...


def ending(stock: Stock, name: str, updates: int) -> Ending:
    """The ending that `name` chooses, see the module; a learnt one makes `updates` in each fit.

    Raises ValueError for a task whose rule is not known, UsageError for a function that cannot be
    imported or does not answer as it must.
    """
    if name == "learnt":
        return Learnt(stock.spec, updates)
    if name == "task":
        found = termination(stock.env_id)
    else:
        found = never if name == "never" else own_rule(name, stock.spec.obs_size)
    return Known(rule_end(found, stock.transforms, stock.spec))


def own_rule(name: str, size: int) -> Termination:
    """The function `package.module:function`, tried on observations of `size` numbers."""
    module = trust.module_of(name)
    if module is None:
        raise UsageError(
            f"termination {name!r} is none of {', '.join(WORDS)}{suggestion(name, WORDS)}; a rule "
            "of one's own is named package.module:function"
        )
    try:
        rule: Any = getattr(trust.load(module), name.rpartition(":")[2])
    except (ImportError, AttributeError) as error:
        raise UsageError(f"termination {name!r}: {error}") from error
    try:
        told = rule(torch.zeros(2, 3, size))
    except Exception as error:  # whatever a person's function raises
        raise UsageError(
            f"termination {name!r} fails on next observations [2, 3, {size}]: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(told, Tensor) or told.shape != (2, 3) or told.dtype != torch.bool:
        what = (
            f"{told.dtype} {tuple(told.shape)}" if isinstance(told, Tensor) else type(told).__name__
        )
        raise UsageError(
            f"termination {name!r} must answer with bool [2, 3] to next observations "
            f"[2, 3, {size}], not with {what}"
        )
    return rule  # type: ignore[no-any-return]


class Known(NamedTuple):
    """An ending that has nothing to learn."""

    terminate: Terminate

    def __call__(self, step: Step) -> tuple[Tensor, Tensor]:
        return self.terminate(step)

    def fit(self, real: Replay, number: int) -> dict[str, Tensor]:
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        return None


class Learnt:
    """p(end | s') of each lane, from balanced rows; see the module."""

    def __init__(self, spec: Spec, updates: int) -> None:
        self.spec, self.updates = spec, updates
        self.net = nets.MLP(nets.Init(spec), spec.obs_size, _HIDDEN, 1)
        self.adam = Adam(self.net, _LR)
        zeros = torch.zeros(spec.lanes, 1, spec.obs_size, dtype=spec.dtype, device=spec.device)
        self.centre, self.scale = zeros, torch.ones_like(zeros)
        self.seen = torch.zeros(spec.lanes, 1, dtype=torch.bool, device=spec.device)

    def logit(self, s2: Tensor) -> Tensor:
        """log p/(1 - p) `[S, B]` of next states in agent units."""
        return self.net((s2 - self.centre) / self.scale).squeeze(-1)

    def __call__(self, step: Step) -> tuple[Tensor, Tensor]:
        ended = (self.logit(step.s2) > 0) & self.seen
        return ended, torch.zeros_like(ended)

    def fit(self, real: Replay, number: int) -> dict[str, Tensor]:
        """`updates` steps on minibatches half of which ended."""
        lanes = self.spec.lanes
        s2 = real.rows("s2").expand(lanes, -1, -1)
        ended = (real.rows("cont") == 0).expand(lanes, -1)
        std = s2.std(1, unbiased=False, keepdim=True)
        self.centre.copy_(s2.mean(1, keepdim=True))
        self.scale.copy_(torch.where(std < _FLOOR, torch.ones_like(std), std))
        self.seen.copy_(ended.any(1, keepdim=True))
        places = []
        for lane, seed in enumerate(self.spec.seeds):
            rng, shape = generator(seed, "model/end", number), (self.updates, _HALF)
            kinds = [mask.nonzero().squeeze(-1).cpu() for mask in (ended[lane], ~ended[lane])]
            drawn = [torch.from_numpy(rng.random(shape)) for _ in kinds]
            every = torch.arange(s2.shape[1])  # of a kind that there is none of
            chosen = [k if len(k) else every for k in kinds]
            halves = [k[(u * len(k)).long()] for k, u in zip(chosen, drawn, strict=True)]
            places.append(torch.cat(halves, -1))
        index = torch.stack(places, 1).to(s2.device)  # [updates, S, 2 half]
        for rows in index:
            x = s2.gather(1, rows.unsqueeze(-1).expand(-1, -1, s2.shape[-1]))
            y = ended.gather(1, rows).to(x)
            loss = F.binary_cross_entropy_with_logits(self.logit(x), y, reduction="none")
            self.adam(loss.mean(-1))
        with torch.no_grad():
            told = (self.logit(s2) > 0) & self.seen

        def share(of: Tensor) -> Tensor:
            return (told & of).sum(1).to(s2) / of.sum(1).to(s2)  # NaN of none

        return {"end_recall": share(ended), "end_false": share(~ended)}

    def state_dict(self) -> dict[str, Tensor]:
        adam = {"m": self.adam.m, "v": self.adam.v, "steps": self.adam.steps}
        units = {"centre": self.centre, "scale": self.scale, "seen": self.seen}
        return {**{f"net.{n}": x for n, x in self.net.state_dict().items()}, **adam, **units}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in self.state_dict().items():
                tensor.copy_(state[name])
