"""Optimal sampling proportions w*(m) for best-arm identification, by two nested monotone equations.

w* maximises min_{a != b} w_b d(m_b, m_a') + w_a d(m_a, m_a'), m_a' the w-weighted mean of the two,
and T* = 1 / the maximum (Garivier & Kaufmann 2016). With x_a = w_a / w_b and
g_a(x) = d(m_b, m) + x d(m_a, m), m = (m_b + x m_a) / (1 + x), all g_a(x_a) equal one y, which
solves sum_a d(m_b, m) / d(m_a, m) = 1.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from rlkit.algos.bandits.simulation.kl_ucb import bernoulli_kl
from rlkit.envs.bandits.armed import checked
from rlkit.envs.bandits.jit import kernel


@kernel()
def divergence(family, sigma, p, q):
    """Bernoulli (family 0) or Gaussian (1) divergence of means p and q."""
    if family == 0:
        return bernoulli_kl(p, q)
    return 0.5 * (p - q) * (p - q) / (sigma * sigma)


@kernel()
def pair_cost(family, sigma, n_best, m_best, n, m):
    """N_b d(m_b, pooled) + N_a d(m_a, pooled); 0 when the arm is not behind."""
    if m >= m_best:
        return 0.0
    pooled = (n_best * m_best + n * m) / (n_best + n)
    return n_best * divergence(family, sigma, m_best, pooled) + n * divergence(
        family, sigma, m, pooled
    )


@kernel()
def _ratio(family, sigma, m_best, m, y):
    """The x with g(x) = y, for y < d(m_best, m): g is increasing and concave, g(0) = 0."""
    if family == 1:
        top = divergence(family, sigma, m_best, m)
        return y / (top - y)
    x = 0.0
    for _ in range(200):  # Newton from the left of a concave function never crosses the root
        pooled = (m_best + x * m) / (1.0 + x)
        slope = divergence(family, sigma, m, pooled)
        value = divergence(family, sigma, m_best, pooled) + x * slope
        if slope <= 0.0:
            return x
        step = (y - value) / slope
        x += step
        if step <= 1e-11 * (1.0 + x):
            break
    return x


@kernel()
def solve_weights(family, sigma, means, best, weights, ratios):
    """Write w*(means) [K] into `weights`, uniform when the best is tied; returns T*.

    `ratios` [K] is work space.
    """
    arms, limit = means.size, math.inf
    for a in range(arms):
        if a != best:
            limit = min(limit, divergence(family, sigma, means[best], means[a]))
    if arms == 1 or not limit > 0.0:
        weights[:] = 1.0 / arms
        return math.inf
    low, high = 0.0, limit
    for _ in range(100):
        y = 0.5 * (low + high)
        if y in (low, high) or high - low < 1e-12 * limit:
            break
        total = 0.0
        for a in range(arms):
            if a == best:
                continue
            ratios[a] = _ratio(family, sigma, means[best], means[a], y)
            pooled = (means[best] + ratios[a] * means[a]) / (1.0 + ratios[a])
            below = divergence(family, sigma, means[a], pooled)
            if below <= 0.0:
                total = math.inf
                break
            total += divergence(family, sigma, means[best], pooled) / below
        if total > 1.0:
            high = y
        else:
            low = y
    total = 1.0
    for a in range(arms):
        if a != best:
            ratios[a] = _ratio(family, sigma, means[best], means[a], low)
            total += ratios[a]
    for a in range(arms):
        weights[a] = 1.0 / total if a == best else ratios[a] / total
    return total / low


def optimal_allocation(
    means: ArrayLike, family: str = "bernoulli", sigma: float = 1.0
) -> tuple[np.ndarray, float]:
    """(w* [K], T*) for `means` [K]; T* ln(1/delta) plays are needed as delta vanishes.

    T* is infinite, and w* uniform, where the best arm is tied.
    """
    mu = checked(means, "means", 1, *((0.0, 1.0) if family == "bernoulli" else (-1e12, 1e12)))
    weights = np.empty(mu.size)
    number = {"bernoulli": 0, "gaussian": 1}[family]
    return weights, solve_weights(number, sigma, mu, int(mu.argmax()), weights, np.empty(mu.size))
