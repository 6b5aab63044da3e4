"""Mean-variance portfolios in continuous time: closed forms, policy evaluation, actor-critic.

Discounted wealth moves by dX = sigma u (rho dt + dW) when u is held in the stock, rho = (mu - r) /
sigma. For a multiplier w the cost is E[(X_T - w)^2 + lambda int log pi dt] - (w - z)^2: variance
around the target mean z, with entropy at temperature lambda (Wang & Zhou 2020). Policies are
N(-phi_1 (x - w), exp(phi_2 + phi_3 (T - t))); for them, wealth has closed-form moments and values.
The value is looked for as

    J = (x - w)^2 exp(-theta_3 (T - t)) + theta_2 (t^2 - T^2) + theta_1 (t - T) - (w - z)^2,

which holds the optimum: theta_3 = rho^2 = phi_3, phi_1 = rho / sigma, exp(phi_2) = lambda / (2
sigma^2). `learn` is the offline actor-critic of Jia & Zhou (2022), with three critics to compare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.continuous.continuous_time import ValueModel
from rlkit.theory.continuous.diffusions import Paths, make_paths
from rlkit.theory.mdp import Array
from rlkit.theory.validate import (
    check_choice,
    check_count,
    check_counts,
    check_number,
    check_positive,
    check_seed,
    settings,
)

LOG_2_PI = float(np.log(2.0 * np.pi))
CRITICS = ("ctd", "martingale", "mean-square-td")


class GaussianPolicy(NamedTuple):
    """N(-gain (x - w), exp(log_variance + growth (T - t)))."""

    gain: float
    log_variance: float
    growth: float


@settings(
    mu=check_number, sigma=check_positive, rate=check_number, horizon=check_positive,
    wealth=check_number, target=check_number, temperature=check_positive,
)  # fmt: skip
@dataclass(frozen=True)
class Market:
    """One stock and a bank account; wealth starts at `wealth`, its mean should reach `target`."""

    mu: float = 0.3
    sigma: float = 0.2
    rate: float = 0.02
    horizon: float = 1.0
    wealth: float = 1.0
    target: float = 1.4
    temperature: float = 0.1

    @property
    def rho(self) -> float:
        """Sharpe ratio of the stock."""
        return (self.mu - self.rate) / self.sigma

    def multiplier(self) -> float:
        """w at which the optimal policy has mean terminal wealth `target`."""
        growth = np.exp(self.rho**2 * self.horizon)
        return float((self.target * growth - self.wealth) / (growth - 1.0))

    def optimal_policy(self) -> GaussianPolicy:
        spread = np.log(self.temperature / (2.0 * self.sigma**2))
        return GaussianPolicy(self.rho / self.sigma, float(spread), self.rho**2)

    def optimal_value(self) -> Array:
        """theta [3] of the optimal cost."""
        lam, rho, t = self.temperature, self.rho, self.horizon
        log = np.log(self.sigma**2 / (np.pi * lam))
        return np.array([0.5 * lam * (rho**2 * t - log), -0.25 * lam * rho**2, rho**2])

    def best_sharpe(self) -> float:
        """sqrt(exp(rho^2 T) - 1): the efficient frontier, out of reach of every strategy."""
        return float(np.sqrt(np.expm1(self.rho**2 * self.horizon)))

    # ---- moments of a policy -----------------------------------------------------------------
    def _second_moment(self, policy: GaussianPolicy, y: Array, ahead: Array) -> Array:
        """E (X_T - w)^2 from x - w = y, `ahead` before the horizon."""
        a, b, c = policy
        k = (self.sigma * a) ** 2 - 2.0 * a * self.rho * self.sigma
        rest = ahead * _relative_growth((k + c) * ahead)
        return y**2 * np.exp(k * ahead) + self.sigma**2 * np.exp(b) * rest

    def value(self, policy: GaussianPolicy, w: float, t: Array, x: Array) -> Array:
        """Exact cost of a policy from (t, x), like t and x."""
        ahead, w = self.horizon - np.asarray(t, np.float64), check_number("w", w)
        entropy = 0.5 * ahead * (LOG_2_PI + 1.0 + policy.log_variance + 0.5 * policy.growth * ahead)
        moment = self._second_moment(policy, np.asarray(x, np.float64) - w, ahead)
        return moment - self.temperature * entropy - (w - self.target) ** 2

    def outcome(
        self, policy: GaussianPolicy, w: float, explore: bool = True
    ) -> tuple[float, float]:
        """Mean and standard deviation of terminal wealth; `explore` False plays the mean action."""
        quiet = policy if explore else policy._replace(log_variance=-np.inf)
        w = check_number("w", w)
        y = self.wealth - w
        mean = y * np.exp(-policy.gain * self.rho * self.sigma * self.horizon)
        square = self._second_moment(quiet, np.array(y), np.array(self.horizon))
        return float(w + mean), float(np.sqrt(max(0.0, float(square) - mean**2)))

    def sharpe(self, policy: GaussianPolicy, w: float, explore: bool = False) -> float:
        """(E X_T - wealth) / deviation of X_T, exactly."""
        mean, deviation = self.outcome(policy, w, explore)
        return (mean - self.wealth) / deviation

    # ---- paths -------------------------------------------------------------------------------
    @settings(steps=check_count, count=check_count)
    def simulate(
        self, policy: GaussianPolicy, w: float, steps: int, count: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """x - w [count, steps + 1], and the standardised actions drawn [count, steps]."""
        dt, w = self.horizon / steps, check_number("w", w)
        ahead = self.horizon - dt * np.arange(steps)
        noise = rng.normal(size=(count, steps))
        moves = self.sigma * (self.rho * dt + np.sqrt(dt) * rng.normal(size=(count, steps)))
        pushes = moves * np.exp(0.5 * (policy.log_variance + policy.growth * ahead)) * noise
        keep = 1.0 - policy.gain * moves
        y = np.empty((steps + 1, count))
        y[0] = self.wealth - w
        for i in range(steps):
            y[i + 1] = keep[:, i] * y[i] + pushes[:, i]
        return y.T.copy(), noise

    @settings(seed=check_seed)
    def paths(self, policy: GaussianPolicy, w: float, steps: int, count: int, seed: int) -> Paths:
        """Paths of wealth with running reward lambda log pi (its mean) and terminal cost, for
        `rlkit.theory.continuous.continuous_time`."""
        y, _ = self.simulate(policy, w, steps, count, np.random.default_rng(seed))
        t = np.linspace(0.0, self.horizon, steps + 1)
        ahead = self.horizon - t[:-1]
        entropy = 0.5 * (LOG_2_PI + 1.0 + policy.log_variance + policy.growth * ahead)
        ends = y[:, -1] ** 2 - (w - self.target) ** 2
        return make_paths(t, y + w, -self.temperature * entropy, ends)

    def value_model(self, w: float) -> ValueModel:
        """J of theta [3], with its gradient."""
        w = check_number("w", w)
        end, shift = self.horizon, (w - self.target) ** 2

        def value(theta: Array, t: Array, x: Array) -> Array:
            square = (x - w) ** 2 * np.exp(-theta[2] * (end - t))
            return square + theta[1] * (t**2 - end**2) + theta[0] * (t - end) - shift

        def gradient(theta: Array, t: Array, x: Array) -> Array:
            square = (x - w) ** 2 * np.exp(-theta[2] * (end - t))
            parts = np.broadcast_arrays(t - end, t**2 - end**2, (t - end) * square)
            return np.stack(parts, -1)

        return ValueModel(value, gradient)


class PortfolioRun(NamedTuple):
    """policy and multiplier learnt, theta [3], and the Sharpe ratio at checkpoints [C]."""

    policy: GaussianPolicy
    w: float
    theta: Array
    sharpe: Array

    def __repr__(self) -> str:
        return brief(self)


@named
@settings(seed=check_seed)
def learn(
    market: Market, critic: str = "ctd", iterations: int = 20_000, *, steps: int = 252,
    batch: int = 128, rate_theta: float = 0.1, rate_phi: float = 0.1, rate_w: float = 0.05,
    decay: float = 0.51, multiplier_every: int = 10, seed: int = 0, checkpoints: int = 20,
) -> PortfolioRun:  # fmt: skip
    """Offline actor-critic from all parameters 0 (w from the target); defaults are the paper's.

    Each iteration draws `batch` paths, moves theta along the critic's estimate and phi along the
    policy gradient E sum grad log pi (dJ + lambda log pi dt), with step sizes j^-decay; every
    `multiplier_every` iterations w moves against the excess of mean wealth over the target.
    Critics: "ctd" (CTD(0)), "martingale" (gradient of the martingale loss), "mean-square-td"
    (gradient of the squared TD error, the criterion that is none). Gradients are averages over
    paths, of norm at most 10. ValueError on unknown critics.
    """
    iterations, steps, batch, multiplier_every, checkpoints = check_counts(
        iterations=iterations,
        steps=steps,
        batch=batch,
        multiplier_every=multiplier_every,
        checkpoints=checkpoints,
    )
    check_choice("critic", critic, CRITICS)
    for name, rate in (("rate_theta", rate_theta), ("rate_phi", rate_phi), ("rate_w", rate_w)):
        check_positive(name, rate, strict=False)
    decay = check_positive("decay", decay, strict=False)
    rng, lam = np.random.default_rng(seed), market.temperature
    theta, phi, w = np.zeros(3), np.zeros(3), market.target
    t = np.linspace(0.0, market.horizon, steps + 1)
    dt, ahead = market.horizon / steps, market.horizon - t[:-1]
    ends: list[float] = []
    marks = np.unique(np.linspace(1, iterations, checkpoints + 1).astype(np.int64)[1:])
    sharpe = []
    for j in range(1, iterations + 1):
        policy = GaussianPolicy(*phi.tolist())
        y, noise = market.simulate(policy, w, steps, batch, rng)
        log_variance = phi[1] + phi[2] * ahead
        log_pi = -0.5 * (LOG_2_PI + log_variance + noise**2)
        model = market.value_model(w)
        value, slope = model.value(theta, t, y + w), model.gradient(theta, t, y + w)
        delta = np.diff(value, axis=1) + lam * log_pi * dt
        if critic == "ctd":
            direction = np.einsum("nkd,nk->d", slope[:, :-1], delta) / batch
        elif critic == "martingale":
            gap = delta[:, ::-1].cumsum(1)[:, ::-1]  # cost to go less J
            direction = np.einsum("nkd,nk->d", slope[:, :-1], gap) * dt / batch
        else:
            # The quadratic variation over the year is of order one, as the other two sums are.
            direction = -np.einsum("nkd,nk->d", np.diff(slope, axis=1), delta) / batch
        score = 0.5 * (noise**2 - 1.0)
        gain = -noise * y[:, :-1] * np.exp(-0.5 * log_variance)
        push = np.array(
            [(gain * delta).sum(), (score * delta).sum(), (score * ahead * delta).sum()]
        )
        theta = theta + rate_theta * j**-decay * _capped(direction)
        phi = phi - rate_phi * j**-decay * _capped(push / batch)
        ends.append(float(y[:, -1].mean()) + w)
        if j % multiplier_every == 0:
            w -= rate_w * j**-decay * (float(np.mean(ends[-multiplier_every:])) - market.target)
        if j in marks:
            sharpe.append(market.sharpe(GaussianPolicy(*phi.tolist()), w))
    return PortfolioRun(GaussianPolicy(*phi.tolist()), w, theta, np.array(sharpe))


def _capped(step: Array, limit: float = 10.0) -> Array:
    """The step, shortened to `limit`: the first paths of a poor policy can be extreme."""
    size = float(np.linalg.norm(step))
    return step if size <= limit else step * (limit / size)


def _relative_growth(x: Array) -> Array:
    """(exp(x) - 1) / x, 1 at 0."""
    x = np.asarray(x, np.float64)
    near = np.abs(x) < 1e-12
    return np.where(near, 1.0, np.expm1(x) / np.where(near, 1.0, x))
