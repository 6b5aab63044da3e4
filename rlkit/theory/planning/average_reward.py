"""Average reward: relative and anchored value iteration, Howard's policy iteration (uni- and
multichain)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from rlkit.theory.backup import Backup
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.structure import recurrent_classes, stationary_law


@dataclass(frozen=True)
class AverageSolution:
    """Gain g, bias h and greedy policy; gain bounds hold whether or not it converged.

    `gain` is [S] (constant unless the MDP is multichain). `lower` and `upper` bracket the best
    gain of every state.
    """

    gain: Array
    bias: Array
    policy: Array
    lower: float
    upper: float
    backups: float
    converged: bool
    method: str


def relative_value_iteration(
    mdp: FiniteMDP, eps: float = 1e-6, tau: float = 0.9, reference: int = 0,
    max_backups: int = 1_000_000, threads: int = 1,
) -> AverageSolution:  # fmt: skip
    """RVI with the aperiodicity transform h <- h + tau (T h - h), normalised at `reference`.

    Stops when max(Th - h) - min(Th - h) <= eps: those two bound the gain, and the greedy policy
    is within eps of it. Right for unichain and weakly communicating MDPs; on a multichain one
    the bounds stay apart, and it warns (RuntimeWarning). tau = 1 is plain RVI, which cycles on
    periodic chains.
    """
    _check_endless(mdp)
    if not 0.0 < tau <= 1.0:
        raise ValueError(f"tau must lie in (0, 1], got {tau}")
    op = Backup(mdp, 1.0, threads)
    h, image = np.zeros(mdp.num_states), np.empty(mdp.num_states)
    low, high = -np.inf, np.inf
    count = 0
    try:
        while count < max_backups:
            ends = op(h, image)
            count += 1
            # Every backup gives valid bounds, so the best of all of them is kept.
            low, high = max(low, ends[0]), min(high, ends[1])
            if ends[1] - ends[0] <= eps:
                break
            h += tau * (image - h)
            h -= h[reference]
    finally:
        op.close()
    good = ends[1] - ends[0] <= eps
    if not good:
        warnings.warn(
            f"relative value iteration stopped after {count} backups with the gain in "
            f"[{low:.6g}, {high:.6g}]: the MDP may be multichain (use howard), or periodic with "
            "tau = 1",
            RuntimeWarning,
            stacklevel=2,
        )
    gain = np.full(h.size, 0.5 * (ends[0] + ends[1]))
    return AverageSolution(gain, h, mdp.a_id[op.best], low, high, op.touched / mdp.nnz, good, "rvi")


def anchored_average(
    mdp: FiniteMDP, eps: float = 1e-3, max_backups: int = 1_000_000, threads: int = 1
) -> AverageSolution:
    """Anchored value iteration v_k = v_0 / (k+1) + k / (k+1) T v_{k-1} from v_0 = 0 (Lee & Ryu).

    T v_k - v_k tends to the best gain of every state at rate 1 / k, in multichain and periodic
    MDPs alike, where plain value iteration may not converge. Stops when doubling k has moved the
    estimate by at most eps anywhere: a rule of thumb, while `lower` and `upper` are certain.
    `bias` is v_k less its mean. Warns (RuntimeWarning) if it did not settle.
    """
    _check_endless(mdp)
    if not eps > 0:
        raise ValueError(f"eps must be positive, got {eps}")
    op = Backup(mdp, 1.0, threads)
    v, image = np.zeros(mdp.num_states), np.empty(mdp.num_states)
    before = np.full(mdp.num_states, np.inf)
    low, high, settled = -np.inf, np.inf, False
    try:
        for k in range(1, max_backups + 1):
            ends = op(v, image)
            low, high = max(low, ends[0]), min(high, ends[1])
            if k >= 8 and k & (k - 1) == 0:  # a power of two
                gain = image - v
                settled = bool(np.abs(gain - before).max() <= eps)
                before = gain
                if settled:
                    break
            np.multiply(image, k / (k + 1.0), out=v)
    finally:
        op.close()
    if not settled:
        warnings.warn(
            f"anchored value iteration stopped after {max_backups} backups; some gain has not "
            f"settled to {eps:g}",
            RuntimeWarning,
            stacklevel=2,
        )
    return AverageSolution(
        image - v, v - v.mean(), mdp.a_id[op.best], low, high, op.touched / mdp.nnz, settled,
        "anchored",
    )  # fmt: skip


def average_value(p: Any, r: Array) -> tuple[Array, Array]:
    """Gain [S] and bias [S] of a chain with rewards: g = Pg, g + h = r + Ph, P* h = 0."""
    matrix = sp.csr_array(p)
    n = r.size
    classes = recurrent_classes(matrix)
    gain, bias = np.zeros(n), np.zeros(n)
    dense = matrix.toarray()
    for c in range(int(classes.max()) + 1):
        members = np.flatnonzero(classes == c)
        inner = dense[np.ix_(members, members)]
        law = stationary_law(inner)
        gain[members] = law @ r[members]
        # I - P + 1 law is regular, and its solution satisfies law . h = 0.
        system = np.eye(members.size) - inner + law
        bias[members] = np.linalg.solve(system, r[members] - gain[members])
    passing = np.flatnonzero(classes < 0)
    if passing.size:
        rest = np.flatnonzero(classes >= 0)
        system = np.eye(passing.size) - dense[np.ix_(passing, passing)]
        out = dense[np.ix_(passing, rest)]
        gain[passing] = np.linalg.solve(system, out @ gain[rest])
        source = r[passing] - gain[passing] + out @ bias[rest]
        bias[passing] = np.linalg.solve(system, source)
    return gain, bias


def howard(
    mdp: FiniteMDP, multichain: bool = True, policy: Array | None = None, max_iterations: int = 1000
) -> AverageSolution:
    """Howard's policy iteration for average reward, exact (dense, up to some 2000 states).

    The multichain form improves the gain first and the bias among gain ties. The unichain form
    solves h + g 1 = r + P h with h(0) = 0 and raises ValueError when a policy on the way has
    several recurrent classes. An action changes only if that improves.
    """
    _check_endless(mdp)
    p, owner = mdp.matrix(), mdp.state_of_row()
    if policy is None:
        # The one-step greedy policy; in a unichain MDP any start would do.
        top = np.maximum.reduceat(mdp.r, mdp.sa_ptr[:-1])
        rows = _first_row(mdp, mdp.r == top[owner])
    else:
        rows = mdp.rows(np.asarray(policy))
    for iteration in range(max_iterations):
        chain = sp.csr_array(p[rows])
        if multichain:
            gain, bias = average_value(chain, mdp.r[rows])
        else:
            gain, bias = _unichain_value(chain, mdp.r[rows])
        tolerance = 1e-10 * max(1.0, float(np.abs(mdp.r).max()), float(np.abs(bias).max()))
        reach = p @ gain
        top = np.maximum.reduceat(reach, mdp.sa_ptr[:-1])
        better = top > gain + tolerance
        if better.any():
            rows = np.where(better, _first_row(mdp, reach == top[owner]), rows)
            continue
        q = np.where(reach >= top[owner] - tolerance, mdp.r + p @ bias, -np.inf)
        top = np.maximum.reduceat(q, mdp.sa_ptr[:-1])
        better = top > q[rows] + tolerance
        if not better.any():
            low, high = float(gain.min()), float(gain.max())
            return AverageSolution(
                gain, bias, mdp.a_id[rows], low, high, iteration + 1.0, True, "howard"
            )
        rows = np.where(better, _first_row(mdp, q == top[owner]), rows)
    raise ArithmeticError(f"policy iteration did not settle in {max_iterations} rounds")


def _first_row(mdp: FiniteMDP, chosen: Array) -> Array:
    """First chosen row of each state (a state without one repeats another's)."""
    index = np.flatnonzero(chosen)
    return index[np.minimum(np.searchsorted(index, mdp.sa_ptr[:-1]), index.size - 1)]


def _unichain_value(p: sp.csr_array, r: Array) -> tuple[Array, Array]:
    classes = recurrent_classes(p)
    if classes.max() > 0:
        members = [int(np.argmax(classes == c)) for c in (0, 1)]
        raise ValueError(
            f"a policy has {classes.max() + 1} recurrent classes (states {members[0]} and "
            f"{members[1]} lie in different ones); use multichain=True"
        )
    system = np.eye(r.size) - p.toarray()
    system[:, 0] = 1.0  # h(0) = 0 leaves its column free for the gain
    found = np.linalg.solve(system, r)
    gain = np.full(r.size, found[0])
    found[0] = 0.0
    return gain, found


def _check_endless(mdp: FiniteMDP) -> None:
    if not mdp.is_stochastic:
        row = int(np.argmax(mdp.stop > 0))
        raise ValueError(
            f"average reward needs an endless process, but {mdp._where(row)} terminates; "
            "give it a restart to the initial law"
        )


def restarting(mdp: FiniteMDP) -> FiniteMDP:
    """The endless version of an episodic MDP: terminating mass restarts from the initial law."""
    if mdp.is_stochastic:
        return mdp
    p = mdp.matrix() + sp.csr_array(mdp.stop[:, None]) @ sp.csr_array(mdp.initial_law()[None])
    return FiniteMDP.from_sparse(p, mdp.r, mdp.mu0, s=mdp.state_of_row(), a=mdp.a_id)
