"""Learners with regret bounds for finite-horizon MDPs, whole replicates inside numba.

UCBVI (Azar, Osband & Munos 2017; CH, BF, and the simple bonus that practice uses), UCB-Q (Jin et
al. 2018; H, B), PSRL, RLSVI, and epsilon-greedy Q-learning to compare with. Regret is exact
pseudo-regret: the policy of every episode is evaluated on the true model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlkit.core.jit import njit
from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.kernels import expectation
from rlkit.theory.learning.regret.episodic_plans import (
    EPS_GREEDY,
    PSRL,
    RLSVI,
    UCB_B,
    UCB_H,
    UCBVI_BF,
    UCBVI_CH,
    UCBVI_SIMPLE,
    optimistic_plan,
    q_update,
    sampled_plan,
)
from rlkit.theory.learning.replicates import each
from rlkit.theory.learning.sampling import draw, world_of
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.finite_horizon import backward_induction
from rlkit.theory.returns.laws import Outcomes
from rlkit.theory.streams import drawn, integer, stream, uniform
from rlkit.theory.validate import (
    check_cap,
    check_choice,
    check_counts,
    check_fraction,
    check_positive,
    check_seed,
    settings,
)

METHODS = {
    "eps-greedy-q": EPS_GREEDY,
    "ucb-h": UCB_H,
    "ucb-b": UCB_B,
    "ucbvi-ch": UCBVI_CH,
    "ucbvi-bf": UCBVI_BF,
    "ucbvi-simple": UCBVI_SIMPLE,
    "psrl": PSRL,
    "rlsvi": RLSVI,
}


@dataclass(frozen=True)
class EpisodicRun:
    """Per replicate and episode, [R, K]: exact value of the policy, realised return, and the
    learner's own (optimistic or sampled) value; `optimal` is the best value of the start."""

    value: Array
    returns: Array
    planned: Array
    optimal: float

    def __repr__(self) -> str:
        return brief(self)

    def regret(self) -> Array:
        """Cumulative pseudo-regret [R, K]."""
        return np.cumsum(self.optimal - self.value, axis=1)


@named
@settings(seed=check_seed)
def learn(
    mdp: FiniteMDP | Outcomes, horizon: int, episodes: int, method: str = "ucbvi-simple", *,
    scale: float = 1.0, v_max: float = math.inf, delta: float = 0.05, epsilon: float = 0.1,
    prior: float | None = None, stage_counts: bool = False, bernoulli: bool = False,
    replicates: int = 1, seed: int = 0, threads: int = 1,
) -> EpisodicRun:  # fmt: skip
    """`episodes` episodes of one learner on `mdp`, starting from its initial law.

    `scale` multiplies theory's bonus (1 is theory; for ucbvi-simple and rlsvi it is kappa).
    Values are capped at min(v_max, H - h). `stage_counts` keeps a model per stage; shared counts
    are right for a stationary model, and every stage's bonus follows them. `prior` is PSRL's
    Dirichlet weight (default 1 / S). Rewards are r(s, a), or Bernoulli of that mean, or of an
    `Outcomes` the reward of each step's own outcome, whose means are learnt. Theory wants them in
    [0, 1]; Beta posteriors use the model's own reward range. Termination is worth 0 and known to
    be. ValueError on unknown methods and unsuitable arguments.
    """
    horizon, episodes, replicates, threads = check_counts(
        horizon=horizon, episodes=episodes, replicates=replicates, threads=threads
    )
    check_fraction("delta", delta, closed=False)
    check_fraction("epsilon", epsilon)
    check_positive("scale", scale, strict=False)
    check_choice("method", method, METHODS)
    v_max = check_cap("v_max", v_max)
    if prior is not None:
        check_positive("prior", prior)
    if bernoulli and not ((mdp.r >= 0) & (mdp.r <= 1)).all():
        raise ValueError("bernoulli rewards need every r(s, a) in [0, 1]")
    if bernoulli and isinstance(mdp, Outcomes):
        raise ValueError("bernoulli is of a row's mean; the outcomes have rewards of their own")
    m, world = world_of(mdp)
    law = m.initial_law()
    shape = (replicates, episodes)
    value, returns, planned = np.empty(shape), np.empty(shape), np.empty(shape)
    # ln(5 S A T / delta) for UCBVI, ln(S A T / delta) for Q-learning.
    constant = 1.0 if method in ("ucb-h", "ucb-b") else 5.0
    iota = math.log(constant * m.num_rows * episodes * horizon / delta)
    paid = mdp.r if isinstance(mdp, Outcomes) else m.r
    low, high = (0.0, 1.0) if bernoulli else (float(paid.min()), float(paid.max()))
    kernel: Any = _run

    def one(k: int) -> None:
        kernel(
            METHODS[method], m.sa_ptr, world, law, horizon, scale, v_max, iota, epsilon,
            1.0 / m.num_states if prior is None else prior, low,
            high if high > low else low + 1.0, not m.is_stochastic, horizon if stage_counts else 1,
            bernoulli, seed, k, value[k], returns[k], planned[k],
        )  # fmt: skip

    each(one, replicates, threads)
    best = float(law @ backward_induction(m, horizon).value[0])
    return EpisodicRun(value, returns, planned, best)


