"""Worst-case row functionals for (s, a)-rectangular sets: TV, KL, chi-square.

Conventions: TV = |p - p0|_1 / 2 (an L1 radius is twice that), KL = sum p ln(p / p0), chi2 =
sum (p - p0)^2 / p0. "Constrained" minimises p.v over D(p || p0) <= radius; "regularised"
minimises p.v + weight D(p || p0). The law may move to any state under TV (`floor` is the least
value anywhere), within the support of p0 otherwise. Rows come as atoms sorted by value; a row's
missing mass is an atom of value 0.
"""

import math

import numpy as np

from rlkit.core.jit import njit

TV, KL, CHI2 = 0, 1, 2
DIVERGENCES = {"tv": TV, "kl": KL, "chi2": CHI2}


@njit(cache=True, nogil=True)
def gather(col, val, start, end, stop, v, values, probs, index):
    """Fill the row's atoms, sorted by value; index is the place in the row (-1: the end)."""
    n = 0
    for k in range(start, end + 1):
        if k < end:
            p, x, tag = np.float64(val[k]), v[col[k]], k - start
        else:
            p, x, tag = stop, 0.0, -1
        if p <= 0.0:
            continue
        j = n
        while j > 0 and values[j - 1] > x:
            values[j], probs[j], index[j] = values[j - 1], probs[j - 1], index[j - 1]
            j -= 1
        values[j], probs[j], index[j] = x, p, tag
        n += 1
    return n


@njit(cache=True, nogil=True)
def _chi2_value(mean, square, tail, alpha, strength, constrained):
    """Chi-square dual objective at a clipping level alpha."""
    m = mean + alpha * tail
    # Rounding makes the variance of a constant negative, and its root NaN.
    variance = max(0.0, square + alpha * alpha * tail - m * m)
    if constrained:
        return m - math.sqrt(strength * variance)
    return m - variance / (4.0 * strength)


@njit(cache=True, nogil=True)
def _chi2(values, probs, n, strength, constrained):
    """Value and the best clipping level, by walking the sorted breakpoints."""
    # Values are taken from the least one, or small variances drown in its square.
    base, total = values[0], 0.0
    for i in range(n):
        total += probs[i]
    best, level = 0.0, 0.0
    mean, square, inside = 0.0, 0.0, 0.0
    for k in range(n):
        low = values[k] - base
        mean += probs[k] * low
        square += probs[k] * low * low
        inside += probs[k]
        high = values[k + 1] - base if k + 1 < n else low
        tail = max(0.0, total - inside) if k + 1 < n else 0.0
        first, second = np.nan, np.nan
        if constrained:
            # Var(alpha) = strength (alpha - m)^2 is a quadratic in alpha.
            a = tail * inside - strength * inside * inside
            b = 2.0 * mean * (strength * inside - tail)
            c = square - mean * mean * (1.0 + strength)
            root = b * b - 4.0 * a * c
            if root >= 0.0:
                # The form without cancellation; the other root is c / t.
                t = -0.5 * (b + math.copysign(math.sqrt(root), b))
                if a != 0.0:
                    first = t / a
                if t != 0.0:
                    second = c / t
        else:
            first = (2.0 * strength + mean) / inside
        for alpha in (low, high, first, second):
            if alpha >= low and alpha <= high:
                value = _chi2_value(mean, square, tail, alpha, strength, constrained)
                if value > best:
                    best, level = value, alpha
    return base * total + best, base + level


@njit(cache=True, nogil=True)
def _log_mean(values, probs, n, beta):
    """-beta ln E exp(-(v - v_min) / beta) + v_min, shifted so that nothing overflows."""
    total = 0.0
    for i in range(n):
        # Through expm1 and log1p a huge beta still gives the mean, not the noise of 1 - 1.
        total += probs[i] * math.expm1(-(values[i] - values[0]) / beta)
    return values[0] - beta * math.log1p(total)


@njit(cache=True, nogil=True)
def _tilt_divergence(values, probs, n, beta):
    """KL(p_beta || p0) of the law proportional to p0 exp(-v / beta)."""
    total, moment = 0.0, 0.0
    for i in range(n):
        x = (values[i] - values[0]) / beta
        w = probs[i] * math.exp(-x)
        total += w
        moment += w * x
    return -moment / total - math.log(total)


