"""Rewards that change: a column of the replay beside the true ones, and its version."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform

REWARD, VERSION = "learned_reward", "reward_version"
_CHUNK = 1024  # rows looked at and labelled at once
COLUMNS = (REWARD, VERSION)  # of a replay whose rewards are relabelled


class Relabelled:
    """Uniform minibatches whose rewards are the replay's column `learned_reward`.

    The collector writes new rows with version 0, "not labelled yet"; `relabel` moves every row to
    the next version, `label_new` brings new rows up to it. True rewards and flags are not touched.
    """

    def __init__(self, replay: Replay, batch: int, streams: Streams) -> None:
        self.replay, self.batch_size = replay, batch
        self.rows = Uniform(replay, batch, streams)
        self.version = 0
        self._next = 0  # first row that may be new

    def indices(self, step: int, count: int) -> Tensor:
        return self.rows.indices(step, count)

    def batch(self, index: Tensor) -> Batch:
        return self.rows.batch(index)._replace(r=self.replay.column(REWARD, index))

    def relabel(self, reward: Tensor) -> None:
        """`reward [S, N]` for all rows, under the next version."""
        self.version += 1
        self._new()
        self._write(slice(0, self.replay.size), reward)

    def label_new(self, reward: Callable[[slice], Tensor]) -> None:
        """`reward(rows) [S, n]` for the rows that came since the last call."""
        for rows in self._new():
            self._write(rows, reward(rows))

    def _write(self, rows: slice, reward: Tensor) -> None:
        self.replay.rows(REWARD)[:, rows] = reward.to(self.replay.spec.dtype)
        self.replay.rows(VERSION)[:, rows] = self.version

    def _new(self) -> list[slice]:
        """Rows of version 0, which follow the last one labelled in the order of recording."""
        versions, size = self.replay.rows(VERSION)[0], self.replay.size
        found: list[slice] = []
        seen = 0
        while seen < size:
            start, stop = self._next, min(self._next + _CHUNK, size)
            old = (versions[start:stop] != 0).nonzero()
            end = start + int(old[0]) if len(old) else stop
            if end > start:
                found.append(slice(start, end))
                seen += end - start
                self._next = end % self.replay.capacity
            if end < stop or end == start:  # an old row, or the end of a ring not yet full
                break
        return found

    def state_dict(self) -> dict[str, Tensor]:
        return {"version": torch.tensor([self.version, self._next])}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.version, self._next = state["version"].tolist()
