from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Weighted
from rlkit.data.sampling.weighting import (
    advantage_weights,
    positive_variance,
    return_weights,
    top_weights,
)
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms


def episodes(returns, lengths, first_obs):
    made = []
    for total, steps, obs in zip(returns, lengths, first_obs, strict=True):
        reward, no = np.zeros(steps), np.zeros(steps, bool)
        reward[0] = total
        path = np.asarray(obs) + np.arange(steps + 1)[:, None]
        made.append(
            {"obs": path, "action": np.zeros((steps, 1)), "reward": reward, "terminated": no,
             "truncated": no}
        )  # fmt: skip
    return EpisodeStore.from_episodes(made)


@pytest.fixture
def two():
    return episodes([0, 1], [990, 10], np.zeros((2, 1)))


@pytest.fixture
def many():
    rng = np.random.default_rng(0)
    return episodes(rng.normal(size=40), rng.integers(1, 9, 40), rng.normal(size=(40, 3)))


def test_a_rare_good_episode_gets_the_mass_of_the_formula(two):
    weights = return_weights(two, 0.1)
    good = weights[990:].sum()
    assert good == pytest.approx(10 * np.exp(10) / (10 * np.exp(10) + 990), rel=1e-12)
    assert good == pytest.approx(0.9955, abs=5e-5)  # 0.01 when uniform
    # the first observations are equal, so the advantage differs from the return by a constant
    np.testing.assert_allclose(advantage_weights(two, 0.1), weights, rtol=1e-9)


@pytest.mark.parametrize("weigh", [return_weights, advantage_weights])
def test_large_alpha_is_uniform_small_alpha_stays_finite(weigh, many):
    np.testing.assert_allclose(weigh(many, np.inf), 1 / len(many), rtol=1e-12)
    np.testing.assert_allclose(weigh(many, 1e9), 1 / len(many), rtol=1e-8)
    greedy = weigh(many, 1e-4)
    assert np.isfinite(greedy).all()
    assert len(set(many.episode[greedy > 1e-12])) == 1
    for alpha in (0.1, 0.2):
        weights = weigh(many, alpha)
        assert weights.sum() == pytest.approx(1, rel=1e-12)
        by_episode = weights[many.starts]
        np.testing.assert_array_equal(weights, by_episode[many.episode])
        assert by_episode.max() / by_episode.min() == pytest.approx(np.exp(1 / alpha), rel=1e-9)


@pytest.mark.parametrize("alpha", [0, -1, np.nan])
def test_alpha_must_be_positive(alpha, many):
    with pytest.raises(ValueError, match="alpha"):
        return_weights(many, alpha)


def test_return_weights_ignore_scale_and_shift_of_returns(many):
    first = many.t == 0
    moved = replace(many, reward=np.where(first, 8 * many.reward - 64, 0))
    np.testing.assert_allclose(return_weights(moved, 0.1), return_weights(many, 0.1), rtol=1e-4)


def test_advantage_weights_ignore_a_linear_function_of_the_first_observation(many):
    slope = np.array([2.0, -1.0, 0.5])
    shift = np.where(many.t == 0, many.obs @ slope + 3, 0)
    moved = replace(many, reward=many.reward + shift)
    np.testing.assert_allclose(
        advantage_weights(moved, 0.1), advantage_weights(many, 0.1), rtol=1e-4
    )
    assert np.abs(return_weights(moved, 0.1) - return_weights(many, 0.1)).max() > 1e-3


def test_advantage_weights_prefer_the_better_of_two_equal_starts():
    # the start explains 10 of the return; within a start the second episode is better by 1
    data = episodes([0, 1, 10, 11], [5, 5, 5, 5], [[0.0], [0.0], [1.0], [1.0]])
    by_episode = advantage_weights(data, 0.1)[data.starts]
    np.testing.assert_allclose(by_episode[[0, 2]], by_episode[0], rtol=1e-6)
    np.testing.assert_allclose(by_episode[[1, 3]], by_episode[0] * np.exp(10), rtol=1e-6)
    assert return_weights(data, 0.1)[data.starts][2] > return_weights(data, 0.1)[data.starts][1]


def test_equal_scores_give_equal_weights():
    flat = episodes([2, 2, 2], [3, 4, 5], np.zeros((3, 1)))
    few = episodes([1, 5], [3, 4], [[0.0], [1.0]])  # the fit passes through both
    for weights in (return_weights(flat, 0.1), advantage_weights(few, 0.1)):
        np.testing.assert_allclose(weights, 1 / len(weights), rtol=1e-12)


def test_top_weights_are_uniform_over_rows_of_the_best_episodes():
    data = episodes([3, 9, 1, 7], [10, 2, 30, 6], np.zeros((4, 1)))
    weights = top_weights(data, 0.5)
    np.testing.assert_allclose(weights[np.isin(data.episode, [1, 3])], 1 / 8)
    assert not weights[np.isin(data.episode, [0, 2])].any()
    np.testing.assert_allclose(top_weights(data, 1.0), 1 / 48)
    assert set(data.episode[top_weights(data, 0.1) > 0]) == {1}


def test_positive_variance_of_a_known_sample():
    data = episodes([0, 0, 0, 4], [1, 1, 1, 1], np.zeros((4, 1)))
    assert positive_variance(data) == pytest.approx(9 / 4)


def test_draws_follow_the_weights_within_three_sigma(two):
    spec = Spec(1, 1)
    replay = Replay.from_store(two, spec, Transforms(action_low=[-1], action_high=[1]))
    mild = return_weights(two, 0.5)
    source = Weighted(replay, 256, Streams((0,)), mild)
    rows = source.indices(0, 400).flatten().numpy()
    p = mild[990:].sum()
    sigma = np.sqrt(p * (1 - p) / len(rows))
    assert abs((rows >= 990).mean() - p) < 3 * sigma
