"""Self-play: an episode is worth the share of one's own last episodes that it is preferred to."""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from rlkit.algos.preference.feedback import action_in_env, in_env, true_reward
from rlkit.algos.preference.relabelling import REWARD
from rlkit.algos.preference.teachers.judges import Panel
from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.core.streams import generator
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock


class Settings(Protocol):
    """Fields of a `Config` that say how episodes are compared and paid."""

    @property
    def teacher(self) -> str: ...
    @property
    def queue(self) -> int: ...
    @property
    def worth(self) -> float | Tensor: ...
    @property
    def pay(self) -> Literal["spread", "end"]: ...


class SelfPlay:
    """Minibatches of the steps of finished episodes, each as likely, under their win rates.

    `advance` compares the episodes that have ended since, in the order of their ends, with the
    queue of those before; the first ones, as many as the queue holds, with one another. A step of
    an episode under way has no reward yet and is not drawn. True rewards stay as they are.
    """

    every = 1

    def __init__(self, stock: Stock, batch: int, c: Settings) -> None:
        assert stock.replay is not None
        self.stock, self.c, self.replay, self.batch_size = stock, c, stock.replay, batch
        self.panel = Panel(c.teacher)
        self.rows = Uniform(self.replay, batch, stock.streams)
        lanes, envs = stock.spec.lanes, self.replay.envs
        self.going = np.zeros((lanes, envs), np.int64)  # steps of the episodes under way
        self.seen = 0  # steps of the ring looked at
        self.judged = np.zeros(lanes, np.int64)  # episodes
        self.queue = torch.zeros(lanes, c.queue, 0, dtype=torch.float64)  # [S, n, d] summaries

    # --- minibatches --------------------------------------------------------------------------
    def indices(self, step: int, count: int) -> Tensor:
        """Rows `[count, S, B]` of finished episodes."""
        ring, envs = self._ring(), self.replay.envs
        ends = (ring[1] - np.minimum(self.going, ring[1])).cumsum(1)  # [S, E]
        u = self.stock.streams.draw("batch", "uniform", step, (self.batch_size,), count)
        place = (u * ends[:, -1:]).astype(np.int64)  # [count, S, B] among the finished
        env = (place[..., None] >= ends[:, None]).sum(-1)
        lane = np.arange(len(ends))[:, None]
        slot = place - np.where(env > 0, ends[lane, env - 1], 0)
        row = (ring[0] + slot) % ring[2] * envs + env
        return torch.from_numpy(row).to(self.stock.spec.device)

    def batch(self, index: Tensor) -> Batch:
        return self.rows.batch(index)._replace(r=self.replay.column(REWARD, index))

    def _ring(self) -> tuple[int, int, int]:
        """Oldest step of the ring, steps in it, steps that it can hold."""
        envs, written = self.replay.envs, self.replay.written
        held, size = self.replay.size // envs, self.replay.capacity // envs
        return (written - held) % size, held, size

    # --- comparisons --------------------------------------------------------------------------
    def advance(self, step: int) -> dict[str, Tensor]:
        """Judges what has ended; the metrics are the `episodes` judged so far, `[S]`."""
        _, held, size = self._ring()
        envs, last = self.replay.envs, self.replay.rows("last")
        found: list[tuple[int, Tensor, Tensor]] = []
        first = max(self.seen - 1, 0, self.replay.written - held)
        for t in range(first, self.replay.written):
            new = t >= self.seen  # the one before may have been cut off since, by a resume
            at = t % size * envs
            ended = (last[:, at : at + envs].cpu().numpy() > 0) & (new | (self.going > 0))
            self.going += new
            for lane, env in np.argwhere(ended).tolist():
                length = int(self.going[lane, env])
                slots = np.arange(t + 1 - min(length, held), t + 1) % size
                rows = torch.from_numpy(slots * envs + env).to(last.device)
                found.append((lane, rows, self._summary(lane, rows)))
            self.going[ended] = 0
        self.seen = self.replay.written
        self._judge(found)
        empty = self.going.clip(max=held).sum(1) == held * envs
        if empty.any():
            raise UsageError(
                f"no whole episode of seed {self.stock.spec.seeds[int(empty.argmax())]} is in the "
                f"replay after {step:,} steps; give --warmup, or --capacity, of several episodes"
            )
        count = torch.from_numpy(self.judged).to(self.stock.spec.device, self.stock.spec.dtype)
        return {"episodes": count}

    def _judge(self, found: list[tuple[int, Tensor, Tensor]]) -> None:
        fresh: dict[int, int] = {}  # lanes that compare their first episodes with one another
        for _, _, z in found:
            self._fit_in(len(z))
        for lane in {lane for lane, *_ in found if self.judged[lane] == 0}:
            mine = [z for k, _, z in found if k == lane][: self.c.queue]
            self.queue[lane, : len(mine)] = torch.stack(mine)
            fresh[lane] = len(mine)
        for lane, rows, z in found:
            number, others = int(self.judged[lane]), self.queue[lane]
            if number < fresh.get(lane, 0):
                kept = torch.arange(fresh[lane]) != number
                others = others[: fresh[lane]][kept]
            else:
                others = others[: min(number, self.c.queue)]
            rng = generator(self.stock.spec.seeds[lane], "answers", number)
            u = torch.from_numpy(rng.random((self.c.queue, self.panel.teacher.uniforms)))
            self._pay(lane, rows, self.panel.win_rate(z, others, u[: len(others)]))
            if number >= fresh.get(lane, 0):
                self.queue[lane, number % self.c.queue] = z
            self.judged[lane] += 1

    def _pay(self, lane: int, rows: Tensor, wins: float) -> None:
        worth = self.c.worth
        total = wins * (float(worth[lane]) if isinstance(worth, Tensor) else worth)
        reward = self.replay.rows(REWARD)[lane]
        if self.c.pay == "spread":
            reward[rows] = total / len(rows)
        else:
            reward[rows] = 0.0
            reward[rows[-1]] = total

    def _fit_in(self, size: int) -> None:
        lanes, length, known = self.queue.shape
        if known == 0:
            self.queue = torch.zeros(lanes, length, size, dtype=torch.float64)
        elif known != size:
            raise UsageError(
                f"teacher {self.c.teacher!r}: it summarises one episode by {known} numbers, "
                f"another by {size}; all must have as many"
            )

    def _summary(self, lane: int, rows: Tensor) -> Tensor:
        s, a, r, s2 = (self.replay.rows(name)[lane, rows] for name in ("s", "a", "r", "s2"))
        to_env = self.stock.transforms
        a = a if self.stock.spec.discrete else action_in_env(a, to_env)
        reward = true_reward(r, torch.ones_like(r), to_env)
        return self.panel.summary(in_env(s, to_env), a, reward, in_env(s2, to_env)).cpu()

    def state_dict(self) -> dict[str, Tensor]:
        """The queue, and how far episodes have been followed and judged."""
        counts = torch.from_numpy(np.append(self.judged, self.seen))
        return {"queue": self.queue, "going": torch.from_numpy(self.going), "counts": counts}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.queue = state["queue"].cpu().clone()
        self.going = state["going"].cpu().numpy().copy()
        *judged, self.seen = state["counts"].tolist()
        self.judged = np.array(judged, np.int64)