@njit(cache=True, nogil=True)
def kl_level(values, probs, n, radius):
    """The temperature whose tilted law lies at divergence `radius`; 0 if the minimum is free."""
    bottom, spread = 0.0, values[n - 1] - values[0]
    for i in range(n):
        if values[i] == values[0]:
            bottom += probs[i]
    if spread <= 0.0 or radius >= -math.log(min(bottom, 1.0)):
        return 0.0
    low, high = 1e-12 * spread, spread
    while _tilt_divergence(values, probs, n, high) > radius and high < 1e15 * spread:
        high *= 8.0
    for _ in range(200):
        middle = math.sqrt(low * high)
        if _tilt_divergence(values, probs, n, middle) > radius:
            low = middle
        else:
            high = middle
        if high <= low * (1.0 + 1e-15):
            break
    return high


@njit(cache=True, nogil=True)
def worst_value(kind, constrained, strength, values, probs, n, floor):
    """min p.v over the set, or min p.v + strength D, for sorted atoms."""
    if kind == TV:
        total = 0.0
        if not constrained:
            for i in range(n):
                total += probs[i] * min(values[i], floor + strength)
            return total
        left = strength
        for i in range(n - 1, -1, -1):
            moved = min(probs[i], left)
            left -= moved
            total += (probs[i] - moved) * values[i] + moved * floor
        return total
    if kind == KL:
        if not constrained:
            return _log_mean(values, probs, n, strength)
        if strength == 0.0:
            total = 0.0
            for i in range(n):
                total += probs[i] * values[i]
            return total
        beta = kl_level(values, probs, n, strength)
        if beta == 0.0:
            return values[0]
        return _log_mean(values, probs, n, beta) - beta * strength
    return _chi2(values, probs, n, strength, constrained)[0]


@njit(cache=True, nogil=True)
def worst_law(kind, constrained, strength, values, probs, n, floor, law):
    """Fill `law` (over the sorted atoms) with a minimiser; the mass it sends to the floor (TV)."""
    total = 0.0
    if kind == TV:
        moved = 0.0
        left = strength
        for i in range(n - 1, -1, -1):
            gone = 0.0
            if constrained:
                gone = min(probs[i], left)
                left -= gone
            elif values[i] > floor + strength:
                gone = probs[i]
            law[i] = probs[i] - gone
            moved += gone
        return moved
    if kind == KL:
        beta = kl_level(values, probs, n, strength) if constrained else strength
        if constrained and strength == 0.0:
            beta = np.inf
        for i in range(n):
            if beta > 0.0:
                law[i] = probs[i] * math.exp(-(values[i] - values[0]) / beta)
            else:
                law[i] = probs[i] if values[i] == values[0] else 0.0
            total += law[i]
    else:
        _, level = _chi2(values, probs, n, strength, constrained)
        mean, square = 0.0, 0.0
        for i in range(n):
            x = min(values[i], level) - values[0]
            mean += probs[i] * x
            square += probs[i] * x * x
        spread = math.sqrt(max(0.0, square - mean * mean))
        unit = math.sqrt(strength) / spread if constrained and spread > 0.0 else 0.0
        if not constrained:
            unit = 1.0 / (2.0 * strength)
        for i in range(n):
            if level <= values[0] and values[n - 1] > values[0] and strength > 0.0:
                law[i] = probs[i] if values[i] == values[0] else 0.0
            else:
                x = min(values[i], level) - values[0]
                law[i] = max(0.0, probs[i] * (1.0 - unit * (x - mean)))
            total += law[i]
    for i in range(n):
        law[i] /= total
    return 0.0


@njit(cache=True, nogil=True)
def divergence(kind, law, probs, n, moved):
    """D(law || probs) for atoms aligned with probs; TV counts the mass `moved` to the floor."""
    total = 0.0
    for i in range(n):
        if kind == TV:
            total += 0.5 * abs(law[i] - probs[i])
        elif kind == KL:
            total += law[i] * math.log(law[i] / probs[i]) if law[i] > 0.0 else 0.0
        else:
            total += (law[i] - probs[i]) ** 2 / probs[i]
    return total + 0.5 * moved


@njit(cache=True, nogil=True)
def robust_sweep(
    sa_ptr, row_ptr, col, val, r, stop, gamma, v, floor, kind, constrained, strength, out, best,
    values, probs, index, q,
):  # fmt: skip
    """Robust backup of every state; per-row values into q. Returns min and max of out - v."""
    low, high = np.inf, -np.inf
    for s in range(v.size):
        top, arg = -np.inf, sa_ptr[s]
        for i in range(sa_ptr[s], sa_ptr[s + 1]):
            n = gather(col, val, row_ptr[i], row_ptr[i + 1], stop[i], v, values, probs, index)
            worst = worst_value(kind, constrained, strength[i], values, probs, n, floor)
            q[i] = r[i] + gamma * worst
            if q[i] > top:
                top, arg = q[i], i
        low, high = min(low, top - v[s]), max(high, top - v[s])
        out[s] = top
        best[s] = arg
    return low, high
