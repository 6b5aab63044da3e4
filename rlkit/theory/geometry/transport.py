"""Optimal transport between small discrete laws: exact Wasserstein-1 distances."""

from __future__ import annotations

import math

import numpy as np

from rlkit.core.jit import njit
from rlkit.theory.mdp import Array

EXHAUSTED = 1e-14  # mass below this counts as moved


def wasserstein(p: Array, q: Array, cost: Array) -> float:
    """Least expected cost of moving law p [n] to law q [m] at `cost` [n, m].

    Exact (successive shortest paths with potentials). ValueError on shapes, on negative costs
    and if the masses differ.
    """
    p, q, cost = (np.ascontiguousarray(x, np.float64) for x in (p, q, cost))
    if cost.shape != (p.size, q.size) or not (cost >= 0).all():
        raise ValueError(f"cost must be non-negative of shape {(p.size, q.size)}: {cost.shape}")
    if (p < 0).any() or (q < 0).any() or not abs(p.sum() - q.sum()) < 1e-9:
        raise ValueError(f"both laws need the same mass >= 0, got {p.sum()} and {q.sum()}")
    return float(transport_cost(p, q, cost))


@njit(cache=True, nogil=True)
def transport_cost(p, q, cost):
    """Optimal transport cost of p [n] to q [m]; both are left as they are."""
    n, m = p.size, q.size
    supply, demand = p.copy(), q.copy()
    flow = np.zeros((n, m))
    u, v = np.zeros(n), np.zeros(m)  # potentials: cost + u - v >= 0, tight where flow > 0
    distance, previous = np.empty(n + m), np.empty(n + m, np.int64)
    done = np.empty(n + m, np.bool_)
    for source in range(n):
        while supply[source] > EXHAUSTED:
            distance[:] = np.inf
            done[:] = False
            distance[source], previous[source] = 0.0, -1
            target = -1
            while True:
                node, least = -1, np.inf
                for k in range(n + m):
                    if not done[k] and distance[k] < least:
                        node, least = k, distance[k]
                if node < 0:
                    break
                done[node] = True
                if node < n:
                    for j in range(m):
                        step = least + max(0.0, cost[node, j] + u[node] - v[j])
                        if step < distance[n + j]:
                            distance[n + j], previous[n + j] = step, node
                else:
                    j = node - n
                    if demand[j] > EXHAUSTED:
                        target = j
                        break
                    for i in range(n):
                        if flow[i, j] > 0.0 and least < distance[i]:
                            distance[i], previous[i] = least, node
            if target < 0:
                break  # rounding left a crumb of supply without demand
            reach = distance[n + target]
            for i in range(n):
                u[i] += min(distance[i], reach)
            for j in range(m):
                v[j] += min(distance[n + j], reach)
            amount = min(supply[source], demand[target])
            node = n + target
            while previous[node] >= 0:
                before = previous[node]
                if before >= n:  # an arc walked backwards can lose no more than it carries
                    amount = min(amount, flow[node, before - n])
                node = before
            node = n + target
            while previous[node] >= 0:
                before = previous[node]
                if before < n:
                    flow[before, node - n] += amount
                else:
                    flow[node, before - n] -= amount
                node = before
            supply[source] -= amount
            demand[target] -= amount
    total = 0.0
    for i in range(n):
        for j in range(m):
            if flow[i, j] > 0.0:
                total += flow[i, j] * cost[i, j]
    return total


@njit(cache=True, nogil=True)
def row_transport(row_ptr, col, val, i, j, ground):
    """Wasserstein-1 of rows i and j of a CSR matrix under the ground metric [S, S]."""
    a, b = row_ptr[i], row_ptr[i + 1]
    c, d = row_ptr[j], row_ptr[j + 1]
    if b - a == 1 and d - c == 1:
        return val[a] * ground[col[a], col[c]]
    # Mass that both rows share stays where it is: the ground is a metric.
    p, q = val[a:b].copy(), val[c:d].copy()
    x, y = a, c
    while x < b and y < d:
        if col[x] == col[y]:
            common = min(p[x - a], q[y - c])
            p[x - a] -= common
            q[y - c] -= common
            x += 1
            y += 1
        elif col[x] < col[y]:
            x += 1
        else:
            y += 1
    keep_p, keep_q = np.flatnonzero(p > EXHAUSTED), np.flatnonzero(q > EXHAUSTED)
    if keep_p.size == 0 or keep_q.size == 0:
        return 0.0
    cost = np.empty((keep_p.size, keep_q.size))
    for x in range(keep_p.size):
        for y in range(keep_q.size):
            cost[x, y] = ground[col[a + keep_p[x]], col[c + keep_q[y]]]
    return transport_cost(p[keep_p], q[keep_q], cost)


@njit(cache=True, nogil=True)
def metric_sweep(left, right, pair_s, pair_t, gap, row_ptr, col, val, gamma, ground, out):
    """out[s, t] = max over row pairs of gap + gamma W1(rows); symmetric. Pairs sorted by (s, t)."""
    out[:] = 0.0
    for k in range(left.size):
        d = gap[k] + gamma * row_transport(row_ptr, col, val, left[k], right[k], ground)
        s, t = pair_s[k], pair_t[k]
        if d > out[s, t]:
            out[s, t] = d
            out[t, s] = d


@njit(cache=True, nogil=True)
def row_distances(row_ptr, col, val, other_ptr, other_col, other_val, ground):
    """Wasserstein-1 between row k of one CSR matrix and row k of another, [L]."""
    out = np.empty(row_ptr.size - 1)
    for k in range(out.size):
        a, b, c, d = row_ptr[k], row_ptr[k + 1], other_ptr[k], other_ptr[k + 1]
        cost = np.empty((b - a, d - c))
        for x in range(b - a):
            for y in range(d - c):
                cost[x, y] = ground[col[a + x], other_col[c + y]]
        out[k] = transport_cost(val[a:b].copy(), other_val[c:d].copy(), cost)
    return out


def sweep_limit(tolerance: float, gamma: float, scale: float) -> int:
    """Number of gamma-contractions after which `scale` has shrunk below `tolerance`."""
    if gamma == 0.0 or scale <= tolerance:
        return 1
    return math.ceil(math.log(tolerance / scale) / math.log(gamma)) + 1
