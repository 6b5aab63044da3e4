"""UCRL2 with L1, Bernstein and KL confidence sets, SCAL's span clip, and PSRL: one loop.

Episodes end when the visits of the current pair in the episode reach its earlier count
(Jaksch, Ortner & Auer 2010). Whole replicates run inside numba on counter-based streams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlkit.core.jit import njit
from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.learning.regret.optimism import descending, largest_box, largest_kl, largest_l1
from rlkit.theory.learning.replicates import each
from rlkit.theory.learning.sampling import draw, world_of
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.average_reward import relative_value_iteration
from rlkit.theory.returns.laws import Outcomes
from rlkit.theory.streams import beta_variate, gamma_variate, stream, uniform
from rlkit.theory.validate import (
    check_cap,
    check_choice,
    check_counts,
    check_fraction,
    check_positive,
    check_seed,
    settings,
)

L1, BERNSTEIN, KL, POSTERIOR = 0, 1, 2, 3
MODES = {"l1": L1, "bernstein": BERNSTEIN, "kl": KL, "psrl": POSTERIOR}


@dataclass(frozen=True)
class RegretCurve:
    """regret [R, C] at steps [C]; episodes [R]; gains [R, E] the planned gain of each episode."""

    steps: Array
    regret: Array
    episodes: Array
    gains: Array
    optimal_gain: float

    def __repr__(self) -> str:
        return brief(self)


@named
@settings(seed=check_seed)
def ucrl(
    mdp: FiniteMDP | Outcomes, horizon: int, radii: str = "l1", delta: float = 0.05,
    scale: float = 1.0, span: float = math.inf, replicates: int = 1, seed: int = 0,
    checkpoints: int = 20, bernoulli: bool = False, threads: int = 1,
) -> RegretCurve:  # fmt: skip
    """Regret T g* - sum r of UCRL2 (`radii` l1, bernstein, kl) or of PSRL ("psrl").

    `scale` multiplies all radii (1 is theory, mode "practical" is below 1); `span` clips
    optimistic values to min + span (SCAL; must be at least the true span). Rewards lie in
    [0, 1]; they are r(s, a), or Bernoulli of that mean, or of an `Outcomes` the reward of each
    step's own outcome, whose means are learnt. PSRL draws Dirichlet(1/S) and Beta(1, 1)
    posteriors and plans exactly. Every action must be feasible in every state.
    """
    horizon, replicates, checkpoints, threads = check_counts(
        horizon=horizon, replicates=replicates, checkpoints=checkpoints, threads=threads
    )
    check_fraction("delta", delta, closed=False)
    check_positive("scale", scale, strict=False)
    check_choice("radii", radii, MODES)
    m, world = world_of(mdp)
    if not m.is_complete or not m.is_stochastic:
        raise ValueError("ucrl needs every action in every state and no termination")
    paid = mdp.r  # of rows, or of outcomes
    if not ((paid >= 0) & (paid <= 1)).all():
        raise ValueError("ucrl needs rewards in [0, 1]; rescale them")
    if bernoulli and isinstance(mdp, Outcomes):
        raise ValueError("bernoulli is of a row's mean; the outcomes have rewards of their own")
    span = check_cap("span", span)
    best = relative_value_iteration(m, 1e-10)
    steps = np.unique(np.linspace(1, horizon, checkpoints + 1).astype(np.int64)[1:])
    start = int(np.argmax(m.initial_law()))
    curve = np.zeros((replicates, steps.size))
    room = int(m.num_rows * max(1.0, math.log2(8 * max(horizon, m.num_rows) / m.num_rows))) + 2
    gains, episodes = np.full((replicates, room), np.nan), np.zeros(replicates, np.int64)

    def one(k: int) -> None:
        run: Any = _run
        episodes[k] = run(
            m.num_states, m.num_actions, world, start, MODES[radii], delta, scale, span, bernoulli,
            seed, k, steps, curve[k], gains[k],
        )  # fmt: skip

    each(one, replicates, threads)
    gain = float(best.gain[0])
    return RegretCurve(steps, steps * gain - curve, episodes, gains[:, : episodes.max()], gain)


@njit(cache=True, nogil=True)
def _plan(p, r, width, reward_width, mode, scale, span, eps, u, order, policy, box):
    """Extended value iteration; the policy attains the last sweep. Returns the planned gain."""
    states, actions = r.shape
    u[:] = 0.0
    image = np.empty(states)
    for _ in range(1_000_000):
        descending(u, order)
        low, high, floor = np.inf, -np.inf, np.inf
        for s in range(states):
            top = -np.inf
            for a in range(actions):
                if mode == L1:
                    ahead = largest_l1(p[s, a], width[s, a], u, order)
                elif mode == BERNSTEIN:
                    for t in range(states):
                        q = p[s, a, t]
                        spread = math.sqrt(14.0 * q * (1.0 - q) * width[s, a])
                        box[t] = scale * (spread + 49.0 / 3.0 * width[s, a])
                    ahead = largest_box(p[s, a], box, u, order)
                elif mode == KL:
                    ahead = largest_kl(p[s, a], width[s, a], u, order)
                else:
                    ahead = 0.0
                    for t in range(states):
                        ahead += p[s, a, t] * u[t]
                    # A sampled model may be nearly periodic: damp it (gain scales by .9).
                    ahead = 0.9 * ahead
                reward = min(1.0, r[s, a] + reward_width[s, a])
                if mode == POSTERIOR:
                    reward = 0.9 * reward
                value = reward + ahead
                if value > top:
                    top = value
                    policy[s] = a
            image[s] = top + (0.1 * u[s] if mode == POSTERIOR else 0.0)
            floor = min(floor, image[s])
        for s in range(states):
            image[s] = min(image[s], floor + span)
            low, high = min(low, image[s] - u[s]), max(high, image[s] - u[s])
        base = image[0]
        for s in range(states):
            u[s] = image[s] - base
        if high - low < eps:
            break
    gain = 0.5 * (low + high)
    return gain / 0.9 if mode == POSTERIOR else gain


@njit(cache=True, nogil=True)
def _sample_model(counts, total, reward_sum, rng, p, r):
    states, actions = r.shape
    for s in range(states):
        for a in range(actions):
            weight = 0.0
            for t in range(states):
                p[s, a, t] = gamma_variate(rng, 1.0 / states + counts[s, a, t])
                weight += p[s, a, t]
            for t in range(states):
                p[s, a, t] = p[s, a, t] / weight if weight > 0.0 else 1.0 / states
            good = reward_sum[s, a]
            r[s, a] = beta_variate(rng, 1.0 + good, 1.0 + total[s, a] - good)


@njit(cache=True, nogil=True)
def _confidence(counts, total, reward_sum, t, mode, delta, scale, p, r, width, reward_width):
    """Empirical model and the radii of theory at time t, times `scale`."""
    states, actions = r.shape
    log_p = math.log(2.0 * actions * t / delta)
    log_b = math.log(2.0 * states * actions * t / delta)
    log_log = math.log(max(math.e, t * 1.0))
    b = math.log(2.0 * math.e * states**2 * actions * log_log / delta)
    kl = states * (b + math.log(b + 1.0 / log_log) * (1.0 + 1.0 / (b + 1.0 / log_log)))
    for s in range(states):
        for a in range(actions):
            n = max(1.0, total[s, a])
            r[s, a] = reward_sum[s, a] / n
            reward_width[s, a] = scale * math.sqrt(3.5 * log_b / n)
            if mode == L1:
                width[s, a] = scale * math.sqrt(14.0 * states * log_p / n)
            elif mode == BERNSTEIN:
                # Empirical Bernstein; its second term wants n - 1, and so has the first, wider.
                width[s, a] = log_b / max(1.0, n - 1.0)
            else:
                width[s, a] = scale * kl / n
            for u in range(states):
                if total[s, a] > 0.0:
                    p[s, a, u] = counts[s, a, u] / n
                else:
                    p[s, a, u] = 1.0 / states
            if total[s, a] == 0.0:
                r[s, a], reward_width[s, a] = 1.0, 0.0
                width[s, a] = 2.0 if mode == L1 else 1e9


@njit(cache=True, nogil=True)
def _run(
    states, actions, model, start, mode, delta, scale, span, bernoulli, seed, replicate,
    steps, curve, gains,
):  # fmt: skip
    """One replicate; collected reward at the checkpoints into `curve`. Returns the episodes."""
    world, mind = stream(seed, replicate, 0), stream(seed, replicate, 1)
    counts = np.zeros((states, actions, states))
    total, inside = np.zeros((states, actions)), np.zeros((states, actions))
    reward_sum = np.zeros((states, actions))
    p, r = np.empty((states, actions, states)), np.empty((states, actions))
    width, reward_width = np.empty((states, actions)), np.zeros((states, actions))
    u, order, box = np.zeros(states), np.arange(states), np.empty(states)
    policy = np.zeros(states, np.int64)
    s, t, collected, episode, mark = start, 1, 0.0, 0, 0
    horizon = steps[-1]
    while t <= horizon:
        if mode == POSTERIOR:
            _sample_model(counts, total, reward_sum, mind, p, r)
        else:
            _confidence(counts, total, reward_sum, t, mode, delta, scale, p, r, width, reward_width)
        gain = _plan(
            p, r, width, reward_width, mode, scale, span, 1.0 / math.sqrt(t), u, order, policy, box
        )
        if episode < gains.size:
            gains[episode] = gain
        episode += 1
        inside[:] = 0.0
        while t <= horizon:
            a = policy[s]
            if inside[s, a] >= max(1.0, total[s, a]):
                break
            row = s * actions + a
            coin = bernoulli and uniform(world) < model.r[row]
            target, reward = draw(world, model, row)
            collected += reward
            if bernoulli:
                reward = 1.0 if coin else 0.0
            inside[s, a] += 1.0
            reward_sum[s, a] += reward
            counts[s, a, target] += 1.0
            s = target
            if t == steps[mark]:
                curve[mark] = collected
                mark += 1
            t += 1
        total += inside
    return episode
