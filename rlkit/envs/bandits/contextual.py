"""Batched contextual environments: rows of contexts and the expected reward of every arm."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlkit.envs.bandits.armed import checked, reward_range
from rlkit.envs.bandits.counts import check_whole
from rlkit.envs.bandits.observation import Observation


def _sample(means: np.ndarray, noise: str, sigma: float, rng: np.random.Generator) -> np.ndarray:
    if noise == "bernoulli":
        return (rng.random(means.shape) < means).astype(np.float64)
    if noise == "gaussian":
        return means + sigma * rng.standard_normal(means.shape)
    return means.copy()


@dataclass(frozen=True, eq=False)
class TabularContexts:
    """Contexts 0..C-1, uniform and shown one-hot [B, C]; expected rewards means [C, K].

    `availability` is the chance of each arm to be offered in a row; one arm at least always is.
    """

    means: ArrayLike
    noise: str = "bernoulli"
    sigma: float = 0.1
    availability: float = 1.0

    def __post_init__(self) -> None:
        checked(self.means, "means", 2, *reward_range(self.noise))
        if not 0 < self.availability <= 1:
            raise ValueError(f"availability is {self.availability}; it must lie in (0, 1]")

    @property
    def arms(self) -> int:
        return np.shape(self.means)[1]

    def draw(self, t: int, size: int, rng: np.random.Generator) -> tuple[Observation, np.ndarray]:
        means = np.asarray(self.means, np.float64)
        which = rng.integers(len(means), size=size)
        mask = None
        if self.availability < 1:
            mask = rng.random((size, self.arms)) < self.availability
            mask[np.arange(size), rng.integers(self.arms, size=size)] = True
        return Observation(np.eye(len(means))[which], mask), means[which]

    def sample(self, means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _sample(means, self.noise, self.sigma, rng)


@dataclass(frozen=True, eq=False)
class LinearContexts:
    """Gaussian features with expected reward x' theta.

    theta [d]: every arm shows its own x [B, K, d], K = `size_arms`. theta [K, d]: one x [B, d] for
    all arms.
    """

    theta: ArrayLike
    size_arms: int = 0
    sigma: float = 0.1

    def __post_init__(self) -> None:
        check_whole(self, "size_arms", least=0)
        theta = np.asarray(self.theta, np.float64)
        if theta.ndim not in (1, 2) or not np.isfinite(theta).all():
            raise ValueError("theta must be finite numbers of shape [d] or [K, d]")
        if (theta.ndim == 1) != (self.size_arms > 0):
            raise ValueError("size_arms belongs to a shared theta [d], and only to that")

    @property
    def arms(self) -> int:
        return self.size_arms or len(np.asarray(self.theta))

    def draw(self, t: int, size: int, rng: np.random.Generator) -> tuple[Observation, np.ndarray]:
        theta = np.asarray(self.theta, np.float64)
        shape = (size, self.arms, theta.size) if self.size_arms else (size, theta.shape[1])
        x = rng.standard_normal(shape) / np.sqrt(shape[-1])
        return Observation(x), x @ theta if self.size_arms else x @ theta.T

    def sample(self, means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return _sample(means, "gaussian", self.sigma, rng)


@dataclass(frozen=True, eq=False)
class Classification:
    """A classification data set as a bandit: reward 1 for the row's label, else 0.

    features [n, d] and integer labels [n] of classes 0..K-1; rows are drawn independently.
    """

    features: ArrayLike
    labels: ArrayLike

    def __post_init__(self) -> None:
        checked(self.features, "features", 2, -1e300, 1e300)
        labels = np.asarray(self.labels)
        if labels.shape != np.shape(self.features)[:1] or not np.issubdtype(
            labels.dtype, np.integer
        ):
            raise ValueError("labels must be integers, one a row of features")
        if labels.min() < 0:
            raise ValueError(f"label of row {int(labels.argmin())} is negative")

    @property
    def arms(self) -> int:
        return int(np.max(self.labels)) + 1

    def draw(self, t: int, size: int, rng: np.random.Generator) -> tuple[Observation, np.ndarray]:
        features, labels = np.asarray(self.features, np.float64), np.asarray(self.labels)
        rows = rng.integers(len(labels), size=size)
        return Observation(features[rows]), np.eye(self.arms)[labels[rows]]

    def sample(self, means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return means.copy()
