"""Best arm of a sparse misspecified linear bandit whose features are incoherent, by basis pursuit.

Rewards |r(a) - phi_a' theta| <= eps for all arms, theta s-sparse. In general an error of s^x eps
with x < 1 takes exponentially many queries in s; where the features are good, polynomially many
do for x >= 1 ("Does Sparsity Help in Learning Misspecified Linear Bandits?"). Here good is what
can be computed: of the queried arms' rows X [m, d], columns scaled to a mean square of 1, mu is the
largest entry of |X' X / m| off its diagonal, and 4 s mu < 1.

  theta^   argmin |theta|_1  with |phi_a' theta - answer(a)| <= eps for the queried arms, by a
           linear program; the arm is the best of theta^

Why: theta is feasible, so h = theta^ - theta has |h outside theta's support| <= |h inside| in the
1-norm, and |X h| <= 2 eps at each queried arm. So |h|_1² <= 4 s |h_S|², and

  4 eps² >= |X h|² / m >= |h|² - mu |h|_1² >= (1 - 4 s mu) |h_S|²,
  |h|_1 <= 4 eps sqrt(s / (1 - 4 s mu)).

Values are then within error = max |phi_aj| |h|_1 (of scaled columns), and the arm within
2 error + 2 eps of the best: O(sqrt(s) eps) at m = O(s² ln d) queries of random signs. The algorithm
and its constants are ours; the paper gives the regime.
"""

from dataclasses import dataclass
from math import ceil, inf, log, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from rlkit.algos.bandits.identification.misspecified import Query, _checked_features
from rlkit.envs.bandits.counts import whole


@dataclass(frozen=True, eq=False)
class Pursuit:
    """arm recommended, queries of arms, the plays they cost, `theta` [d] estimated, `coherence` mu
    of the queried rows, and `gap`, what the arm can lack to the best one at most."""

    arm: int
    queries: int
    plays: int
    theta: np.ndarray
    coherence: float
    gap: float


def coherence(rows: ArrayLike) -> float:
    """The largest |entry| off the diagonal of the columns' Gram matrix, each scaled to norm 1."""
    x = np.asarray(rows, np.float64)
    gram = x.T @ x
    norm = np.sqrt(np.diag(gram))
    if not (norm > 0).all():
        return inf  # of a column that is zero nothing is learnt
    scaled = np.abs(gram / np.outer(norm, norm))
    np.fill_diagonal(scaled, 0.0)
    return float(scaled.max())


def pursuit_gap(features: ArrayLike, rows: ArrayLike, sparsity: int, eps: float) -> float:
    """What an arm found from queries of `rows` [m, d] lacks at most; inf unless 4 s mu < 1."""
    phi, x = np.asarray(features, np.float64), np.asarray(rows, np.float64)
    spare = 1.0 - 4.0 * sparsity * coherence(x)
    if not spare > 0:
        return inf
    largest = float((np.abs(phi) / np.sqrt((x**2).mean(0))).max())
    return 2.0 * eps + 8.0 * eps * largest * sqrt(sparsity / spare)


def basis_pursuit(
    features: ArrayLike, query: Query, *, sparsity: int, eps: float, queries: int | None = None,
    noisy: bool = False, delta: float = 0.05, seed: int = 0,
) -> Pursuit:  # fmt: skip
    """The `Pursuit` of an s-sparse linear bandit [K, d], from so many arms chosen at random.

    Without `queries` the arms, in random order, are doubled from 8 until 8 s mu <= 1, from where on
    more would lower the promise by less than a factor sqrt(2). `noisy` queries average enough plays
    for an error of eps with 1-sub-Gaussian noise, with probability 1 - delta over all of them; eps
    counts twice then. ValueError where no set of arms is incoherent enough, and RuntimeError when
    the linear program has no solution: then the model assumption is broken.
    """
    phi = _checked_features(features, eps)
    arms, dim = phi.shape
    if not eps > 0:
        raise ValueError("eps must be positive: it is what answers may be off by")
    if not 1 <= whole("sparsity", sparsity) <= dim:
        raise ValueError(f"sparsity is {sparsity}; it must lie in 1..{dim}")
    if not 0 < delta < 1:
        raise ValueError(f"delta is {delta}; it must lie strictly in (0, 1)")
    order = np.random.default_rng(seed).permutation(arms)
    if queries is not None:
        count = whole("queries", queries)
        if count > arms:
            raise ValueError(f"queries is {count}; there are {arms} arms")
    else:
        count = min(8, arms)
        while count < arms and 8 * sparsity * coherence(phi[order[:count]]) > 1:
            count = min(2 * count, arms)
    chosen = order[:count]
    x, off = phi[chosen], 2 * eps if noisy else eps
    mu, gap = coherence(x), pursuit_gap(phi, x, sparsity, off)
    if gap == inf:
        raise ValueError(
            f"the {count} queried arms have coherence {mu:.3g}; sparsity {sparsity} needs less "
            f"than {1 / (4 * sparsity):.3g}: query more arms, or use sparse_elimination"
        )
    times = ceil(2 * log(2 * count / delta) / eps**2) if noisy else 1
    answers = np.array([query(int(a), times) for a in chosen])
    scale = np.sqrt((x**2).mean(0))  # the 1-norm is that of parameters for scaled columns
    both = np.hstack([x / scale, -x / scale])  # theta = positive part - negative part
    found = linprog(
        np.ones(2 * dim), np.vstack([both, -both]), np.r_[answers + off, off - answers],
        bounds=(0, None), method="highs",
    )  # fmt: skip
    if not found.success:
        raise RuntimeError("no parameter answers so: rewards are not within eps of a linear model")
    theta = (found.x[:dim] - found.x[dim:]) / scale
    return Pursuit(int((phi @ theta).argmax()), count, count * times, theta, mu, gap)
