"""Index policies against plain numpy from the formulas, and KL-UCB against a root finder."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.simulation.kl_ucb import bernoulli_kl, kl_upper_bound
from rlkit.envs.bandits.armed import Armed
from rlkit.envs.bandits.dynamics import noisy
from rlkit.envs.bandits.streams import ENVIRONMENT, open_stream, open_substream

SEED, RUN = 11, 0
MEANS = [0.62, 0.55, 0.31, 0.6, 0.05]


def kl(p: float, q: float) -> float:
    p, q = np.clip([p, q], 1e-15, 1 - 1e-15)
    return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))


def kl_ucb_index(mean: float, level: float) -> float:
    return 1.0 if mean >= 1 else brentq(lambda q: kl(mean, q) - level, mean, 1 - 1e-15, xtol=1e-14)


def imed_index(n, mean, best) -> float:
    return -(n * kl(mean, best) + math.log(n))


# name -> (parameters, index(t, T, K, n, mean, variance, best mean))
ORACLES = {
    "ucb1": ({}, lambda t, T, K, n, m, v, b: m + math.sqrt(2 * math.log(t) / n)),
    # The Gaussian divergence (q - m)² / (2 sigma²) at level ln(t) / n: alpha = 4 sigma².
    "alpha_ucb": (
        {"alpha": 4 * 0.4**2},
        lambda t, T, K, n, m, v, b: m + math.sqrt(2 * 0.4**2 * math.log(t) / n),
    ),
    "moss": ({}, lambda t, T, K, n, m, v, b: m + math.sqrt(max(0, math.log(T / (K * n))) / n)),
    "moss_anytime": (
        {"alpha": 1.35},
        lambda t, T, K, n, m, v, b: m + math.sqrt(1.175 * max(0, math.log(t / (K * n))) / n),
    ),
    "greedy": ({}, lambda t, T, K, n, m, v, b: m),
    "ucb_tuned": (
        {},
        lambda t, T, K, n, m, v, b: (
            m + math.sqrt(math.log(t) / n * min(0.25, v + math.sqrt(2 * math.log(t) / n)))
        ),
    ),
    "kl_ucb": ({}, lambda t, T, K, n, m, v, b: kl_ucb_index(m, math.log(t) / n)),
    "kl_ucb_c3": (
        {"c": 3.0},
        lambda t, T, K, n, m, v, b: kl_ucb_index(
            m, (math.log(t) + 3 * math.log(max(math.log(t), 1.0))) / n
        ),
    ),
    "imed": ({}, lambda t, T, K, n, m, v, b: imed_index(n, m, b)),
}


def paired_rewards(env, horizon: int) -> np.ndarray:
    """The n-th reward of every arm [K, T] in the paired mode of `simulate`."""
    flat = env.tables(horizon)
    root, sub = np.empty(2, np.uint64), np.empty(2, np.uint64)
    open_stream(root, SEED, RUN, ENVIRONMENT)
    table = np.empty((flat.arms, horizon))
    for a in range(flat.arms):
        for n in range(horizon):
            open_substream(sub, root, a, n)
            table[a, n] = noisy(flat, flat.first[0, a], sub)
    return table


@pytest.mark.parametrize("name", ORACLES)
def test_every_choice_equals_the_numpy_loop(name):
    parameters, index = ORACLES[name]
    policy = name.removesuffix("_c3")
    # Continuous or distinct fixed rewards, so that no two indices tie.
    noise = "none" if policy in ("kl_ucb", "imed", "ucb_tuned") else "gaussian"
    env, horizon, arms = Armed(MEANS, noise=noise, sigma=0.4), 1500, len(MEANS)
    rewards = paired_rewards(env, horizon)
    seen: list[list[float]] = [[] for _ in range(arms)]
    choices = []
    for t in range(1, horizon + 1):
        if t <= arms:
            arm = t - 1
        else:
            mean = [np.mean(s) for s in seen]
            scores = [
                index(t, horizon, arms, len(s), m, np.var(s), max(mean))
                for s, m in zip(seen, mean, strict=True)
            ]
            arm = int(np.argmax(scores))
        choices.append(arm)
        seen[arm].append(rewards[arm, len(seen[arm])])
    run = simulate(
        policy,
        env=env,
        runs=1,
        horizon=horizon,
        seed=SEED,
        paired=True,
        checkpoints=np.arange(1, horizon + 1),
        **parameters,
    )
    played = np.diff(run.mean_pulls, axis=0, prepend=np.zeros((1, arms))).argmax(1)
    np.testing.assert_array_equal(played, choices)
    gaps = max(MEANS) - np.array(MEANS)
    np.testing.assert_allclose(run.regret[0], np.cumsum(gaps[choices]), atol=1e-9)


def test_kl_ucb_reference_values():
    assert kl_upper_bound(0.5, 0.1) == pytest.approx(0.712879, abs=5e-7)
    assert kl_upper_bound(0.0, 0.1) == pytest.approx(0.0951626, abs=5e-8)
    assert kl_upper_bound(1.0, 0.1) == 1.0
    assert kl_upper_bound(0.3, 0.0) == pytest.approx(0.3, abs=1e-9)


def test_kl_ucb_solves_its_equation_everywhere():
    rng = np.random.default_rng(0)
    means = np.concatenate([rng.random(400), 10.0 ** -rng.uniform(2, 12, 100)])
    means = np.concatenate([means, 1 - means[400:450]])
    for mean, level in zip(means, 10.0 ** rng.uniform(-6, 0.8, means.size), strict=True):
        q = kl_upper_bound(mean, level)
        assert mean <= q <= 1.0
        if q < 1 - 1e-9:
            assert bernoulli_kl(mean, q) == pytest.approx(level, rel=1e-5, abs=1e-11)


def test_bernoulli_kl_against_numpy():
    for p, q in [(0.2, 0.7), (0.0, 0.3), (1.0, 0.3), (0.5, 0.5)]:
        assert bernoulli_kl(p, q) == pytest.approx(kl(p, q), abs=1e-13)