@njit(cache=True, nogil=True)
def exact_value(sa_ptr, row_ptr, col, val, r, policy, epsilon, law, v):
    """Value of the (epsilon-)greedy policy from the initial law, on the true model."""
    horizon, states = policy.shape
    v[horizon] = 0.0
    for h in range(horizon - 1, -1, -1):
        for s in range(states):
            i = policy[h, s]
            total = r[i] + expectation(col, val, row_ptr[i], row_ptr[i + 1], v[h + 1])
            if epsilon > 0.0:
                mean = 0.0
                for j in range(sa_ptr[s], sa_ptr[s + 1]):
                    mean += r[j] + expectation(col, val, row_ptr[j], row_ptr[j + 1], v[h + 1])
                mean /= sa_ptr[s + 1] - sa_ptr[s]
                total = (1.0 - epsilon) * total + epsilon * mean
            v[h, s] = total
    return np.dot(law, v[0])


@njit(cache=True, nogil=True)
def _run(
    method, sa_ptr, model, law, horizon, scale, v_max, iota, epsilon, prior, low, high, may_end,
    groups, bernoulli, seed, replicate, value, returns, planned,
):  # fmt: skip
    row_ptr, col, val, r = model.row_ptr, model.col, model.val, model.r
    states, rows = sa_ptr.size - 1, r.size
    world, mind = stream(seed, replicate, 0), stream(seed, replicate, 1)
    online = method <= UCB_B
    seen, ended = np.zeros((groups, col.size)), np.zeros((groups, rows))
    total, reward_sum = np.zeros((groups, rows)), np.zeros((groups, rows))
    stage_visits = np.zeros((horizon, states))
    count = np.zeros((horizon, rows)) if online else np.zeros((1, 1))
    sums = np.zeros((horizon, rows, 3)) if method == UCB_B else np.zeros((1, 1, 1))
    big = method == PSRL
    sampled = np.zeros((rows, states)) if big else np.zeros((1, 1))
    weights, rewards = np.zeros(states), np.zeros(rows)
    q, v = np.zeros((horizon, rows)), np.zeros((horizon + 1, states))
    true_v = np.zeros((horizon + 1, states))
    policy = np.zeros((horizon, states), np.int64)
    explore = epsilon if method == EPS_GREEDY else 0.0
    for h in range(horizon):
        start = min(v_max, float(horizon if online else horizon - h))
        q[h] = 0.0 if method == EPS_GREEDY else start
        v[h] = 0.0 if method == EPS_GREEDY else start
    for episode in range(value.size):
        if method in (UCBVI_CH, UCBVI_BF, UCBVI_SIMPLE):
            optimistic_plan(
                method, sa_ptr, row_ptr, col, seen, ended, total, reward_sum, stage_visits, v_max,
                iota, scale, q, v, policy,
            )  # fmt: skip
        elif method in (PSRL, RLSVI):
            sampled_plan(
                method, sa_ptr, row_ptr, col, seen, ended, total, reward_sum, low, high, prior,
                may_end, v_max, scale, mind, q, v, policy, weights, sampled, rewards,
            )  # fmt: skip
        else:
            for h in range(horizon):
                for s in range(states):
                    best = sa_ptr[s]
                    for i in range(sa_ptr[s], sa_ptr[s + 1]):
                        if q[h, i] > q[h, best]:
                            best = i
                    policy[h, s] = best
        value[episode] = exact_value(sa_ptr, row_ptr, col, val, r, policy, explore, law, true_v)
        planned[episode] = np.dot(law, v[0])
        s = drawn(world, law)
        collected = 0.0
        for h in range(horizon):
            i = policy[h, s]
            if explore > 0.0 and uniform(mind) < explore:
                i = sa_ptr[s] + integer(mind, sa_ptr[s + 1] - sa_ptr[s])
            target, reward = draw(world, model, i)
            if bernoulli:
                reward = 1.0 if uniform(world) < reward else 0.0
            collected += reward
            g = h if groups > 1 else 0
            stage_visits[h, s] += 1.0
            total[g, i] += 1.0
            reward_sum[g, i] += reward
            if target < 0:
                ended[g, i] += 1.0
            else:
                for k in range(row_ptr[i], row_ptr[i + 1]):
                    if col[k] == target:
                        seen[g, k] += 1.0
            if online:
                count[h, i] += 1.0
                q_update(
                    method, h, i, target, reward, count, sums, q, v, sa_ptr, s, horizon, rows,
                    iota, scale, v_max,
                )  # fmt: skip
            if target < 0:
                break
            s = target
        returns[episode] = collected
