"""Batched contextual environments and the flat tables of the armed ones."""

from itertools import product

import numpy as np
import pytest

from rlkit.envs.bandits.armed import Armed, RandomMeans, Switching
from rlkit.envs.bandits.contextual import Classification, LinearContexts, TabularContexts
from rlkit.envs.bandits.dynamics import best_mean, noisy, reset_memory
from rlkit.envs.bandits.exact import best_tallying_loss
from rlkit.envs.bandits.memory import Tallying
from rlkit.envs.bandits.streams import ENVIRONMENT, open_stream


def test_tabular_contexts_show_the_row_of_the_context():
    means, rng = np.array([[0.1, 0.9], [0.7, 0.2], [0.5, 0.5]]), np.random.default_rng(0)
    env = TabularContexts(means, availability=0.5)
    obs, expected = env.draw(0, 4000, rng)
    np.testing.assert_array_equal(means[obs.context.argmax(1)], expected)
    assert np.bincount(obs.context.argmax(1)).min() > 1200
    assert obs.mask.any(1).all()
    assert 0.6 < obs.mask.mean() < 0.9
    assert env.sample(expected, rng).mean(0) == pytest.approx(expected.mean(0), abs=0.03)


def test_linear_contexts_have_linear_means():
    rng = np.random.default_rng(1)
    shared = LinearContexts([0.5, -1.0, 0.2], size_arms=4)
    obs, means = shared.draw(0, 5, rng)
    assert obs.context.shape == (5, 4, 3)
    np.testing.assert_allclose(means, obs.context @ [0.5, -1.0, 0.2])
    theta = rng.standard_normal((2, 3))
    obs, means = LinearContexts(theta).draw(0, 6, rng)
    np.testing.assert_allclose(means, obs.context @ theta.T)
    noise = LinearContexts(theta, sigma=0.3).sample(np.zeros((5000, 2)), rng)
    assert noise.std() == pytest.approx(0.3, rel=0.05)


def test_classification_rewards_the_label():
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 2, 1, 1, 0, 2])
    env = Classification(x, y)
    obs, means = env.draw(0, 50, np.random.default_rng(2))
    rows = (obs.context[:, 0] / 2).astype(int)
    np.testing.assert_array_equal(means.argmax(1), y[rows])
    assert env.arms == 3
    assert (means.sum(1) == 1).all()


def test_random_means_are_uniform_and_belong_to_the_run():
    env, stream = RandomMeans(3, 0.2, 0.6).tables(10), np.empty(2, np.uint64)
    drawn = np.empty((2000, 3))
    for run in range(2000):
        open_stream(stream, 0, run, ENVIRONMENT)
        reset_memory(env, drawn[run], np.empty(3, np.int64), stream)
    assert drawn.min() >= 0.2
    assert drawn.max() <= 0.6
    assert drawn.mean(0) == pytest.approx([0.4] * 3, abs=0.01)
    assert best_mean(env, 1, drawn[0]) == drawn[0].max()


@pytest.mark.parametrize(("noise", "spread"), [("bernoulli", 0.4583), ("gaussian", 0.25)])
def test_noise_has_the_right_mean_and_spread(noise, spread):
    env, stream = Armed([0.3], noise, 0.25).tables(1), np.empty(2, np.uint64)
    open_stream(stream, 1, 0, ENVIRONMENT)
    x = np.array([noisy(env, 0.3, stream) for _ in range(20_000)])
    assert x.mean() == pytest.approx(0.3, abs=0.012)
    assert x.std() == pytest.approx(spread, rel=0.03)


def test_tallying_optimum_by_brute_force():
    losses = np.array([[0.9, 0.1, 0.8], [0.3, 0.6, 0.2]])
    env = Tallying(losses, [1.0, 1.0], noise="none")

    def loss(plays):
        total = 0.0
        for t, arm in enumerate(plays):
            tally = 1 + (t > 0 and plays[t - 1] == arm)
            total += losses[arm, tally]
        return total

    for horizon in (1, 2, 5, 8):
        brute = min(loss(p) for p in product(range(2), repeat=horizon))
        assert best_tallying_loss(env, horizon) == pytest.approx(brute)


def test_correction_of_switching_means():
    env = Switching([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], [1, 4, 6])
    # best of every round: 3, then 5, then 5.5; best fixed arm: 3, then 3 (arm 0), then 3.5
    np.testing.assert_allclose(env.correction(np.array([3, 5, 6])), [0.0, 2.0, 2.0])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TabularContexts([[0.2, 1.2]]), r"means\[0, 1\] is 1.2"),
        (lambda: TabularContexts([[0.2]], availability=0.0), "availability is 0"),
        (lambda: LinearContexts([0.1, np.inf], size_arms=2), "theta must be finite"),
        (lambda: LinearContexts([0.1, 0.2]), "size_arms belongs"),
        (lambda: Classification([[0.1], [np.nan]], [0, 1]), r"features\[1, 0\] is nan"),
        (lambda: Classification([[0.1], [0.2]], [0.5, 1.0]), "labels must be integers"),
        (lambda: Classification([[0.1], [0.2]], [0, -1]), "label of row 1 is negative"),
        (lambda: RandomMeans(2, 0.6, 0.4).tables(5), "need 0 <= low <= high"),
        (lambda: RandomMeans(0).tables(5), "arms is 0"),
        (lambda: Armed([0.1], sigma=-1.0).tables(5), "sigma is -1"),
    ],
)
def test_bad_environments_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
