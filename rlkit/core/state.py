"""The state of an agent as named tensors: parameters, optimiser moments, targets.

The parts of an agent are its attributes that have a `state_dict`; nothing has to be registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def parts(agent: Any) -> dict[str, Any]:
    """The named parts of an agent (nets, targets, optimisers), in the order they were made."""
    return {name: part for name, part in vars(agent).items() if hasattr(part, "state_dict")}


def tensors(agent: Any) -> dict[str, Tensor]:
    """Every state tensor under the name `part.entry`; views of the live state, not copies."""
    return joined({name: part.state_dict() for name, part in parts(agent).items()})


def joined(states: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors of several states in one, as `name.entry`; `part` takes one out again."""
    return {f"{name}.{entry}": x for name, state in states.items() for entry, x in state.items()}


def part(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The entries of a state under `name.`, without it."""
    begin = f"{name}."
    return {entry.removeprefix(begin): x for entry, x in state.items() if entry.startswith(begin)}


def clone(agent: Any) -> dict[str, Tensor]:
    """A copy of `tensors(agent)`."""
    return {name: tensor.detach().clone() for name, tensor in tensors(agent).items()}


def nonfinite(agent: Any, lanes: int) -> dict[int, str]:
    """The lanes that hold a number that is not finite, each with the first tensor where it does."""
    laned = {
        name: tensor.detach().reshape(lanes, -1)
        for name, tensor in tensors(agent).items()
        if tensor.is_floating_point() and tensor.shape[:1] == (lanes,)
    }
    if not laned:
        return {}
    sound = torch.stack([torch.isfinite(x).all(1) for x in laned.values()]).cpu()  # [tensors, S]
    return {
        lane: next(name for name, fine in zip(laned, sound[:, lane], strict=True) if not fine)
        for lane in (~sound.all(0)).nonzero().flatten().tolist()
    }


@torch.no_grad()
def load(agent: Any, saved: dict[str, Tensor], only: tuple[str, ...] = ()) -> None:
    """Copy `saved` into the agent's existing storage.

    With `only`, just those parts are loaded and the rest of `saved` is ignored (transfer from
    one agent to another). Raises ValueError as `check` does; nothing is changed then.
    """
    check(agent, saved, only)
    for name, tensor in tensors(agent).items():
        if not only or name.split(".")[0] in only:
            tensor.copy_(saved[name])


def check(agent: Any, saved: dict[str, Tensor], only: tuple[str, ...] = ()) -> None:
    """Raises ValueError naming the first tensor of `saved` that is missing, not expected, or of
    another shape than the agent's."""
    live = tensors(agent)
    if only:
        unknown = [name for name in only if name not in parts(agent)]
        if unknown:
            raise ValueError(
                f"agent has no part {unknown[0]!r}; its parts: {', '.join(parts(agent))}"
            )
        live = {name: t for name, t in live.items() if name.split(".")[0] in only}
        saved = {name: t for name, t in saved.items() if name.split(".")[0] in only}
    for name, tensor in live.items():
        if name not in saved:
            raise ValueError(f"state lacks {name!r}; it comes from another agent or configuration")
        if saved[name].shape != tensor.shape:
            raise ValueError(
                f"{name!r} has shape {tuple(saved[name].shape)} in the state, but the agent "
                f"expects {tuple(tensor.shape)}; spaces, lanes or layer widths differ"
            )
    for name in saved:
        if name not in live:
            raise ValueError(f"state has {name!r}, which the agent does not know")
