"""What the graph of an MDP says: recurrent classes, reachability, stationary laws, diameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numba import njit
from scipy.sparse.csgraph import breadth_first_order, connected_components

from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.asynchronous import state_graph


def recurrent_classes(p: Any) -> Array:
    """Recurrent class of each state of a sparse stochastic matrix, -1 if transient, int64 [S].

    A closed class that leaks (rows summing below one) counts as transient.
    """
    matrix = sp.csr_array(p)
    count, label = connected_components(matrix, connection="strong")
    closed = np.ones(count, bool)
    entries = matrix.tocoo()
    live = entries.data > 0
    row, col = entries.row[live], entries.col[live]
    closed[label[row[label[row] != label[col]]]] = False
    closed[label[np.asarray(matrix.sum(1)).ravel() < 1.0 - 1e-6]] = False
    numbers = np.full(count, -1)
    numbers[closed] = np.arange(closed.sum())
    return numbers[label]


def communicating_classes(mdp: FiniteMDP) -> Array:
    """Class of each state, int64 [S]: states that reach one another under some policy."""
    return connected_components(state_graph(mdp), connection="strong")[1].astype(np.int64)


def reachable(mdp: FiniteMDP, start: Array | int | None = None) -> Array:
    """States reachable from `start` (default: the support of the initial law), bool [S]."""
    sources = np.flatnonzero(mdp.initial_law()) if start is None else np.atleast_1d(start)
    graph, seen = state_graph(mdp), np.zeros(mdp.num_states, bool)
    for s in sources:
        if not seen[s]:
            seen[breadth_first_order(graph, s, return_predecessors=False)] = True
    return seen


def stationary_law(p: Any) -> Array:
    """Stationary law [S] of an irreducible chain or of a unichain one (GTH elimination).

    ValueError if the chain leaks or has several recurrent classes.
    """
    matrix = sp.csr_array(p)
    classes = recurrent_classes(matrix)
    if classes.max() != 0:
        raise ValueError(
            f"the chain has {classes.max() + 1} recurrent classes; a stationary law needs one"
        )
    members = np.flatnonzero(classes == 0)
    law = np.zeros(matrix.shape[0])
    law[members] = _gth(matrix[members][:, members].toarray())
    return law


@njit(cache=True, nogil=True)
def _gth(p):
    """Grassmann-Taksar-Heyman: no subtraction, hence full relative accuracy."""
    n = p.shape[0]
    for k in range(n - 1, 0, -1):
        total = p[k, :k].sum()
        for i in range(k):
            p[i, k] /= total
        for i in range(k):
            for j in range(k):
                p[i, j] += p[i, k] * p[k, j]
    law = np.zeros(n)
    law[0] = 1.0
    for k in range(1, n):
        law[k] = np.dot(law[:k], np.ascontiguousarray(p[:k, k]))
    return law / law.sum()


def diameter(mdp: FiniteMDP) -> float:
    """max over s != t of the least expected number of steps from s to t; inf if unreachable."""
    from rlkit.theory.planning.solvers import solve

    m = mdp.expanded()
    worst = 0.0
    if communicating_classes(m).max() > 0:
        return np.inf
    p = m.matrix()
    for t in range(m.num_states):
        keep = np.arange(m.num_states) != t
        if not keep.any():
            return 0.0
        rows = np.flatnonzero(keep[m.state_of_row()])
        renumber = np.cumsum(keep) - 1
        to_target = np.asarray(p[rows][:, [t]].toarray()).ravel()
        rest = sp.csr_array(p[rows][:, np.flatnonzero(keep)])
        # A leak other than into t is a failure to arrive, so a leaking model has no diameter.
        if m.stop is not None and m.stop[rows].any():
            return np.inf
        hitting = FiniteMDP.from_sparse(
            rest, -np.ones(rows.size), s=renumber[m.state_of_row()[rows]], a=m.a_id[rows],
            stop=np.where(to_target > 0, to_target, 0.0),
        )  # fmt: skip
        worst = max(worst, float(-solve(hitting, 1.0, "pi").value.min()))
    return worst
