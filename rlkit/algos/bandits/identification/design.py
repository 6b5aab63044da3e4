"""Near-optimal experimental design on a finite set of feature vectors, by Frank-Wolfe."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlkit.envs.bandits.counts import whole


@dataclass(frozen=True, eq=False)
class Design:
    """weights [K] on the simplex, and leverage: the largest x_a' V^-1 x_a of V = sum w x x'."""

    weights: np.ndarray
    leverage: float


def spanning_subset(features: np.ndarray) -> np.ndarray:
    """Indices of rows that span the row space, each the farthest from the span of those before."""
    rest = features.copy()
    chosen: list[int] = []
    scale = np.linalg.norm(features, axis=1).max()
    while True:
        norms = np.linalg.norm(rest, axis=1)
        far = int(norms.argmax())
        if norms[far] <= 1e-10 * max(scale, 1e-300):
            return np.array(chosen, np.int64)
        chosen.append(far)
        direction = rest[far] / norms[far]
        rest = rest - np.outer(rest @ direction, direction)


def g_optimal_design(features: ArrayLike, factor: float = 2.0, steps: int = 10_000) -> Design:
    """A `Design` for features [K, d] whose leverage is at most `factor` times their rank.

    Frank-Wolfe on ln det V (Kiefer & Wolfowitz 1960: its maximum has leverage exactly the rank)
    from a spanning subset, with the exact line step of Fedorov. A factor of 2 keeps the support
    near the rank; factor close to 1 approaches the optimum. Rows must not all be zero.
    """
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or not np.isfinite(x).all() or not np.abs(x).max(initial=0.0) > 0:
        raise ValueError("features must be finite [K, d] and not all zero")
    steps = whole("steps", steps)
    if not factor > 1:
        raise ValueError(f"factor is {factor}; it must be above 1")
    start = spanning_subset(x)
    rank = len(start)
    # Coordinates inside the row space, where V is invertible.
    basis = np.linalg.svd(x, full_matrices=False)[2][:rank]
    x = x @ basis.T
    weights = np.zeros(len(x))
    weights[start] = 1.0 / rank
    inverse = np.linalg.inv((x[start] / rank).T @ x[start])
    for step in range(steps):
        leverages = np.einsum("ad,de,ae->a", x, inverse, x, optimize=True)
        arm = int(leverages.argmax())
        top = leverages[arm]
        if top <= factor * rank:
            break
        move = (top / rank - 1.0) / (top - 1.0)
        weights *= 1.0 - move
        weights[arm] += move
        inverse /= 1.0 - move
        u = inverse @ x[arm]
        inverse -= move * np.outer(u, u) / (1.0 + move * (x[arm] @ u))
        if step % 100 == 99:  # drop round-off
            inverse = np.linalg.inv((x * weights[:, None]).T @ x)
    leverages = np.einsum("ad,de,ae->a", x, inverse, x, optimize=True)
    return Design(weights, float(leverages.max()))
