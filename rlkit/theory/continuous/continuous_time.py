"""Policy evaluation in continuous time through martingales (Jia & Zhou 2022).

J(t, x) = E[int_t^T exp(-beta (s - t)) r ds + exp(-beta (T - t)) h(X_T)] is right exactly when
M_t = exp(-beta t) J(t, X_t) + int_0^t exp(-beta s) r ds is a martingale. Its increment on a mesh is
delta_i = J_{i+1} - J_i + (r_i - beta J_i) dt_i. Methods: minimise the martingale loss (the L2
projection of J); make E int xi dM vanish for test processes xi (CTD(0): xi = grad J;
CTD(lambda): xi its trace with decay lambda per unit of time). The mean-square TD error, E int
(dM)^2, is NOT a criterion: it tends to the quadratic variation and its minimiser diverges as the
mesh shrinks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares, root

from rlkit.theory.continuous.diffusions import Paths
from rlkit.theory.mdp import Array
from rlkit.theory.validate import (
    as_reals,
    check_count,
    check_fraction,
    check_not_negative,
    settings,
)

Schedule = Callable[[int], float]


class ValueModel(NamedTuple):
    """J(theta, t, x) [n, K+1] and its gradient in theta [n, K+1, d]."""

    value: Callable[[Array, Array, Array], Array]
    gradient: Callable[[Array, Array, Array], Array]


def linear_model(
    features: Callable[[Array, Array], Array], offset: Callable[[Array, Array], Array] | None = None
) -> ValueModel:
    """J = offset(t, x) + features(t, x) . theta, features [n, K+1, d]."""

    def value(theta: Array, t: Array, x: Array) -> Array:
        out = features(t, x) @ theta
        return out if offset is None else out + offset(t, x)

    return ValueModel(value, lambda theta, t, x: features(t, x))


@settings(beta=check_not_negative)
def increments(paths: Paths, value: Array, beta: float) -> Array:
    """delta [n, K] of values [n, K+1]; the payoff replaces the value at the horizon."""
    v = _with_payoff(paths, value)
    return np.diff(v, axis=1) + (paths.r - beta * v[:, :-1]) * paths.dt


@settings(beta=check_not_negative)
def rewards_to_go(paths: Paths, beta: float) -> Array:
    """Discounted reward and payoff from each mesh point to the horizon, [n, K].

    ValueError for paths that stop before it.
    """
    if np.isnan(paths.terminal).any():
        i = int(np.argmax(np.isnan(paths.terminal)))
        raise ValueError(f"path {i} has no payoff: the martingale loss needs a horizon")
    out = np.empty_like(paths.r)
    ahead = paths.terminal
    for k in range(out.shape[1] - 1, -1, -1):
        ahead = out[:, k] = paths.r[:, k] * paths.dt[:, k] + np.exp(-beta * paths.dt[:, k]) * ahead
    return out


@settings(beta=check_not_negative)
def martingale_loss(model: ValueModel, theta: Array, paths: Paths, beta: float) -> float:
    """1/2 E int (exp(-beta t) (reward to go - J))^2 dt."""
    return float(0.5 * (_martingale_residual(model, theta, paths, beta) ** 2).sum())


@settings(beta=check_not_negative)
def fit_martingale_loss(model: ValueModel, paths: Paths, beta: float, start: Array) -> Array:
    """theta [d] that minimises the martingale loss (least squares on Monte-Carlo returns)."""
    scale = _loss_scale(paths, beta)

    def jacobian(theta: Array) -> Array:
        slope = model.gradient(theta, paths.t, paths.x)[:, :-1]
        return -(scale[:, :, None] * slope).reshape(-1, slope.shape[-1])

    return _settled(
        least_squares(
            lambda theta: _martingale_residual(model, theta, paths, beta).ravel(), start, jacobian,
            method="lm", xtol=1e-12, ftol=1e-12, gtol=1e-12,
        )
    )  # fmt: skip


def traces(slope: Array, dt: Array, lam: float) -> Array:
    """Test process xi [n, K, d]: the gradient itself (lam = 0), or its decaying integral.

    z_i = lam^dt z_{i-1} + gradient_i dt_i; lam in (0, 1] is the decay per unit of time.
    """
    lam = check_fraction("lam", lam)
    if lam == 0.0:
        return slope[:, :-1]
    out = slope[:, :-1] * dt[:, :, None]
    for k in range(1, out.shape[1]):
        out[:, k] += lam ** dt[:, k - 1, None] * out[:, k - 1]
    return out


@settings(beta=check_not_negative, lam=check_fraction)
def moment(model: ValueModel, theta: Array, paths: Paths, beta: float, lam: float = 0.0) -> Array:
    """E int xi dM [d], which vanishes at the CTD(lam) solution."""
    delta = increments(paths, model.value(theta, paths.t, paths.x), beta)
    xi = traces(model.gradient(theta, paths.t, paths.x), paths.dt, lam)
    return np.einsum("n,nkd,nk->d", paths.weight, xi, delta)


@settings(beta=check_not_negative, lam=check_fraction)
def solve_ctd(
    model: ValueModel, paths: Paths, beta: float, start: Array, lam: float = 0.0
) -> Array:
    """Root theta [d] of the moment on all paths at once (what CTD(lam) converges to)."""
    found = root(lambda theta: moment(model, theta, paths, beta, lam), start, tol=1e-12)
    if not found.success and np.abs(found.fun).max() > 1e-9:
        raise ArithmeticError(f"CTD found no root: {found.message}")
    return found.x


@settings(beta=check_not_negative, lam=check_fraction)
def minimise_moment(
    model: ValueModel, paths: Paths, beta: float, start: Array, lam: float = 0.0,
    weighting: str = "gram",
) -> Array:  # fmt: skip
    """theta [d] minimising m' A m, A = (E int xi xi' dt)^-1 ("gram", as GTD2) or the identity.

    The gram matrix is that of `start`. With as many test processes as parameters this is CTD.
    """
    if weighting not in ("gram", "identity"):
        raise ValueError(f"weighting must be 'gram' or 'identity', got {weighting!r}")
    start = np.asarray(start, np.float64)
    half = np.eye(start.size)
    if weighting == "gram":
        xi = traces(model.gradient(start, paths.t, paths.x), paths.dt, lam)
        gram = np.einsum("n,nk,nkd,nke->de", paths.weight, paths.dt, xi, xi)
        try:
            half = np.linalg.inv(np.linalg.cholesky(gram))
        except np.linalg.LinAlgError:
            raise ValueError("the test processes are linearly dependent at `start`") from None
    return _settled(
        least_squares(
            lambda theta: half @ moment(model, theta, paths, beta, lam), start,
            xtol=1e-14, ftol=1e-14, gtol=1e-14,
        )
    )  # fmt: skip


@settings(beta=check_not_negative, lam=check_fraction)
def ctd_offline(
    model: ValueModel, paths: Paths, beta: float, start: Array, steps: Schedule, lam: float = 0.0,
    epochs: int = 1,
) -> Array:  # fmt: skip
    """theta [d] after one update sum_i xi_i delta_i per episode, episodes in order.

    `steps(j)` is the step size of the j-th update; weights are ignored.
    """
    epochs = check_count("epochs", epochs)
    theta = np.array(start, np.float64)
    count = 0
    for _ in range(epochs):
        for k in range(len(paths.x)):
            one = _one(paths, k)
            theta = theta + steps(count) * moment(model, theta, one, beta, lam)
            count += 1
    return theta


@settings(beta=check_not_negative, lam=check_fraction)
def ctd_online(
    model: ValueModel, paths: Paths, beta: float, start: Array, steps: Schedule, lam: float = 0.0
) -> Array:
    """theta [d] after an update xi_i delta_i at every mesh point, from past data only.

    The trace keeps gradients taken at earlier parameters.
    """
    theta = np.array(start, np.float64)
    count = 0
    for k in range(len(paths.x)):
        one = _one(paths, k)
        xi = np.zeros_like(theta)
        for i in range(one.r.shape[1]):
            last = i == one.r.shape[1] - 1
            end = one.terminal if last else np.array([np.nan])
            step = Paths(one.t[:, i : i + 2], one.x[:, i : i + 2], one.r[:, i : i + 1], end,
                         one.weight)  # fmt: skip
            slope = model.gradient(theta, step.t[:, :1], step.x[:, :1])[0, 0]
            if lam == 0.0:
                xi = slope
            else:
                before = one.dt[0, i - 1] if i else 0.0
                xi = lam**before * xi + slope * step.dt[0, 0]
            delta = increments(step, model.value(theta, step.t, step.x), beta)[0, 0]
            theta = theta + steps(count) * xi * delta
            count += 1
    return theta


@settings(beta=check_not_negative, lam=check_fraction)
def clstd(
    paths: Paths, features: Array, beta: float, lam: float = 0.0, offset: Array | None = None
) -> Array:
    """CLSTD(lam): the linear solution theta [d] of E sum xi_i delta_i = 0 in one solve.

    `features` [n, K+1, d], known part `offset` [n, K+1] of the value. At the horizon the payoff
    takes their place.
    """
    phi = np.array(as_reals("features", features))
    if phi.ndim != 3 or phi.shape[:2] != paths.x.shape:
        raise ValueError(f"features must be [{paths.x.shape[0]}, {paths.x.shape[1]}, d]")
    xi = traces(phi, paths.dt, lam)
    phi[~np.isnan(paths.terminal), -1] = 0.0
    change = np.diff(phi, axis=1) - beta * phi[:, :-1] * paths.dt[:, :, None]
    known = np.zeros(paths.x.shape) if offset is None else as_reals("offset", offset, paths.x.shape)
    a = np.einsum("n,nkd,nke->de", paths.weight, xi, change)
    b = np.einsum("n,nkd,nk->d", paths.weight, xi, increments(paths, known, beta))
    try:
        return -np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        raise ValueError("the features are linearly dependent on these paths") from None


@settings(beta=check_not_negative)
def fit_mean_square_td_error(model: ValueModel, paths: Paths, beta: float, start: Array) -> Array:
    """theta [d] that minimises E sum delta_i^2: offered as the warning it is."""
    root_weight = np.sqrt(paths.weight)[:, None]

    def residual(theta: Array) -> Array:
        delta = increments(paths, model.value(theta, paths.t, paths.x), beta)
        return (root_weight * delta).ravel()

    return _settled(least_squares(residual, start, xtol=1e-12, ftol=1e-12, gtol=1e-12))


def _martingale_residual(model: ValueModel, theta: Array, paths: Paths, beta: float) -> Array:
    gap = rewards_to_go(paths, beta) - model.value(theta, paths.t, paths.x)[:, :-1]
    return _loss_scale(paths, beta) * gap


def _loss_scale(paths: Paths, beta: float) -> Array:
    return np.sqrt(paths.weight[:, None] * paths.dt) * np.exp(-beta * paths.t[:, :-1])


def _with_payoff(paths: Paths, value: Array) -> Array:
    if value.shape != paths.x.shape:
        raise ValueError(f"values have shape {value.shape}, the paths {paths.x.shape}")
    v = np.array(value, np.float64)
    ends = ~np.isnan(paths.terminal)
    v[ends, -1] = paths.terminal[ends]
    return v


def _one(paths: Paths, k: int) -> Paths:
    rows = slice(k, k + 1)
    return Paths(paths.t[rows], paths.x[rows], paths.r[rows], paths.terminal[rows], np.ones(1))


def _settled(found: object) -> Array:
    if not found.success:  # type: ignore[attr-defined]
        raise ArithmeticError(f"least squares did not settle: {found.message}")  # type: ignore[attr-defined]
    return found.x  # type: ignore[attr-defined]
