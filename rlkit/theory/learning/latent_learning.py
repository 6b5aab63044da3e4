"""Learning latent MDPs with the context told in hindsight: value- and model-optimistic.

Counts are kept per context, a new plan is made when a count has doubled. Value-optimism adds a
bonus inside each alpha vector, before beliefs average them; model-optimism lets each context's
transitions move within an entrywise confidence box. Regret is exact: every plan is evaluated on
the true model.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.learning.latent import (
    Ahead,
    BeliefPlanner,
    LatentMDP,
    evaluate_plan,
    optimal_value,
)
from rlkit.theory.learning.regret.optimism import descending, largest_box
from rlkit.theory.mdp import Array
from rlkit.theory.validate import check_count, check_fraction, check_positive, check_seed, settings


class LatentRun(NamedTuple):
    """Cumulative regret [K], the plan's own value [K], number of plans made, optimal value."""

    regret: Array
    planned: Array
    plans: int
    optimal: float

    def __repr__(self) -> str:
        return brief(self)


def value_bonus(p: Array, alpha: Array, count: float, iota: float, support: int) -> float:
    """max(4 sqrt(G Var iota / n), 16 G iota / n) with G the support size; 4^2 <= 16 keeps
    p.alpha + bonus monotone in alpha."""
    n = max(count, 1.0)
    variance = max(0.0, float(p @ alpha**2 - (p @ alpha) ** 2))
    return max(4.0 * math.sqrt(support * variance * iota / n), 16.0 * support * iota / n)


@named
@settings(seed=check_seed)
def learn_latent(
    truth: LatentMDP, episodes: int, method: str = "value", *, scale: float = 1.0,
    delta: float = 0.05, support: int | None = None, seed: int = 0,
) -> LatentRun:  # fmt: skip
    """Regret of `episodes` episodes against the optimal history-dependent policy.

    `method` "value" (bonus inside the alpha vectors) or "model" (boxes |P - Phat| <= 2 sqrt(Phat
    iota / n) + 5 iota / n, chosen anew at every node: a relaxation of the joint problem over
    contexts, hence a heuristic, still optimistic). `scale` multiplies iota = 2 ln(2 M S A H K /
    delta); 1 is theory, 0 certainty equivalence. `support` is Gamma, by default that of the
    truth. Rewards, and the stage count, are known. Total rewards must not exceed 1.
    """
    episodes = check_count("episodes", episodes)
    check_fraction("delta", delta, closed=False)
    check_positive("scale", scale, strict=False)
    if method not in ("value", "model"):
        raise ValueError(f"method must be 'value' or 'model', got {method!r}")
    if truth.largest_return() > 1.0 + 1e-9:
        raise ValueError(
            f"an episode may pay {truth.largest_return():.3g}: scale rewards to totals <= 1"
        )
    contexts, states, actions = truth.shape
    size = int((truth.P > 0).sum(3).max()) if support is None else support
    iota = (
        scale * 2.0 * math.log(2.0 * contexts * states * actions * truth.horizon * episodes / delta)
    )
    rng = np.random.default_rng(seed)
    counts = np.zeros(truth.P.shape)
    seen_contexts, starts = np.zeros(contexts), np.zeros(truth.nu.shape)
    optimal = optimal_value(truth)
    losses, planned = np.empty(episodes), np.empty(episodes)
    trigger: Array | None = None
    plans, planner, value, loss = 0, BeliefPlanner(truth), 0.0, 0.0
    for k in range(episodes):
        totals = counts.sum(3)
        if trigger is None or (totals >= trigger).any() or k in (1, 8, 64, 512):
            model = _empirical(truth, counts, seen_contexts, starts)
            planner = BeliefPlanner(model, _optimism(method, model, totals, iota, size), 1.0)
            value, loss = planner.value(), optimal - evaluate_plan(truth, planner)
            trigger = np.maximum(2.0 * totals, 1.0)
            plans += 1
        losses[k], planned[k] = loss, value
        m = int(rng.choice(contexts, p=truth.w))
        s = int(rng.choice(states, p=truth.nu[m]))
        belief = planner.start(s)
        starts[m, s] += 1.0
        seen_contexts[m] += 1.0
        for h in range(truth.horizon):
            a, _ = planner.decide(h, s, belief)
            s2 = int(rng.choice(states, p=truth.P[m, s, a]))
            belief = planner.update(belief, s, a, float(truth.R[m, s, a]), s2)
            counts[m, s, a, s2] += 1.0  # the context is revealed before the next episode
            s = s2
    return LatentRun(np.cumsum(losses), planned, plans, optimal)


def _empirical(truth: LatentMDP, counts: Array, contexts: Array, starts: Array) -> LatentMDP:
    """Frequencies; rows never tried are uniform, so that no belief collapses on them."""
    states = truth.shape[1]
    total = counts.sum(3, keepdims=True)
    p = np.where(total > 0, counts / np.maximum(total, 1.0), 1.0 / states)
    n = contexts.sum()
    w = contexts / n if n > 0 else np.full(contexts.size, 1.0 / contexts.size)
    first = np.where(
        contexts[:, None] > 0, starts / np.maximum(contexts[:, None], 1.0), 1.0 / states
    )
    return LatentMDP(p, truth.R, w, first, truth.horizon)


def _optimism(method: str, model: LatentMDP, totals: Array, iota: float, support: int) -> Ahead:
    p = model.P

    def by_value(m: int, s: int, a: int, alpha: Array) -> float:
        extra = value_bonus(p[m, s, a], alpha, totals[m, s, a], iota, support)
        return float(p[m, s, a] @ alpha) + extra

    def by_model(m: int, s: int, a: int, alpha: Array) -> float:
        n = max(totals[m, s, a], 1.0)
        radius = 2.0 * np.sqrt(p[m, s, a] * iota / n) + 5.0 * iota / n
        order = np.arange(alpha.size)
        descending(alpha, order)
        return float(largest_box(np.array(p[m, s, a]), radius, np.ascontiguousarray(alpha), order))

    return by_value if method == "value" else by_model
