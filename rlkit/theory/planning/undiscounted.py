"""Total reward (gamma = 1): stochastic shortest paths, with every way to run for ever checked.

A set of states that a policy never leaves (an end component) must not pay: rows inside with
positive reward are refused. Where a stay is free, the set is collapsed into one state with the
extra choice to rest at value 0; then proper policies exist or some value is minus infinity,
which is refused too.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from rlkit.theory.backup import Backup
from rlkit.theory.linear import solve_chain
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.end_components import end_components, reach_surely
from rlkit.theory.planning.iterations import Iterate, Watch


def total_reward(op: Backup, watch: Watch) -> Iterate:
    """Optimal total reward by policy iteration from a proper policy, with certified bounds.

    ValueError naming the state and action if a stay without end pays, or a state from which
    every policy pays for ever.
    """
    m = op.mdp.expanded()
    component, inside = end_components(m)
    state = m.state_of_row()
    if (inside & (m.r > 0)).any():
        i = int(np.argmax(inside & (m.r > 0)))
        raise ValueError(
            f"gamma = 1 with an improper policy: state {state[i]}, action {m.a_id[i]} (row {i}) "
            f"pays {m.r[i]:g} and can be repeated without ever terminating"
        )
    component, inside = end_components(m, inside & (m.r == 0))
    small, source, part = _collapse(m, component, inside)
    sure, choice = reach_surely(small)
    if not sure.all():
        s = int(np.argmin(sure[part]))
        raise ValueError(
            f"gamma = 1 without a proper policy: from state {s} every policy may pay for ever"
        )
    v, rows, low, high = _proper_policy_iteration(small, choice, watch, op)
    op.best[:] = _lift(m, source[rows], part, component, inside)
    watch.done(v, low, high)
    return Iterate(v[part], low, high)


def _collapse(m: FiniteMDP, component: Array, inside: Array) -> tuple[FiniteMDP, Array, Array]:
    """Quotient MDP, the original row of each of its rows (-1: rest), the part of each state."""
    count = int(component.max()) + 1
    part = np.where(component >= 0, component, count + np.cumsum(component < 0) - 1)
    keep = np.flatnonzero(~inside)
    n = int(part.max()) + 1
    fold = sp.csr_array((np.ones(part.size), (np.arange(part.size), part)), shape=(part.size, n))
    rest = sp.csr_array((count, n))
    p = sp.vstack([m.laws()[keep] @ fold, rest], format="csr")
    owner = np.concatenate([part[m.state_of_row()[keep]], np.arange(count)])
    source = np.concatenate([keep, np.full(count, -1)])
    order = np.lexsort((np.arange(owner.size), owner))
    owner, source = owner[order], source[order]
    first = np.searchsorted(owner, np.arange(n))
    stop = np.zeros(m.num_rows) if m.stop is None else m.stop
    quotient = FiniteMDP.from_sparse(
        p[order], np.where(source < 0, 0.0, m.r[source]), s=owner,
        a=np.arange(owner.size) - first[owner], stop=np.where(source < 0, 1.0, stop[source]),
    )  # fmt: skip
    return quotient, source, part


def _proper_policy_iteration(
    m: FiniteMDP, rows: Array, watch: Watch, op: Backup
) -> tuple[Array, Array, float, float]:
    p, owner = m.matrix(), m.state_of_row()
    stop = np.zeros(m.num_rows) if m.stop is None else m.stop
    while True:
        v = solve_chain(p[rows], m.r[rows], stop=stop[rows])
        q = m.r + p @ v
        op.touched += 2 * m.nnz
        tolerance = 1e-11 * max(1.0, float(np.abs(v).max()))
        top = np.maximum.reduceat(q, m.sa_ptr[:-1])
        better = top > q[rows] + tolerance
        if not better.any() or watch.backups() >= watch.max_backups:
            break
        best = np.flatnonzero(q == top[owner])
        rows = np.where(better, best[np.searchsorted(best, m.sa_ptr[:-1])], rows)
    return v, rows, *_certificate(m, v, q, rows)


def _certificate(m: FiniteMDP, v: Array, q: Array, rows: Array) -> tuple[float, float]:
    """Shifts (lo, hi) with v + lo <= v* <= v + hi.

    With w the longest expected time to the end over nearly optimal rows, v + D w satisfies
    T(v + D w) <= v + D w once D >= max(Tv - v), and so lies above v*; below, v minus the
    current policy's residual times its expected time. Infinite if nearly optimal rows can cycle.
    """
    rounding = 1e-15 * (float(np.diff(m.row_ptr).max()) + 8) * max(1.0, float(np.abs(v).max()))
    owner = m.state_of_row()
    gap = v[owner] - q
    p = m.matrix()
    stop = np.zeros(m.num_rows) if m.stop is None else m.stop
    time = solve_chain(p[rows], np.ones(rows.size), stop=stop[rows])
    low = -(max(0.0, float(gap[rows].max())) + rounding) * float(time.max()) * (1 + 1e-9)
    excess = max(0.0, float(-gap.min())) + rounding
    slack = 1e-6 * max(1.0, float(np.abs(v).max()))
    near = gap < slack
    near[rows] = True
    if end_components(m, near)[1].any():
        return low, np.inf
    w = time
    for _ in range(1000):
        step = np.where(near, 1.0 + p @ w, -np.inf)
        top = np.maximum.reduceat(step, m.sa_ptr[:-1])
        if (top <= w + 1e-9 * w.max()).all():
            break
        best = np.flatnonzero(step == top[owner])
        rows = np.where(top > w + 1e-9 * w.max(), best[np.searchsorted(best, m.sa_ptr[:-1])], rows)
        w = solve_chain(p[rows], np.ones(rows.size), stop=stop[rows])
    high = 2.0 * excess * float(w.max())
    # Rows left out must stay below even after w is added.
    return low, high if high <= slack else np.inf


def _lift(m: FiniteMDP, chosen: Array, part: Array, component: Array, inside: Array) -> Array:
    """Original greedy row of each state from the row (-1: rest) chosen in each part."""
    owner = m.state_of_row()
    picked = chosen[part]
    exits = np.zeros(m.num_states, bool)
    exits[owner[chosen[chosen >= 0]]] = True
    rows = np.where(exits, picked, -1)
    inner = np.flatnonzero(inside)
    members = component >= 0
    # Inside a free set, walk to the state that holds the exit; anywhere if the choice is rest.
    goal = exits | ~members
    reached, todo = goal.copy(), members & ~goal
    pattern = sp.csr_array(m.matrix())[inner]
    while todo.any():
        toward = (pattern @ reached.astype(float) > 0) & todo[owner[inner]]
        if not toward.any():
            break
        states, where = np.unique(owner[inner[toward]], return_index=True)
        rows[states] = inner[toward][where]
        reached[states] = True
        todo[states] = False
    states, where = np.unique(owner[inner], return_index=True)
    resting = rows[states] < 0
    rows[states[resting]] = inner[where[resting]]
    return rows
