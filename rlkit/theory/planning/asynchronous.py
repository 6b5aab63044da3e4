"""In-place solvers: Gauss-Seidel in a chosen order, coloured blocks, prioritised sweeping."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import breadth_first_order

from rlkit.core.jit import njit
from rlkit.theory.backup import Backup
from rlkit.theory.kernels import expectation, greedy_colours
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.heap import sift_down, sift_up
from rlkit.theory.planning.iterations import Iterate, Watch
from rlkit.theory.validate import check_count

ORDERS = ("forward", "reverse", "backward", "coloured")


def state_graph(mdp: FiniteMDP) -> sp.csr_array:
    """Adjacency [S, S]: entry (s, t) positive if some action of s reaches t."""
    p = mdp.matrix()
    collect = sp.csr_array(
        (np.ones(mdp.num_rows), np.arange(mdp.num_rows), mdp.sa_ptr),
        shape=(mdp.num_states, mdp.num_rows),
    )
    graph = sp.csr_array(collect @ p)
    graph.sort_indices()
    return graph


def colouring(mdp: FiniteMDP) -> Array:
    """Colour of each state, int64 [S]: states of one colour do not depend on one another."""
    graph = state_graph(mdp)
    reverse = sp.csr_array(graph.T)
    reverse.sort_indices()
    colours = np.zeros(mdp.num_states, np.int64)
    out_ptr, out_col, in_ptr, in_col = (
        x.astype(np.int64) for x in (graph.indptr, graph.indices, reverse.indptr, reverse.indices)
    )
    greedy_colours(out_ptr, out_col, in_ptr, in_col, colours)
    return colours


def state_order(mdp: FiniteMDP, order: str | Array) -> tuple[Array, Array]:
    """Visiting order int64 [S] and the starts of its independent blocks.

    "backward" is breadth first against the arrows from rewarding and terminating states, so
    that news travels a whole path in one sweep. An array is taken as the order itself.
    """
    n = mdp.num_states
    blocks = np.arange(n + 1)
    if not isinstance(order, str):
        given = np.asarray(order, np.int64)
        if not np.array_equal(np.sort(given), np.arange(n)):
            raise ValueError(f"order must be a permutation of 0..{n - 1}")
        return given, blocks
    if order == "forward":
        return np.arange(n), blocks
    if order == "reverse":
        return np.arange(n)[::-1].copy(), blocks
    if order == "backward":
        return _backward_order(mdp), blocks
    if order == "coloured":
        colours = colouring(mdp)
        starts = np.concatenate([[0], np.cumsum(np.bincount(colours))]).astype(np.int64)
        return np.argsort(colours, kind="stable"), starts
    raise ValueError(f"order must be an array or one of {ORDERS}, got {order!r}")


def _backward_order(mdp: FiniteMDP) -> Array:
    n = mdp.num_states
    typical = np.median(mdp.r)
    special = np.abs(mdp.r - typical) > 1e-12
    if mdp.stop is not None:
        special |= mdp.stop > 0
    sources = np.unique(mdp.state_of_row()[special])
    graph = sp.coo_array(state_graph(mdp).T)
    # One extra node points at all sources, so that a single search starts from all of them.
    rows = np.concatenate([graph.row, np.full(sources.size, n)])
    cols = np.concatenate([graph.col, sources])
    extended = sp.csr_array((np.ones(rows.size), (rows, cols)), shape=(n + 1, n + 1))
    found = breadth_first_order(extended, n, return_predecessors=False)[1:]
    rest = np.setdiff1d(np.arange(n), found)
    return np.concatenate([found, rest]).astype(np.int64)


def gauss_seidel(
    op: Backup, v: Array, watch: Watch, order: str | Array = "backward", check: int = 8
) -> Iterate:
    """Gauss-Seidel value iteration; only "coloured" uses threads, with the same result.

    MacQueen's bracket does not hold for in-place sweeps, so every `check` sweeps, and when the
    sweep's change says so, a Jacobi backup certifies.
    """
    check = check_count("check", check)
    visiting, blocks = state_order(op.mdp, order)
    if not (isinstance(order, str) and order == "coloured"):
        blocks = np.array([0, v.size])
        if op.threads > 1:
            raise ValueError("threads > 1 needs order='coloured': other orders would race")
    out, sweeps = np.empty_like(v), 0
    while True:
        change = op.sweep_in_place(v, visiting, blocks)
        sweeps += 1
        if change * op.gamma > 0.5 * watch.eps * (1 - op.gamma) and sweeps % check:
            continue
        low, high = op.bracket(v, *op(v, out))
        if watch.done(v, low, high):
            return Iterate(out, low, high)


def prioritised_sweeping(op: Backup, v: Array, watch: Watch) -> Iterate:
    """Backs up the state of largest Bellman error first (Moore & Atkeson, value-iteration form).

    Needs the transposed model, about twice the memory. Stops on a Jacobi certificate.
    """
    m = op.mdp
    reverse = sp.csr_array(state_transpose(m))
    arrays = (m.sa_ptr, m.row_ptr, m.col, m.val, m.r)
    index = (reverse.indptr.astype(np.int64), reverse.indices.astype(np.int32), reverse.data)
    out, threshold = np.empty_like(v), np.inf
    ends = op(v, out)
    while True:
        low, high = op.bracket(v, *ends)
        if watch.done(v, low, high):
            return Iterate(out, low, high)
        goal = 0.5 * watch.eps * (1 - op.gamma)
        threshold = max(min(0.1 * max(abs(ends[0]), abs(ends[1])), 0.5 * threshold), 0.1 * goal)
        budget = int((watch.max_backups - watch.backups()) * m.nnz) + 1
        op.touched += _sweep_by_priority(
            *arrays, *index, op.gamma, v, np.abs(out - v), threshold, budget
        )
        ends = op(v, out)


def state_transpose(mdp: FiniteMDP) -> sp.csr_array:
    """[S, S] with entry (t, s) the largest probability of s -> t over the actions of s."""
    p = mdp.matrix()
    states = np.repeat(mdp.state_of_row(), np.diff(p.indptr))
    key = p.indices.astype(np.int64) * mdp.num_states + states
    order = np.lexsort((-p.data, key))
    first = np.diff(key[order], prepend=-1) > 0
    pick = order[first]
    shape = (mdp.num_states, mdp.num_states)
    return sp.csr_array((p.data[pick], (p.indices[pick], states[pick])), shape=shape)


@njit(cache=True, nogil=True)
def _sweep_by_priority(
    sa_ptr, row_ptr, col, val, r, in_ptr, in_col, in_val, gamma, v, key, threshold, budget
):
    """Back up by priority until no key exceeds the threshold; the nonzeros touched."""
    n = v.size
    heap, place = np.arange(n), np.arange(n)
    for at in range(n // 2, -1, -1):
        sift_down(heap, place, key, at)
    touched = 0
    while key[heap[0]] > threshold and touched < budget:
        s = heap[0]
        top = -np.inf
        for i in range(sa_ptr[s], sa_ptr[s + 1]):
            top = max(top, r[i] + gamma * expectation(col, val, row_ptr[i], row_ptr[i + 1], v))
        touched += row_ptr[sa_ptr[s + 1]] - row_ptr[sa_ptr[s]]
        change = abs(top - v[s])
        v[s] = top
        key[s] = 0.0
        sift_down(heap, place, key, 0)
        for k in range(in_ptr[s], in_ptr[s + 1]):
            t = in_col[k]
            # Keys add up, or many small changes below the threshold would be lost.
            key[t] += gamma * in_val[k] * change
            sift_up(heap, place, key, place[t])
    return touched
