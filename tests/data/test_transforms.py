from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from rlkit.data.transforms import Transforms


def test_the_default_changes_nothing():
    tf, x = Transforms(), np.array([1, 200], np.uint8)
    assert tf.obs(x) is x
    assert tf.reward(2.5) == 2.5
    assert tf.to_env(np.array(3)) == 3
    assert tf.to_agent(np.array(3)) == 3


def test_observations_are_standardised_and_constant_dimensions_stay_finite(store):
    data = store(lengths=(200, 100), ends=("truncated", "open"))
    obs = data.obs * [3, 1, 0] + [5, -1, 7]
    data = replace(data, obs=obs)
    tf = Transforms.fit(data, (-1, 1), normalise_obs=True)
    np.testing.assert_allclose(tf.obs_std, obs.std(0) + 1e-3)
    scaled = tf.obs(obs)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(0), [1, 1, 0], atol=2e-3)
    assert tf.obs(obs.astype(np.float32)).dtype == np.float32
    np.testing.assert_array_equal(tf.obs(obs[4]), scaled[4])  # one observation as a batch of them


def test_return_range_makes_returns_span_a_thousand(store):
    data = store()
    tf = Transforms.fit(data, (-1, 1), reward="return_range")
    totals = np.add.reduceat(tf.reward(data.reward).astype(float), data.starts)
    assert np.ptp(totals) == pytest.approx(1000, rel=1e-5)
    assert tf.reward_bias == 0
    assert Transforms.fit(data, (-1, 1)).reward_scale == 1
    minus_one = Transforms.fit(data, (-1, 1), reward="minus_one")
    np.testing.assert_allclose(minus_one.reward(np.array([0.0, 1.0])), [-1, 0])
    flat = replace(data, reward=np.zeros(17))
    with pytest.raises(ValueError, match="same return"):
        Transforms.fit(flat, (-1, 1), reward="return_range")
    with pytest.raises(ValueError, match="use 'raw'"):
        Transforms.fit(data, (-1, 1), reward="scaled")


def test_actions_go_to_the_unit_box_and_back():
    low, high = np.array([-2.0, 0.0, -0.4]), np.array([2.0, 10.0, 0.4])
    tf = Transforms(action_low=low, action_high=high)
    a = np.random.default_rng(0).uniform(low, high, (1000, 3))
    np.testing.assert_allclose(tf.to_env(tf.to_agent(a)), a, atol=1e-4)
    np.testing.assert_allclose(tf.to_agent(np.array([0.0, 5.0, 0.0])), 0, atol=1e-15)
    edge = tf.to_agent(np.stack([low, high]))  # finite after atanh
    np.testing.assert_allclose(edge, [[-(1 - 1e-5)] * 3, [1 - 1e-5] * 3], rtol=1e-15)
    assert np.abs(np.arctanh(tf.to_agent(high.astype(np.float32)))).max() < 7
    far = tf.to_env(np.array([[-9.0, 9.0, 1.0]], np.float32))  # never outside the box
    np.testing.assert_array_equal(far, np.array([[-2.0, 10.0, 0.4]], np.float32))
    assert far.dtype == np.float32


def test_numbers_survive_json_exactly(store):
    tf = Transforms.fit(store(), (-1, 1.1), normalise_obs=True, reward="return_range")
    again = Transforms.from_state(json.loads(json.dumps(tf.state())))
    for name in ("obs_mean", "obs_std", "action_low", "action_high"):
        np.testing.assert_array_equal(getattr(tf, name), getattr(again, name), strict=True)
    assert again.reward_scale == tf.reward_scale
    plain = Transforms.from_state(json.loads(json.dumps(Transforms().state())))
    assert plain.obs_mean is None
    assert plain.action_low is None
    with pytest.raises(ValueError, match="transforms have entries"):
        Transforms.from_state({"obs_mean": None})


def test_one_bound_serves_all_dimensions_and_data_outside_is_refused(store):
    tf = Transforms.fit(store(), (-1, 1))
    assert tf.action_low.tolist() == [-1, -1]
    with pytest.raises(ValueError, match="outside the bounds"):
        Transforms.fit(store(), (-0.5, 0.5))
    with pytest.raises(ValueError, match="need action_bounds"):
        Transforms.fit(store(), None)
    choices = Transforms.fit(store(actions=4), None)
    assert choices.to_agent(np.array([3])).tolist() == [3]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"action_low": [-np.inf], "action_high": [1]}, "must be finite"),
        ({"action_low": [1], "action_high": [1]}, "low must be below high"),
        ({"action_low": [0]}, "given together"),
        ({"obs_mean": [0, 0], "obs_std": [1]}, "given together and alike"),
        ({"obs_mean": [0], "obs_std": [0]}, "obs_std must be positive"),
        ({"reward_scale": 0}, "reward scale 0 must be positive"),
        ({"reward_bias": np.nan}, "bias nan finite"),
    ],
)
def test_unusable_numbers_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Transforms(**given)
