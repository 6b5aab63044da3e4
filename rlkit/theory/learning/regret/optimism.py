"""Optimistic row functionals: the largest expectation over a confidence set of one row."""

import math

import numpy as np

from rlkit.core.jit import njit


@njit(cache=True, nogil=True)
def descending(u, order):
    """Sort `order` so that u[order] descends (insertion: nearly sorted from the last sweep)."""
    for i in range(1, order.size):
        s = order[i]
        j = i
        while j > 0 and u[order[j - 1]] < u[s]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = s


@njit(cache=True, nogil=True)
def largest_l1(p, radius, u, order):
    """max of q . u over laws q with |q - p|_1 <= radius; `order` sorts u descending."""
    best = order[0]
    boost = min(1.0 - p[best], 0.5 * radius)
    total = boost * u[best]
    for s in range(p.size):
        total += p[s] * u[s]
    for i in range(order.size - 1, 0, -1):
        if boost <= 0.0:
            break
        s = order[i]
        taken = min(p[s], boost)
        total -= taken * u[s]
        boost -= taken
    return total


@njit(cache=True, nogil=True)
def largest_box(p, radius, u, order):
    """max of q . u over laws with |q(s) - p(s)| <= radius(s), entry by entry."""
    total, left = 0.0, 1.0
    for s in range(p.size):
        low = max(0.0, p[s] - radius[s])
        total += low * u[s]
        left -= low
    for s in order:
        if left <= 0.0:
            break
        low = max(0.0, p[s] - radius[s])
        added = min(min(1.0, p[s] + radius[s]) - low, left)
        total += added * u[s]
        left -= added
    return total


@njit(cache=True, nogil=True)
def largest_kl(p, radius, u, order):
    """max of q . u over laws with KL(p || q) <= radius (Filippi, Cappe & Garivier 2010).

    q is proportional to p / (nu - u), plus possibly free mass on an unseen best state; nu
    solves f(nu) = sum p ln(nu - u) + ln sum p / (nu - u) = radius by bisection.
    """
    top = u[order[0]]
    support_top, support_low, seen_top = -np.inf, np.inf, 0.0
    for s in range(p.size):
        if p[s] > 0.0:
            support_top, support_low = max(support_top, u[s]), min(support_low, u[s])
        if u[s] == top:
            seen_top += p[s]
    if support_top == -np.inf:
        return top
    if support_top == support_low and support_top == top:
        return top
    if seen_top == 0.0:
        value = _kl_gap(p, u, top)
        if value < radius:
            free = 1.0 - math.exp(value - radius)
            return free * top + (1.0 - free) * _tilted(p, u, top)
    # f falls from infinity at nu = top to 0 as nu grows.
    scale = max(top - support_low, 1e-300)
    low, high = 1e-18, 1.0
    while _kl_gap(p, u, top + high * scale) > radius and high < 1e18:
        low = high
        high *= 8.0
    for _ in range(200):
        middle = math.sqrt(low * high)
        if _kl_gap(p, u, top + middle * scale) > radius:
            low = middle
        else:
            high = middle
        if high <= low * (1.0 + 1e-13):
            break
    return _tilted(p, u, top + high * scale)


@njit(cache=True, nogil=True)
def _kl_gap(p, u, nu):
    logs, inverse = 0.0, 0.0
    for s in range(p.size):
        if p[s] > 0.0:
            distance = nu - u[s]
            if distance <= 0.0:
                return np.inf
            logs += p[s] * math.log(distance)
            inverse += p[s] / distance
    return logs + math.log(inverse)


@njit(cache=True, nogil=True)
def _tilted(p, u, nu):
    total, weight = 0.0, 0.0
    for s in range(p.size):
        if p[s] > 0.0:
            w = p[s] / (nu - u[s])
            total += w * u[s]
            weight += w
    return total / weight
