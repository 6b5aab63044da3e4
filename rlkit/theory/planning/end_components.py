"""Maximal end components: where a policy can stay for ever with probability one."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from rlkit.theory.mdp import Array, FiniteMDP


def end_components(mdp: FiniteMDP, allowed: Array | None = None) -> tuple[Array, Array]:
    """Component of each state (-1: none), int64 [S], and whether a row is internal, bool [L].

    `allowed` [L] restricts the rows that a policy may use.
    """
    m = mdp.expanded()
    inside = np.ones(m.num_rows, bool) if allowed is None else np.asarray(allowed, bool).copy()
    if m.stop is not None:
        inside &= m.stop <= 0
    state = m.state_of_row()
    row = np.repeat(np.arange(m.num_rows), np.diff(m.row_ptr))
    live = m.val > 0
    row, col = row[live], m.col[live]
    n = m.num_states
    while True:
        edge = inside[row]
        graph = sp.csr_array((np.ones(edge.sum()), (state[row[edge]], col[edge])), shape=(n, n))
        _, label = connected_components(graph, connection="strong")
        alive = np.zeros(n, bool)
        alive[state[inside]] = True
        leaving = (label[col] != label[state[row]]) | ~alive[col]
        bad = np.zeros(m.num_rows, bool)
        bad[row[leaving]] = True
        if not (bad & inside).any():
            break
        inside &= ~bad
    _, dense = np.unique(label[alive], return_inverse=True)
    component = np.full(n, -1)
    component[alive] = dense
    return component, inside


def reach_surely(mdp: FiniteMDP, goal: Array | None = None) -> tuple[Array, Array]:
    """States from which some policy terminates (or enters `goal` [S]) with probability one.

    Returns the mask [S] and a row of each such state that such a policy takes (-1 elsewhere and
    in the goal): the fewest-steps choice among rows that stay in the mask.
    """
    m = mdp.expanded()
    goal = np.zeros(m.num_states, bool) if goal is None else np.asarray(goal, bool)
    ends = np.zeros(m.num_rows, bool) if m.stop is None else m.stop > 0
    state = m.state_of_row()
    pattern = sp.csr_array(
        ((m.val > 0).astype(float), m.col, m.row_ptr), shape=(m.num_rows, m.num_states)
    )
    sure = np.ones(m.num_states, bool)
    while True:
        safe_row = (pattern @ (~sure).astype(float)) == 0
        reached, choice = goal.copy(), np.full(m.num_states, -1)
        while True:
            good = safe_row & (ends | (pattern @ reached.astype(float) > 0)) & ~reached[state]
            if not good.any():
                break
            rows = np.flatnonzero(good)
            first, where = np.unique(state[rows], return_index=True)
            choice[first] = rows[where]
            reached[first] = True
        if (reached == sure).all():
            return sure, choice
        sure = reached
