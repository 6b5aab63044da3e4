"""Exact policy evaluation: dense LU for small models, Krylov for large, and occupancies."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, bicgstab, gmres, splu

from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import check_gamma

DENSE_LIMIT = 2000


def policy_law(mdp: FiniteMDP, policy: Array) -> Array:
    """Probability of each row under a policy, [L].

    `policy` is action ids [S] or probabilities [S, A]. ValueError if it puts mass on an
    infeasible action or does not sum to one, naming the state.
    """
    policy = np.asarray(policy)
    if policy.ndim == 1:
        law = np.zeros(mdp.num_rows)
        law[mdp.rows(policy)] = 1.0
        return law
    if policy.shape != (mdp.num_states, mdp.num_actions):
        raise ValueError(
            f"policy has shape {policy.shape}, expected ({mdp.num_states}, {mdp.num_actions})"
        )
    law = policy[mdp.state_of_row(), mdp.a_id].astype(np.float64)
    sums = np.add.reduceat(law, mdp.sa_ptr[:-1])
    bad = np.flatnonzero(~(np.abs(sums - 1.0) <= 1e-8) | (policy < 0).any(1))
    if bad.size:
        raise ValueError(
            f"policy of state {bad[0]} puts {sums[bad[0]]:.9g} on its feasible actions, not 1"
        )
    return law


def policy_model(mdp: FiniteMDP, policy: Array) -> tuple[sp.csr_array, Array]:
    """P_pi as CSR [S, S] and r_pi [S] of a deterministic or stochastic policy."""
    law = policy_law(mdp, policy)
    mix = sp.csr_array((law, np.arange(mdp.num_rows), mdp.sa_ptr), shape=(mdp.num_states, law.size))
    p = sp.csr_array(mix @ mdp.matrix())
    p.eliminate_zeros()
    p.sort_indices()
    return p, np.add.reduceat(law * mdp.r, mdp.sa_ptr[:-1])


def evaluate_policy(mdp: FiniteMDP, policy: Array, gamma: float, method: str = "auto") -> Array:
    """Value of a policy, [S]: the solution of (I - gamma P_pi) v = r_pi.

    `method` is "lu" (dense up to 2000 states, else sparse), "krylov" or "auto". gamma = 1 needs
    a policy that terminates from every state, else ValueError naming a state that never does.
    """
    gamma = check_gamma(gamma)
    p, r = policy_model(mdp, policy)
    if gamma == 1.0:
        require_termination(p)
    return solve_linear(p, r, gamma, method)


def greedy(mdp: FiniteMDP, value: Array, gamma: float) -> tuple[Array, Array]:
    """Greedy policy [S] for a value [S], the lowest action on ties, and which rows tie, [L].

    Rows within 1e-12 of the best (relative to the largest |q|) count as ties.
    """
    q = mdp.q(value, check_gamma(gamma))
    top = np.maximum.reduceat(q, mdp.sa_ptr[:-1])
    ties = q >= top[mdp.state_of_row()] - 1e-12 * max(1.0, float(np.abs(q).max()))
    first = np.flatnonzero(ties)
    return mdp.a_id[first[np.searchsorted(first, mdp.sa_ptr[:-1])]], ties


def require_termination(p: sp.csr_array) -> None:
    """ValueError naming a state from which the chain `p` never terminates."""
    leaks = 1.0 - np.asarray(p.sum(1)).ravel() > 1e-12
    safe = leaks.copy()
    while True:
        grown = safe | (p @ safe.astype(float) > 0)
        if (grown == safe).all():
            break
        safe = grown
    if not safe.all():
        raise ValueError(
            f"gamma = 1 needs a proper policy, but state {int(np.argmin(safe))} never terminates"
        )


def solve_linear(p: Any, r: Array, gamma: float, method: str = "auto") -> Array:
    """Solution of (I - gamma p) v = r for a square sparse p."""
    n = r.size
    if method not in ("auto", "lu", "krylov"):
        raise ValueError(f"method must be 'auto', 'lu' or 'krylov', got {method!r}")
    if method == "krylov" or (method == "auto" and n > DENSE_LIMIT):
        matrix = sp.csr_array(p)
        v, good = krylov(lambda x: x - gamma * (matrix @ x), r, np.zeros(n), 1e-13 * _scale(r))
        if good:
            return v
        if method == "krylov":
            raise ArithmeticError("the Krylov solver stagnated; use method='lu'")
    if n <= DENSE_LIMIT:
        return np.linalg.solve(np.eye(n) - gamma * sp.csr_array(p).toarray(), r)
    return splu(sp.csc_matrix(sp.eye_array(n) - gamma * p)).solve(r)


def _scale(r: Array) -> float:
    return max(float(np.linalg.norm(r)), np.finfo(float).tiny)


def krylov(apply: Any, r: Array, start: Array, tolerance: float) -> tuple[Array, bool]:
    """Solution of apply(v) = r by BiCGStab, then GMRES, and whether |residual|_2 <= tolerance."""
    operator = LinearOperator((r.size, r.size), matvec=apply, dtype=np.float64)
    v = start
    for solver, options in ((bicgstab, {"maxiter": 1000}), (gmres, {"restart": 40, "maxiter": 50})):
        v, _ = solver(operator, r, x0=v, rtol=0.0, atol=tolerance, **options)
        if np.isfinite(v).all() and np.linalg.norm(r - apply(v)) <= 10 * tolerance:
            return v, True
        if not np.isfinite(v).all():
            v = start
    return v, False


def occupancy(mdp: FiniteMDP, policy: Array, gamma: float, mu0: Array | None = None) -> Array:
    """Discounted occupancy (1 - gamma) sum_t gamma^t Pr(row_t = i) of each row, [L].

    `mu0` defaults to the MDP's initial law. Sums to 1 when no row terminates.
    """
    if check_gamma(gamma) == 1.0:
        raise ValueError("a discounted occupancy needs gamma < 1")
    law = policy_law(mdp, policy)
    p, _ = policy_model(mdp, policy)
    start = mdp.initial_law() if mu0 is None else np.asarray(mu0, np.float64)
    states = solve_linear(sp.csr_array(p.T), (1.0 - gamma) * start, gamma)
    return law * states[mdp.state_of_row()]
