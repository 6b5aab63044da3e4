"""Minibatches whose rows know the action before them."""

from __future__ import annotations

from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.data.sampling.samplers import Uniform


class Preceded(Uniform):
    """Rows with equal chance whose batch has `before` `[S, B, A]`, the action of the row before in
    the same episode; zeros at an episode's beginning and in the oldest row of the ring."""

    def batch(self, index: Tensor) -> Batch:
        replay = self.replay
        earlier = (index - replay.envs) % replay.capacity
        none = replay.column("last", earlier).bool() | replay.at_oldest(index)
        before = replay.column("a", earlier)
        before = before.masked_fill(none.view(*none.shape, *[1] * (before.dim() - 2)), 0)
        return super().batch(index)._replace(before=before)
