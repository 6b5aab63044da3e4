"""K-armed environments without memory: fixed, randomly drawn and switching expected rewards."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlkit.envs.bandits.counts import check_whole
from rlkit.envs.bandits.dynamics import (
    BERNOULLI,
    GAUSSIAN,
    NOISELESS,
    RANDOM_MEANS,
    SEGMENTS,
    STATIONARY,
    Tables,
)

NOISES = {"bernoulli": BERNOULLI, "gaussian": GAUSSIAN, "none": NOISELESS}


def checked(values: ArrayLike, name: str, ndim: int, low: float, high: float) -> np.ndarray:
    """A contiguous float64 copy of `values`, or a ValueError naming the first bad entry."""
    array = np.array(values, dtype=np.float64, order="C", ndmin=1)
    if array.ndim != ndim or array.size == 0:
        raise ValueError(f"{name} must be a non-empty {ndim}-d array, got shape {array.shape}")
    bad = np.argwhere(~((array >= low) & (array <= high)))
    if len(bad):
        where = tuple(int(i) for i in bad[0])
        raise ValueError(
            f"{name}{list(where)} is {array[where]}; every entry must lie in [{low:g}, {high:g}]"
        )
    return array


def reward_range(noise: str) -> tuple[float, float]:
    """The interval expected rewards may lie in under this noise."""
    if noise not in NOISES:
        raise ValueError(f"noise is {noise!r}; choose one of {', '.join(NOISES)}")
    return (-1e12, 1e12) if noise == "gaussian" else (0.0, 1.0)


def tables(
    kind: int,
    arms: int,
    noise: str,
    sigma: float,
    first: np.ndarray,
    *,
    second: np.ndarray | None = None,
    weights: ArrayLike = (0.0,),
    integers: ArrayLike = (0,),
    reference: ArrayLike = (0.0,),
) -> Tables:
    """`Tables` with every unused array present at size one."""
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; the noise scale must be positive")
    return Tables(
        kind,
        NOISES[noise],
        float(sigma),
        arms,
        np.ascontiguousarray(first, dtype=np.float64),
        np.zeros((1, 1)) if second is None else np.ascontiguousarray(second, dtype=np.float64),
        np.asarray(weights, dtype=np.float64),
        np.asarray(integers, dtype=np.int64),
        np.asarray(reference, dtype=np.float64),
    )


@dataclass(frozen=True, eq=False)
class Armed:
    """K arms with fixed expected rewards [K]; `noise` is bernoulli, gaussian or none."""

    means: ArrayLike
    noise: str = "bernoulli"
    sigma: float = 1.0  # standard deviation of gaussian noise

    def tables(self, horizon: int) -> Tables:
        means = checked(self.means, "means", 1, *reward_range(self.noise))
        return tables(STATIONARY, means.size, self.noise, self.sigma, means[None])


@dataclass(frozen=True)
class RandomMeans:
    """K Bernoulli arms whose means every run draws anew from U[low, high]."""

    arms: int
    low: float = 0.0
    high: float = 1.0
    noise: str = "bernoulli"
    sigma: float = 1.0

    def tables(self, horizon: int) -> Tables:
        check_whole(self, "arms")
        reward_range(self.noise)
        if not 0.0 <= self.low <= self.high <= 1.0:
            raise ValueError(f"need 0 <= low <= high <= 1, got low {self.low}, high {self.high}")
        none = np.zeros((1, 1))
        ends = (self.low, self.high)
        return tables(RANDOM_MEANS, self.arms, self.noise, self.sigma, none, weights=ends)


@dataclass(frozen=True, eq=False)
class Switching:
    """Expected rewards [S, K] that hold from rounds `starts` [S] (1-based, the first is 1) on.

    An oblivious adversary; regret is counted against the best fixed arm of each prefix of rounds.
    """

    means: ArrayLike
    starts: ArrayLike
    noise: str = "bernoulli"
    sigma: float = 1.0

    def tables(self, horizon: int) -> Tables:
        means = checked(self.means, "means", 2, *reward_range(self.noise))
        starts = np.asarray(self.starts, dtype=np.int64)
        if starts.shape != means.shape[:1] or starts[0] != 1 or (np.diff(starts) < 1).any():
            raise ValueError(
                f"starts must rise strictly from 1, one a row of means, got {starts.tolist()}"
            )
        kind = (SEGMENTS, means.shape[1], self.noise, self.sigma)
        return tables(*kind, means, integers=starts)

    def correction(self, checkpoints: np.ndarray) -> np.ndarray:
        """Best-arm-of-every-round reward minus best-fixed-arm reward up to each checkpoint [C]."""
        means, starts = np.asarray(self.means, np.float64), np.asarray(self.starts, np.int64)
        ends = np.append(starts[1:] - 1, np.iinfo(np.int64).max)
        rounds = np.minimum(checkpoints[:, None], ends) - starts + 1  # [C, S]
        rounds = np.maximum(rounds, 0)
        return rounds @ means.max(1) - (rounds @ means).max(1)
