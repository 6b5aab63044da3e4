"""Questions about a replay that grows, round after round."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from rlkit.algos.preference.feedback import (
    Preferences,
    answer,
    draw_pairs,
    mean_return,
    true_reward,
)
from rlkit.algos.preference.models.reward_model import RewardNet, member_probabilities
from rlkit.algos.preference.selectors import Selector, select
from rlkit.algos.preference.teachers import advantages
from rlkit.algos.preference.teachers.synthetic import parse
from rlkit.core.errors import UsageError
from rlkit.core.words.ranges import idle_beside
from rlkit.data.replay import Replay
from rlkit.data.sampling.segments import Segments
from rlkit.data.stock import Stock

_CANDIDATES = 10  # pairs looked at for each that is asked
_EPISODES = 10  # last ones, whose mean return a teacher's thresholds are measured in


class Questions(Protocol):
    """Fields of a `Config` that say what is asked."""

    @property
    def budget(self) -> int: ...  # pairs a lane asks about in all
    @property
    def per_round(self) -> int: ...  # pairs of a round
    @property
    def length(self) -> int: ...  # H, steps of a segment
    @property
    def recent(self) -> int: ...  # newest steps that segments are cut from
    @property
    def selector(self) -> Selector: ...  # which candidates are asked about
    @property
    def teacher(self) -> str: ...  # who answers; see `teachers`
    @property
    def advantages(self) -> str | None: ...  # function of A*(s, a), for a teacher by regret
    @property
    def teacher_updates(self) -> int: ...  # of its estimate where there is none


def known_advantages(c: Questions) -> advantages.Advantages | None:
    """The function of A* that a teacher by regret is given; None where it estimates them, or looks
    at rewards. Raises UsageError for one that is none, or that nobody would look at."""
    advantages.check_asked(c.advantages, parse(c.teacher).regret, c.teacher)
    return None if c.advantages is None else advantages.function(c.advantages)


def idle_teacher(c: Questions) -> str:
    """What was set for a teacher's estimate although it makes none, or ""."""
    if not parse(c.teacher).regret:
        return idle_beside(c, f"teacher={c.teacher}", "teacher_updates")
    return "" if c.advantages is None else idle_beside(c, "advantages", "teacher_updates")


class Interview:
    """Rounds of questions until `budget` pairs have been asked; `preferences` holds every one.

    A skipped pair costs as much as an answered one, as it would cost a person's time.
    """

    def __init__(self, stock: Stock, replay: Replay, c: Questions) -> None:
        if min(c.budget, c.per_round, c.length) < 1:
            raise UsageError("budget, per_round and length must be at least 1")
        self.teacher, self.known = parse(c.teacher), known_advantages(c)
        self.stock, self.replay, self.c = stock, replay, c
        self.preferences: Preferences | None = None
        self.rounds = 0

    @property
    def left(self) -> int:
        """Pairs of the budget not asked yet."""
        asked = 0 if self.preferences is None else self.preferences.y.shape[1]
        return self.c.budget - asked

    def ask(self, net: RewardNet) -> Preferences:
        """One more round: candidates are drawn, the first round asks about the first of them, later
        ones about those that `selector` prefers by the members of `net`. Returns all so far."""
        c, streams, transforms = self.c, self.stock.streams, self.stock.transforms
        size = _CANDIDATES * c.per_round
        pool = draw_pairs(self.replay, streams, c.length, size, self.rounds, c.recent)
        p = member_probabilities(net, pool.s, pool.a, pool.mask)
        selector: Selector = c.selector if self.rounds else "uniform"
        chosen = select(selector, p, min(c.per_round, self.left))
        lane = torch.arange(len(chosen), device=chosen.device).unsqueeze(-1)
        cut = Segments(*(x[lane, chosen] for x in pool))
        gain = (
            self._regrets(cut) if self.teacher.regret else true_reward(cut.r, cut.mask, transforms)
        )
        mean = mean_return(self.replay, transforms, c.length, _EPISODES)
        said = answer(self.teacher, gain, cut.mask, mean, streams, self.rounds, c.per_round)
        dtype = self.stock.spec.dtype
        held = Preferences(cut.s, cut.a, cut.mask, said.y.to(dtype), said.given.to(dtype))
        if self.preferences is not None:
            pairs = zip(self.preferences, held, strict=True)
            held = Preferences(*(torch.cat(pair, 1) for pair in pairs))
        self.preferences = held
        self.rounds += 1
        return held

    def _regrets(self, cut: Segments) -> Tensor:
        """A* of the steps of segments, float64: minus what a teacher by regret holds against them.
        An estimate is made anew in every round, from all that has been collected."""
        c, stock = self.c, self.stock
        if self.known is None or c.advantages is None:
            values = advantages.estimate(stock._replace(data=self.replay), c.teacher_updates)
            gain = advantages.at_rows(values, cut.rows).double()
        else:
            gain = advantages.told(self.known, c.advantages, cut.s, cut.a, stock.transforms)
        return gain * cut.mask

    def state_dict(self) -> dict[str, Tensor]:
        """Every pair asked about, and the number of rounds."""
        pairs = {} if self.preferences is None else self.preferences._asdict()
        return pairs | {"rounds": torch.tensor([self.rounds])}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.rounds = int(state["rounds"])
        self.preferences = None
        if "y" in state:
            device = self.stock.spec.device
            pairs = {name: state[name].to(device) for name in Preferences._fields}
            self.preferences = Preferences(**pairs)
