"""LOOP with a linear class of values, Q(s, a) + J = features(s, a) . w, for average reward.

Source: "Sample-efficient Learning of Infinite-horizon Average-reward MDPs with General Function
Approximation", its value-based discrepancy l_f'(f, g) = Q_g(s, a) + J_g - r - V_f(s'). The data are
judged anew under the values of every plan, so that no model is needed: the least loss of a plan's
values is that of the ridge regression of r + V(s') on the features.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rlkit.core.jit import njit
from rlkit.keywords import named
from rlkit.theory.learning.regret.loop import LoopRun
from rlkit.theory.learning.replicates import each
from rlkit.theory.learning.sampling import draw, world_of
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.average_reward import relative_value_iteration
from rlkit.theory.returns.laws import Outcomes
from rlkit.theory.streams import stream
from rlkit.theory.validate import (
    as_reals,
    check_choice,
    check_counts,
    check_fraction,
    check_positive,
    check_seed,
    settings,
)

MAX_SWEEPS = 5000


@named
@settings(seed=check_seed)
def loop_linear(
    truth: FiniteMDP | Outcomes, features: Array, horizon: int, span: float, norm: float = 1.0,
    ridge: float = 1.0, delta: float = 0.05, scale: float = 1.0, rule: str = "loss",
    replicates: int = 1, seed: int = 0, checkpoints: int = 16, threads: int = 1,
) -> LoopRun:  # fmt: skip
    """LOOP on features [S, A, d] (np.eye(S * A), reshaped, is the tabular case).

    `span` bounds the span of the bias (it must be at least the true one). With width = span + the
    range of the rewards, `norm` * width bounds |w|, and sqrt(beta) = scale * width * (sqrt(d ln(1 +
    T/ridge) + 2 ln(1/delta)) + sqrt(ridge) norm). Rewards are learnt; their range is known.

    Plans are relaxed: relative value iteration on the regression adds sqrt(beta) |features| in the
    norm of Lambda^-1 to each row, within the range that r + V can have. The regression is a
    contraction for aggregations only, so at most 5000 sweeps are made. `rule` "loss" makes a new
    plan when the excess of its loss over the regression's has grown by 2 beta since it was made
    (the paper's 3 beta, of which a member of the set has at most one when it is chosen), "doubling"
    when det Lambda has doubled. Of an `Outcomes` every step pays the reward of its own outcome.

    Returns a `LoopRun` with held -1 and in_set True throughout: neither is known of a linear class.
    ValueError on unsuitable arguments, and on a truth that lacks an action in a state or ends.
    """
    horizon, replicates, checkpoints, threads = check_counts(
        horizon=horizon, replicates=replicates, checkpoints=checkpoints, threads=threads
    )
    check_fraction("delta", delta, closed=False)
    check_choice("rule", rule, ("loss", "doubling"))
    check_positive("scale", scale)
    check_positive("ridge", ridge)
    check_positive("span", span)
    check_positive("norm", norm)
    m, world = world_of(truth)
    if not m.is_complete or not m.is_stochastic:
        raise ValueError("loop_linear needs every action in every state and no termination")
    shape = (m.num_states, m.num_actions, None)
    phi = np.ascontiguousarray(as_reals("features", features, shape)).reshape(m.num_rows, -1)
    paid = world.out_r if isinstance(truth, Outcomes) else m.r
    lowest, highest = float(paid.min()), float(paid.max())
    root = math.sqrt(phi.shape[1] * math.log(1 + horizon / ridge) + 2 * math.log(1 / delta))
    width = span + highest - lowest
    radius = scale * width * (root + math.sqrt(ridge) * norm)
    steps = np.unique(np.linspace(1, horizon, checkpoints + 1).astype(np.int64)[1:])
    collected = np.zeros((replicates, steps.size))
    switches = np.zeros(replicates, np.int64)
    start = int(np.argmax(m.initial_law()))

    def one(k: int) -> None:
        kernel: Any = _run
        switches[k] = kernel(
            m.num_states, m.num_actions, phi, world, start, lowest, highest, span, ridge, radius,
            rule == "loss", seed, k, steps, collected[k],
        )  # fmt: skip

    each(one, replicates, threads)
    best = relative_value_iteration(m, 1e-11).gain[0]
    unknown, inside = np.full(collected.shape, -1), np.ones(replicates, bool)
    return LoopRun(steps, steps * best - collected, switches, unknown, inside, radius**2)


@njit(cache=True, nogil=True)
def regressed(phi, seen, paid, v):
    """sum phi (r + v(s')) over the data: `seen` [S A, S'] visits, `paid` [S A] sums of rewards."""
    pull = np.zeros(phi.shape[1])
    for i in range(phi.shape[0]):
        target = paid[i] + np.dot(seen[i], v)
        if target != 0.0:
            pull += target * phi[i]
    return pull


@njit(cache=True, nogil=True)
def linear_plan(
    phi, seen, paid, inverse, radius, lowest, highest, span, eps, q, v, policy
):  # fmt: skip
    """Optimistic relative value iteration in place from `v`; returns the sweeps.

    q [S A] is Q + J of the last sweep, within r + V's range; v [S] has the minimum 0 and at most
    the span, policy [S] the actions. Ends when the span of a sweep's change is below `eps`.
    """
    states = v.size
    rows = phi.shape[0]
    actions = rows // states
    size, image = np.empty(rows), np.empty(states)
    for i in range(rows):
        size[i] = radius * math.sqrt(max(np.dot(phi[i], inverse @ phi[i]), 0.0))
    for sweep in range(1, MAX_SWEEPS + 1):
        w = inverse @ regressed(phi, seen, paid, v)
        top, low = highest + v.max(), lowest + v.min()
        for s in range(states):
            best = -np.inf
            for a in range(actions):
                i = s * actions + a
                q[i] = min(top, max(low, np.dot(phi[i], w) + size[i]))
                if q[i] > best:
                    best, policy[s] = q[i], a
            image[s] = best
        image += (v - image) * 0.1  # against cycles
        image -= image.min()
        for s in range(states):
            image[s] = min(image[s], span)
        change = image - v
        if change.max() - change.min() < eps or sweep == MAX_SWEEPS:
            return sweep
        v[:] = image
    return MAX_SWEEPS


@njit(cache=True, nogil=True)
def own_loss(seen, paid, q, v):
    """Squared loss of q as a prediction of r + v(s'), less the sum of the targets' squares."""
    total = 0.0
    for i in range(q.size):
        total += q[i] * (seen[i].sum() * q[i] - 2.0 * (paid[i] + np.dot(seen[i], v)))
    return total


@njit(cache=True, nogil=True)
def _run(
    states, actions, phi, world, start, lowest, highest, span, ridge, radius, by_loss, seed,
    replicate, steps, collected,
):  # fmt: skip
    rng = stream(seed, replicate, 0)
    rows, d = phi.shape
    seen, paid = np.zeros((rows, states)), np.zeros(rows)
    inverse, pull = np.eye(d) / ridge, np.zeros(d)
    q, v, policy = np.zeros(rows), np.zeros(states), np.zeros(states, np.int64)
    linear_plan(phi, seen, paid, inverse, radius, lowest, highest, span, 1e-3, q, v, policy)
    # Losses are less the sum of the targets' squares, which the regression's has as well.
    loss, base, log_growth, switches, s, total, mark = 0.0, 0.0, 0.0, 0, start, 0.0, 0
    for t in range(1, steps[-1] + 1):
        i = s * actions + policy[s]
        target, r = draw(rng, world, i)
        total += r
        seen[i, target] += 1.0
        paid[i] += r
        lead = inverse @ phi[i]
        growth = 1.0 + np.dot(lead, phi[i])
        inverse -= np.outer(lead, lead / growth)
        log_growth += math.log(growth)
        pull += (r + v[target]) * phi[i]
        loss += q[i] * (q[i] - 2.0 * (r + v[target]))
        s = target
        due = log_growth > math.log(2.0)
        if by_loss:
            due = loss + np.dot(pull, inverse @ pull) >= base + 2.0 * radius * radius
        if due:
            switches += 1
            log_growth = 0.0
            eps = max(1e-6, 1.0 / math.sqrt(t * 1.0))
            linear_plan(phi, seen, paid, inverse, radius, lowest, highest, span, eps, q, v, policy)
            pull = regressed(phi, seen, paid, v)
            loss = own_loss(seen, paid, q, v)
            base = loss + np.dot(pull, inverse @ pull)
        if t == steps[mark]:
            collected[mark] = total
            mark += 1
    return switches
