"""Transitions simulated from a FiniteMDP inside numba, and the batch estimators on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rlkit.core.jit import njit
from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.evaluation import policy_law
from rlkit.theory.linear import solve_chain
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.streams import categorical, stream, uniform
from rlkit.theory.validate import (
    as_reals,
    check_count,
    check_fraction,
    check_gamma,
    check_positive,
    check_seed,
    settings,
)


class Transitions(NamedTuple):
    """n steps in order: state, row, reward, next state (-1 if terminated), last of its episode.

    `last` is true where the next step starts a new episode: after termination, and after a
    truncation, where `s2` still is the state that would have gone on.
    """

    s: Array
    row: Array
    r: Array
    s2: Array
    last: Array

    def __repr__(self) -> str:
        return brief(self)


@named
@settings(seed=check_seed)
def simulate(
    mdp: FiniteMDP, policy: Array, steps: int, seed: int = 0, max_length: int = 0,
    replicate: int = 0, bernoulli: bool = False,
) -> Transitions:  # fmt: skip
    """`steps` transitions of a policy ([S] ids or [S, A] probabilities) from the initial law.

    Episodes end with termination or after `max_length` steps (0: never). Rewards are r(s, a), or
    Bernoulli of that mean.
    """
    steps = check_count("steps", steps)
    max_length = check_count("max_length", max_length, 0)
    m = mdp.expanded()
    law = policy_law(m, policy)
    out = Transitions(
        np.empty(steps, np.int64), np.empty(steps, np.int64), np.empty(steps),
        np.empty(steps, np.int64), np.zeros(steps, bool),
    )  # fmt: skip
    kernel: Any = _simulate
    kernel(
        m.sa_ptr, m.row_ptr, m.col, m.val, m.r, m.initial_law(), law, max_length, bernoulli, seed,
        replicate, *out,
    )  # fmt: skip
    return out


@njit(cache=True, nogil=True)
def first_above(law, start, end, u):
    """Index in start..end-1 at which the running sum of `law` passes u."""
    total, last = 0.0, start
    for i in range(start, end):
        if law[i] > 0.0:
            last = i
            total += law[i]
            if u < total:
                return i
    return last


@njit(cache=True, nogil=True)
def _simulate(
    sa_ptr, row_ptr, col, val, r, mu0, law, max_length, bernoulli, seed, replicate, out_s, out_row,
    out_r, out_s2, last,
):  # fmt: skip
    rng = stream(seed, replicate, 0)
    s, length = np.int64(-1), 0
    for t in range(out_s.size):
        if s < 0:
            s, length = first_above(mu0, 0, mu0.size, uniform(rng)), 0
        i = first_above(law, sa_ptr[s], sa_ptr[s + 1], uniform(rng))
        target = categorical(rng, col, val, row_ptr[i], row_ptr[i + 1])
        reward = r[i]
        if bernoulli:
            reward = 1.0 if uniform(rng) < reward else 0.0
        out_s[t], out_row[t], out_r[t], out_s2[t] = s, i, reward, target
        length += 1
        last[t] = target < 0 or length == max_length
        s = np.int64(-1) if last[t] else target


def next_features(data: Transitions, features: Array) -> Array:
    """Features of the next state, zero where the episode terminated, [n, k]."""
    return np.where(data.s2[:, None] >= 0, features[data.s2], 0.0)


def traces(data: Transitions, features: Array, decay: float) -> Array:
    """Accumulating traces z_t = decay z_{t-1} + phi_t, reset at each episode's start, [n, k]."""
    decay = check_fraction("decay", decay)
    out = as_reals("features", features, (None, None))[data.s]
    kernel: Any = _accumulate
    kernel(out, data.last, decay)
    return out


@njit(cache=True, nogil=True)
def _accumulate(out, last, decay):
    for t in range(1, out.shape[0]):
        if not last[t - 1]:
            for k in range(out.shape[1]):
                out[t, k] += decay * out[t - 1, k]


