"""Which rows a minibatch holds. A sampler draws indices and turns them into batches.

`indices(step, count)` answers `[count, S, B]` int64 on the device; it depends on the lane's seed,
the stream's name, the step and the replay's present size alone. `batch(index)` of one `[S, B]` is
tensor code without a read-back, so it may run inside a captured graph. A batch is a set of views
on one buffer of the sampler: it lives until the next call of `batch`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay


class _Reader:
    """Batches of one size, gathered into one preallocated tensor with ready-made views."""

    def __init__(self, replay: Replay, batch: int) -> None:
        if batch < 1:
            raise ValueError(f"batch size {batch} must be positive")
        spec = replay.spec
        self.replay = replay
        self.out = torch.empty(
            spec.lanes * batch, replay.width, dtype=spec.dtype, device=spec.device
        )
        # discrete actions are converted and images gathered, not viewed
        self.views: Batch | None = None
        if not (spec.discrete or spec.image):
            self.views = replay.split(self.out.view(spec.lanes, batch, replay.width))

    def __call__(self, index: Tensor) -> Batch:
        if self.views is None:
            return self.replay.gather(index, self.out)
        self.replay.packed(index, self.out)
        return self.views._replace(index=index)


class Uniform:
    """Rows with equal chance, with replacement."""

    def __init__(self, replay: Replay, batch: int, streams: Streams, name: str = "batch") -> None:
        self.replay, self.batch_size, self.streams, self.name = replay, batch, streams, name
        self._read = _Reader(replay, batch)

    def indices(self, step: int, count: int = 1) -> Tensor:
        size = self.replay.size
        if size == 0:
            raise ValueError("the replay is empty; add transitions before drawing batches")
        u = _uniforms(self, step, count)
        return torch.from_numpy((u * size).astype(np.int64)).to(self.replay.spec.device)

    def batch(self, index: Tensor) -> Batch:
        return self._read(index)


class Weighted:
    """Rows with chance proportional to `weights`, with replacement; weight 0 is never drawn.

    `weights` are `[size]` for all lanes or `[S, size]`. Rows added later are not drawn before the
    next `reweight`. Raises ValueError for negative, infinite or all-zero weights.
    """

    def __init__(
        self,
        replay: Replay,
        batch: int,
        streams: Streams,
        weights: Any,
        name: str = "batch",
    ) -> None:
        self.replay, self.batch_size, self.streams, self.name = replay, batch, streams, name
        self._read = _Reader(replay, batch)
        self.reweight(weights)

    def reweight(self, weights: Any) -> None:
        """Replaces the weights; the next `indices` follow them."""
        weights = weights.detach().cpu() if isinstance(weights, Tensor) else weights
        weights = np.atleast_2d(np.asarray(weights, np.float64))
        lanes, size = self.replay.spec.lanes, self.replay.size
        if weights.shape not in ((1, size), (lanes, size)):
            raise ValueError(
                f"weights have shape {weights.shape}; ({size},) or ({lanes}, {size}) is expected"
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            row = np.argwhere(~(np.isfinite(weights) & (weights >= 0)))[0, 1]
            raise ValueError(f"weight of row {row} is negative or not finite")
        if not (weights.sum(1) > 0).all():
            raise ValueError("all weights are zero: nothing to draw")
        self._cumulative = weights.cumsum(1)
        last = weights.shape[1] - 1 - np.argmax(weights[:, ::-1] > 0, axis=1)
        self._last = last.tolist()  # rounding may not run past the last row with a weight

    def indices(self, step: int, count: int = 1) -> Tensor:
        u = _uniforms(self, step, count)
        rows = np.empty(u.shape, np.int64)
        for lane in range(u.shape[1]):
            k = lane if len(self._cumulative) > 1 else 0
            below = self._cumulative[k]  # the first row whose cumulated weight exceeds the draw
            rows[:, lane] = np.searchsorted(below, u[:, lane] * below[-1], side="right")
            np.minimum(rows[:, lane], self._last[k], out=rows[:, lane])
        return torch.from_numpy(rows).to(self.replay.spec.device)

    def batch(self, index: Tensor) -> Batch:
        return self._read(index)


class Mixed:
    """Minibatches made of one batch of `first` and one of `second`, in this order.

    `index` holds the indices of both, each into its own replay. The two must draw from streams of
    different names, and their replays hold the same columns.
    """

    def __init__(self, first: Source, second: Source) -> None:
        names = [getattr(source, "name", None) for source in (first, second)]
        if names[0] is not None and names[0] == names[1]:
            raise ValueError(f"both sources draw from stream {names[0]!r}; name one differently")
        self.first, self.second = first, second
        self.batch_size = first.batch_size + second.batch_size

    def indices(self, step: int, count: int = 1) -> Tensor:
        return torch.cat((self.first.indices(step, count), self.second.indices(step, count)), -1)

    def batch(self, index: Tensor) -> Batch:
        at = self.first.batch_size
        first, second = self.first.batch(index[..., :at]), self.second.batch(index[..., at:])
        joined = {
            name: _joined(name, getattr(first, name), getattr(second, name))
            for name in ("s", "a", "r", "cont", "s2", "w", "s0", "a2", "mc")
        }
        return Batch(**joined, index=index)  # type: ignore[arg-type]


class Paired(Mixed):
    """Minibatches of `first` that carry one of `second` as `other`; an index holds both."""

    def __init__(self, first: Source, second: Source) -> None:
        super().__init__(first, second)
        self.batch_size = first.batch_size

    def batch(self, index: Tensor) -> Batch:
        ours, other = index[..., : self.batch_size], index[..., self.batch_size :]
        return self.first.batch(ours)._replace(other=self.second.batch(other))


class Marked:
    """Minibatches of `source` that say which rows are a dataset's, in `expert`: the first part of a
    `Mixed` one, all of another."""

    def __init__(self, source: Any) -> None:
        self.source, self.batch_size = source, source.batch_size
        first = source.first.batch_size if isinstance(source, Mixed) else source.batch_size
        self.shown = torch.arange(source.batch_size) < first

    def indices(self, step: int, count: int = 1) -> Tensor:
        return self.source.indices(step, count)

    def batch(self, index: Tensor) -> Batch:
        b = self.source.batch(index)
        shown = self.shown.to(b.r.device, b.r.dtype)
        return b._replace(expert=shown.expand_as(b.r))


def shares(batch: int, ratio: float) -> tuple[int, int]:
    """Sizes (first, second) of a mixed minibatch of which `ratio` comes from the first source,
    both at least 1. Raises ValueError for a ratio outside (0, 1) or a batch below 2."""
    if not 0 < ratio < 1 or batch < 2:
        raise ValueError(f"ratio {ratio} must lie in (0, 1) and the batch {batch} be 2 or more")
    first = min(max(round(ratio * batch), 1), batch - 1)
    return first, batch - first


class NStep:
    """Transitions of up to `n` steps, started at rows drawn uniformly or by `weights`.

    With m the steps summed: `r` = Σ_{k<m} γ^k r_k, `cont` = γ^(m-1) (1 - terminated) and `s2`
    (with `a2`) of the last one. m < n where the episode ends, by termination or truncation, and
    where the ring's newest row is reached. `gamma` is a number or a tensor `[S, 1]`.
    """

    def __init__(
        self,
        replay: Replay,
        batch: int,
        streams: Streams,
        n: int,
        gamma: float | Tensor,
        *,
        weights: Any = None,
        name: str = "batch",
    ) -> None:
        if n < 1:
            raise ValueError(f"n {n} must be positive")
        self.starts: Uniform | Weighted = (
            Uniform(replay, batch, streams, name)
            if weights is None
            else Weighted(replay, batch, streams, weights, name)
        )
        self.replay, self.batch_size, self.name, self.n = replay, batch, name, n
        self.gamma = gamma
        self._ends = _Reader(replay, batch)

    def indices(self, step: int, count: int = 1) -> Tensor:
        return self.starts.indices(step, count)

    def batch(self, index: Tensor) -> Batch:
        start = self.starts.batch(index)
        row, total = index, start.r
        discount = torch.ones_like(total)
        for _ in range(self.n - 1):
            after, going = self.replay.following(row)  # once stopped, a row stays where it is
            row = torch.where(going, after, row)
            discount = torch.where(going, discount * self.gamma, discount)
            reward = self.replay.column("r", row)
            total = total + torch.where(going, discount * reward, torch.zeros_like(reward))
        end = self._ends(row)
        return start._replace(r=total, cont=discount * end.cont, s2=end.s2, a2=end.a2)


def _uniforms(source: Uniform | Weighted, step: int, count: int) -> np.ndarray:
    """Numbers in [0, 1) `[count, S, B]` float64."""
    return source.streams.draw(source.name, "uniform", step, (source.batch_size,), count)


def _joined(name: str, first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None and second is None:
        return None
    if first is None or second is None:
        raise ValueError(f"only one of the mixed sources has {name!r}; give both its column")
    return torch.cat((first, second), 1)
