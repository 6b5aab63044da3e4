"""Exact policy evaluation: dense LU for small models, Krylov for large, and occupancies."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import breadth_first_order
from scipy.sparse.linalg import LinearOperator, bicgstab, gmres

from rlkit.keywords import named
from rlkit.theory.linear import DENSE_LIMIT, solve_chain
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import as_reals, check_gamma


def policy_law(mdp: FiniteMDP, policy: Array) -> Array:
    """Probability of each row under a policy, [L].

    `policy` is action ids [S] or probabilities [S, A]. ValueError if it puts mass on an
    infeasible action or does not sum to one, naming the state.
    """
    policy = np.asarray(policy)
    if policy.ndim != 1:
        policy = as_reals("policy", policy, finite=False)
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
    return _mixed(mdp, law, mdp.matrix()), np.add.reduceat(law * mdp.r, mdp.sa_ptr[:-1])


def policy_chain(mdp: FiniteMDP, policy: Array) -> tuple[sp.csr_array, Array]:
    """`policy_model` of rows that sum, with their termination, to exactly one (`mdp.laws`)."""
    law = policy_law(mdp, policy)
    return _mixed(mdp, law, mdp.laws()), np.add.reduceat(law * mdp.r, mdp.sa_ptr[:-1])


def policy_stop(mdp: FiniteMDP, policy: Array) -> Array:
    """Probability that a policy terminates at once, [S]."""
    if mdp.stop is None:
        return np.zeros(mdp.num_states)
    return np.add.reduceat(policy_law(mdp, policy) * mdp.stop, mdp.sa_ptr[:-1])


def _mixed(mdp: FiniteMDP, law: Array, rows: sp.csr_array) -> sp.csr_array:
    mix = sp.csr_array((law, np.arange(mdp.num_rows), mdp.sa_ptr), shape=(mdp.num_states, law.size))
    p = sp.csr_array(mix @ rows)
    p.eliminate_zeros()
    p.sort_indices()
    return p


@named
def evaluate_policy(mdp: FiniteMDP, policy: Array, gamma: float, method: str = "auto") -> Array:
    """Value of a policy, [S]: the solution of (I - gamma P_pi) v = r_pi.

    `method` is "lu" (dense up to 2000 states, else sparse), "krylov" or "auto". gamma = 1 needs
    a policy that terminates from every state, else ValueError naming a state that never does, as
    it does one whose value is beyond floating point.
    """
    gamma = check_gamma(gamma)
    if gamma == 1.0:
        require_termination(mdp, policy)
        return solve_linear(*policy_chain(mdp, policy), gamma, method, policy_stop(mdp, policy))
    return solve_linear(*policy_model(mdp, policy), gamma, method, policy_stop(mdp, policy))


@named
def greedy(mdp: FiniteMDP, value: Array, gamma: float) -> tuple[Array, Array]:
    """Greedy policy [S] for a value [S], the lowest action on ties, and which rows tie, [L].

    Rows within 1e-12 of the best (relative to the largest |q|) count as ties.
    """
    q = mdp.q(value, check_gamma(gamma))
    top = np.maximum.reduceat(q, mdp.sa_ptr[:-1])
    ties = q >= top[mdp.state_of_row()] - 1e-12 * max(1.0, float(np.abs(q).max()))
    first = np.flatnonzero(ties)
    return mdp.a_id[first[np.searchsorted(first, mdp.sa_ptr[:-1])]], ties


def require_termination(mdp: FiniteMDP, policy: Array) -> None:
    """ValueError naming a state from which a policy never terminates.

    A chance to terminate within what the rows may miss by rounding counts as none.
    """
    law = policy_law(mdp, policy)
    ends = np.zeros(mdp.num_states)
    if mdp.stop is not None:
        ends = np.add.reduceat(law * mdp.stop, mdp.sa_ptr[:-1])
    rounding = np.add.reduceat(law * mdp.row_rounding(), mdp.sa_ptr[:-1])
    p = policy_chain(mdp, policy)[0]
    safe = ends > rounding
    if not safe.any():
        raise ValueError(_improper(0))
    # Breadth first against the arrows, from one extra node behind every end.
    n = mdp.num_states
    back = sp.coo_array(p.T)
    sources = np.flatnonzero(safe)
    graph = sp.csr_array(
        (
            np.ones(back.nnz + sources.size),
            (np.r_[back.row, np.full(sources.size, n)], np.r_[back.col, sources]),
        ),
        shape=(n + 1, n + 1),
    )
    safe[breadth_first_order(graph, n, return_predecessors=False)[1:]] = True
    if not safe.all():
        raise ValueError(_improper(int(np.argmin(safe))))


def _improper(state: int) -> str:
    return f"gamma = 1 needs a proper policy, but state {state} never terminates"


def solve_linear(
    p: Any, r: Array, gamma: float, method: str = "auto", stop: Array | None = None,
    transpose: bool = False,
) -> Array:  # fmt: skip
    """Solution of (I - gamma p) v = r, or of its transpose; see `solve_chain`."""
    n = r.size
    if method not in ("auto", "lu", "krylov"):
        raise ValueError(f"method must be 'auto', 'lu' or 'krylov', got {method!r}")
    if method == "krylov" or (method == "auto" and n > DENSE_LIMIT):
        matrix = sp.csr_array(p.T if transpose else p)
        v, good = krylov(lambda x: x - gamma * (matrix @ x), r, np.zeros(n), 1e-13 * _scale(r))
        if good:
            return v
        if method == "krylov":
            raise ArithmeticError("the Krylov solver stagnated; use method='lu'")
    return solve_chain(p, r, gamma, stop, transpose)


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


@named
def occupancy(mdp: FiniteMDP, policy: Array, gamma: float, mu0: Array | None = None) -> Array:
    """Discounted occupancy (1 - gamma) sum_t gamma^t Pr(row_t = i) of each row, [L].

    `mu0` defaults to the MDP's initial law. Sums to 1 when no row terminates.
    """
    if check_gamma(gamma) == 1.0:
        raise ValueError("a discounted occupancy needs gamma < 1")
    law = policy_law(mdp, policy)
    p, _ = policy_model(mdp, policy)
    start = mdp.initial_law() if mu0 is None else as_reals("mu0", mu0, (mdp.num_states,))
    ends = policy_stop(mdp, policy)
    states = solve_linear(p, (1.0 - gamma) * start, gamma, stop=ends, transpose=True)
    return law * states[mdp.state_of_row()]
