"""All parameters of a net in one flat buffer whose views are the net's weights.

One buffer makes Adam one fused call and target averaging one lerp, whatever the number of
layers. The buffer is ordered by parameter, each `[S, ...]` contiguous, so that a view feeds a
batched matrix product without a copy.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


class Flat:
    """The flat buffer of `net`; made once per net by `flatten`."""

    def __init__(self, net: nn.Module) -> None:
        self.names = [name for name, _ in net.named_parameters()]
        self.params = list(net.parameters())
        for name, p in net.named_parameters():
            if getattr(p, "_is_flat", False):
                raise ValueError(
                    f"parameter {name!r} already lives in the buffer of another net; give its "
                    "optimiser or target the whole of that net, or disjoint parts"
                )
        if not self.params:
            raise ValueError(f"{type(net).__name__} has no parameters to optimise or to follow")
        self.lanes = self.params[0].shape[0]
        for name, p in net.named_parameters():
            if p.shape[0] != self.lanes:
                raise ValueError(
                    f"parameter {name!r} has shape {tuple(p.shape)} but {self.lanes} lanes are "
                    "expected first; wrap foreign modules in nets.Vmapped"
                )
        self.data = torch.cat([p.detach().reshape(-1) for p in self.params])
        self._claim()
        self._lane_of: Tensor | None = None

    def _claim(self) -> None:
        for p, view in zip(self.params, self.views(self.data), strict=True):
            p.data = view
            p._is_flat = True  # type: ignore[attr-defined]

    def __deepcopy__(self, memo: dict[int, Any]) -> Flat:
        """A parameter's copy owns its numbers, so the views must be made anew."""
        twin = memo[id(self)] = copy.copy(self)
        twin.params = copy.deepcopy(self.params, memo)
        twin.data = self.data.clone()
        twin._claim()
        return twin

    def views(self, buffer: Tensor) -> list[Tensor]:
        """Views of `buffer` shaped like the parameters."""
        sizes = [p.numel() for p in self.params]
        pieces = buffer.split(sizes)
        return [piece.view(p.shape) for piece, p in zip(pieces, self.params, strict=True)]

    def per_lane(self, values: Tensor) -> Tensor:
        """`values` (S of them) spread over the buffer, each number getting its lane's value."""
        if self._lane_of is None:
            lanes = torch.arange(self.lanes, device=self.data.device)
            spread = [lanes.repeat_interleave(p[0].numel()) for p in self.params]
            self._lane_of = torch.cat(spread)
        return values.reshape(-1)[self._lane_of]

    def square_sums(self, buffer: Tensor) -> Tensor:
        """Sum of squares of `buffer` for each lane `[S]`."""
        return torch.stack([v.flatten(1).square().sum(1) for v in self.views(buffer)]).sum(0)


def flatten(net: nn.Module) -> Flat:
    """The `Flat` of `net`, made at the first call and kept with the net."""
    flat = net.__dict__.get("_flat")
    if flat is None:
        flat = net.__dict__["_flat"] = Flat(net)
    return flat


def inner(x: Sequence[Tensor], y: Sequence[Tensor]) -> Tensor:
    """Inner product `[S]` of two lists of tensors `[S, ...]`, parameters or gradients, over all
    numbers of each lane."""
    return torch.stack([(p * q).flatten(1).sum(1) for p, q in zip(x, y, strict=True)]).sum(0)
