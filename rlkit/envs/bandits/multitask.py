"""Contextual bandits that share a representation: M tasks, one random network, M linear heads."""

from dataclasses import dataclass

import numpy as np

from rlkit.envs.bandits.counts import check_whole
from rlkit.envs.bandits.observation import Observation


@dataclass(frozen=True)
class SharedRepresentation:
    """M tasks of K arms with features on the unit sphere of R^d, shown anew in every round.

    The expected reward of x in task i is phi(x)' w_i, phi a random network d -> width (ReLU) -> k
    that all tasks share, w_i on the unit sphere; rewards are scaled to unit variance over x.
    With `shared=False` every task has a phi of its own, so that nothing can be learned from the
    others. Rows come task by task: play it with `runs=tasks`.
    """

    tasks: int
    arms: int = 10
    dim: int = 10
    width: int = 16
    features: int = 3  # k
    sigma: float = 0.1  # standard deviation of gaussian noise
    shared: bool = True
    seed: int = 0  # of the network and the heads

    def __post_init__(self) -> None:
        check_whole(self, "tasks", "arms", "dim", "width", "features")
        if not self.sigma >= 0:
            raise ValueError(f"sigma is {self.sigma}; it must not be negative")
        rng, m = np.random.default_rng(self.seed), self.tasks
        nets = 1 if self.shared else m
        first = rng.standard_normal((nets, self.dim, self.width))
        second = rng.standard_normal((nets, self.width, self.features))
        heads = rng.standard_normal((m, self.features, 1))
        heads /= np.linalg.norm(heads, axis=1, keepdims=True)
        last = second @ heads  # [M, width, 1]
        x = self._sphere(rng, (1, 4096))
        spread = (np.maximum(x @ first, 0.0) @ last).std(1, keepdims=True)  # [M, 1, 1]
        object.__setattr__(self, "_first", first)
        object.__setattr__(self, "_last", last / spread)

    def _sphere(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        x = rng.standard_normal((*shape, self.dim))
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    def means(self, x: np.ndarray) -> np.ndarray:
        """Expected rewards [M, n] of features [M, n, d]."""
        first, last = self._first, self._last  # type: ignore[attr-defined]
        return (np.maximum(x @ first, 0.0) @ last)[..., 0]

    def draw(self, t: int, size: int, rng: np.random.Generator) -> tuple[Observation, np.ndarray]:
        if size % self.tasks:
            raise ValueError(f"{size} rows do not split evenly over {self.tasks} tasks")
        x = self._sphere(rng, (self.tasks, size // self.tasks * self.arms))
        means = self.means(x).reshape(size, self.arms)
        return Observation(x.reshape(size, self.arms, self.dim)), means

    def sample(self, means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return means + self.sigma * rng.standard_normal(means.shape)
