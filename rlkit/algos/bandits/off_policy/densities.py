"""Densities to draw importance samples from: Gaussian mixtures fitted to weighted points."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

_RIDGE = 1e-6  # of the mean variance, added to covariances
_STEPS = 100
_TOLERANCE = 1e-8  # rise of the mean log-likelihood at which EM stops


class Density(Protocol):
    """What importance sampling asks of a density on R^d."""

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """[n] at points [n, d]."""
        ...

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """n independent points [n, d]."""
        ...


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """M Gaussians on R^d: share [M], mean [M, d], covariance [M, d, d]."""

    share: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray

    def parts(self, x: np.ndarray) -> np.ndarray:
        """Log of share times density of every component [n, M] at points [n, d]."""
        factor = np.linalg.cholesky(self.covariance)
        away = np.moveaxis(x[:, None] - self.mean, 0, -1)  # [M, d, n]
        solved = np.linalg.solve(factor, away)
        log_det = 2.0 * np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(1)
        constant = np.log(self.share) - 0.5 * (log_det + x.shape[1] * np.log(2 * np.pi))
        return (constant[:, None] - 0.5 * (solved**2).sum(1)).T

    def log_density(self, x: np.ndarray) -> np.ndarray:
        return _log_sum_exp(self.parts(x))

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        which = rng.choice(len(self.share), n, p=self.share)
        z = rng.standard_normal((n, self.mean.shape[1]))
        factor = np.linalg.cholesky(self.covariance)
        return self.mean[which] + np.einsum("nij,nj->ni", factor[which], z)


def gaussian(mean: np.ndarray | list[float], covariance: np.ndarray | None = None):
    """The normal density with this mean [d] and covariance [d, d] (the identity by default)."""
    mean = np.atleast_1d(np.asarray(mean, np.float64))
    covariance = np.eye(len(mean)) if covariance is None else np.asarray(covariance, np.float64)
    return GaussianMixture(np.ones(1), mean[None], covariance.reshape(1, len(mean), len(mean)))


def fit_mixture(
    x: np.ndarray,
    weight: np.ndarray,
    components: int,
    rng: np.random.Generator,
    prior: np.ndarray | None = None,
) -> tuple[GaussianMixture, list[float]]:
    """The mixture of greatest weighted log-likelihood that EM finds, and the way it rose.

    x [n, d] with weights [n] >= 0, not all zero. Starts from points drawn by weight and distance
    (k-means++); covariances get a small ridge. With a `prior` covariance [d, d] every component
    counts d + 2 further points that have it: one heavy point alone then makes no needle, and many
    points outvote it.
    """
    weight = weight / weight.sum()
    effective = 1.0 / (weight**2).sum()

    def settled(covariance: np.ndarray, mass: np.ndarray) -> np.ndarray:
        if prior is None:
            return covariance + ridge
        count, extra = effective * mass[:, None, None], x.shape[1] + 2.0
        return (count * covariance + extra * prior) / (count + extra) + ridge

    mean = weight @ x
    spread = (weight[:, None] * (x - mean)).T @ (x - mean)
    ridge = _RIDGE * max(np.trace(spread) / x.shape[1], 1e-12) * np.eye(x.shape[1])
    centres = [x[rng.choice(len(x), p=weight)]]
    while len(centres) < components:
        nearest = np.min([((x - c) ** 2).sum(1) for c in centres], axis=0) * weight
        if not nearest.any():  # no further points to start from
            break
        centres.append(x[rng.choice(len(x), p=nearest / nearest.sum())])
    m = len(centres)
    even = np.full(m, 1.0 / m)
    mixture = GaussianMixture(even, np.array(centres), settled(np.tile(spread, (m, 1, 1)), even))
    if m == 1:  # no need to iterate
        mixture = GaussianMixture(even, mean[None], mixture.covariance)
        return mixture, [float(weight @ mixture.log_density(x))]
    rise: list[float] = []
    for _ in range(_STEPS):
        parts = mixture.parts(x)
        total = _log_sum_exp(parts)
        rise.append(float(weight @ total))
        if len(rise) > 1 and rise[-1] - rise[-2] < _TOLERANCE:
            break
        belongs = np.exp(parts - total[:, None]) * weight[:, None]  # [n, M]
        mass = np.maximum(belongs.sum(0), 1e-300)
        means = (belongs.T @ x) / mass[:, None]
        away = x[:, None] - means  # [n, M, d]
        covariances = np.einsum("nm,nmi,nmj->mij", belongs, away, away) / mass[:, None, None]
        mass = mass / mass.sum()
        mixture = GaussianMixture(mass, means, settled(covariances, mass))
    return mixture, rise


def _log_sum_exp(parts: np.ndarray) -> np.ndarray:
    # Not at the top: teachers stand at the beginning of every training, and scipy takes 0.3 s.
    from scipy.special import logsumexp

    return logsumexp(parts, axis=1)
