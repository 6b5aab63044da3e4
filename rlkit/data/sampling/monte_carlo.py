"""Minibatches whose rows carry their Monte-Carlo return, of a dataset and of finished episodes.

G_t = r_t + γ G_{t+1};  after a terminal step 0, after a timeout lowest / (1 - γ), which is a
bound from below where no reward is less
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.store import returns_to_go


def returns(
    r: np.ndarray, cont: np.ndarray, last: np.ndarray, gamma: float, lowest: float
) -> np.ndarray:
    """G `[N]` for rows of whole episodes one after the other, `last` at their ends."""
    ends = np.flatnonzero(last)
    end = ends[np.searchsorted(ends, np.arange(len(r)))]  # of each row's episode
    total = returns_to_go(r, np.append(0, ends[:-1] + 1), gamma)
    left = end - np.arange(len(r)) + 1  # steps to the end
    return total + cont[end] * gamma**left * lowest / (1 - gamma)


class Recorded:
    """Rows of a dataset with equal chance, their returns as `mc`."""

    def __init__(
        self,
        data: Replay,
        batch: int,
        streams: Streams,
        name: str,
        gamma: list[float],
        lowest: float,
    ) -> None:
        self.rows, self.batch_size, self.name = Uniform(data, batch, streams, name), batch, name
        r, cont, last = (data.rows(n)[0].double().cpu().numpy() for n in ("r", "cont", "last"))
        found = np.stack([returns(r, cont, last, g, lowest) for g in gamma])  # [1 or S, N]
        table = torch.from_numpy(found).to(data.spec.device, data.spec.dtype)
        self.returns = table.expand(data.spec.lanes, -1)

    def indices(self, step: int, count: int = 1) -> Tensor:
        return self.rows.indices(step, count)

    def batch(self, index: Tensor) -> Batch:
        return self.rows.batch(index)._replace(mc=self.returns.gather(1, index))


class Finished:
    """Rows of a ring whose episodes have ended, with equal chance, their returns as `mc`.

    A lane without such a row draws from all it has, with returns of -inf, which bound nothing.
    What was added is found at every call of `indices`, however much, from the ring alone: nothing
    needs saving.
    """

    def __init__(
        self,
        replay: Replay,
        batch: int,
        streams: Streams,
        name: str,
        gamma: list[float],
        lowest: float,
    ) -> None:
        self.rows, self.batch_size, self.name = Uniform(replay, batch, streams, name), batch, name
        self.replay, self.streams, self.lowest = replay, streams, lowest
        spec, self.slots = replay.spec, replay.capacity // replay.envs
        self.gamma = np.broadcast_to(gamma, spec.lanes)
        shape = (spec.lanes, replay.capacity)
        self.returns = torch.full(shape, -torch.inf, dtype=spec.dtype, device=spec.device)
        self.added = 0  # steps of each environment at the last look; step t is in slot t % slots
        self.known = np.zeros((spec.lanes, replay.envs), np.int64)  # steps before have returns

    def indices(self, step: int, count: int = 1) -> Tensor:
        oldest, filled = self.look()
        u = self.streams.draw(self.name, "uniform", step, (self.batch_size,), count)
        sizes = np.maximum(self.known - oldest, 0)  # [S, E], rows to draw from
        sizes[sizes.sum(1) == 0] = filled
        stops = sizes.cumsum(1)
        number = (u * stops[:, -1:]).astype(np.int64)  # [count, S, B], environment by environment
        env = (number[..., None] >= stops[:, None]).sum(-1)
        begins = (stops - sizes)[np.arange(len(sizes))[:, None], env]
        slot = (oldest + number - begins) % self.slots
        rows = slot * self.replay.envs + env
        return torch.from_numpy(rows).to(self.replay.spec.device)

    def batch(self, index: Tensor) -> Batch:
        return self.rows.batch(index)._replace(mc=self.returns.gather(1, index))

    def look(self) -> tuple[int, int]:
        """Gives returns to the episodes that have ended since the last look; the oldest step still
        there and the number of steps."""
        filled = self.replay.size // self.replay.envs
        if filled == 0:
            raise ValueError("the replay is empty; add transitions before drawing batches")
        before, self.added = self.added, self.replay.written
        oldest = self.added - filled
        new = np.arange(max(before, oldest), self.added)
        if new.size == 0:
            return oldest, filled
        lead, envs = self.replay.spec.lanes, self.replay.envs
        fields = [self.replay.rows(n).view(lead, filled, envs) for n in ("r", "cont", "last")]
        table = self.returns.view(lead, self.slots, envs)
        slots = torch.from_numpy(new % self.slots).to(table.device)
        table[:, slots] = -torch.inf
        ended = fields[2][:, slots].cpu().numpy() > 0  # [S, new, E]
        for lane, env in np.argwhere(ended.any(1)):
            end = int(new[ended[lane, :, env]].max()) + 1
            chain = np.arange(max(self.known[lane, env], oldest), end) % self.slots
            r, cont, last = (f[lane, chain, env].double().cpu().numpy() for f in fields)
            found = returns(r, cont, last, float(self.gamma[lane]), self.lowest)
            table[lane, chain, env] = torch.from_numpy(found).to(table)
            self.known[lane, env] = end
        return oldest, filled
