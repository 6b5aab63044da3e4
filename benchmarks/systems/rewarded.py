"""A reward model in the place of SPO's win rates, for benchmarks: the same episodes, the same
comparisons, the same agent behind.

    (1)  L = E -[y log σ(d) + (1 - y) log σ(-d)],  d = Σ_t r̂(second) - Σ_t r̂(first), of two episodes
    (2)  every `refit_every` steps (1) is fitted to all answers so far and all steps are labelled
         anew, until `last_fit`; then rewards stay as they are

Fits are Bradley-Terry, as PEBBLE's; rewards are worth · r̂ / `longest`, about as large as SPO's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlkit.algos import spo
from rlkit.algos.behind.agents import Behind
from rlkit.algos.preference.feedback import Preferences
from rlkit.algos.preference.models.reward_model import Fit, OwnInit, RewardNet, fit, mean_reward
from rlkit.algos.preference.relabelling import REWARD
from rlkit.algos.preference.self_play import SelfPlay
from rlkit.core.streams import generator
from rlkit.core.words.ranges import Count, Positive, Widths, checked
from rlkit.data.stock import Stock

RUN = spo.RUN
FITS = ("online", "discrete")
LEARNS_REWARD = True


@checked()
@dataclass(frozen=True)
class Config(spo.Config):
    longest: Count = 5  # steps of an episode, at most
    refit_every: Count = 1_000  # environment steps between fits
    last_fit: Count = 1_000_000  # environment step after which there is none
    hidden_reward: Widths = (32, 32)
    lr_reward: Positive = 3e-3
    passes: Count = 5


Agent = spo.Agent


class Compared(SelfPlay):
    """SPO's minibatches, under a reward fitted to the answers instead of their means."""

    c: Config

    def __init__(self, stock: Stock, batch: int, c: Config) -> None:
        super().__init__(stock, batch, c)
        self.net = RewardNet(OwnInit(stock.spec, "rewarded"), c.hidden_reward, 1)
        self.episodes: list[list[tuple[Tensor, Tensor]]] = [[] for _ in stock.spec.seeds]
        self.answers: list[list[tuple[int, int, float]]] = [[] for _ in stock.spec.seeds]
        self.fitted, self.round = -1, 0
        self.told: dict[str, Tensor] = {}

    def advance(self, step: int) -> dict[str, Tensor]:
        metrics = super().advance(step)
        due = self.fitted < 0 or step - self.fitted >= self.c.refit_every
        if due and (self.fitted < 0 or step <= self.c.last_fit):
            self.fitted = step
            self.told = fit(
                self.net, self._pairs(), self.stock.spec,
                Fit(lr=self.c.lr_reward, passes=self.c.passes, stop=0.999), self.round,
            )  # fmt: skip
            self.round += 1
            for lane, all_ in enumerate(self.episodes):
                for rows, _ in all_:
                    self._label(lane, rows)
        return metrics | self.told

    def _judge(self, found: list[tuple[int, Tensor, Tensor]]) -> None:
        for lane, rows, z in found:
            mine = self.episodes[lane]
            number = len(mine)
            rng = generator(self.stock.spec.seeds[lane], "answers", number)
            u = torch.from_numpy(rng.random((self.c.queue, self.panel.teacher.uniforms)))
            for k in range(min(number, self.c.queue)):
                other = number - 1 - k
                y = self.panel.win_rate(z, mine[other][1].unsqueeze(0), u[k : k + 1])
                self.answers[lane].append((other, number, y))
            mine.append((rows, z))
            self.judged[lane] += 1
            self._label(lane, rows)

    def _label(self, lane: int, rows: Tensor) -> None:
        s, a = (self.replay.rows(name)[:, rows] for name in ("s", "a"))
        with torch.no_grad():
            r = mean_reward(self.net, s, a)[lane]
        self.replay.rows(REWARD)[lane, rows] = r * self.c.worth / self.c.longest

    def _pairs(self) -> Preferences:
        n, h = max(map(len, self.answers)), self.c.longest
        s_rows, a_rows = self.replay.rows("s"), self.replay.rows("a")
        lanes = len(self.answers)
        index = torch.zeros(lanes, n, 2, h, dtype=torch.long)
        mask = torch.zeros(lanes, n, 2, h, dtype=torch.bool)
        y, w = torch.zeros(lanes, n), torch.zeros(lanes, n)
        for lane, all_ in enumerate(self.answers):
            for i, (first, second, said) in enumerate(all_):
                for j, number in enumerate((first, second)):
                    rows = self.episodes[lane][number][0]
                    index[lane, i, j, : len(rows)] = rows
                    mask[lane, i, j, : len(rows)] = True
                y[lane, i], w[lane, i] = said, 1.0
        lane = torch.arange(lanes)[:, None, None, None]
        return Preferences(s_rows[lane, index], a_rows[lane, index], mask, y, w)


def source(stock: Stock, agent: Behind, c: Any) -> Compared:
    return Compared(stock, getattr(c.own, "batch_size", 256), c)
