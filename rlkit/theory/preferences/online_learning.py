"""Online convex optimisation by mirror descent: OMD, FTRL, Hedge, optimism, extragradient.

In round t the learner plays x_t, sees a gradient g_t and moves. Optimism adds a guess m_t of g_t
before playing: x_t = argmin eta_t <m_t, x> + D(x, y_t), y_{t+1} = argmin eta_t <g_t, x> + D(x, y_t)
(Rakhlin & Sridharan 2013). With the last gradient as the guess and steps adapted to sum |g_t -
g_{t-1}|^2, the regret under the SEA model is of the order of sqrt(sigma^2_{1:T}) +
sqrt(Sigma^2_{1:T}): i.i.d. and adversarial losses are its two ends (Chen et al. 2023, "Optimistic
OMD for bridging stochastic and adversarial online convex optimisation").

Optimism is not uniformly better: with small i.i.d. noise it pays the noise twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.preferences.mirror_maps import Array, MirrorMap, entropy
from rlkit.theory.validate import as_reals, check_count, check_positive, check_seed, settings

Gradient = Callable[[int, Array], Array]  # (round from 0, point [..., d]) -> [..., d]
StepRule = Callable[[int, Array], Array | float]  # (round from 1, variation [...]) -> [...]
Hint = str | Callable[[int, Array], Array]  # "none", "last", or (round, last gradient) -> [..., d]


class Play(NamedTuple):
    """Points played [T, ..., d] and the gradients seen there [T, ..., d]."""

    points: Array
    gradients: Array

    def __repr__(self) -> str:
        return brief(self)

    def linear_regret(self, mirror: MirrorMap) -> Array:
        """sum_t <g_t, x_t> - min_x sum_t <g_t, x>, [...]: bounds the regret of convex losses."""
        paid = (self.points * self.gradients).sum((0, -1))
        return paid - mirror.best(self.gradients.sum(0))

    @property
    def average(self) -> Array:
        """Mean of the points played."""
        return self.points.mean(0)


def constant(eta: float) -> StepRule:
    """The same step every round."""
    check_positive("eta", eta)
    return lambda t, variation: eta


def decreasing(eta: float) -> StepRule:
    """eta / sqrt(t): no horizon needed."""
    check_positive("eta", eta)
    return lambda t, variation: eta / np.sqrt(t)


def adaptive(diameter: float, gradient_bound: float, smoothness: float = 1.0) -> StepRule:
    """D / sqrt(10 D^2 L^2 + 4 G^2 + sum_{s<t} |g_s - g_{s-1}|^2), the rule of the SEA analysis."""
    check_positive("diameter", diameter)
    check_positive("gradient_bound", gradient_bound)
    check_positive("smoothness", smoothness)
    base = 10.0 * diameter**2 * smoothness**2 + 4.0 * gradient_bound**2
    return lambda t, variation: diameter / np.sqrt(base + variation)


def strongly_convex(modulus: float) -> StepRule:
    """2 / (lambda t) for lambda-strongly convex losses: logarithmic regret."""
    check_positive("modulus", modulus)
    return lambda t, variation: 2.0 / (modulus * t)


def mirror_descent(
    gradient: Gradient, mirror: MirrorMap, steps: StepRule, rounds: int, hint: Hint = "none",
    start: Array | None = None,
) -> Play:  # fmt: skip
    """(Optimistic) online mirror descent. hint "none" is plain OMD, "last" guesses the last g.

    `start` [..., d] sets the first point and the leading shape. The variation handed to `steps`
    is sum_{s<t} |g_s - g_{s-1}|^2 in the map's dual norm (g_0 = 0), whatever the hint.
    """
    rounds = check_count("rounds", rounds)
    guess = _guess(hint)
    anchor = _begin(mirror, start, rounds)
    points, gradients = np.empty((2, rounds, *anchor.shape))
    last, variation = np.zeros_like(anchor), np.zeros(anchor.shape[:-1])
    for t in range(rounds):
        eta = np.asarray(steps(t + 1, variation))[..., None]
        points[t] = x = anchor if hint == "none" else mirror.step(anchor, guess(t, last), eta)
        gradients[t] = g = gradient(t, x)
        anchor = mirror.step(anchor, g, eta)
        variation = variation + mirror.dual_norm(g - last) ** 2
        last = gradients[t]
    return Play(points, gradients)


def follow_regularised_leader(
    gradient: Gradient, mirror: MirrorMap, steps: StepRule, rounds: int, hint: Hint = "none",
    leading: tuple[int, ...] = (),
) -> Play:  # fmt: skip
    """(Optimistic) FTRL: x_t = argmin eta_t <sum_{s<t} g_s + m_t, x> + R(x).

    `leading` is the leading shape of the points. With entropy this is Hedge.
    """
    rounds = check_count("rounds", rounds)
    guess = _guess(hint)
    x = _begin(mirror, np.broadcast_to(mirror.start, (*leading, mirror.start.size)), rounds)
    points, gradients = np.empty((2, rounds, *x.shape))
    total, last = np.zeros_like(x), np.zeros_like(x)
    variation = np.zeros(x.shape[:-1])
    for t in range(rounds):
        eta = np.asarray(steps(t + 1, variation))[..., None]
        points[t] = x = mirror.lead(total + guess(t, last), eta)
        gradients[t] = g = gradient(t, x)
        total = total + g
        variation = variation + mirror.dual_norm(g - last) ** 2
        last = gradients[t]
    return Play(points, gradients)


@named
def hedge(losses: Array, eta: float | None = None, optimistic: bool = False) -> Play:
    """Hedge on a table of losses [T, ..., n], played from uniform weights.

    eta None runs without a horizon, eta_t = sqrt(8 ln n / t): for losses in [0, 1] the regret is
    at most 2 sqrt(T ln(n) / 2) + sqrt(ln(n) / 8). With eta = sqrt(8 ln n / T) it is at most
    sqrt(T ln(n) / 2).
    """
    losses = as_reals("losses", losses)
    if losses.ndim < 2:
        raise ValueError(f"losses must be finite, [T, ..., n], got shape {losses.shape}")
    steps = decreasing(np.sqrt(8.0 * np.log(max(losses.shape[-1], 2)))) if eta is None else (
        constant(eta))  # fmt: skip
    return follow_regularised_leader(
        lambda t, x: losses[t], entropy(losses.shape[-1]), steps, len(losses),
        "last" if optimistic else "none", losses.shape[1:-1],
    )  # fmt: skip


def extragradient(
    operator: Callable[[Array], Array], mirror: MirrorMap, eta: float, rounds: int,
    start: Array | None = None,
) -> Play:  # fmt: skip
    """Mirror-prox: z' = step(z, F(z)), z = step(z, F(z')); returns the trial points z'.

    Solves the variational inequality of a monotone `operator` F; for an L-Lipschitz one take
    eta <= 1/L: the average has gap O(1/T), and the last point converges.
    """
    check_positive("eta", eta)
    rounds = check_count("rounds", rounds)
    anchor = _begin(mirror, start, rounds)
    points, gradients = np.empty((2, rounds, *anchor.shape))
    for t in range(rounds):
        points[t] = mirror.step(anchor, operator(anchor), eta)
        gradients[t] = operator(points[t])
        anchor = mirror.step(anchor, gradients[t], eta)
    return Play(points, gradients)


@settings(size=check_count)
def online_newton(
    gradient: Gradient, size: int, radius: float, curvature: float, gradient_bound: float,
    rounds: int, hint: Hint = "last",
) -> Play:  # fmt: skip
    """Optimistic online Newton step on a ball, for `curvature`-exp-concave losses, points [T, d].

    R_t(x) = |x|^2_{H_t} / 2 with H_t = I + (b/2) G^2 I + (b/2) sum_{s<t} (g_s - m_s)(g_s - m_s)',
    b = min(1 / (4 G D), curvature) / 2; regret O(d log of the variation).
    """
    rounds = check_count("rounds", rounds)
    for name, value in (
        ("radius", radius), ("curvature", curvature), ("gradient_bound", gradient_bound),
    ):  # fmt: skip
        check_positive(name, value)
    guess = _guess(hint)
    beta = 0.5 * min(1.0 / (8.0 * gradient_bound * radius), curvature)
    metric = np.eye(size) * (1.0 + 0.5 * beta * gradient_bound**2)
    anchor, last = np.zeros(size), np.zeros(size)
    points, gradients = np.empty((2, rounds, size))
    for t in range(rounds):
        m = guess(t, last)
        points[t] = _newton_step(metric, anchor, m, radius)
        gradients[t] = g = gradient(t, points[t])
        anchor = _newton_step(metric, anchor, g, radius)
        metric = metric + 0.5 * beta * np.outer(g - m, g - m)
        last = gradients[t]
    return Play(points, gradients)


def dynamic_ensemble(
    gradient: Gradient, mirror: MirrorMap, etas: Array, rounds: int, meta_eta: float
) -> Play:
    """Optimistic OMD at several step sizes, mixed by optimistic Hedge on linearised losses.

    For a comparator that moves no step size is known in advance; the mixture pays for not
    knowing it. Points [T, d]; `etas` is a geometric grid, `meta_eta` the step of the mixture.
    """
    rounds = check_count("rounds", rounds)
    check_positive("meta_eta", meta_eta)
    etas = np.asarray(etas, np.float64)
    if etas.ndim != 1 or not (etas > 0).all():
        raise ValueError("etas must be a list of positive steps")
    anchor = np.tile(mirror.start, (etas.size, 1))  # [k, d]
    score, last = np.zeros(etas.size), np.zeros(mirror.start.size)
    points, gradients = np.empty((2, rounds, mirror.start.size))
    mixer = entropy(etas.size)
    for t in range(rounds):
        base = mirror.step(anchor, last, etas[:, None])
        weights = mixer.lead(score + base @ last, meta_eta)
        points[t] = weights @ base
        gradients[t] = g = gradient(t, points[t])
        score = score + base @ g
        anchor = mirror.step(anchor, g, etas[:, None])
        last = gradients[t]
    return Play(points, gradients)


class QuadraticStream(NamedTuple):
    """Losses f_t(x) = |x - a_t|^2 / 2 with a_t = means[t] + noise, a SEA environment.

    targets [T, ..., d] are what was drawn, means [T, d] what was expected; 1-strongly convex,
    1-smooth.
    """

    targets: Array
    means: Array

    def gradient(self, t: int, x: Array) -> Array:
        return x - self.targets[t]

    def regret(self, points: Array, mirror: MirrorMap) -> Array:
        """Regret [...] against the best fixed point of the set (one projected mean)."""
        best = mirror.lead(-self.targets.mean(0), 1.0)
        paid = 0.5 * ((points - self.targets) ** 2).sum((0, -1))
        return paid - 0.5 * ((best - self.targets) ** 2).sum((0, -1))

    def variance(self) -> Array:
        """sigma^2_{1:T} as drawn: sum_t |a_t - means_t|^2, [...]."""
        lift = self.means.reshape(len(self.means), *[1] * (self.targets.ndim - 2), -1)
        return ((self.targets - lift) ** 2).sum((0, -1))

    def variation(self) -> float:
        """Sigma^2_{1:T} = sum_t |means_t - means_{t-1}|^2, how far the adversary moves."""
        return float((np.diff(self.means, axis=0) ** 2).sum())


@settings(replicates=check_count, seed=check_seed)
def quadratic_stream(
    means: Array, noise: float, seed: int, replicates: int | None = None
) -> QuadraticStream:
    """Gaussian noise of deviation `noise` a coordinate around means [T, d]."""
    means = as_reals("means", means, (None, None))
    noise = check_positive("noise", noise, strict=False)
    shape = means.shape if replicates is None else (len(means), replicates, means.shape[1])
    lift = means if replicates is None else means[:, None]
    drawn = np.random.default_rng(seed).normal(size=shape)
    return QuadraticStream(lift + noise * drawn, means)


def _newton_step(metric: Array, x: Array, g: Array, radius: float) -> Array:
    """argmin <g, y> + |y - x|^2_H / 2 over the ball: one secular equation."""
    free = x - np.linalg.solve(metric, g)
    if np.linalg.norm(free) <= radius:
        return free
    values, basis = np.linalg.eigh(metric)
    along = values * (basis.T @ free)
    low, high = 0.0, float(np.linalg.norm(along)) / radius
    for _ in range(100):  # the multiplier halves its bracket each time
        middle = 0.5 * (low + high)
        if np.linalg.norm(along / (values + middle)) > radius:
            low = middle
        else:
            high = middle
    return basis @ (along / (values + high))


def _guess(hint: Hint) -> Callable[[int, Array], Array]:
    if callable(hint):
        return hint
    if hint not in ("none", "last"):
        raise ValueError(f"hint must be 'none', 'last' or a function, got {hint!r}")
    return (lambda t, last: last) if hint == "last" else (lambda t, last: np.zeros_like(last))


def _begin(mirror: MirrorMap, start: Array | None, rounds: int) -> Array:
    point = mirror.start if start is None else np.asarray(start, np.float64)
    if point.shape[-1] != mirror.start.size:
        raise ValueError(f"start has shape {point.shape}, the set has {mirror.start.size} axes")
    return point
