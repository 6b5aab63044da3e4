"""Labelled pairs for an algorithm that learns from a dataset: asked for, or read from a file."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from rlkit.algos.preference.feedback import (
    Preferences,
    answer,
    draw_pairs,
    mean_return,
    of_scaling,
    read_pairs,
    true_reward,
)
from rlkit.algos.preference.teachers import advantages
from rlkit.algos.preference.teachers.synthetic import parse
from rlkit.core.errors import UsageError
from rlkit.data.sampling.segments import Segments, places_in_replay
from rlkit.data.stock import Stock


class Questions(Protocol):
    """Fields of a `Config` that say what is asked."""

    @property
    def pairs(self) -> int: ...  # pairs of segments a lane asks about
    @property
    def length(self) -> int: ...  # H, steps of a segment
    @property
    def teacher(self) -> str: ...  # who answers; see `teachers`
    @property
    def advantages(self) -> str | None: ...  # .npy of A*(s, a) a row, for a teacher by regret
    @property
    def preferences(self) -> str | None: ...  # file of labelled pairs, instead of asking


class Feedback:
    """The preferences of each lane about the dataset of `stock`.

    What can be wrong is found at once: an unknown teacher, segments that do not fit, a file that
    is missing or of another task. `gather` asks; `state_dict` holds the answers.
    """

    def __init__(self, stock: Stock, c: Questions, algorithm: str) -> None:
        if stock.data is None or stock.replay is not None:
            raise UsageError(f"{algorithm} learns from a dataset alone: give a dataset and no env")
        if c.pairs < 1:
            raise UsageError(f"pairs is {c.pairs}; a lane must ask about at least 1")
        self.stock, self.c, self.data = stock, c, stock.data
        self.teacher = parse(c.teacher)
        self.preferences: Preferences | None = None
        self._known: Tensor | None = None
        if c.preferences is not None:
            self._read = read_pairs(c.preferences, stock.spec, stock.transforms)[1]
        else:
            places_in_replay(self.data, c.length)
            advantages.check_asked(c.advantages, self.teacher.regret, c.teacher)
            if c.advantages is not None:
                values = advantages.read(c.advantages, self.data.size)
                self._known = torch.from_numpy(values).to(stock.spec.device).unsqueeze(0)

    @property
    def beginning(self) -> str:
        """What `gather` is about to do, in a line."""
        scaled = of_scaling(self.stock.transforms)
        if self.c.preferences is not None:
            return f"{scaled}reading preferences from {self.c.preferences}"
        guess = self.teacher.regret and self._known is None
        first = (
            f"fitting the teacher's values ({advantages.UPDATES} updates), then " if guess else ""
        )
        asking = f"asking a teacher ({self.c.teacher}) about {self.c.pairs} pairs of segments"
        return f"{scaled}{first}{asking}"

    def gather(self) -> Preferences:
        """The labelled pairs, asked for now. Raises ValueError if a lane got no answer at all."""
        if self.c.preferences is not None:
            self.preferences = self._read
            return self._read
        cut, spec, transforms = self.segments(), self.stock.spec, self.stock.transforms
        if self.teacher.regret:
            known = advantages.estimate(self.stock) if self._known is None else self._known
            gain = advantages.at_rows(known, cut.rows) * cut.mask
        else:
            gain = true_reward(cut.r, cut.mask, transforms)
        mean = mean_return(self.data, transforms, self.c.length)
        said = answer(self.teacher, gain, cut.mask, mean, self.stock.streams)
        if self.teacher.skip and bool((mean <= 0).any()):
            raise UsageError(
                f"teacher {self.c.teacher!r} skips what is poor next to the mean return, which is "
                f"{float(mean.min()):.3g} here; it needs a task with positive returns"
            )
        silent = (~said.given.any(-1)).nonzero().flatten().tolist()
        if silent:
            raise ValueError(
                f"teacher {self.c.teacher!r} skipped all {self.c.pairs} pairs of seed "
                f"{spec.seeds[silent[0]]}; ask about more, or lower what it skips"
            )
        self.preferences = _labelled(cut, said.y.to(spec.dtype), said.given.to(spec.dtype))
        return self.preferences

    def segments(self) -> Segments:
        """The segments that are asked about, `[S, n, 2, H, ...]`."""
        return draw_pairs(self.data, self.stock.streams, self.c.length, self.c.pairs)

    def state_dict(self) -> dict[str, Tensor]:
        """The answers; which pairs they are about follows from the seeds."""
        if self.preferences is None:
            return {}
        return {"y": self.preferences.y, "w": self.preferences.w}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The labelled pairs of an earlier `gather`. Raises ValueError if the file has changed."""
        y, w = (state[name].to(self.stock.spec.device) for name in ("y", "w"))
        if self.c.preferences is None:
            self.preferences = _labelled(self.segments(), y, w)
            return
        if not (torch.equal(self._read.y, y) and torch.equal(self._read.w, w)):
            raise ValueError(f"{self.c.preferences} has changed since this run began; restore it")
        self.preferences = self._read


def _labelled(cut: Segments, y: Tensor, w: Tensor) -> Preferences:
    return Preferences(cut.s, cut.a, cut.mask, y, w)
