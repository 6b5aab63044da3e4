"""Target networks."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from rlkit.core.flat import flatten


class Target:
    """A copy of `net` that is only ever moved by `follow`; call it like the net."""

    def __init__(self, net: nn.Module) -> None:
        flatten(net)  # first, so that the copy's buffer has the same order
        self.net = copy.deepcopy(net).requires_grad_(False)
        self.flat = flatten(self.net)

    def __call__(self, *args: Any) -> Any:
        return self.net(*args)

    @torch.no_grad()
    def follow(self, net: nn.Module, polyak: float | Tensor = 1.0) -> None:
        """θ' ← θ' + polyak (θ - θ'); `polyak` is a number or one per lane `[S, 1]`."""
        source = flatten(net).data
        if isinstance(polyak, Tensor):
            self.flat.data.lerp_(source, self.flat.per_lane(polyak))
        else:
            self.flat.data.lerp_(source, polyak)

    def state_dict(self) -> dict[str, Tensor]:
        return self.net.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.net.load_state_dict(state)
