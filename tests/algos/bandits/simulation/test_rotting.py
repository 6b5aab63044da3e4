"""RAW-UCB and FEWA against plain numpy, their reduction to UCB, and regret where arms wear out."""

import math

import numpy as np
import pytest

from rlkit.algos.bandits import simulate
from rlkit.envs.bandits.armed import Armed
from rlkit.envs.bandits.memory import Rotting

# Means that fall in steps, so that windows matter; distinct, so that no two indices tie.
PAYOFFS = np.array(
    [
        [0.9] * 30 + [0.31] * 300,
        [0.62] * 100 + [0.23] * 230,
        np.linspace(0.8, 0.11, 330).tolist(),
    ]
)


def windows(n: int, grid: float) -> list[int]:
    found = [1]
    while found[-1] < n:
        found.append(max(found[-1] + 1, math.ceil(found[-1] * grid)))
    return [h for h in found if h <= n]


def raw_ucb(seen, t, alpha, sigma, grid):
    def index(rewards):
        return min(
            np.mean(rewards[-h:]) + sigma * math.sqrt(2 * alpha * math.log(t) / h)
            for h in windows(len(rewards), grid)
        )

    return int(np.argmax([index(rewards) for rewards in seen]))


def fewa(seen, t, alpha, sigma, grid):
    alive, h = list(range(len(seen))), 1
    while True:
        mean = {a: np.mean(seen[a][-h:]) for a in alive}
        width = sigma * math.sqrt(2 * alpha * math.log(t) / h)
        alive = [a for a in alive if mean[a] >= max(mean.values()) - 2 * width]
        after = max(h + 1, math.ceil(h * grid))
        ended = [a for a in alive if len(seen[a]) < after]
        if len(alive) == 1 or ended:
            return ended or alive
        h = after


@pytest.mark.parametrize("grid", [1.0, 1.5])
def test_raw_ucb_equals_the_numpy_loop(grid):
    env, horizon, arms = Rotting(PAYOFFS, noise="none"), 600, 3
    seen: list[list[float]] = [[] for _ in range(arms)]
    for t in range(1, horizon + 1):
        arm = t - 1 if t <= arms else raw_ucb(seen, t, 0.7, 0.4, grid)
        seen[arm].append(PAYOFFS[arm, min(len(seen[arm]), 329)])
    run = simulate("raw_ucb", env=env, runs=1, horizon=horizon, alpha=0.7, sigma=0.4, grid=grid)
    np.testing.assert_array_equal(run.pulls[0], [len(s) for s in seen])


@pytest.mark.parametrize("grid", [1.0, 2.0])
def test_fewa_plays_an_arm_that_the_numpy_filter_leaves(grid):
    env, horizon, arms = Rotting(PAYOFFS, noise="none"), 400, 3
    run = simulate(
        "fewa", env=env, runs=1, horizon=horizon, alpha=0.1, sigma=0.4, grid=grid,
        checkpoints=np.arange(1, horizon + 1),
    )  # fmt: skip
    played = np.diff(run.mean_pulls, axis=0, prepend=np.zeros((1, arms))).argmax(1)
    seen: list[list[float]] = [[] for _ in range(arms)]
    choices = set()
    for t, arm in enumerate(played, 1):
        if t > arms:
            left = fewa(seen, t, 0.1, 0.4, grid)
            assert arm in left
            choices.add(len(left))
        seen[arm].append(PAYOFFS[arm, min(len(seen[arm]), 329)])
    assert 1 in choices


def test_raw_ucb_on_constant_rewards_is_ucb():
    # Every window has the same mean, so that the whole history gives the least bound.
    env = Armed([0.62, 0.55, 0.31], noise="none")
    raw = simulate("raw_ucb", env=env, runs=1, horizon=3000, alpha=1.3, sigma=0.6)
    ucb = simulate("alpha_ucb", env=env, runs=1, horizon=3000, alpha=4 * 1.3 * 0.6**2)
    np.testing.assert_array_equal(raw.pulls, ucb.pulls)


def test_adaptive_windows_beat_memoryless_means_when_an_arm_breaks_down():
    # Arm 0 is better by 1/2 until a quarter of the horizon has gone to it, and then worse by 1/2.
    horizon = 4000
    payoffs = np.zeros((2, horizon))
    payoffs[0, : horizon // 4], payoffs[0, horizon // 4 :] = 0.5, -0.5
    env = Rotting(payoffs, noise="gaussian", sigma=0.5)
    options = {"alpha_ucb": {"alpha": 1.4}, "ts_gauss": {"sigma": 0.5}}

    def regret(policy, **own):
        return simulate(policy, env=env, runs=30, horizon=horizon, **own).mean()[-1]

    without = min(regret(policy, **own) for policy, own in options.items())
    for policy in ("raw_ucb", "fewa"):
        for grid in (1.0, 2.0):
            assert regret(policy, grid=grid) < 0.1 * without
