"""Adaptive policies on random means against plain numpy programs of their formulas.

banditbench publishes for ten Bernoulli arms with means U[0, 1] and 500 rounds: Thompson 28.93,
KL-UCB 29.63, UCB-tuned 31.67, Tsallis-INF 46.48. Its rewards are keyed by (arm, n) alone and are
the same in all of its 10 001 runs, so that these are means over one stream of rewards and lie 5 to
20 % off the expectation, which is tested here.
"""

import numpy as np
import pytest

from rlkit.algos.bandits import simulate
from rlkit.envs.bandits.armed import RandomMeans

ARMS, HORIZON = 10, 500


def kl_ucb(wins, pulls, t):
    mean, level = wins / pulls, np.log(t) / pulls
    low, high = mean, np.minimum(1.0, mean + np.sqrt(level / 2))
    p = np.clip(mean, 1e-15, 1 - 1e-15)
    own = p * np.log(p) + (1 - p) * np.log1p(-p)
    for _ in range(14):  # to 1e-4 of a width that is at most 1
        q = np.clip(0.5 * (low + high), 1e-15, 1 - 1e-15)
        inside = own - p * np.log(q) - (1 - p) * np.log1p(-q) <= level
        low, high = np.where(inside, q, low), np.where(inside, high, q)
    return low


def ucb_tuned(wins, pulls, t):
    mean, rate = wins / pulls, np.log(t) / pulls
    return mean + np.sqrt(rate * np.minimum(0.25, mean * (1 - mean) + np.sqrt(2 * rate)))


def by_index(index, runs, rng):
    """Mean pseudo-regret [R] of argmax index(wins, pulls, t), every arm once first."""
    means, row = rng.random((runs, ARMS)), np.arange(runs)
    wins, pulls, regret = np.zeros((runs, ARMS)), np.zeros((runs, ARMS)), np.zeros(runs)
    for t in range(1, HORIZON + 1):
        if t <= ARMS:
            arm = np.full(runs, t - 1)
        else:  # ties are broken at random
            arm = (index(wins, pulls, t) + 1e-9 * rng.random((runs, ARMS))).argmax(1)
        wins[row, arm] += rng.random(runs) < means[row, arm]
        pulls[row, arm] += 1
        regret += means.max(1) - means[row, arm]
    return regret


def by_tsallis(runs, rng):
    """The same of Tsallis-INF with the reduced-variance estimator, its root by bisection."""
    means, row = rng.random((runs, ARMS)), np.arange(runs)
    losses, regret = np.zeros((runs, ARMS)), np.zeros(runs)
    for t in range(1, HORIZON + 1):
        eta = 4 / np.sqrt(t)
        least = losses.min(1, keepdims=True)
        low, high = least - 2 * np.sqrt(ARMS) / eta, least - 2 / eta
        for _ in range(30):
            x = 0.5 * (low + high)
            much = (4 / (eta * (losses - x)) ** 2).sum(1, keepdims=True) > 1
            low, high = np.where(much, low, x), np.where(much, x, high)
        p = 4 / (eta * (losses - x)) ** 2
        p /= p.sum(1, keepdims=True)
        arm = (rng.random((runs, 1)) > p.cumsum(1)[:, :-1]).sum(1)
        loss = 1.0 - (rng.random(runs) < means[row, arm])
        base = 0.5 * (p >= eta**2)
        losses += base
        losses[row, arm] += (loss - base[row, arm]) / p[row, arm]
        regret += means.max(1) - means[row, arm]
    return regret


PROGRAMS = {
    "ts_beta": lambda rng: by_index(lambda w, n, t: rng.beta(1 + w, 1 + n - w), 2000, rng),
    "kl_ucb": lambda rng: by_index(kl_ucb, 700, rng),
    "ucb_tuned": lambda rng: by_index(ucb_tuned, 3000, rng),
    "tsallis_inf": lambda rng: by_tsallis(1000, rng),
}


@pytest.mark.parametrize("policy", PROGRAMS)
def test_regret_on_random_means_equals_plain_numpy(policy):
    found = PROGRAMS[policy](np.random.default_rng(0))
    options = {"reduced_variance": 1} if policy == "tsallis_inf" else {}
    run = simulate(policy, env=RandomMeans(ARMS), runs=10_001, horizon=HORIZON, **options)
    error = np.hypot(found.std() / np.sqrt(len(found)), run.standard_error()[-1])
    assert run.mean()[-1] == pytest.approx(found.mean(), abs=3.5 * error)
    assert error < 0.03 * found.mean()
