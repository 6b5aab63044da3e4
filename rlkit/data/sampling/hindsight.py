"""Hindsight experience replay, Andrychowicz et al. 2017 (arXiv 1707.01495), "future" strategy.

    (1)  (s‖g, a, r, s'‖g)  ->  (s‖g', a, r(φ(s'), g'), s'‖g'),   g' = φ(s'_j)
    (2)  j uniform on this and the later rows of the episode

k of k + 1 rows of a minibatch have another goal than the one that was pursued: one that their own
episode came to achieve, φ being what an observation says of that. Rewards are the environment's own
rule, and so are ends where it has a rule of those; elsewhere `cont` stays as it was. Of an episode
under way the rows there are so far count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform

if TYPE_CHECKING:  # gymnasium comes with it
    from rlkit.data.goals import Goals

AHEAD = "ahead"  # column: 1 + rows that follow in the episode; 0 while it is under way


class Hindsight:
    """Uniform minibatches of a ring, the first `relabelled` rows with goals of eq. (1).

    The replay has the column `AHEAD`, which this source keeps. An index holds rows, the rows j, and
    the bits of the new rewards and ends: the environment's rules are Python, and what `batch` reads
    may be a captured graph's input. `extra` names a column that is added to the new rewards.
    """

    def __init__(
        self, replay: Replay, batch: int, streams: Streams, goals: Goals, k: int, extra: str = ""
    ) -> None:
        """Raises ValueError for a `k` below 1 and a replay without the column."""
        if k < 1:
            raise ValueError(f"k is {k}; without relabelled rows there is no hindsight")
        if AHEAD not in replay.columns or replay.shared:
            raise ValueError(f"hindsight needs a ring of its own with the column {AHEAD!r}")
        self.replay, self.streams, self.goals, self.extra = replay, streams, goals, extra
        self.rows = Uniform(replay, batch, streams)
        self.batch_size, self.name = batch, self.rows.name
        self.relabelled = min(batch, round(batch * k / (k + 1)))
        self._looked = 0  # steps of the ring whose ends are known
        # step of the ring at which the episode under way began
        self._begun = np.zeros((replay.spec.lanes, replay.envs), np.int64)

    def indices(self, step: int, count: int = 1) -> Tensor:
        """`[count, S, B + 3 m]`, m rows being relabelled."""
        self._look()
        own = self.rows.indices(step, count)
        m, replay, lanes = self.relabelled, self.replay, own.shape[1]
        u = self.streams.draw(f"{self.name}/hindsight", "uniform", step, (m,), count)
        rows = own[..., :m].transpose(0, 1).reshape(lanes, -1)  # [S, count m]
        chance = torch.from_numpy(np.swapaxes(u, 0, 1).reshape(lanes, -1)).to(rows.device)
        slots = replay.capacity // replay.envs
        newest = (replay.cursor - 1) % slots
        known = replay.column(AHEAD, rows)
        left = torch.where(known > 0, known.double() - 1, (newest - rows // replay.envs) % slots)
        later = (chance * (left + 1)).long()
        future = (rows + later * replay.envs) % replay.capacity
        reward, cont = self._paid(rows, future)
        parts = [x.view(lanes, count, m).transpose(0, 1) for x in (future, reward, cont)]
        return torch.cat([own, *parts], -1)

    def batch(self, index: Tensor) -> Batch:
        b, m = self.rows.batch(index[..., : self.batch_size]), self.relabelled
        future, reward, cont = index[..., self.batch_size :].split(m, -1)
        goal = self.replay.column("s2", future)[..., self.goals.achieved]
        # all of these are views on the sampler's own buffer, as is all of a batch
        for x in (b.s, b.s2):
            x[:, :m, self.goals.desired] = goal
        paid = _numbers(reward).to(b.r.dtype)
        if self.extra:
            paid = paid + self.replay.column(self.extra, index[..., :m])
        b.r[:, :m] = paid
        b.cont[:, :m] = _numbers(cont).to(b.cont.dtype)
        return b

    def state_dict(self) -> dict[str, Tensor]:
        """How far episodes are known, and where those under way began."""
        return {"looked": torch.tensor(self._looked), "begun": torch.from_numpy(self._begun.copy())}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._looked = int(state["looked"])
        self._begun = state["begun"].numpy().copy()

    def _paid(self, rows: Tensor, future: Tensor) -> tuple[Tensor, Tensor]:
        """Bits of the rewards and of `cont` `[S, n]` with the goals of `future`."""
        replay, goals = self.replay, self.goals
        reached, goal = (
            replay.column("s2", which)[..., goals.achieved].flatten(0, 1).cpu().numpy()
            for which in (rows, future)
        )
        reward = torch.from_numpy(goals.reward(reached, goal)).view(rows.shape)
        if goals.ends:
            over = torch.from_numpy(goals.terminated(reached, goal)).view(rows.shape)
            cont = 1 - over.double()
        else:
            cont = replay.column("cont", rows).double().cpu()
        return _bits(reward).to(rows.device), _bits(cont).to(rows.device)

    def _look(self) -> None:
        """Tell the rows of episodes that have ended since how many rows follow them."""
        replay = self.replay
        slots = replay.capacity // replay.envs
        # the newest again: a recording that was broken off ends there, and is told so later
        first = max(self._looked - 1, replay.written - slots, 0)
        ahead, last = replay.rows(AHEAD), replay.rows("last")
        for slot in range(first, replay.written):
            at = slot % slots * replay.envs
            over = last[:, at : at + replay.envs].bool() & (ahead[:, at : at + replay.envs] == 0)
            for k, e in np.argwhere(over.cpu().numpy()):
                begun = max(int(self._begun[k, e]), replay.written - slots)
                steps = torch.arange(begun, slot + 1, device=last.device)
                ahead[k, steps % slots * replay.envs + int(e)] = (slot + 1 - steps).to(ahead.dtype)
                self._begun[k, e] = slot + 1
        self._looked = replay.written


def _bits(x: Tensor) -> Tensor:
    """float64 as int64, bit for bit."""
    return x.contiguous().view(torch.int64)


def _numbers(bits: Tensor) -> Tensor:
    return bits.contiguous().view(torch.float64)
