"""LOOP: optimistic hypothesis sets with lazy switching, for average reward.

Source: "Sample-efficient Learning of Infinite-horizon Average-reward MDPs with General Function
Approximation". A hypothesis keeps being played until its loss exceeds the best one's by 3 beta;
then the most optimistic member of {loss <= best + beta} takes over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlkit.core.jit import njit
from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.learning.sampling import World, draw, world_of
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.average_reward import relative_value_iteration
from rlkit.theory.returns.laws import Outcomes
from rlkit.theory.streams import stream
from rlkit.theory.validate import (
    check_choice,
    check_counts,
    check_fraction,
    check_positive,
    check_seed,
    settings,
)


@dataclass(frozen=True)
class LoopRun:
    """regret [R, C] at steps [C]; switches [R]; held [R, C] the hypothesis played (finite), and
    `in_set` [R]: whether the true model stayed in the confidence set throughout (finite)."""

    steps: Array
    regret: Array
    switches: Array
    held: Array
    in_set: Array
    beta: float

    def __repr__(self) -> str:
        return brief(self)


@named
@settings(seed=check_seed)
def loop_finite(
    truth: FiniteMDP | Outcomes, hypotheses: Sequence[FiniteMDP], horizon: int, true_index: int,
    loss: str = "model", scale: float = 1.0, delta: float = 0.05, replicates: int = 1,
    seed: int = 0, checkpoints: int = 16,
) -> LoopRun:  # fmt: skip
    """LOOP with a finite list of K models, `hypotheses[true_index]` being the truth.

    `loss` is "model" (Bellman error of a model's own prediction under the value in force when
    the transition was seen, O(K) a step) or "value" (O(K^2)). beta = scale * sp^2 ln(K T /
    delta) with sp the largest span of the hypotheses. Ties go to the lowest index. Of an
    `Outcomes` every step pays the reward of its own outcome, and sp is larger by the widest range
    of a row's rewards.
    """
    horizon, replicates, checkpoints = check_counts(
        horizon=horizon, replicates=replicates, checkpoints=checkpoints
    )
    check_fraction("delta", delta, closed=False)
    check_positive("scale", scale)
    models = [m.expanded() for m in hypotheses]
    t, world = world_of(truth)
    shape = (t.num_states, t.num_actions)
    if not t.is_complete:
        raise ValueError("the truth must have every action in every state")
    for k, m in enumerate(models):
        if (m.num_states, m.num_actions) != shape or not m.is_complete:
            raise ValueError(f"hypothesis {k} does not have every one of {shape} states, actions")
    if loss not in ("model", "value"):
        raise ValueError(f"loss must be 'model' or 'value', got {loss!r}")
    if not 0 <= true_index < len(models):
        raise ValueError(f"true_index must lie in 0..{len(models) - 1}, got {true_index}")
    found = [relative_value_iteration(m, 1e-11) for m in models]
    gain = np.array([x.gain[0] for x in found])
    # Equal gains must tie exactly, or noise of 1e-12 would choose between hypotheses.
    gain = np.round(gain, 9)
    value = np.array([x.bias - x.bias.min() for x in found])  # [K, S]
    policy = np.array([x.policy for x in found], np.int64)
    # r + P V is the paper's Q_g + J_g.
    q = np.array([m.q(v, 1.0).reshape(shape) for m, v in zip(models, value, strict=True)])
    ahead = np.array(
        [[m.q(v, 1.0).reshape(shape) for v in value] for m in models]
    )  # [g, f', S, A]: r_g + P_g V_f'
    span = float(np.ptp(value, axis=1).max()) + _spread(world)
    beta = scale * span**2 * math.log(len(models) * horizon / delta)
    steps = np.unique(np.linspace(1, horizon, checkpoints + 1).astype(np.int64)[1:])
    size = (replicates, steps.size)
    collected, held = np.zeros(size), np.zeros(size, np.int64)
    switches, inside = np.zeros(replicates, np.int64), np.zeros(replicates, bool)
    kernel: Any = _run_finite
    start = int(np.argmax(t.initial_law()))
    for k in range(replicates):
        switches[k], inside[k] = kernel(
            t.num_actions, world, start, gain, value, policy, q,
            ahead, loss == "model", beta, true_index, seed, k, steps, collected[k], held[k],
        )  # fmt: skip
    best = relative_value_iteration(t, 1e-11).gain[0]
    return LoopRun(steps, steps * best - collected, switches, held, inside, beta)


def _spread(world: World) -> float:
    """The widest range of rewards of a row; 0 where a row has one."""
    if world.out_ptr.size == 1:
        return 0.0
    starts = world.out_ptr[:-1]
    high, low = np.maximum.reduceat(world.out_r, starts), np.minimum.reduceat(world.out_r, starts)
    return float((high - low).max())


@njit(cache=True, nogil=True)
def _run_finite(
    actions, world, start, gain, value, policy, q, ahead, by_model,
    beta, true_index, seed, replicate, steps, collected, held,
):  # fmt: skip
    rng = stream(seed, replicate, 0)
    count = gain.size
    losses = np.zeros((count, count))  # [f, g]; model-based losses use row 0 only
    s, total, mark, switches, inside = start, 0.0, 0, 0, True
    now = 0
    for g in range(count):
        if gain[g] > gain[now]:
            now = g
    for t in range(1, steps[-1] + 1):
        a = policy[now, s]
        target, r = draw(rng, world, s * actions + a)
        total += r
        if by_model:
            for g in range(count):
                error = ahead[g, now, s, a] - r - value[now, target]
                losses[0, g] += error * error
        else:
            for f in range(count):
                for g in range(count):
                    error = q[g, s, a] - r - value[f, target]
                    losses[f, g] += error * error
        s = target
        at = 0 if by_model else now
        if losses[at, now] - losses[at].min() >= 3.0 * beta:
            best, found = -np.inf, now
            for f in range(count):
                row_of = 0 if by_model else f
                if losses[row_of, f] - losses[row_of].min() <= beta and gain[f] > best:
                    best, found = gain[f], f
            if found != now:
                switches += 1
                now = found
        at = 0 if by_model else true_index
        if losses[at, true_index] - losses[at].min() > beta:
            inside = False
        if t == steps[mark]:
            collected[mark] = total
            held[mark] = now
            mark += 1
    return switches, inside


@named
@settings(seed=check_seed)
def loop_linear_mixture(
    truth: FiniteMDP | Outcomes, features: Array, horizon: int, span: float, norm: float = 1.0,
    ridge: float = 1.0, delta: float = 0.05, scale: float = 1.0, rule: str = "loss",
    replicates: int = 1, seed: int = 0, checkpoints: int = 16,
) -> LoopRun:  # fmt: skip
    """LOOP for linear mixtures P(s'|s,a) = features[s, a, s'] . theta with known rewards.

    `features` [S, A, S, d]; `span` is the assumed bound on the span of the bias (it must be at
    least the true one), `norm` that on |theta|. Least squares on x = sum_s' phi V(s') weighted
    by 1/span^2; sqrt(beta) = scale * (sqrt(d ln(1 + T/ridge) + 2 ln(1/delta)) + sqrt(ridge)
    norm). The optimistic planner adds a bonus to each row separately, which is a relaxation: the
    result need not be a model, but is a parameter for each row. `rule` says when there is a new
    plan: "loss", the paper's, when the excess of the plan's own squared loss over the least
    squares' has grown by 2 beta since it was made (3 beta in all, of which a member of the set has
    at most one when it is chosen; of a relaxed plan each row may have one), "doubling" when det
    Sigma has doubled. Of an `Outcomes` plans know the mean rewards, and every step pays the reward
    of its own outcome.
    """
    check_choice("rule", rule, ("loss", "doubling"))
    horizon, replicates, checkpoints = check_counts(
        horizon=horizon, replicates=replicates, checkpoints=checkpoints
    )
    check_fraction("delta", delta, closed=False)
    check_positive("scale", scale)
    check_positive("ridge", ridge)
    check_positive("span", span)
    check_positive("norm", norm)
    m, world = world_of(truth)
    phi = np.ascontiguousarray(features, np.float64)
    states, actions = m.num_states, m.num_actions
    if phi.ndim != 4 or phi.shape[:3] != (states, actions, states) or not m.is_complete:
        raise ValueError(
            f"features must have shape ({states}, {actions}, {states}, d), got {phi.shape}"
        )
    d = phi.shape[3]
    root = math.sqrt(d * math.log(1 + horizon / ridge) + 2 * math.log(1 / delta))
    radius = scale * (root + math.sqrt(ridge) * norm)
    steps = np.unique(np.linspace(1, horizon, checkpoints + 1).astype(np.int64)[1:])
    collected = np.zeros((replicates, steps.size))
    switches = np.zeros(replicates, np.int64)
    kernel: Any = _run_mixture
    start = int(np.argmax(m.initial_law()))
    for k in range(replicates):
        switches[k] = kernel(
            phi, world, start, span, ridge, radius, rule == "loss", seed, k, steps, collected[k],
        )  # fmt: skip
    best = relative_value_iteration(m, 1e-11).gain[0]
    nobody = np.full(collected.shape, -1)
    return LoopRun(
        steps, steps * best - collected, switches, nobody, np.ones(replicates, bool), radius**2
    )


@njit(cache=True, nogil=True)
def _mixture_plan(phi, rewards, theta, inverse, radius, span, eps, v, policy):
    """Optimistic RVI with row functional <x_v, theta> + radius |x_v| in the Sigma^-1 norm."""
    states, actions, _, d = phi.shape
    x, image = np.empty(d), np.empty(states)
    for _ in range(100_000):
        top_v, low_v = v.max(), v.min()
        for s in range(states):
            best = -np.inf
            for a in range(actions):
                x[:] = 0.0
                for t in range(states):
                    for i in range(d):
                        x[i] += phi[s, a, t, i] * v[t]
                mean, size = 0.0, 0.0
                for i in range(d):
                    mean += x[i] * theta[i]
                    for j in range(d):
                        size += x[i] * inverse[i, j] * x[j]
                # An expectation of v cannot leave its range, whatever the bonus says.
                ahead = min(top_v, max(low_v, mean + radius * math.sqrt(max(size, 0.0))))
                if rewards[s * actions + a] + ahead > best:
                    best = rewards[s * actions + a] + ahead
                    policy[s] = a
            image[s] = 0.9 * best + 0.1 * v[s]
        floor = image.min()
        low, high = np.inf, -np.inf
        for s in range(states):
            image[s] = min(image[s], floor + span)
            low, high = min(low, image[s] - v[s]), max(high, image[s] - v[s])
        for s in range(states):
            v[s] = image[s] - floor
        if high - low < eps:
            break


@njit(cache=True, nogil=True)
def _row_parameters(phi, theta, inverse, radius, v, held):
    """The parameter theta + k Sigma^-1 x / |x|, |k| <= radius, that the plan gives to each row."""
    states, actions, _, _ = phi.shape
    top, low = v.max(), v.min()
    for s in range(states):
        for a in range(actions):
            x = v @ phi[s, a]
            lead = inverse @ x
            size = math.sqrt(max(np.dot(lead, x), 0.0))
            held[s * actions + a] = theta
            if size > 0.0:
                mean = np.dot(x, theta)
                k = (min(top, max(low, mean + radius * size)) - mean) / size
                held[s * actions + a] += k / size * lead


@njit(cache=True, nogil=True)
def _run_mixture(
    phi, world, start, span, ridge, radius, by_loss, seed, replicate, steps, collected
):  # fmt: skip
    rewards = world.r
    states, actions, _, d = phi.shape
    rng = stream(seed, replicate, 0)
    inverse, pull = np.eye(d) / ridge, np.zeros(d)
    theta, x, w = np.zeros(d), np.empty(d), np.empty(d)
    v, policy = np.zeros(states), np.zeros(states, np.int64)
    log_growth, switches, s, total, mark = 0.0, 0, start, 0.0, 0
    # The first plan knows nothing: v = 0 gives no bonus, so start from the widest one.
    for t in range(states):
        v[t] = span * rewards[t * actions : (t + 1) * actions].max()
    _mixture_plan(phi, rewards, theta, inverse, radius, span, 1e-3, v, policy)
    # Of every row its plan's parameter, and the squares and products of its data.
    rows = states * actions if by_loss else 0
    held, row_gram, row_pull = np.zeros((rows, d)), np.zeros((rows, d, d)), np.zeros((rows, d))
    loss, base = 0.0, 0.0  # less the sum of y^2, which the least squares' loss has as well
    if by_loss:
        _row_parameters(phi, theta, inverse, radius, v, held)
    for t in range(1, steps[-1] + 1):
        row = s * actions + policy[s]
        target, paid = draw(rng, world, row)
        total += paid
        x[:] = 0.0
        for j in range(states):
            for i in range(d):
                x[i] += phi[s, policy[s], j, i] * v[j] / span
        y = v[target] / span
        size = 0.0
        for i in range(d):
            w[i] = 0.0
            for j in range(d):
                w[i] += inverse[i, j] * x[j]
            size += w[i] * x[i]
        for i in range(d):
            pull[i] += x[i] * y
            for j in range(d):
                inverse[i, j] -= w[i] * w[j] / (1.0 + size)
        log_growth += math.log(1.0 + size)
        s = target
        due = log_growth > math.log(2.0)
        if by_loss:
            row_pull[row] += y * x
            row_gram[row] += np.outer(x, x)
            guess = np.dot(held[row], x)
            loss += guess * (guess - 2.0 * y)
            due = loss + np.dot(pull, inverse @ pull) >= base + 2.0 * radius * radius
        if due:
            log_growth = 0.0
            switches += 1
            theta[:] = 0.0
            for i in range(d):
                for j in range(d):
                    theta[i] += inverse[i, j] * pull[j]
            eps = max(1e-6, 1.0 / math.sqrt(t * 1.0))
            _mixture_plan(phi, rewards, theta, inverse, radius, span, eps, v, policy)
            if by_loss:
                _row_parameters(phi, theta, inverse, radius, v, held)
                loss = 0.0
                for i in range(rows):
                    loss += np.dot(held[i], row_gram[i] @ held[i] - 2.0 * row_pull[i])
                base = loss + np.dot(pull, theta)
        if t == steps[mark]:
            collected[mark] = total
            mark += 1
    return switches
