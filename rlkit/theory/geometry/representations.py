"""Successor representation and measure, proto-value functions, and improvement over a library.

Psi = (I - gamma P_pi)^-1 counts discounted visits from now on, so V = Psi r_pi. `from_next` counts
from the next step instead, P_pi Psi. Sources: Dayan 1993; Mahadevan & Maggioni 2007 (proto-value
functions); Barreto et al. 2017 (generalised policy improvement); Farebrother et al. 2023
(proto-value networks: random cumulants span the top left singular subspace of Psi).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, eigsh, svds

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.evaluation import policy_law, policy_model, policy_stop
from rlkit.theory.linear import factor_chain, solve_chain
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.trajectories import Transitions
from rlkit.theory.validate import (
    as_reals,
    check_count,
    check_counts,
    check_fraction,
    check_gamma,
    check_positive,
    check_seed,
    settings,
)

DENSE_LIMIT = 3000


@named
def successor_representation(
    mdp: FiniteMDP, policy: Array, gamma: float, from_next: bool = False
) -> Array:
    """Psi [S, S], Psi[s, x] = expected discounted visits to x from s; rows of (1 - gamma) Psi sum
    to 1 without termination. Dense: ValueError beyond 3000 states (see `successor_operator`)."""
    p, _ = policy_model(mdp, policy)
    return _inverse(p, _discount(gamma), from_next)


@named
def successor_measure(
    mdp: FiniteMDP, policy: Array, gamma: float, from_next: bool = False,
    density: Array | None = None,
) -> Array:  # fmt: skip
    """(1 - gamma) sum_k gamma^k Pr(row_k = j | row_0 = i), [L, L] over rows (state, action).

    Divided by `density` [L] (a positive law over rows) if given.
    """
    gamma = _discount(gamma)
    choose = sp.csr_array(
        (policy_law(mdp, policy), np.arange(mdp.num_rows), mdp.sa_ptr),
        shape=(mdp.num_states, mdp.num_rows),
    )
    measure = (1.0 - gamma) * _inverse(sp.csr_array(mdp.matrix() @ choose), gamma, from_next)
    if density is None:
        return measure
    weights = np.asarray(density, np.float64)
    if weights.shape != (mdp.num_rows,) or not (weights > 0).all():
        raise ValueError(f"density must be positive for each of the {mdp.num_rows} rows")
    return measure / weights


@named
def successor_operator(mdp: FiniteMDP, policy: Array, gamma: float) -> LinearOperator:
    """Psi as an operator [S, S] (products with vectors and with its transpose) for large models.

    One sparse LU factorisation; no S x S table.
    """
    p, _ = policy_model(mdp, policy)
    n = mdp.num_states
    factor = factor_chain(p, _discount(gamma))
    return LinearOperator(
        (n, n), matvec=factor.solve, rmatvec=lambda x: factor.solve(x, trans="T"),
        matmat=factor.solve, dtype=np.float64,
    )  # fmt: skip


class LowRank(NamedTuple):
    """left [S, d] orthonormal, singular values [d] decreasing, right [S, d]: U diag(s) V'."""

    left: Array
    singular: Array
    right: Array

    def __repr__(self) -> str:
        return brief(self)

    def forward_backward(self, law: Array) -> tuple[Array, Array]:
        """F [S, d] and B [S, d] with Psi = F B' diag(law), as forward-backward methods write it."""
        root = np.sqrt(self.singular)
        return self.left * root, self.right * root / np.asarray(law)[:, None]


@named
def successor_svd(mdp: FiniteMDP, policy: Array, gamma: float, rank: int) -> LowRank:
    """The best rank-`rank` approximation of Psi (its SVD, for P need not be symmetric)."""
    rank = check_count("rank", rank)
    n = mdp.num_states
    if not 1 <= rank <= n:
        raise ValueError(f"rank must lie in 1..{n}, got {rank}")
    if n <= DENSE_LIMIT or rank >= n - 1:
        u, s, vt = np.linalg.svd(successor_representation(mdp, policy, gamma))
        return LowRank(u[:, :rank], s[:rank], vt[:rank].T)
    u, s, vt = svds(successor_operator(mdp, policy, gamma), rank, v0=np.ones(n))
    order = np.argsort(-s)
    return LowRank(u[:, order], s[order], vt[order].T)


class Spectrum(NamedTuple):
    """Eigenvalues [k] increasing and eigenvectors [S, k], orthonormal."""

    values: Array
    vectors: Array

    def __repr__(self) -> str:
        return brief(self)


def proto_value_functions(mdp: FiniteMDP, count: int, policy: Array | None = None) -> Spectrum:
    """The `count` smoothest eigenvectors of the normalised graph Laplacian I - D^-1/2 W D^-1/2.

    W = (P + P') / 2 of the random walk of `policy` (default uniform over feasible actions). For
    a symmetric P they are eigenvectors of Psi, with eigenvalue 1 / (1 - gamma (1 - value)).
    """
    count = check_count("count", count)
    n = mdp.num_states
    if not 1 <= count <= n:
        raise ValueError(f"count must lie in 1..{n}, got {count}")
    if policy is None:
        policy = mdp.table(1.0 / np.diff(mdp.sa_ptr)[mdp.state_of_row()], 0.0)
    p, _ = policy_model(mdp, policy)
    w = sp.csr_array((p + p.T) / 2.0)
    degree = np.asarray(w.sum(1)).ravel()
    if (degree <= 0).any():
        raise ValueError(f"state {int(np.argmin(degree))} is not connected to anything")
    root = sp.diags_array(1.0 / np.sqrt(degree))
    laplacian = sp.csr_array(sp.eye_array(n) - root @ w @ root)
    if n <= DENSE_LIMIT or count >= n - 1:
        values, vectors = np.linalg.eigh(laplacian.toarray())
        return Spectrum(values[:count], vectors[:, :count])
    # Shifted below zero the Laplacian is positive definite, and its smallest come out first.
    values, vectors = eigsh(laplacian, count, sigma=-1e-3, v0=np.ones(n))
    order = np.argsort(values)
    return Spectrum(values[order], vectors[:, order])


