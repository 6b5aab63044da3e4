"""What a bandit simulation records, at which rounds, and how its runs are split over threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Simulation:
    """Records of R runs: what `simulate` returns.

    checkpoints [C]   rounds (1-based) at which was recorded; the last one is the horizon
    regret [R, C]     pseudo-regret: reference minus expected reward of the plays, summed
    pulls [R, K]      plays of each arm over the whole run
    mean_pulls [C, K] plays of each arm up to each checkpoint, averaged over runs
    extra             what single families add, such as covered [R] of linear policies
    """

    policy: str
    parameters: dict[str, Any]
    checkpoints: np.ndarray
    regret: np.ndarray
    pulls: np.ndarray
    mean_pulls: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    def mean(self) -> np.ndarray:
        """Mean regret over runs at each checkpoint [C]."""
        return self.regret.mean(0)

    def standard_error(self) -> np.ndarray:
        """Standard error of `mean` [C]; NaN for a single run."""
        runs = len(self.regret)
        if runs < 2:
            return np.full(len(self.checkpoints), np.nan)
        return self.regret.std(0, ddof=1) / np.sqrt(runs)

    def at(self, round_: int) -> np.ndarray:
        """Regret of every run [R] at a recorded round; a ValueError names the nearest other."""
        i = int(np.abs(self.checkpoints - round_).argmin())
        if self.checkpoints[i] != round_:
            raise ValueError(
                f"round {round_} was not recorded (nearest: {self.checkpoints[i]}); "
                "pass checkpoints= to simulate"
            )
        return self.regret[:, i]


def log_checkpoints(horizon: int, count: int = 200) -> np.ndarray:
    """At most `count` different rounds, evenly spaced in log from 1 to the horizon."""
    return np.unique(np.geomspace(1, horizon, count).round().astype(np.int64))


def checked_checkpoints(checkpoints: ArrayLike | None, horizon: int) -> np.ndarray:
    """Recording rounds as sorted int64 that end at the horizon."""
    if checkpoints is None:
        return log_checkpoints(horizon)
    given = np.unique(np.asarray(checkpoints, np.float64))
    if not given.size or not ((given >= 1) & (given <= horizon) & (given == np.floor(given))).all():
        raise ValueError(f"checkpoints must be whole rounds in 1..{horizon}")
    rounds = given.astype(np.int64)
    return rounds if rounds[-1] == horizon else np.append(rounds, horizon)


def in_chunks(job: Callable[[int, int], Any], runs: int, threads: int) -> list[Any]:
    """[job(first, last)] over contiguous chunks of runs, one a thread; kernels release the GIL."""
    edges = np.linspace(0, runs, min(threads, runs) + 1).astype(int)
    pairs = [(int(a), int(b)) for a, b in pairwise(edges)]
    if len(pairs) == 1:
        return [job(*pairs[0])]
    with ThreadPoolExecutor(len(pairs)) as pool:
        return list(pool.map(lambda pair: job(*pair), pairs))


def check_seed(seed: int) -> None:
    """Raise a ValueError for a seed that is no int in 0..2**63-1."""
    if not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise ValueError(f"seed is {seed}; it must lie in 0..2**63-1")
