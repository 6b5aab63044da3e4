"""R2PVI: offline robust regularised linear MDPs (d-rectangular), and its pessimistic baselines.

Source: "Robust Offline Reinforcement Learning with Linearly Structured f-Divergence
Regularization". Finite horizon, features on the simplex, r = phi.theta_h, P0 = <phi, mu_h>; nature
pays weight * D(mu_i || mu0_i) per feature, so the robust Q stays linear: phi.(theta + nu).

Variance-weighted versions of every method divide each transition by an estimate of the variance
of its next value: `fit_variance_aware` with drpvi-tv is VA-DRPVI (Liu & Xu 2024), with pevi
VAPVI (Yin et al. 2022).

Differs from the authors' code: the penalty is the paper's l1 form (their l2 form is an option),
Q is clipped from both sides, the chi-square problem is solved exactly on its breakpoints instead
of by Nelder-Mead, and Lambda is inverted once a stage; the pilot's value is really used for the
variances, and half of the episodes fit it. Differs from the VA-DRPVI paper, as their code does: one
variance for all clipping levels alpha. `strength` is a weight for regularised methods (large: less
robust) and a radius for constrained ones (large: more robust). The KL estimate takes the ridge's
shrinkage of E[1] = n / (n + ridge) for a gain of about strength * ridge / n a stage: keep ridge *
strength well below n.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rlkit.theory.brief import brief
from rlkit.theory.mdp import Array
from rlkit.theory.validate import as_reals, check_choice, check_number, check_positive, settings

METHODS = ("r2pvi-tv", "r2pvi-kl", "r2pvi-chi2", "pevi", "drpvi-tv", "drvi-kl")


class OfflineData(NamedTuple):
    """Per stage h: features phi [H, n, d], rewards r [H, n], and the features of every action at
    the next state, phi_next [H, n, A, d] (unused at the last stage).

    Column k of every stage is episode k. `exit_next` [H, n] is what leaving at the next state
    would pay, known beforehand (minus infinity: there is no leaving).
    """

    phi: Array
    r: Array
    phi_next: Array
    exit_next: Array | None = None

    def __repr__(self) -> str:
        return brief(self)

    def episodes(self, which: Array | slice) -> OfflineData:
        """The data of some episodes."""
        leave = None if self.exit_next is None else self.exit_next[:, which]
        return OfflineData(self.phi[:, which], self.r[:, which], self.phi_next[:, which], leave)


class PessimisticPlan(NamedTuple):
    """Weights theta + nu [H, d], inverse Lambda [H, d, d], and what the penalty needs."""

    weights: Array
    inverse: Array
    beta: float
    penalty: str
    cap: Array

    def __repr__(self) -> str:
        return brief(self)

    def q(self, h: int, phi: Array) -> Array:
        """Penalised, clipped Q of stage h for features [..., d]."""
        return _clipped(
            phi @ self.weights[h], phi, self.inverse[h], self.beta, self.penalty, self.cap[h]
        )

    def value_next(self, data: OfflineData, h: int) -> Array:
        """Value [n] of the states that follow stage h, the best of acting on and leaving."""
        v = self.q(h + 1, data.phi_next[h]).max(1)
        return v if data.exit_next is None else np.maximum(v, data.exit_next[h])


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
    data: OfflineData, method: str, strength: Array | float = 1.0, *, beta: float = 1.0,
    ridge: float = 0.1, theta: Array | None = None, penalty: str | None = None,
    v_min: float | None = None, variance: Array | None = None,
) -> PessimisticPlan:  # fmt: skip
    """Pessimistic value iteration, backwards over the stages.

    Methods: r2pvi-tv, -kl, -chi2 (`strength` = weight lambda), pevi (not robust), drpvi-tv
    (radius; assumes that the least value is 0, a fail state), drvi-kl (radius). `strength` is a
    number or an array that broadcasts to [H, d]; a radius may be 0. `theta` [H, d] are known
    reward weights; None estimates them by ridge. `v_min` is the least value of the next stage,
    by default its least over the sampled next states, as in the code. `variance` [H, n] divides
    each transition in the ridge. Default penalty: l1, and elliptic for pevi. ValueError on shapes
    and unknown names.
    """
    check_positive("ridge", ridge)
    check_positive("beta", beta, strict=False)
    if v_min is not None:
        v_min = check_number("v_min", v_min)
    data = _checked(data)
    phi, r = data.phi, data.r
    check_choice("method", method, METHODS)
    horizon, n, d = phi.shape
    if np.ndim(strength) == 0:
        strength = check_number("strength", strength)
    given = as_reals("strength", strength)
    try:
        force = np.broadcast_to(given, (horizon, d))
    except ValueError:
        raise ValueError(f"strength must broadcast to {(horizon, d)}, got {given.shape}") from None
    constrained = method.startswith("dr")
    if not ((force >= 0).all() if constrained else (force > 0).all()):
        wanted = "non-negative" if constrained else "positive"
        raise ValueError(f"strength must be {wanted}, got {strength}")
    kind = penalty or ("elliptic" if method == "pevi" else "l1")
    if kind not in ("l1", "l2", "elliptic"):
        raise ValueError(f"penalty must be 'l1', 'l2' or 'elliptic', got {kind!r}")
    spread = np.ones((horizon, n)) if variance is None else as_reals("variance", variance)
    if spread.shape != (horizon, n) or not (spread > 0).all():
        raise ValueError(f"variance must be positive, [{horizon}, {n}]")
    weights, inverse = np.zeros((horizon, d)), np.zeros((horizon, d, d))
    cap = horizon - np.arange(horizon, dtype=np.float64)
    plan = PessimisticPlan(weights, inverse, beta, kind, cap)
    for h in reversed(range(horizon)):
        weighted = phi[h] / spread[h, :, None]
        inverse[h] = np.linalg.inv(ridge * np.eye(d) + weighted.T @ phi[h])
        # Row i of `reader` applied to g(V) is the estimate E_i[g].
        reader = inverse[h] @ weighted.T  # [d, n]
        weights[h] = reader @ r[h] if theta is None else theta[h]
        if h + 1 == horizon:
            continue
        v = plan.value_next(data, h)
        least = float(v.min()) if v_min is None else v_min
        weights[h] += _ahead(method, reader, v, force[h], float(horizon), least)
    return plan


def next_value_variance(
    data: OfflineData, pilot: PessimisticPlan, phi: Array, ridge: float = 0.1, floor: float = 1.0
) -> Array:
    """Estimated variance [H, m] of the pilot's next value at features phi [H, m, d].

    Ridge regressions of V and V^2 on `data`, clipped to [0, H] and [0, H^2]; at least `floor` (1
    in the paper; its rewards are at most 1 a stage). The last stage has no next value: `floor`.
    """
    check_positive("ridge", ridge)
    check_positive("floor", floor)
    data = _checked(data)
    horizon, _, d = data.phi.shape
    out = np.full(phi.shape[:2], floor)
    for h in range(horizon - 1):
        v = pilot.value_next(data, h)
        reader = np.linalg.solve(ridge * np.eye(d) + data.phi[h].T @ data.phi[h], data.phi[h].T)
        mean = np.clip(phi[h] @ (reader @ v), 0.0, horizon)
        square = np.clip(phi[h] @ (reader @ v**2), 0.0, horizon**2)
        out[h] = np.maximum(floor, square - mean**2)
    return out


@settings(floor=check_positive, ridge=check_positive)
def fit_variance_aware(
    data: OfflineData, method: str, strength: Array | float = 1.0, *, floor: float = 1.0,
    ridge: float = 0.1, **options: Any,
) -> PessimisticPlan:  # fmt: skip
    """The variance-weighted version of a method: a pilot from the even episodes, which also
    estimate the variances, then `fit` with them on the odd ones. Options as for `fit`."""
    first, second = (data.episodes(slice(k, None, 2)) for k in (0, 1))
    pilot = fit(first, method, strength, ridge=ridge, **options)
    variance = next_value_variance(first, pilot, _checked(second).phi, ridge, floor)
    return fit(second, method, strength, ridge=ridge, variance=variance, **options)


def _checked(data: OfflineData) -> OfflineData:
    phi, r, ahead = (np.asarray(x, np.float64) for x in data[:3])
    leave = None if data.exit_next is None else np.asarray(data.exit_next, np.float64)
    if phi.ndim != 3 or r.shape != phi.shape[:2] or ahead.ndim != 4:
        raise ValueError(f"need phi [H, n, d], r [H, n], phi_next [H, n, A, d], got {phi.shape}")
    if leave is not None and leave.shape != r.shape:
        raise ValueError(f"exit_next must be {r.shape}, got {leave.shape}")
    return OfflineData(phi, r, ahead, leave)


def _ahead(
    method: str, reader: Array, v: Array, strength: Array, horizon: float, least: float
) -> Array:
    """nu_h [d]: the (robust) expectation of the next value behind each feature."""
    if method == "pevi":
        return reader @ v
    if method == "r2pvi-tv":
        clipped = np.minimum(v, least + strength[:, None])  # [d, n]
        return (reader * clipped).sum(1)
    if method == "r2pvi-kl":
        mean = (reader * np.exp(-v / strength[:, None])).sum(1)
        return -strength * _log_floored(mean, -horizon / strength)
    solve = {"r2pvi-chi2": _chi2_best, "drpvi-tv": _tv_best, "drvi-kl": _kl_best}[method]
    return solve(reader, v, strength, horizon)


def _log_floored(x: Array, least: Array) -> Array:
    """max(log x, least), finite for an x that underflowed or that ridge weights made negative."""
    return np.maximum(np.log(np.maximum(x, np.finfo(float).tiny)), least)


def _prefix(weights: Array, v: Array, horizon: float) -> tuple[Array, Array, Array, Array]:
    """Breakpoints [n+2] of v ^ alpha on [0, H]; per interval and row of `weights` [d, n] the sums
    of w v and w v^2 below it, of w above it, [d, n+1]."""
    order = np.argsort(v, kind="stable")
    x, w = v[order], weights[:, order]
    none = np.zeros((len(w), 1))
    knots = np.concatenate([[0.0], np.clip(x, 0.0, horizon), [horizon]])
    first = np.concatenate([none, np.cumsum(w * x, 1)], 1)
    second = np.concatenate([none, np.cumsum(w * x * x, 1)], 1)
    above = np.concatenate([np.cumsum(w[:, ::-1], 1)[:, ::-1], none], 1)
    return knots, first, second, above


def _chi2_best(weights: Array, v: Array, strength: Array, horizon: float) -> Array:
    """max over alpha in [0, H] of E[x] + E[x]^2 / (4 lam) - E[x^2] / (4 lam), x = v ^ alpha, [d].

    Ridge weights may be negative, so the objective need not be concave: every breakpoint and
    every stationary point between breakpoints is tried.
    """
    knots, first, second, above = _prefix(weights, v, horizon)
    low, high, lam = knots[:-1], knots[1:], strength[:, None]

    def objective(alpha: Array) -> Array:
        mean = first + alpha * above
        return (mean + (mean**2 - second - alpha**2 * above) / (4.0 * lam)).max(1)

    # Derivative: above (1 + (first + alpha above) / (2 lam)) - alpha above / (2 lam) = 0.
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = (2.0 * lam + first) / (1.0 - above)
    inner = np.where(np.isfinite(inner), np.clip(inner, low, high), low)
    return np.max([objective(x) for x in (low, high, inner)], 0)


def _tv_best(weights: Array, v: Array, radius: Array, horizon: float) -> Array:
    """max over alpha in [0, H] of E[v ^ alpha] - radius alpha, [d]: piecewise linear."""
    knots, first, _, above = _prefix(weights, v, horizon)
    ends = (knots[:-1], knots[1:])
    return np.max([(first + x * above - radius[:, None] * x).max(1) for x in ends], 0)


def _kl_best(weights: Array, v: Array, radius: Array, horizon: float) -> Array:
    """max over beta > 0 of -beta ln E[exp(-v / beta)] - beta radius, [d], by a refined log grid."""
    d, least = len(weights), float(v.min())
    low, high = np.full(d, np.log(1e-3 * horizon)), np.full(d, np.log(1e3 * horizon))
    best = np.zeros(d)
    for _ in range(6):
        grid = np.exp(np.linspace(low, high, 41, axis=1))  # [d, 41]
        # Shifted by the least value, so that small beta does not underflow.
        tilt = np.exp(-(v - least) / grid[:, :, None])
        mean = (tilt @ weights[:, :, None])[:, :, 0]
        logarithm = _log_floored(mean, -(horizon - least) / grid)
        score = least - grid * (logarithm + radius[:, None])
        at = score.argmax(1)
        best = np.maximum(best, score.max(1))
        edges = np.log(grid[np.arange(d)[:, None], np.clip(at[:, None] + [-1, 1], 0, 40)])
        low, high = edges.T
    return np.where(radius == 0.0, weights @ v, best)
