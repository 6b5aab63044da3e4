"""What the graph of an MDP says: recurrent classes, reachability, stationary laws, diameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import breadth_first_order, connected_components

from rlkit.core.jit import njit
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.asynchronous import state_graph
from rlkit.theory.validate import ROW_ROUNDING, ROW_ROUNDING_F32


def recurrent_classes(p: Any) -> Array:
    """Recurrent class of each state of a sparse stochastic matrix, -1 if transient, int64 [S].

    A closed class that leaks (a row below one by more than rounding) counts as transient. An
    edge is a positive entry.
    """
    matrix = _edges(p)
    count, label = connected_components(matrix, connection="strong")
    closed = np.ones(count, bool)
    entries = matrix.tocoo()
    row, col = entries.row, entries.col
    closed[label[row[label[row] != label[col]]]] = False
    closed[label[1.0 - np.asarray(matrix.sum(1)).ravel() > _rounding(matrix)]] = False
    numbers = np.full(count, -1)
    numbers[closed] = np.arange(closed.sum())
    return numbers[label]


def _edges(p: Any) -> sp.csr_array:
    """The positive entries of a matrix."""
    matrix = sp.csr_array(p)
    if not (matrix.data > 0).all():
        matrix = matrix.multiply(matrix > 0).tocsr()
        matrix.eliminate_zeros()
    return matrix


def _rounding(p: sp.csr_array) -> Array:
    """What a row of a law may miss: of float32, which laws may have been before, at least 1e-7."""
    unit = ROW_ROUNDING_F32 if p.dtype == np.float32 else ROW_ROUNDING
    return np.maximum(1e-7, unit * np.diff(p.indptr))


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
    matrix = _edges(p).astype(np.float64)
    classes = recurrent_classes(p)
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
    if communicating_classes(m).max() > 0:
        return np.inf
    p, owner, worst = m.laws(), m.state_of_row(), 0.0
    with np.errstate(over="ignore"):
        eps = 1e-6 / p.data.min()  # a millionth of the steps that the rarest move takes
    if not np.isfinite(eps):
        row = int(np.searchsorted(p.indptr, p.data.argmin(), side="right")) - 1
        raise ValueError(
            f"state {owner[row]} is left so slowly, if ever, that floating point cannot tell it "
            "from a closed one"
        )
    for t in range(m.num_states):
        rest = np.flatnonzero(owner != t)
        # A leak is a failure to arrive, except from t itself, where the walk is over.
        if m.stop is not None and m.stop[rest].any():
            return np.inf
        stay = sp.csr_array(([1.0], ([0], [t])), shape=(1, m.num_states))
        hitting = FiniteMDP.from_sparse(
            sp.vstack([p[rest], stay], format="csr"), np.append(-np.ones(rest.size), 0.0),
            s=np.append(owner[rest], t), a=np.append(m.a_id[rest], m.a_id[m.sa_ptr[t]]),
        )  # fmt: skip
        worst = max(worst, float(-solve(hitting, 1.0, "pi", float(eps)).value.min()))
    return worst
