"""Average reward: relative and anchored value iteration, Howard's policy iteration (uni- and
multichain)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from rlkit.keywords import named
from rlkit.theory.backup import Backup
from rlkit.theory.brief import brief
from rlkit.theory.linear import missing, solve_chain
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.structure import recurrent_classes, stationary_law
from rlkit.theory.validate import check_between, check_count, check_counts, check_positive

_HIDDEN = 1e10  # a bias that many times the rewards leaves their sums with it few digits


@dataclass(frozen=True)
class AverageSolution:
    """Gain g, bias h and greedy policy; gain bounds hold whether or not it converged.

    `gain` is [S] (constant unless the MDP is multichain). `lower` and `upper` bracket the best
    gain of every state, and `gain` lies between them.
    """

    gain: Array
    bias: Array
    policy: Array
    lower: float
    upper: float
    backups: float
    converged: bool
    method: str

    def __repr__(self) -> str:
        return brief(self)


@named
def relative_value_iteration(
    mdp: FiniteMDP, eps: float = 1e-6, tau: float = 0.9, reference: int = 0,
    max_backups: float = 1e6, threads: int = 1,
) -> AverageSolution:  # fmt: skip
    """RVI with the aperiodicity transform h <- h + tau (T h - h), normalised at `reference`.

    Stops when max(Th - h) - min(Th - h) <= eps: those two bound the gain, and the greedy policy
    is within eps of it. Right for unichain and weakly communicating MDPs; on a multichain one
    the bounds stay apart, and it warns (RuntimeWarning). tau = 1 is plain RVI, which cycles on
    periodic chains. ValueError on bad arguments and on a model that terminates.
    """
    _check_endless(mdp)
    check_positive("eps", eps)
    budget = check_count("max_backups", max_backups)
    check_counts(threads=threads)
    tau = check_between("tau", tau, 0.0, 1.0)
    if check_count("reference", reference, 0) >= mdp.num_states:
        raise ValueError(f"reference must lie in 0..{mdp.num_states - 1}, got {reference}")
    op = Backup(mdp, 1.0, threads)
    h, image = np.zeros(mdp.num_states), np.empty(mdp.num_states)
    low, high = -np.inf, np.inf
    count = 0
    try:
        while True:
            ends = op(h, image)
            count += 1
            low, high = _narrowed(op, h, ends, low, high)
            good = ends[1] - ends[0] <= eps
            if good or count >= budget:
                break
            h += tau * (image - h)
            h -= h[reference]
    finally:
        op.close()
    if not good:
        warnings.warn(
            f"relative value iteration stopped after {count} backups with the gain in "
            f"[{low:.6g}, {high:.6g}]: the MDP may be multichain (use howard), or periodic with "
            "tau = 1",
            RuntimeWarning,
            stacklevel=3,
        )
    gain = np.full(h.size, np.clip(0.5 * (ends[0] + ends[1]), low, high))
    return AverageSolution(gain, h, mdp.a_id[op.best], low, high, op.touched / mdp.nnz, good, "rvi")


def _narrowed(
    op: Backup, v: Array, ends: tuple[float, float], low: float, high: float
) -> tuple[float, float]:
    """The bounds on every state's best gain that a backup leaves: each gives some, all hold.

    `ends`, least and largest of T v - v, widened by the rounding of the backup and of the rows.
    """
    off = max(1.0 - op.sum_low, op.sum_high - 1.0)  # rows of float32 miss one by 1e-7
    slack = op.slack(v) + off * float(np.abs(v).max())
    return max(low, ends[0] - slack), min(high, ends[1] + slack)


@named
def anchored_average(
    mdp: FiniteMDP, eps: float = 1e-3, max_backups: float = 1e6, threads: int = 1
) -> AverageSolution:
    """Anchored value iteration v_k = v_0 / (k+1) + k / (k+1) T v_{k-1} (Lee & Ryu), restarted.

    T v_k - v_k tends to the best gain of every state, in multichain and periodic MDPs alike, where
    plain value iteration may not converge. Its error is |v_0 - bias| / k up to a constant: from
    one anchor, 1e-5 can take millions of backups. v_k less its growth tends to a bias, so that
    each restart, with twice as many steps, has a better anchor than the last; the rate of a
    single run remains as the worst case.

    Stops when the bounds are at most eps apart, which is certain, or when a run has moved the
    estimate of the run before by at most eps anywhere: a rule of thumb. `bias` is the last
    anchor, of mean 0. Warns (RuntimeWarning) if it did not settle. ValueError on bad arguments
    and on a model that terminates.
    """
    _check_endless(mdp)
    check_positive("eps", eps)
    budget = check_count("max_backups", max_backups)
    check_counts(threads=threads)
    op = Backup(mdp, 1.0, threads)
    anchor, image = np.zeros(mdp.num_states), np.empty(mdp.num_states)
    before = np.full(mdp.num_states, np.inf)
    low, high, settled, done, length = -np.inf, np.inf, False, 0, 8
    try:
        while not settled and done < budget:
            v = anchor.copy()
            for k in range(min(length, budget - done)):
                if k:
                    np.multiply(image, k / (k + 1.0), out=v)
                    v += anchor / (k + 1.0)
                ends = op(v, image)
                done += 1
                low, high = _narrowed(op, v, ends, low, high)
                settled = high - low <= eps
                if settled:
                    break
            gain = np.clip(image - v, low, high)
            settled = settled or bool(np.abs(gain - before).max() <= eps)
            before, length = gain, 2 * length
            anchor = v - 0.5 * k * gain  # what has grown: each step adds 1 - 1 / (k+1) gains
            anchor -= anchor.mean()
    finally:
        op.close()
    if not settled:
        warnings.warn(
            f"anchored value iteration stopped after {done} backups; some gain has not "
            f"settled to {eps:g}",
            RuntimeWarning,
            stacklevel=3,
        )
    return AverageSolution(
        gain, anchor, mdp.a_id[op.best], low, high, op.touched / mdp.nnz, settled, "anchored"
    )


def average_value(p: Any, r: Array) -> tuple[Array, Array]:
    """Gain [S] and bias [S] of a chain with rewards: g = Pg, g + h = r + Ph, P* h = 0.

    ValueError if the chain leaks from where it would stay for ever, or leaves a state so slowly
    that its bias is beyond floating point.
    """
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
        # h is relative to the likeliest state, then moved so that law . h = 0.
        first = int(np.argmax(law))
        rest = np.delete(np.arange(members.size), first)
        h = np.zeros(members.size)
        h[rest] = solve_chain(
            inner[np.ix_(rest, rest)], (r - gain)[members[rest]], stop=inner[rest, first],
            states=members[rest],
        )  # fmt: skip
        bias[members] = h - law @ h
    passing = np.flatnonzero(classes < 0)
    if passing.size:
        rest = np.flatnonzero(classes >= 0)
        within, out = dense[np.ix_(passing, passing)], dense[np.ix_(passing, rest)]
        leaves = out.sum(1) + missing(matrix)[passing]
        gain[passing] = solve_chain(within, out @ gain[rest], stop=leaves, states=passing)
        source = r[passing] - gain[passing] + out @ bias[rest]
        bias[passing] = solve_chain(within, source, stop=leaves, states=passing)
    return gain, bias


@named
def howard(
    mdp: FiniteMDP, multichain: bool = True, policy: Array | None = None, max_iterations: int = 1000
) -> AverageSolution:
    """Howard's policy iteration for average reward, exact (dense, up to some 2000 states).

    The multichain form improves the gain first and the bias among gain ties. The unichain form
    solves h + g 1 = r + P h with h(0) = 0 and raises ValueError when a policy on the way has
    several recurrent classes. An action changes only if that improves. ValueError, too, where
    a bias is so large (states that are hardly ever left) that it hides what a choice is worth.
    """
    _check_endless(mdp)
    check_counts(max_iterations=max_iterations)
    p, owner, size = mdp.laws(), mdp.state_of_row(), float(np.abs(mdp.r).max())
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
        reach = p @ gain
        top = np.maximum.reduceat(reach, mdp.sa_ptr[:-1])
        better = top > gain + 1e-10 * size
        if better.any():
            rows = np.where(better, _first_row(mdp, reach == top[owner]), rows)
            continue
        largest = float(np.abs(bias).max())
        if mdp.num_rows > mdp.num_states and largest > _HIDDEN * size:
            raise ValueError(
                f"state {int(np.abs(bias).argmax())} is left so slowly that its bias, "
                f"{largest:.3g}, hides what an action earns at once, at most {size:.3g}"
            )
        tolerance = 1e-10 * size + 1e-13 * largest
        q = np.where(reach >= top[owner] - 1e-10 * size, mdp.r + p @ bias, -np.inf)
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
    gain, bias = average_value(p, r)
    return gain, bias - bias[0]


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
    p = mdp.laws() + sp.csr_array(mdp.stop[:, None]) @ sp.csr_array(mdp.initial_law()[None])
    return FiniteMDP.from_sparse(p, mdp.r, mdp.mu0, s=mdp.state_of_row(), a=mdp.a_id)