@named
def lstd(
    data: Transitions, features: Array, gamma: float, lam: float = 0.0, ridge: float = 1e-8
) -> Array:
    """LSTD(lambda) weights [k]: (sum z (phi - gamma phi') + ridge I)^-1 sum z r."""
    check_fraction("lam", lam)
    check_positive("ridge", ridge, strict=False)
    gamma = check_gamma(gamma)
    z = traces(data, features, gamma * lam)
    change = features[data.s] - gamma * next_features(data, features)
    a = z.T @ change + ridge * np.eye(features.shape[1])
    try:
        return np.linalg.solve(a, z.T @ data.r)
    except np.linalg.LinAlgError:
        raise ValueError("the features leave the weights open: give a positive ridge") from None


@named
def recursive_lstd(
    data: Transitions, features: Array, gamma: float, lam: float = 0.0, ridge: float = 1e-8
) -> Array:
    """The same weights by Sherman-Morrison updates, O(k^2) a step."""
    check_fraction("lam", lam)
    check_positive("ridge", ridge)
    gamma = check_gamma(gamma)
    z = traces(data, features, gamma * lam)
    change = features[data.s] - gamma * next_features(data, features)
    inverse = np.eye(features.shape[1]) / ridge
    kernel: Any = _sherman_morrison
    kernel(inverse, z, np.ascontiguousarray(change))
    return inverse @ (z.T @ data.r)


@njit(cache=True, nogil=True)
def _sherman_morrison(inverse, left, right):
    """Inverse of (A + sum left right') in place, from that of A."""
    d = inverse.shape[0]
    x, y = np.empty(d), np.empty(d)
    for t in range(left.shape[0]):
        scale = 1.0
        for i in range(d):
            x[i], y[i] = 0.0, 0.0
            for j in range(d):
                x[i] += inverse[i, j] * left[t, j]
                y[i] += right[t, j] * inverse[j, i]
        for i in range(d):
            scale += right[t, i] * x[i]
        for i in range(d):
            for j in range(d):
                inverse[i, j] -= x[i] * y[j] / scale


@named
def offline_td(
    data: Transitions, features: Array, theta: Array, gamma: float, lam: float, alpha: float
) -> Array:
    """Weights after one offline TD(lambda) pass: theta + alpha sum_t delta_t z_t."""
    check_fraction("lam", lam)
    check_positive("alpha", alpha)
    gamma = check_gamma(gamma)
    theta = as_reals("theta", theta, (features.shape[1],))
    delta = data.r + (gamma * next_features(data, features) - features[data.s]) @ theta
    return theta + alpha * traces(data, features, gamma * lam).T @ delta


@named
def monte_carlo_returns(data: Transitions, gamma: float) -> Array:
    """Discounted return from every step to the end of its episode, [n] (truncation cuts it)."""
    gamma = check_gamma(gamma)
    out, ahead = np.empty(data.r.size), 0.0
    for t in range(data.r.size - 1, -1, -1):
        ahead = data.r[t] + (0.0 if data.last[t] else gamma * ahead)
        out[t] = ahead
    return out


def _reaches(edges: Array, goal: Array) -> Array:
    """States from which `goal` bool [S] can be reached along `edges` bool [S, S]."""
    while not np.array_equal(grown := goal | (edges & goal).any(1), goal):
        goal = grown
    return goal


@named
def certainty_equivalence(data: Transitions, mdp: FiniteMDP, gamma: float) -> Array:
    """Value [S] of the chain estimated by the transitions; NaN for states never visited.

    gamma = 1 needs an observed way to termination from every visited state, else ValueError.
    """
    n, gamma = mdp.num_states, check_gamma(gamma)
    visits = np.bincount(data.s, minlength=n).astype(float)
    p = np.zeros((n, n))
    live = data.s2 >= 0
    np.add.at(p, (data.s[live], data.s2[live]), 1.0)
    seen = np.flatnonzero(visits)
    ends = np.bincount(data.s[~live], minlength=n) > 0
    if gamma == 1.0 and not _reaches(p > 0, ends)[seen].all():
        s = seen[int(np.argmin(_reaches(p > 0, ends)[seen]))]
        raise ValueError(f"gamma = 1 needs termination, which no transition from state {s} led to")
    p = p[np.ix_(seen, seen)] / visits[seen, None]
    r = np.bincount(data.s, data.r, minlength=n)[seen] / visits[seen]
    value = np.full(n, np.nan)
    ending = np.bincount(data.s[~live], minlength=n)[seen] / visits[seen]
    value[seen] = solve_chain(p, r, gamma, ending)
    return value
