"""Row kernels: fused backups over CSR rows, the only code that touches every nonzero.

All take a block of states so that threads can share a sweep; a block writes its own outputs,
so results do not depend on the number of threads. Two accumulators break the addition chain.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, inline="always")
def expectation(col, val, start, end, w):
    """Sum of val * w[col] over one row, in float64."""
    even, odd = 0.0, 0.0
    k = start
    while k + 1 < end:
        even += val[k] * w[col[k]]
        odd += val[k + 1] * w[col[k + 1]]
        k += 2
    if k < end:
        even += val[k] * w[col[k]]
    return even + odd


@njit(cache=True, nogil=True)
def row_values(row_ptr, col, val, r, gamma, w, out):
    """out[i] = r[i] + gamma * (row i) . w for every row."""
    for i in range(r.size):
        out[i] = r[i] + gamma * expectation(col, val, row_ptr[i], row_ptr[i + 1], w)


@njit(cache=True, nogil=True)
def sweep(sa_ptr, row_ptr, col, val, r, gamma, w, v, first, last, out, best):
    """Jacobi backup of states first..last-1 into out, the best row into best.

    `w` is what rows are multiplied with, `v` the current value. Ties go to the lowest action.
    Returns the smallest and largest out - v of the block.
    """
    low, high = np.inf, -np.inf
    for s in range(first, last):
        top, arg = -np.inf, sa_ptr[s]
        for i in range(sa_ptr[s], sa_ptr[s + 1]):
            q = r[i] + gamma * expectation(col, val, row_ptr[i], row_ptr[i + 1], w)
            if q > top:
                top, arg = q, i
        change = top - v[s]
        low, high = min(low, change), max(high, change)
        out[s] = top
        best[s] = arg
    return low, high


@njit(cache=True, nogil=True)
def sweep_in_place(sa_ptr, row_ptr, col, val, r, gamma, v, order, first, last, best):
    """Gauss-Seidel backup of the states order[first:last], in place.

    Returns the largest absolute change.
    """
    largest = 0.0
    for position in range(first, last):
        s = order[position]
        top, arg = -np.inf, sa_ptr[s]
        for i in range(sa_ptr[s], sa_ptr[s + 1]):
            q = r[i] + gamma * expectation(col, val, row_ptr[i], row_ptr[i + 1], v)
            if q > top:
                top, arg = q, i
        largest = max(largest, abs(top - v[s]))
        v[s] = top
        best[s] = arg
    return largest


@njit(cache=True, nogil=True)
def pack_rows(row_ptr, col, val, rows, out_ptr, out_col, out_val):
    """Copy the chosen rows into one contiguous CSR, so that policy sweeps read memory in line."""
    for n in range(rows.size):
        start, target = row_ptr[rows[n]], out_ptr[n]
        for k in range(out_ptr[n + 1] - target):
            out_col[target + k] = col[start + k]
            out_val[target + k] = val[start + k]


@njit(cache=True, nogil=True)
def greedy_colours(out_ptr, out_col, in_ptr, in_col, colours):
    """Colour states so that no state depends on another one of its colour; the number of colours.

    `out_*` lists the successors of a state under any action, `in_*` its predecessors.
    """
    n = out_ptr.size - 1
    taken = np.full(n + 1, -1, np.int64)
    count = 0
    for s in range(n):
        for k in range(out_ptr[s], out_ptr[s + 1]):
            if out_col[k] < s:
                taken[colours[out_col[k]]] = s
        for k in range(in_ptr[s], in_ptr[s + 1]):
            if in_col[k] < s:
                taken[colours[in_col[k]]] = s
        c = 0
        while taken[c] == s:
            c += 1
        colours[s] = c
        count = max(count, c + 1)
    return count
