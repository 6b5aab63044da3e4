"""Synthetic teachers: B-Pref (Lee et al. 2021, arXiv 2111.03026) and regret (Knox et al. 2022).

A teacher compares two segments by Σ_t g_t, where the gain g is the true reward, or the optimal
advantage A* for a teacher by regret (arXiv 2206.02231). In order: what is not worth an answer is
skipped, ties are noted, sums are weighted towards the end (a myopic teacher), one is chosen by
σ(β (Σg_second - Σg_first)), some choices are mistakes, ties become ½. Skips and ties look at plain
sums, so neither β nor γ moves them.

    rational      the greater sum, always            noisy:1       β
    myopic:0.9    γ^(H-1-t) before each gain         mistaken:0.1  share of choices turned round
    skipping:0.1  ε: no answer unless the greater sum exceeds ε times the mean return
    tying:0.1     ε: equal when closer than ε times the mean return
    poll:5        share of so many answers; poll:0 is the probability itself
    regret        compare by advantages instead of rewards

Differs from B-Pref's code: thresholds are ε times the mean return in every round (the code
multiplies by ε once more from the second round on); the mean return of H steps comes from the mean
reward a step of the last episodes (which is theirs where all last as long as allowed); its
magnitude counts for ties, and nothing is skipped while it is not positive; equal sums are ½, not
"first".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlkit.algos.preference.statistics import recent, total
from rlkit.core.errors import UsageError
from rlkit.core.words.nearest import suggestion


class Answers(NamedTuple):
    """What a teacher said of pairs `[...]`."""

    y: Tensor  # [...] P(second preferred)
    given: Tensor  # [...] bool; False: the pair was skipped


@dataclass(frozen=True)
class Teacher:
    """How a synthetic teacher answers; `parse` makes one from words."""

    beta: float = math.inf  # β, inverse temperature of the choice
    recency: float = 1.0  # γ, weight of a step relative to the next
    mistakes: float = 0.0  # share of choices turned round
    skip: float = 0.0  # ε of what is not worth an answer
    tie: float = 0.0  # ε of what is equal
    poll: int = 1  # answers averaged; 0: the probability itself
    regret: bool = False  # gains are advantages, not rewards

    @property
    def uniforms(self) -> int:
        """Random numbers that one answer takes."""
        return 2 * max(1, self.poll)

    def answers(self, gain: Tensor, mask: Tensor, u: Tensor, mean_return: Tensor) -> Answers:
        """What it says of pairs.

        `gain`, `mask [..., 2, H]`; `u [..., uniforms]` in [0, 1); `mean_return` broadcasts
        against `[...]`: the mean sum of H rewards, which thresholds are measured in.
        """
        first, second = total(gain, mask).unbind(-1)
        given = torch.ones_like(first, dtype=torch.bool)
        if self.skip > 0:
            worth = torch.maximum(first, second) > self.skip * mean_return
            given = worth | (mean_return <= 0)
        tied = (first - second).abs() < self.tie * mean_return.abs()
        early, late = recent(gain, mask, self.recency).unbind(-1)
        y = self.said(self._probability(late - early), u)
        if self.poll and self.beta == math.inf:  # nobody tosses a coin over equal sums
            y = torch.where(late == early, torch.full_like(y, 0.5), y)
        return Answers(torch.where(tied, torch.full_like(y, 0.5), y), given)

    def said(self, p: Tensor, u: Tensor) -> Tensor:
        """What is said `[...]` where the second is preferred with chance `p [...]`: the share of
        `poll` draws, or the chance itself, mistakes included; `u [..., uniforms]` in [0, 1)."""
        if self.poll == 0:
            return (1 - self.mistakes) * p + self.mistakes * (1 - p)
        choice = (u[..., : self.poll] < p.unsqueeze(-1)).to(p)
        wrong = u[..., self.poll :] < self.mistakes
        return torch.where(wrong, 1 - choice, choice).mean(-1)

    def _probability(self, d: Tensor) -> Tensor:
        return (d.sign() + 1) / 2 if self.beta == math.inf else (self.beta * d).sigmoid()


# word -> field of Teacher, its number where none is given, what it may be
_FIELDS: dict[str, tuple[str, Any, str]] = {
    "noisy": ("beta", 1.0, "at least 0"),
    "myopic": ("recency", 0.9, "in (0, 1]"),
    "mistaken": ("mistakes", 0.1, "in [0, 1]"),
    "skipping": ("skip", 0.1, "positive"),
    "tying": ("tie", 0.1, "positive"),
    "poll": ("poll", 5, "a whole number"),
}
_PLAIN: dict[str, dict[str, Any]] = {"rational": {}, "regret": {"regret": True}}
WORDS = (*_FIELDS, *_PLAIN)


def parse(words: str) -> Teacher:
    """The teacher that words such as "rational", "noisy:0.5" or "myopic+mistaken:0.2" describe.

    Raises UsageError naming the word that is unknown, its number that is out of range, or two
    words that contradict each other.
    """
    teacher = Teacher()
    for word in words.split("+"):
        name, colon, text = (part.strip() for part in word.partition(":"))
        if name in _PLAIN and not colon:
            teacher = replace(teacher, **_PLAIN[name])
            continue
        if name not in _FIELDS:
            raise UsageError(f"unknown teacher {word.strip()!r}{suggestion(name, WORDS)}")
        field, default, range_ = _FIELDS[name]
        try:
            value = type(default)(text) if colon else default
        except ValueError:
            raise UsageError(f"teacher {word!r}: {text!r} is not a number") from None
        if not _fits(range_, float(value)):
            raise UsageError(f"teacher {word!r}: the number must be {range_}")
        teacher = replace(teacher, **{field: value})
    if teacher.regret and teacher.skip:
        raise UsageError("a teacher by regret skips nothing: regrets are compared with no return")
    return teacher


def _fits(range_: str, value: float) -> bool:
    return {
        "at least 0": 0 <= value < math.inf,
        "in (0, 1]": 0 < value <= 1,
        "in [0, 1]": 0 <= value <= 1,
        "positive": 0 < value < math.inf,
        "a whole number": value >= 0,
    }[range_]
