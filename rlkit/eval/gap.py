"""The generalisation gap: what an agent returns on levels it trained on, less what on others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rlkit.eval.records import Episode
from rlkit.eval.statistics import Interval, bootstrap_interval, difference_interval, mean
from rlkit.eval.tables import TooFewRunsWarning


@dataclass(frozen=True)
class Gap:
    """Mean returns with 95% intervals; over lanes, or over the episodes of a single one."""

    train: Interval
    held_out: Interval
    gap: Interval
    lanes: int

    def __str__(self) -> str:
        over = f"over {self.lanes} seeds" if self.lanes > 1 else "over episodes"
        return (
            f"training levels {self.train}, held-out levels {self.held_out}: gap {self.gap} {over}"
        )


def gap(train: Sequence[Episode], held_out: Sequence[Episode]) -> Gap:
    """The gap of lanes that were evaluated on both. Raises ValueError where lanes differ."""
    lanes = sorted({e.lane for e in train})
    if lanes != sorted({e.lane for e in held_out}) or not lanes:
        raise ValueError("the same lanes must be evaluated on training levels and on others")

    def of_lane(episodes: Sequence[Episode], lane: int) -> np.ndarray:
        return np.array([e.return_ for e in episodes if e.lane == lane])

    sides = [[of_lane(side, lane) for lane in lanes] for side in (train, held_out)]
    paired = len(lanes) > 1
    x, y = (np.array([returns.mean() for returns in side]) if paired else side[0] for side in sides)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooFewRunsWarning)
        return Gap(
            bootstrap_interval(x[:, None], mean, reps=10_000),
            bootstrap_interval(y[:, None], mean, reps=10_000),
            difference_interval(x[:, None], y[:, None], mean, paired=paired, reps=10_000),
            len(lanes),
        )