@named
@settings(seed=check_seed)
def random_cumulant_features(
    mdp: FiniteMDP, policy: Array, gamma: float, rank: int, tasks: int, seed: int,
    centred: bool = True,
) -> Array:  # fmt: skip
    """Orthonormal features [S, rank]: top left singular vectors of the values of random tasks.

    Task rewards are indicators of random state sets (each state with probability 1/2). `centred`
    subtracts 1/2, which makes them isotropic: then the span tends to that of `successor_svd`.
    Without it the constant function is over-weighted.
    """
    rank, tasks = check_counts(rank=rank, tasks=tasks)
    if tasks < rank:
        raise ValueError(f"{tasks} tasks cannot span {rank} features")
    rng = np.random.default_rng(seed)
    rewards = rng.integers(0, 2, (mdp.num_states, tasks)) - (0.5 if centred else 0.0)
    values = successor_operator(mdp, policy, gamma) @ rewards.astype(np.float64)
    return np.linalg.svd(values, full_matrices=False)[0][:, :rank]


@named
def learn_successor(
    data: Transitions, num_states: int, gamma: float, alpha: float = 1.0, omega: float = 0.0,
    start: Array | None = None,
) -> Array:  # fmt: skip
    """Psi [S, S] by TD: Psi(s, .) += a (1_s + gamma Psi(s', .) - Psi(s, .)), data in order.

    Step a = alpha / n^omega at the n-th visit of s. A terminating transition bootstraps on 0.
    """
    num_states = check_count("num_states", num_states)
    check_positive("alpha", alpha)
    check_positive("omega", omega, strict=False)
    gamma = _discount(gamma)
    psi = np.zeros((num_states, num_states))
    if start is not None:
        psi[:] = as_reals("start", start, psi.shape)
    visits = np.zeros(num_states)
    for s, s2 in zip(data.s, data.s2, strict=True):
        visits[s] += 1
        step = alpha / visits[s] ** omega
        ahead = gamma * psi[s2] if s2 >= 0 else np.zeros(num_states)
        ahead[s] += 1.0
        psi[s] += step * (ahead - psi[s])
    return psi


class ImprovedPolicy(NamedTuple):
    """policy [S] of action ids, and the lower bound max_i Q_i of its action values, [L]."""

    policy: Array
    bound: Array

    def __repr__(self) -> str:
        return brief(self)


@named
@settings(gamma=check_fraction)
def generalised_improvement(
    mdp: FiniteMDP, library: list[Array], gamma: float, features: Array, weights: Array
) -> ImprovedPolicy:
    """pi(s) = argmax_a max_i psi_i(s, a).w over the successor features of a policy library.

    `features` [L, k] are the row features phi, the reward is phi.w; psi_i is exact. The value of
    the result is at least that of every policy in the library, for any w.
    """
    if not library:
        raise ValueError("the library holds no policy")
    features = as_reals("features", features, (mdp.num_rows, None))
    weights = as_reals("weights", weights, (features.shape[1],))
    q = np.max([successor_features(mdp, pi, gamma, features) @ weights for pi in library], 0)
    top = np.maximum.reduceat(q, mdp.sa_ptr[:-1])
    best = np.flatnonzero(q == top[mdp.state_of_row()])
    return ImprovedPolicy(mdp.a_id[best[np.searchsorted(best, mdp.sa_ptr[:-1])]], q)


@named
@settings(gamma=check_fraction)
def successor_features(mdp: FiniteMDP, policy: Array, gamma: float, features: Array) -> Array:
    """psi(s, a) = phi(s, a) + gamma E psi(s', pi), [L, k], for row features phi [L, k]."""
    phi = as_reals("features", features, (mdp.num_rows, None))
    p, _ = policy_model(mdp, policy)
    law = policy_law(mdp, policy)
    mean = np.add.reduceat(law[:, None] * phi, mdp.sa_ptr[:-1])
    ahead = solve_chain(p, mean, _discount(gamma), policy_stop(mdp, policy))
    return phi + gamma * (mdp.matrix() @ ahead)


def _inverse(p: Any, gamma: float, from_next: bool) -> Array:
    n = p.shape[0]
    if n > DENSE_LIMIT:
        raise ValueError(f"a dense inverse of {n} x {n} is refused; use successor_operator")
    psi = solve_chain(p, np.eye(n), gamma)
    return p @ psi if from_next else psi


def _discount(gamma: float) -> float:
    if check_gamma(gamma) == 1.0:
        raise ValueError("successor measures need gamma < 1")
    return float(gamma)
