"""Diffusions with closed-form values, sampled exactly on a time mesh: tests of policy evaluation.

Each `*_paths` returns `Paths` with reward rates at the left end of every interval, as the
discretised methods see them; no Euler error enters the states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlkit.theory.brief import brief
from rlkit.theory.mdp import Array
from rlkit.theory.validate import (
    as_reals,
    check_count,
    check_number,
    check_positive,
    check_seed,
    settings,
)


class Paths(NamedTuple):
    """n trajectories on a mesh: t [n, K+1], x [n, K+1], reward rates r [n, K].

    terminal [n] is the payoff at the horizon, NaN where the path stops before it (or there is
    none); weight [n] sums to 1.
    """

    t: Array
    x: Array
    r: Array
    terminal: Array
    weight: Array

    def __repr__(self) -> str:
        return brief(self)

    @property
    def dt(self) -> Array:
        """Mesh widths [n, K]."""
        return np.diff(self.t, axis=1)


def make_paths(
    t: Array, x: Array, r: Array | float = 0.0, terminal: Array | None = None,
    weight: Array | None = None,
) -> Paths:  # fmt: skip
    """Checked `Paths`; t may be [K+1], r [K] or a number, weights default to equal ones.

    ValueError on shapes, meshes that do not increase, and non-finite states.
    """
    x = as_reals("x", x, finite=False)
    if x.ndim != 2 or x.shape[1] < 2:
        raise ValueError(f"x must be [n, K+1] with K >= 1, got {x.shape}")
    n, points = x.shape
    if np.shape(t) not in (x.shape, x.shape[1:]):
        raise ValueError(f"t must have shape {x.shape} or {x.shape[1:]}, got {np.shape(t)}")
    t = np.broadcast_to(as_reals("t", t), x.shape)
    if not (np.diff(t, axis=1) > 0).all():
        raise ValueError(f"path {int(np.argmin((np.diff(t, axis=1) > 0).all(1)))}: t must increase")
    if not np.isfinite(x).all():
        raise ValueError(f"path {int(np.argmin(np.isfinite(x).all(1)))} has a non-finite state")
    rates = as_reals("r", check_number("r", r) if np.ndim(r) == 0 else r)
    try:
        rates = np.broadcast_to(rates, (n, points - 1))
    except ValueError:
        raise ValueError(f"r must broadcast to {(n, points - 1)}, got {rates.shape}") from None
    ends = np.full(n, np.nan) if terminal is None else as_reals("terminal", terminal, finite=False)
    share = np.full(n, 1.0 / n) if weight is None else as_reals("weight", weight)
    if ends.shape != (n,) or share.shape != (n,) or (share < 0).any() or not share.sum() > 0:
        raise ValueError(f"terminal and weight must be [{n}], weights >= 0 with a positive sum")
    return Paths(t, x, rates, ends, share / share.sum())


@settings(kappa=check_positive, sigma=check_positive, beta=check_positive)
@dataclass(frozen=True)
class OrnsteinUhlenbeck:
    """dX = -kappa X dt + sigma dW, reward rate -x^2, discount rate beta, no horizon.

    J(x) = -(a x^2 + b), a = 1 / (2 kappa + beta), b = sigma^2 a / beta.
    """

    kappa: float = 1.0
    sigma: float = 0.5
    beta: float = 0.5

    def coefficients(self) -> tuple[float, float]:
        """a and b of the true value."""
        a = 1.0 / (2.0 * self.kappa + self.beta)
        return a, self.sigma**2 * a / self.beta

    def meshed_coefficients(self, dt: float) -> tuple[float, float]:
        """a and b that TD methods reach on a mesh: a bias of order dt."""
        dt = check_positive("dt", dt)
        keep = np.exp(-2.0 * self.kappa * dt)
        a = dt / (1.0 - keep + self.beta * dt)
        spread = self.sigma**2 / (2.0 * self.kappa) * (1.0 - keep)
        return float(a), float(a * spread / (self.beta * dt))

    def transition(self, dt: float) -> tuple[float, float]:
        """Factor and standard deviation of X(t + dt) given X(t)."""
        keep = np.exp(-self.kappa * check_positive("dt", dt))
        return float(keep), float(self.sigma * np.sqrt((1.0 - keep**2) / (2.0 * self.kappa)))

    @settings(steps=check_count, count=check_count)
    @settings(seed=check_seed)
    def paths(self, dt: float, steps: int, count: int, seed: int) -> Paths:
        """Stationary paths, [count, steps + 1]."""
        rng = np.random.default_rng(seed)
        keep, noise = self.transition(dt)
        x = np.empty((count, steps + 1))
        x[:, 0] = self.sigma / np.sqrt(2.0 * self.kappa) * rng.normal(size=count)
        for i in range(steps):
            x[:, i + 1] = keep * x[:, i] + noise * rng.normal(size=count)
        return make_paths(dt * np.arange(steps + 1), x, -(x[:, :-1] ** 2))


@settings(mu=check_number, s=check_positive, horizon=check_positive)
@dataclass(frozen=True)
class GeometricBrownian:
    """dX = mu X dt + s X dW from 1, payoff X(T), no discount: J = x exp(mu (T - t))."""

    mu: float = 0.1
    s: float = 0.3
    horizon: float = 1.0

    @settings(steps=check_count, count=check_count)
    @settings(seed=check_seed)
    def paths(self, steps: int, count: int, seed: int) -> Paths:
        """Paths to the horizon, [count, steps + 1]."""
        t = np.linspace(0.0, self.horizon, steps + 1)
        noise = np.random.default_rng(seed).normal(size=(count, steps))
        moves = (self.mu - 0.5 * self.s**2) * np.diff(t) + self.s * np.sqrt(np.diff(t)) * noise
        x = np.exp(np.cumsum(np.c_[np.zeros(count), moves], 1))
        return make_paths(t, x, terminal=x[:, -1])

    @settings(steps=check_count)
    def mean_square_increment(self, theta: float, steps: int) -> float:
        """E sum_i (dM_i)^2 for J = x exp(theta (T - t)), in closed form."""
        theta = check_number("theta", theta)
        t = np.linspace(0.0, self.horizon, steps + 1)
        dt = self.horizon / steps
        second = np.exp((2.0 * self.mu + self.s**2) * t[:-1])  # E X^2
        now, then = np.exp(theta * (self.horizon - t[:-1])), np.exp(theta * (self.horizon - t[1:]))
        growth = np.exp((2.0 * self.mu + self.s**2) * dt)
        parts = then**2 * growth - 2.0 * now * then * np.exp(self.mu * dt) + now**2
        return float(second @ parts)


@settings(start=check_number, horizon=check_positive)
@dataclass(frozen=True)
class Brownian:
    """dX = dW from `start`, payoff X(T)^2, no discount: J = x^2 + (T - t)."""

    start: float = 0.0
    horizon: float = 1.0

    @settings(steps=check_count, count=check_count)
    @settings(seed=check_seed)
    def paths(self, steps: int, count: int, seed: int) -> Paths:
        """Paths to the horizon, [count, steps + 1]."""
        t = np.linspace(0.0, self.horizon, steps + 1)
        noise = np.random.default_rng(seed).normal(size=(count, steps))
        x = self.start + np.cumsum(np.c_[np.zeros(count), np.sqrt(np.diff(t)) * noise], 1)
        return make_paths(t, x, terminal=x[:, -1] ** 2)
