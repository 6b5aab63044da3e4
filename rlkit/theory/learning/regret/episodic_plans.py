"""Planning steps of the episodic learners: one backward pass over the empirical model.

Counts live in the shape of the true model's CSR (`seen[g, k]` for entry k, `ended[g, row]` for
termination; g is the stage, or 0 when counts are shared over stages). Only observed successors
enter a plan; the shape is storage, not knowledge.
"""

import math

import numpy as np

from rlkit.core.jit import njit
from rlkit.theory.streams import beta_variate, gamma_variate, normal

EPS_GREEDY, UCB_H, UCB_B, UCBVI_CH, UCBVI_BF, UCBVI_SIMPLE, PSRL, RLSVI = range(8)


@njit(cache=True, nogil=True)
def bonus(method, n, variance, rare, horizon, v_cap, iota, scale):
    """Exploration bonus of a row seen n > 0 times; `rare` is UCBVI-BF's third sum."""
    if method == UCBVI_CH:
        return scale * 7.0 * horizon * iota / math.sqrt(n)
    if method == UCBVI_BF:
        main = math.sqrt(8.0 * iota * variance / n) + 14.0 * horizon * iota / (3.0 * n)
        return scale * (main + math.sqrt(8.0 * rare / n))
    if method == UCBVI_SIMPLE:
        return scale / math.sqrt(n) + v_cap / n
    return 0.0


@njit(cache=True, nogil=True)
def optimistic_plan(
    method, sa_ptr, row_ptr, col, seen, ended, total, reward_sum, stage_visits, v_max, iota, scale,
    q, v, policy,
):  # fmt: skip
    """UCBVI: Q_h = min(old Q_h, cap, r + P V + bonus), unvisited rows at the cap H - h."""
    horizon, states = policy.shape
    rows = total.shape[1]
    v[horizon] = 0.0
    reach = 1e4 * horizon**3 * states * rows * iota * iota  # 100^2 H^3 S^2 A iota^2
    for h in range(horizon - 1, -1, -1):
        g = h if total.shape[0] > 1 else 0
        cap = min(v_max, float(horizon - h))
        for s in range(states):
            best = -np.inf
            for i in range(sa_ptr[s], sa_ptr[s + 1]):
                n = total[g, i]
                value = cap
                if n > 0.0:
                    mean, square, rare = 0.0, 0.0, 0.0
                    for k in range(row_ptr[i], row_ptr[i + 1]):
                        p = seen[g, k] / n
                        if p > 0.0:
                            ahead = v[h + 1, col[k]]
                            mean += p * ahead
                            square += p * ahead * ahead
                            if method == UCBVI_BF:
                                visits = 0.0
                                if h + 1 < horizon:
                                    visits = stage_visits[h + 1, col[k]]
                                rare += p * min(reach / max(visits, 1.0), float(horizon) ** 2)
                    variance = max(0.0, square - mean * mean)
                    extra = bonus(method, n, variance, rare, horizon, cap, iota, scale)
                    value = min(cap, reward_sum[g, i] / n + mean + extra)
                    if method in (UCBVI_CH, UCBVI_BF):
                        value = min(value, q[h, i])
                q[h, i] = value
                if value > best:
                    best = value
                    policy[h, s] = i
            v[h, s] = best


@njit(cache=True, nogil=True)
def sampled_plan(
    method, sa_ptr, row_ptr, col, seen, ended, total, reward_sum, low, high, prior, may_end, v_max,
    scale, rng, q, v, policy, weights, sampled, rewards,
):  # fmt: skip
    """PSRL (a Dirichlet and Beta draw, planned exactly) or RLSVI (Gaussian noise on rewards).

    The Dirichlet prior puts `prior` on every state, and on termination if any row `may_end`. A
    stationary model is drawn once; counts kept per stage are drawn per stage.
    """
    horizon, states = policy.shape
    v[horizon] = 0.0
    groups = total.shape[0]
    for h in range(horizon - 1, -1, -1):
        g = h if groups > 1 else 0
        cap = min(v_max, float(horizon - h))
        draw = method == PSRL and (groups > 1 or h == horizon - 1)
        for s in range(states):
            best = -np.inf
            for i in range(sa_ptr[s], sa_ptr[s + 1]):
                n = total[g, i]
                if method == PSRL:
                    if draw:
                        mass = gamma_variate(rng, prior + ended[g, i]) if may_end else 0.0
                        weights[:] = prior
                        for k in range(row_ptr[i], row_ptr[i + 1]):
                            weights[col[k]] += seen[g, k]
                        for t in range(states):
                            sampled[i, t] = gamma_variate(rng, weights[t])
                            mass += sampled[i, t]
                        for t in range(states):
                            sampled[i, t] = sampled[i, t] / mass if mass > 0.0 else 0.0
                        good = (reward_sum[g, i] - n * low) / (high - low)
                        unit = beta_variate(rng, 1.0 + max(good, 0.0), 1.0 + max(n - good, 0.0))
                        rewards[i] = low + (high - low) * unit
                    value = rewards[i]
                    for t in range(states):
                        value += sampled[i, t] * v[h + 1, t]
                else:
                    value = 0.0
                    if n > 0.0:
                        value = reward_sum[g, i] / n
                        for k in range(row_ptr[i], row_ptr[i + 1]):
                            value += seen[g, k] / n * v[h + 1, col[k]]
                    else:
                        for t in range(states):
                            value += v[h + 1, t] / states
                    size = max(n, 1.0)
                    value += normal(rng) * (scale / math.sqrt(size) + cap / size)
                    value = max(-cap, min(cap, value))
                q[h, i] = value
                if value > best:
                    best = value
                    policy[h, s] = i
            v[h, s] = best


@njit(cache=True, nogil=True)
def q_update(
    method, h, i, target_state, reward, count, sums, q, v, sa_ptr, s, horizon, size, iota, scale,
    v_max,
):  # fmt: skip
    """One step of finite-horizon Q-learning: UCB-H, UCB-B (Jin et al. 2018) or plain.

    `sums[0..2]` of the row hold the sum, square sum of V and the last beta for UCB-B. Updates
    q[h, i] and v[h, s] in place.
    """
    t = count[h, i]
    alpha = (horizon + 1.0) / (horizon + t)
    ahead = v[h + 1, target_state] if target_state >= 0 else 0.0
    extra = 0.0
    if method == UCB_H:
        extra = scale * math.sqrt(horizon**3 * iota / t)
    elif method == UCB_B:
        sums[h, i, 0] += ahead
        sums[h, i, 1] += ahead * ahead
        spread = max(0.0, sums[h, i, 1] / t - (sums[h, i, 0] / t) ** 2)
        tight = math.sqrt(horizon / t * (spread + horizon) * iota)
        tight += math.sqrt(float(horizon) ** 7 * size) * iota / t
        beta = scale * min(tight, math.sqrt(horizon**3 * iota / t))
        extra = (beta - (1.0 - alpha) * sums[h, i, 2]) / (2.0 * alpha)
        sums[h, i, 2] = beta
    q[h, i] += alpha * (reward + ahead + extra - q[h, i])
    best = -np.inf
    for j in range(sa_ptr[s], sa_ptr[s + 1]):
        best = max(best, q[h, j])
    v[h, s] = min(min(v_max, float(horizon)), best) if method != EPS_GREEDY else best
