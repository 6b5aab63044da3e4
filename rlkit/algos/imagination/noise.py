"""Noise of imagined rollouts, whose number of draws nobody knows beforehand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rlkit.core.spec import Spec
from rlkit.core.streams import Kind, generator


class LaneNoise:
    """Random numbers of one round of rollouts, from one generator a lane.

    The generators are made anew for each `(name, block)`, so nothing needs saving; a lane's
    numbers depend on its seed, the name, the block, and the order and shapes of the draws.
    """

    def __init__(self, spec: Spec, name: str, block: int) -> None:
        self.spec = spec
        self._lanes = [generator(seed, name, block) for seed in spec.seeds]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal `[S, *shape]`."""
        return self._tensor([rng.standard_normal(shape, np.float32) for rng in self._lanes])

    def uniform(self, *shape: int) -> Tensor:
        """Uniform on [0, 1) `[S, *shape]`."""
        return self._tensor([rng.random(shape, np.float32) for rng in self._lanes])

    def gumbel(self, *shape: int) -> Tensor:
        """Standard Gumbel `[S, *shape]`: the argmax of logits plus these draws by softmax."""
        return self._tensor([rng.gumbel(size=shape) for rng in self._lanes])

    def of_kind(self, kind: Kind, *shape: int) -> Tensor:
        """Noise of a `core.streams.Draw`'s kind `[S, *shape]`."""
        draw: Callable[..., Tensor] = getattr(self, kind)
        return draw(*shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Whole numbers 0 .. high - 1, int64 `[S, *shape]`."""
        drawn = np.stack([rng.integers(high, size=shape) for rng in self._lanes])
        return torch.from_numpy(drawn).to(self.spec.device)

    def permutation(self, n: int) -> Tensor:
        """An order of 0 .. n - 1 for every lane, int64 `[S, n]`."""
        orders = np.stack([rng.permutation(n) for rng in self._lanes])
        return torch.from_numpy(orders).to(self.spec.device)

    def _tensor(self, lanes: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(lanes)).to(self.spec.device, self.spec.dtype)
