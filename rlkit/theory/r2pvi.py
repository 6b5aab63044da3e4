"""R2PVI: offline robust regularised linear MDPs (d-rectangular), and its pessimistic baselines.

Source: "Robust Offline Reinforcement Learning with Linearly Structured f-Divergence
Regularization". Finite horizon, features on the simplex, r = phi.theta_h, P0 = <phi, mu_h>; nature
pays weight * D(mu_i || mu0_i) per feature, so the robust Q stays linear: phi.(theta + nu).

Differs from the authors' code: the penalty is the paper's l1 form (their l2 form is an option),
Q is clipped from both sides, the chi-square problem is solved exactly on its breakpoints instead
of by Nelder-Mead, and Lambda is inverted once a stage. `strength` is a weight for regularised
methods (large: less robust) and a radius for constrained ones (large: more robust). The KL
estimate takes the ridge's shrinkage of E[1] = n / (n + ridge) for a gain of about strength *
ridge / n a stage: keep ridge * strength well below n.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlkit.theory.mdp import Array

METHODS = ("r2pvi-tv", "r2pvi-kl", "r2pvi-chi2", "pevi", "drpvi-tv", "drvi-kl")


class OfflineData(NamedTuple):
    """Per stage h: features phi [H, n, d], rewards r [H, n], and the features of every action at
    the next state, phi_next [H, n, A, d] (unused at the last stage)."""

    phi: Array
    r: Array
    phi_next: Array


class PessimisticPlan(NamedTuple):
    """Weights theta + nu [H, d], inverse Lambda [H, d, d], and what the penalty needs."""

    weights: Array
    inverse: Array
    beta: float
    penalty: str
    cap: Array

    def q(self, h: int, phi: Array) -> Array:
        """Penalised, clipped Q of stage h for features [..., d]."""
        return _clipped(
            phi @ self.weights[h], phi, self.inverse[h], self.beta, self.penalty, self.cap[h]
        )


def _clipped(
    mean: Array, phi: Array, inverse: Array, beta: float, penalty: str, cap: float
) -> Array:
    if penalty == "l1":  # sum_i |phi_i 1_i| in the inverse norm, the paper's
        width = np.abs(phi) @ np.sqrt(np.diagonal(inverse))
    elif penalty == "l2":  # the authors' code
        width = np.sqrt(phi**2 @ np.diagonal(inverse))
    else:  # "elliptic": PEVI's
        width = np.sqrt(np.maximum(0.0, np.einsum("...i,ij,...j->...", phi, inverse, phi)))
    return np.clip(mean - beta * width, 0.0, cap)


def fit(
    data: OfflineData, method: str, strength: float = 1.0, *, beta: float = 1.0,
    ridge: float = 0.1, theta: Array | None = None, penalty: str | None = None,
    v_min: float | None = None,
) -> PessimisticPlan:  # fmt: skip
    """Pessimistic value iteration, backwards over the stages.

    Methods: r2pvi-tv, -kl, -chi2 (`strength` = weight lambda), pevi (not robust), drpvi-tv
    (radius; assumes that the least value is 0, a fail state), drvi-kl (radius). `theta` [H, d]
    are known reward weights; None estimates them by ridge. `v_min` is the least value of the
    next stage, by default its least over the sampled next states, as in the code. Default
    penalty: l1, and elliptic for pevi. ValueError on shapes and unknown names.
    """
    phi, r, phi_next = (np.asarray(x, np.float64) for x in data)
    if phi.ndim != 3 or r.shape != phi.shape[:2] or phi_next.ndim != 4:
        raise ValueError(f"need phi [H, n, d], r [H, n], phi_next [H, n, A, d], got {phi.shape}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}")
    if not strength > 0 or not ridge > 0 or beta < 0:
        raise ValueError(f"need strength, ridge > 0 and beta >= 0, got {strength, ridge, beta}")
    kind = penalty or ("elliptic" if method == "pevi" else "l1")
    if kind not in ("l1", "l2", "elliptic"):
        raise ValueError(f"penalty must be 'l1', 'l2' or 'elliptic', got {kind!r}")
    horizon, _, d = phi.shape
    weights, inverse = np.zeros((horizon, d)), np.zeros((horizon, d, d))
    cap = horizon - np.arange(horizon, dtype=np.float64)
    for h in reversed(range(horizon)):
        gram = ridge * np.eye(d) + phi[h].T @ phi[h]
        inverse[h] = np.linalg.inv(gram)
        # Row i of `reader` applied to g(V) is the estimate E_i[g].
        reader = inverse[h] @ phi[h].T  # [d, n]
        weights[h] = reader @ r[h] if theta is None else theta[h]
        if h + 1 == horizon:
            continue
        options = phi_next[h]
        mean = options @ weights[h + 1]
        q = _clipped(mean, options, inverse[h + 1], beta, kind, cap[h + 1])
        v = q.max(1)
        least = float(v.min()) if v_min is None else v_min
        weights[h] += _ahead(method, reader, v, strength, float(horizon), least)
    return PessimisticPlan(weights, inverse, beta, kind, cap)


def _ahead(
    method: str, reader: Array, v: Array, strength: float, horizon: float, least: float
) -> Array:
    """nu_h [d]: the (robust) expectation of the next value behind each feature."""
    if method == "pevi":
        return reader @ v
    if method == "r2pvi-tv":
        return reader @ np.minimum(v, least + strength)
    if method == "r2pvi-kl":
        mean = reader @ np.exp(-v / strength)
        return -strength * np.log(np.maximum(mean, np.exp(-horizon / strength)))
    if method == "r2pvi-chi2":
        return np.array([_chi2_best(w, v, strength, horizon) for w in reader])
    if method == "drpvi-tv":
        return np.array([_tv_best(w, v, strength, horizon) for w in reader])
    return np.array([_kl_best(w, v, strength, horizon) for w in reader])


def _prefix(weights: Array, v: Array, horizon: float) -> tuple[Array, Array, Array, Array]:
    """Breakpoints of v ^ alpha on [0, H]; per interval the sums of w v and w v^2 below, w above."""
    order = np.argsort(v, kind="stable")
    x, w = v[order], weights[order]
    knots = np.concatenate([[0.0], np.clip(x, 0.0, horizon), [horizon]])
    first = np.concatenate([[0.0], np.cumsum(w * x)])
    second = np.concatenate([[0.0], np.cumsum(w * x * x)])
    above = np.concatenate([np.cumsum(w[::-1])[::-1], [0.0]])
    return knots, first, second, above


def _chi2_best(weights: Array, v: Array, strength: float, horizon: float) -> float:
    """max over alpha in [0, H] of E[x] + E[x]^2 / (4 lam) - E[x^2] / (4 lam), x = v ^ alpha.

    Ridge weights may be negative, so the objective need not be concave: every breakpoint and
    every stationary point between breakpoints is tried.
    """
    knots, first, second, above = _prefix(weights, v, horizon)
    low, high = knots[:-1], knots[1:]

    def objective(alpha: Array) -> Array:
        mean = first + alpha * above
        return mean + (mean**2 - second - alpha**2 * above) / (4.0 * strength)

    # Derivative: above (1 + (first + alpha above) / (2 lam)) - alpha above / (2 lam) = 0.
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = (2.0 * strength + first) / (1.0 - above)
    inner = np.where(np.isfinite(inner), np.clip(inner, low, high), low)
    return float(max(objective(low).max(), objective(high).max(), objective(inner).max()))


def _tv_best(weights: Array, v: Array, radius: float, horizon: float) -> float:
    """max over alpha in [0, H] of E[v ^ alpha] - radius alpha: piecewise linear."""
    knots, first, _, above = _prefix(weights, v, horizon)
    low, high = knots[:-1], knots[1:]
    return float(max((first + x * above - radius * x).max() for x in (low, high)))


def _kl_best(weights: Array, v: Array, radius: float, horizon: float) -> float:
    """max over beta > 0 of -beta ln E[exp(-v / beta)] - beta radius, by a refined log grid."""
    low, high = np.log(1e-3 * horizon), np.log(1e3 * horizon)
    best = -np.inf
    for _ in range(6):
        grid = np.exp(np.linspace(low, high, 41))
        # Shifted by the least value so that small beta does not underflow.
        mean = np.exp(-(v - v.min()) / grid[:, None]) @ weights
        bottom = np.exp(-(horizon - v.min()) / grid)
        score = v.min() - grid * np.log(np.maximum(mean, bottom)) - grid * radius
        at = int(score.argmax())
        best = max(best, float(score[at]))
        edges = np.log(grid[[max(at - 1, 0), min(at + 1, 40)]])
        low, high = float(edges[0]), float(edges[1])
    return max(best, 0.0)
