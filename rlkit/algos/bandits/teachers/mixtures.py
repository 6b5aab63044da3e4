"""Teachers over a box of tasks: sample what a student should try next from how its returns change.

Portelas, Colas, Hofmann & Oudeyer 2020, "Teacher algorithms for curriculum learning of deep RL in
continuously parameterized environments". A teacher is a bandit with a continuum of arms whose
rewards drift:
  Random     a uniform task
  ALP-GMM    alp = |r - r_old|, r_old the return of the nearest task tried before (0 for the first
             five). Every `fit_rate` episodes mixtures of k = 2..10 Gaussians are fitted to the last
             `fit_rate` points (task, alp), and the one of least AIC is kept. Then, but for a share
             of uniform tasks, a component is drawn by the alp coordinate of its mean, a point from
             that Gaussian, and its task is clipped to the box
  Covar-GMM  the same on points (task, t, r), t in [0, 1) the place in the window; a component's
             weight is max(0, cov(t, r)), or |cov(t, r)| with `absolute`
RIAC is in `riac`. Any of them goes around a gymnasium environment with `rlkit.envs.Taught`.

Differs from the authors' code: tasks are scaled to the unit box and returns to [0, 1] before
distances and mixtures see them; private counter-based randomness, so that seed 0 is a seed and a
teacher continues bit for bit from its state; the mixtures are our own EM.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from rlkit.algos.bandits.off_policy.densities import GaussianMixture, fit_mixture
from rlkit.core.errors import UsageError
from rlkit.core.streams import generator
from rlkit.core.words.ranges import Count, Natural, Share, checked

WARM_UP = 5  # tasks whose alp is 0, for want of neighbours


class Teacher(Protocol):
    """What chooses tasks: a task from `sample`, its return to `update`, plain arrays as state."""

    def sample(self) -> np.ndarray: ...

    def update(self, task: ArrayLike, outcome: float) -> None:
        """Take in what the student returned on `task` `[D]`."""

    def state_dict(self) -> dict[str, np.ndarray]: ...

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None: ...


class Box:
    """Tasks low <= task <= high [D] and their place in the unit box; returns and their scale."""

    def __init__(self, low: ArrayLike, high: ArrayLike, returns: tuple[float, float]) -> None:
        self.low = np.atleast_1d(np.asarray(low, np.float64))
        self.high = np.atleast_1d(np.asarray(high, np.float64))
        if self.low.shape != self.high.shape or self.low.ndim != 1:
            raise ValueError(f"low {self.low.shape} and high {self.high.shape} must both be [D]")
        bad = np.flatnonzero(~(self.low < self.high) | ~np.isfinite(self.high - self.low))
        if len(bad):
            i = int(bad[0])
            raise ValueError(f"dimension {i} runs from {self.low[i]} to {self.high[i]}")
        self.worst, self.best = returns
        if not self.worst < self.best:
            raise ValueError(f"returns run from {self.worst} to {self.best}")

    def task(self, place: np.ndarray) -> np.ndarray:
        """The task [D] at a place of the unit box."""
        return self.low + place * (self.high - self.low)

    def place(self, task: ArrayLike) -> np.ndarray:
        """Where in the unit box a task [D] lies; tasks outside the box raise ValueError."""
        x = np.asarray(task, np.float64)
        if x.shape != self.low.shape:
            raise ValueError(f"task has shape {x.shape}; needed is {self.low.shape}")
        place = (x - self.low) / (self.high - self.low)
        bad = np.flatnonzero(~((place > -1e-6) & (place < 1 + 1e-6)))  # float32 may cross the edge
        if len(bad):
            i = int(bad[0])
            raise ValueError(f"task[{i}] is {x[i]}, outside [{self.low[i]}, {self.high[i]}]")
        return np.clip(place, 0.0, 1.0)

    def scaled(self, outcome: float) -> float:
        """A return on the scale [0, 1], clipped to it; NaN raises ValueError."""
        if not np.isfinite(outcome):
            raise ValueError(f"the return of a task is {outcome}")
        return float(np.clip((outcome - self.worst) / (self.best - self.worst), 0.0, 1.0))


class RandomTeacher:
    """Uniform tasks: the baseline."""

    def __init__(self, low: ArrayLike, high: ArrayLike, *, seed: int = 0) -> None:
        self.box, self.seed, self.samples = Box(low, high, (0.0, 1.0)), seed, 0

    def sample(self) -> np.ndarray:
        rng = generator(self.seed, "teacher", self.samples)
        self.samples += 1
        return self.box.task(rng.random(len(self.box.low)))

    def update(self, task: ArrayLike, outcome: float) -> None:
        """Take in what the student returned on `task` `[D]`."""
        self.box.place(task)

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"samples": np.array(self.samples)}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.samples = int(state["samples"])


@checked(lanes=False)
@dataclass(frozen=True)
class Config:
    returns: tuple[float, float] = (0.0, 1.0)  # returns of the worst and the best student
    fit_rate: Count = 250  # episodes between fits, and points in a fit
    random_share: Share = 0.2
    components: tuple[Count, ...] = (2, 3, 4, 5, 6, 7, 8, 9, 10)
    history: Natural = 0  # tasks among which the nearest is sought; 0: all (ALP-GMM)
    absolute: bool = False  # unlearning counts as much as learning (Covar-GMM)


def aic(mixture: GaussianMixture, mean_log_likelihood: float, points: int) -> float:
    """2 p - 2 ln L with p = k (1 + m + m (m + 1) / 2) - 1 for k components in m dimensions."""
    k, m = mixture.mean.shape
    return 2.0 * (k * (1 + m + m * (m + 1) / 2) - 1) - 2.0 * points * mean_log_likelihood


class _MixtureTeacher:
    """What ALP-GMM and Covar-GMM share: windows of points, fits, and guided samples."""

    def __init__(
        self, low: ArrayLike, high: ArrayLike, config: Config | None = None, *, seed: int = 0
    ) -> None:
        c = self.config = config or Config()
        if not c.components or c.fit_rate <= max(c.components):
            raise UsageError(f"fit_rate is {c.fit_rate}; it must exceed components {c.components}")
        self.box, self.seed = Box(low, high, c.returns), seed
        self.samples, self.episodes = 0, 0
        self.points: list[np.ndarray] = []  # of the window: (place, ...)
        self.mixture: GaussianMixture | None = None

    def _utility(self, mixture: GaussianMixture) -> np.ndarray:
        """What is gained by sampling from each component [k]."""
        raise NotImplementedError

    def sample(self) -> np.ndarray:
        rng = generator(self.seed, "teacher", self.samples)
        self.samples += 1
        dim = len(self.box.low)
        if self.mixture is None or rng.random() < self.config.random_share:
            return self.box.task(rng.random(dim))
        utility = np.maximum(self._utility(self.mixture), 0.0)
        total = utility.sum()
        # Differences that are round-off of the fit count as none.
        share = utility / total if total > 1e-9 else np.full(len(utility), 1.0 / len(utility))
        which = rng.choice(len(share), p=share)
        factor = np.linalg.cholesky(self.mixture.covariance[which])
        point = self.mixture.mean[which] + factor @ rng.standard_normal(len(factor))
        return self.box.task(np.clip(point[:dim], 0.0, 1.0))

    def _add(self, point: np.ndarray) -> None:
        """A point of the window; at the end of one, the mixture of least AIC is kept."""
        c = self.config
        self.points = [*self.points[-(c.fit_rate - 1) :], point]
        self.episodes += 1
        if self.episodes % c.fit_rate:
            return
        x, weight = np.array(self.points), np.ones(len(self.points))
        rng, least = generator(self.seed, "teacher fit", self.episodes), np.inf
        for k in c.components:
            mixture, rise = fit_mixture(x, weight, k, rng)
            value = aic(mixture, rise[-1], len(x))
            if value < least:
                least, self.mixture = value, mixture

    def state_dict(self) -> dict[str, np.ndarray]:
        state = {
            "counts": np.array([self.samples, self.episodes]),
            "points": np.array(self.points),
        }
        if self.mixture is not None:
            parts = ("share", "mean", "covariance")
            state |= {f"mixture.{p}": getattr(self.mixture, p).copy() for p in parts}
        return state

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.samples, self.episodes = (int(n) for n in state["counts"])
        self.points = list(state["points"].copy())
        self.mixture = None
        if "mixture.share" in state:
            parts = [state[f"mixture.{p}"].copy() for p in ("share", "mean", "covariance")]
            self.mixture = GaussianMixture(*parts)


class AlpGmm(_MixtureTeacher):
    """Absolute learning progress with Gaussian mixtures."""

    def __init__(
        self, low: ArrayLike, high: ArrayLike, config: Config | None = None, *, seed: int = 0
    ) -> None:
        super().__init__(low, high, config, seed=seed)
        self.past = np.empty((64, len(self.box.low) + 1))  # (place, return), oldest first

    def progress(self, place: np.ndarray, outcome: float) -> float:
        """alp of a return on the unit scale at a place of the unit box."""
        n = self.episodes
        if n < WARM_UP + 1:
            return 0.0
        first = max(0, n - self.config.history) if self.config.history else 0
        near = ((self.past[first:n, :-1] - place) ** 2).sum(1).argmin()
        return abs(outcome - float(self.past[first + near, -1]))

    def update(self, task: ArrayLike, outcome: float) -> None:
        """Take in what the student returned on `task` `[D]`."""
        place, r = self.box.place(task), self.box.scaled(outcome)
        alp = self.progress(place, r)
        if self.episodes == len(self.past):
            self.past = np.concatenate([self.past, np.empty_like(self.past)])
        self.past[self.episodes] = *place, r
        self._add(np.append(place, alp))

    def _utility(self, mixture: GaussianMixture) -> np.ndarray:
        return mixture.mean[:, -1]

    def state_dict(self) -> dict[str, np.ndarray]:
        return super().state_dict() | {"past": self.past[: self.episodes].copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        super().load_state_dict(state)
        self.past = np.concatenate([state["past"], np.empty((64, state["past"].shape[1]))])


class CovarGmm(_MixtureTeacher):
    """Covariance of time and return with Gaussian mixtures."""

    def update(self, task: ArrayLike, outcome: float) -> None:
        """Take in what the student returned on `task` `[D]`."""
        time = (self.episodes % self.config.fit_rate) / self.config.fit_rate
        self._add(np.concatenate([self.box.place(task), [time, self.box.scaled(outcome)]]))

    def _utility(self, mixture: GaussianMixture) -> np.ndarray:
        covariance = mixture.covariance[:, -2, -1]
        return np.abs(covariance) if self.config.absolute else covariance
