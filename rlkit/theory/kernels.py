"""Row kernels: fused backups over CSR rows, the only code that touches every nonzero.

All take a block of states so that threads can share a sweep; a block writes its own outputs,
so results do not depend on the number of threads. Two accumulators break the addition chain.

Indices are unsigned on purpose: numba then leaves out its check for negative ones, which costs
more than the arithmetic of a short row. (An unsigned and a signed integer would add to a float.)
"""

import numpy as np

from rlkit.core.jit import njit

_INDEX, _COLUMN = np.uint64, np.uint32
_ONE, _TWO, _THREE, _FOUR = (np.uint64(n) for n in (1, 2, 3, 4))


@njit(cache=True, nogil=True, inline="always")
def expectation(col, val, start, end, w):
    """Sum of val * w[col] over one row, in float64."""
    even, odd = 0.0, 0.0
    k, last = _INDEX(start), _INDEX(end)
    while k + _THREE < last:
        even += val[k] * w[_COLUMN(col[k])]
        odd += val[k + _ONE] * w[_COLUMN(col[k + _ONE])]
        even += val[k + _TWO] * w[_COLUMN(col[k + _TWO])]
        odd += val[k + _THREE] * w[_COLUMN(col[k + _THREE])]
        k += _FOUR
    while k < last:
        even += val[k] * w[_COLUMN(col[k])]
        k += _ONE
    return even + odd


@njit(cache=True, nogil=True)
def row_values(row_ptr, col, val, r, gamma, w, out):
    """out[i] = r[i] + gamma * (row i) . w for every row."""
    for i in range(_INDEX(r.size)):
        out[i] = r[i] + gamma * expectation(col, val, row_ptr[i], row_ptr[i + _ONE], w)


@njit(cache=True, nogil=True)
def sweep(sa_ptr, row_ptr, col, val, r, gamma, w, v, first, last, out, best):
    """Jacobi backup of states first..last-1 into out, the best row into best.

    `w` is what rows are multiplied with, `v` the current value. Ties go to the lowest action.
    Returns the smallest and largest out - v of the block.
    """
    low, high = np.inf, -np.inf
    i = _INDEX(sa_ptr[first])
    k = _INDEX(row_ptr[i])
    for s in range(_INDEX(first), _INDEX(last)):
        top, arg = -np.inf, i
        stop = _INDEX(sa_ptr[s + _ONE])
        while i < stop:
            end = _INDEX(row_ptr[i + _ONE])
            q = r[i] + gamma * expectation(col, val, k, end, w)
            k = end
            if q > top:
                top, arg = q, i
            i += _ONE
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
    for position in range(_INDEX(first), _INDEX(last)):
        s = _INDEX(order[position])
        i, stop = _INDEX(sa_ptr[s]), _INDEX(sa_ptr[s + _ONE])
        top, arg = -np.inf, i
        while i < stop:
            q = r[i] + gamma * expectation(col, val, row_ptr[i], row_ptr[i + _ONE], v)
            if q > top:
                top, arg = q, i
            i += _ONE
        largest = max(largest, abs(top - v[s]))
        v[s] = top
        best[s] = arg
    return largest


@njit(cache=True, nogil=True)
def policy_sweep(ptr, col, val, r, gamma, w, v, first, last, out):
    """`sweep` for a packed policy, which has one row a state."""
    low, high = np.inf, -np.inf
    k = _INDEX(ptr[first])
    for s in range(_INDEX(first), _INDEX(last)):
        end = _INDEX(ptr[s + _ONE])
        value = r[s] + gamma * expectation(col, val, k, end, w)
        k = end
        change = value - v[s]
        low, high = min(low, change), max(high, change)
        out[s] = value
    return low, high


@njit(cache=True, nogil=True)
def widest_rows(sa_ptr, row_ptr):
    """Successors of the longest row of each state together: no policy has more."""
    total = 0
    for s in range(_INDEX(sa_ptr.size - 1)):
        longest = 0
        for i in range(_INDEX(sa_ptr[s]), _INDEX(sa_ptr[s + _ONE])):
            longest = max(longest, row_ptr[i + _ONE] - row_ptr[i])
        total += longest
    return total


@njit(cache=True, nogil=True)
def within_band(sa_ptr, row_ptr, col, width):
    """Whether the number of every successor is less than `width` away from its state's."""
    for s in range(sa_ptr.size - 1):
        for k in range(row_ptr[sa_ptr[s]], row_ptr[sa_ptr[s + 1]]):
            if abs(col[k] - s) >= width:
                return False
    return True


@njit(cache=True, nogil=True)
def pack_rows(row_ptr, col, val, r, rows, held, ptr, out_col, out_val, out_r):
    """Copy the chosen rows into one contiguous CSR, so that policy sweeps read memory in line.

    `held` [S] are the rows that lie there already (-1: none): what stays in place is not copied.
    Returns how many states changed their row.
    """
    target, in_place, changed = _INDEX(0), True, 0
    for s in range(_INDEX(rows.size)):
        row = _INDEX(rows[s])
        same = held[s] == rows[s]
        if same and in_place:
            target = _INDEX(ptr[s + _ONE])
            continue
        if not same:
            changed += 1
            held[s] = rows[s]
            out_r[s] = r[row]
        k, end = _INDEX(row_ptr[row]), _INDEX(row_ptr[row + _ONE])
        while k < end:
            out_col[target] = col[k]
            out_val[target] = val[k]
            target += _ONE
            k += _ONE
        in_place = ptr[s + _ONE] == np.int64(target)
        ptr[s + _ONE] = target
    return changed


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
