"""Best arm of a misspecified linear bandit: phased and sparse elimination.

Rewards |r(a) - phi_a' theta| <= eps for all arms, theta perhaps s-sparse with norm at most 1.
  phased_elimination  in phase l = 1, 2, ... with e = 2^-l plays arm a of a G-optimal design w
                      ceil(2 d w_a / e² · ln(K l (l + 1) / delta)) times and drops arms whose
                      least-squares value lies more than 2 e + 2 eps sqrt(2 d) below the best: an
                      O(eps sqrt(d)) arm in polynomially many queries  (Lattimore, Szepesvari &
                      Weisz 2020)
  sparse_elimination  keeps the s-sparse parameters of an eps-net that agree with all answers within
                      3 eps, and queries the arm that some of them likes best: a 5 eps arm (6 eps
                      with noise) in at most as many queries as the net has points, whatever d. The
                      net point nearest theta is never dropped, since its error is at most eps
                      (net) + eps (misspecification) + eps (noise).
Derived from the bounds of "Does Sparsity Help in Learning Misspecified Linear Bandits?"; constants
are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import ceil, log

import numpy as np
from numpy.typing import ArrayLike

from rlkit.algos.bandits.identification.design import g_optimal_design
from rlkit.envs.bandits.counts import whole

Query = Callable[[int, int], float]  # (arm, times) -> mean reward of so many plays


@dataclass(frozen=True, eq=False)
class Elimination:
    """arm recommended, queries of arms, the plays they cost, surviving arms or parameters."""

    arm: int
    queries: int
    plays: int
    survivors: np.ndarray


def _checked_features(features: ArrayLike, eps: float) -> np.ndarray:
    phi = np.asarray(features, np.float64)
    if phi.ndim != 2 or not np.isfinite(phi).all():
        raise ValueError("features must be finite numbers of shape [K, d]")
    if not eps >= 0:
        raise ValueError(f"eps is {eps}; the misspecification cannot be negative")
    return phi


def phased_elimination(
    features: ArrayLike,
    query: Query,
    *,
    eps: float = 0.0,
    delta: float = 0.05,
    phases: int = 8,
) -> Elimination:
    """The `Elimination` after `phases` phases, or when one arm is left; noise is 1-sub-Gaussian."""
    phases = whole("phases", phases)
    if not 0 < delta < 1:
        raise ValueError(f"delta is {delta}; it must lie strictly in (0, 1)")
    phi = _checked_features(features, eps)
    arms, dim = phi.shape
    active, queries, plays, value = np.arange(arms), 0, 0, np.zeros(arms)
    for phase in range(1, phases + 1):
        e = 2.0**-phase
        design = g_optimal_design(phi[active])
        support = np.flatnonzero(design.weights > 1e-12)
        times = 2 * dim * design.weights[support] / e**2 * log(arms * phase * (phase + 1) / delta)
        counts = np.ceil(times).astype(np.int64)
        answers = np.array(
            [query(int(active[a]), int(n)) for a, n in zip(support, counts, strict=True)]
        )
        queries, plays = queries + len(support), plays + int(counts.sum())
        x, root = phi[active[support]], np.sqrt(counts)
        theta = np.linalg.lstsq(x * root[:, None], answers * root, rcond=None)[0]
        value = phi[active] @ theta
        slack = 2 * e + 2 * eps * np.sqrt(2 * dim)
        keep = value >= value.max() - slack
        active, value = active[keep], value[keep]
        if len(active) == 1:
            break
    return Elimination(int(active[value.argmax()]), queries, plays, active)


def ball_net(dim: int, eps: float) -> np.ndarray:
    """Points [n, dim] of the unit ball such that each of its points is within eps of one."""
    spacing = 2.0 * eps / np.sqrt(dim)  # half the diagonal of a cell is eps
    steps = int(np.ceil(1.0 / spacing))
    axis = spacing * np.arange(-steps, steps + 1)
    grid = np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), -1).reshape(-1, dim)
    norm = np.linalg.norm(grid, axis=1)
    grid, norm = grid[norm <= 1.0 + eps], norm[norm <= 1.0 + eps]
    # Points just outside serve points just inside; projecting them only brings them closer.
    return grid / np.maximum(norm, 1.0)[:, None]


def sparse_candidates(dim: int, sparsity: int, eps: float, limit: int = 2_000_000) -> np.ndarray:
    """Every s-sparse parameter [n, d] with its support's entries in an eps-net of the unit ball."""
    if not 1 <= whole("sparsity", sparsity) <= dim:
        raise ValueError(f"sparsity is {sparsity}; it must lie in 1..{dim}")
    net = ball_net(sparsity, eps)
    supports = list(combinations(range(dim), sparsity))
    if len(net) * len(supports) > limit:
        raise ValueError(
            f"the net has {len(net) * len(supports)} points, more than {limit}; "
            "raise eps or lower sparsity"
        )
    out = np.zeros((len(supports), len(net), dim))
    for i, support in enumerate(supports):
        out[i][:, support] = net
    return out.reshape(-1, dim)


def sparse_elimination(
    features: ArrayLike,
    query: Query,
    *,
    sparsity: int,
    eps: float,
    noisy: bool = False,
    delta: float = 0.05,
) -> Elimination:
    """The `Elimination` of an s-sparse linear bandit whose features have norm at most 1.

    `noisy` queries average enough plays for an error of eps with 1-sub-Gaussian noise. Raises
    RuntimeError when no parameter is left: then the model assumption is broken.
    """
    phi = _checked_features(features, eps)
    if not eps > 0:
        raise ValueError("eps must be positive: it sets the resolution of the net")
    if (np.linalg.norm(phi, axis=1) > 1 + 1e-9).any():
        row = int(np.linalg.norm(phi, axis=1).argmax())
        raise ValueError(f"feature vector {row} is longer than 1; scale the features")
    theta = sparse_candidates(phi.shape[1], sparsity, eps)
    times = ceil(2 * log(2 * len(theta) / delta) / eps**2) if noisy else 1
    liked = np.empty(len(theta), np.int64)
    hope = np.empty(len(theta))
    for start in range(0, len(theta), 4096):  # [K, 4096] values at a time
        values = phi @ theta[start : start + 4096].T
        part = slice(start, start + values.shape[1])
        liked[part], hope[part] = values.argmax(0), values.max(0)
    queries = 0
    while len(theta):
        best = int(hope.argmax())
        arm = int(liked[best])
        answer = query(arm, times)
        queries += 1
        if abs(answer - hope[best]) <= 3 * eps:
            return Elimination(arm, queries, queries * times, theta)
        keep = np.abs(answer - theta @ phi[arm]) <= 3 * eps
        theta, liked, hope = theta[keep], liked[keep], hope[keep]
    raise RuntimeError("every parameter was ruled out: rewards are not within eps of the model")
