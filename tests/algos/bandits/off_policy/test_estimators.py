"""Estimators against exact enumeration: one context, two arms, Bernoulli rewards."""

import numpy as np
import pytest

from rlkit.algos.bandits.off_policy.estimators import (
    ESTIMATORS,
    influence,
    round_values,
    shrunk,
    sub_gaussian,
    switched,
)

BEHAVIOUR, TARGET, MEAN = np.array([0.8, 0.2]), np.array([0.3, 0.7]), np.array([0.2, 0.6])
VALUE = 0.48
# Every (action, reward) with its probability.
ACTION = np.array([0, 0, 1, 1])
REWARD = np.array([0.0, 1.0, 0.0, 1.0])
CHANCE = BEHAVIOUR[ACTION] * np.where(REWARD == 1, MEAN[ACTION], 1 - MEAN[ACTION])
W = (TARGET / BEHAVIOUR)[ACTION]


def moments(name, q=None, c=None):
    """Exact mean and variance of a row's value."""
    if q is None:
        values = round_values(name, REWARD, W, c=c)
    else:
        q = np.asarray(q)
        values = round_values(name, REWARD, W, q[ACTION], np.full(4, TARGET @ q), c)
    mean = CHANCE @ values
    return mean, CHANCE @ (values - mean) ** 2


def test_weights_of_the_instance():
    np.testing.assert_allclose(W, [0.375, 0.375, 3.5, 3.5])


@pytest.mark.parametrize(
    ("name", "q", "variance"),
    [
        ("ips", None, 1.2621),
        ("dr", MEAN, 0.6060),
        ("dr", (0.5, 0.5), 0.640225),
        ("dr", (0.0, 0.0), 1.2621),
    ],
)
def test_exact_variance_of_unbiased_estimators(name, q, variance):
    mean, found = moments(name, q)
    assert mean == pytest.approx(VALUE)
    assert found == pytest.approx(variance, abs=1e-10)


def test_exact_bias_of_clipping_switching_and_shrinking():
    assert moments("clipped_ips", c=2.0)[0] - VALUE == pytest.approx(-0.18)
    assert moments("switch_dr", (0.5, 0.5), 2.0)[0] == pytest.approx(0.41)
    np.testing.assert_allclose(shrunk(np.array([0.375, 3.5]), 4.0), [0.362264, 0.861538], atol=1e-6)
    assert moments("dros", (0.5, 0.5), 4.0)[0] == pytest.approx(0.430287, abs=1e-6)


def test_shrunk_weights_are_bounded():
    w = np.geomspace(1e-3, 1e4, 500)
    for c in (0.1, 4.0, 100.0):
        assert (shrunk(w, c) <= w).all()
        assert shrunk(w, c).max() == pytest.approx(np.sqrt(c) / 2, rel=1e-3)


def test_limits_of_the_constants():
    q = (0.5, 0.1)
    dr, dm = moments("dr", q), moments("dm", q)
    assert dm == pytest.approx((TARGET @ np.array(q), 0.0))
    for name, to_dr, to_dm in (
        ("switch_dr", np.inf, 0.0),
        ("dros", np.inf, 0.0),
        ("clipped_dr", np.inf, 0.0),
        ("sub_dr", 0.0, None),
    ):
        assert moments(name, q, to_dr) == pytest.approx(dr)
        if to_dm is not None:
            assert moments(name, q, to_dm) == pytest.approx(dm)
    assert moments("clipped_ips", c=np.inf) == pytest.approx(moments("ips"))
    assert moments("sub_ips", c=0.0) == pytest.approx(moments("ips"))
    np.testing.assert_allclose(sub_gaussian(W, 1.0), 1.0)  # all weights one: the log's own mean
    np.testing.assert_allclose(switched(W, 3.5), W)
    np.testing.assert_allclose(switched(W, 3.49), [0.375, 0.375, 0, 0])


def sample(n=500, seed=0):
    rng = np.random.default_rng(seed)
    action = rng.choice(2, n, p=BEHAVIOUR)
    reward = (rng.random(n) < MEAN[action]).astype(float)
    return action, reward, (TARGET / BEHAVIOUR)[action]


def test_a_model_of_zeros_turns_dr_into_ips():
    _, reward, w = sample()
    zero = np.zeros(len(w))
    for with_model, without in (("dr", "ips"), ("sndr", "snips"), ("clipped_dr", "clipped_ips")):
        c = 1.5 if "clipped" in with_model else None
        np.testing.assert_allclose(
            round_values(with_model, reward, w, zero, zero, c),
            round_values(without, reward, w, c=c),
        )


def test_weights_of_one_are_the_mean_on_policy():
    _, reward, w = sample()
    for name in ("ips", "snips"):
        assert round_values(name, reward, np.ones_like(w)).mean() == reward.mean()


def test_adding_to_rewards_shifts_snips_and_not_ips():
    _, reward, w = sample()
    for name, shifts in (("snips", True), ("ips", False)):
        before, after = (round_values(name, r, w).mean() for r in (reward, reward + 10))
        assert (after - before == pytest.approx(10)) == shifts
    q = np.full(len(w), 0.3)
    before, after = (round_values("sndr", r, w, q, q).mean() for r in (reward, reward + 10))
    assert after - before == pytest.approx(10)


def test_replay_is_the_mean_of_agreeing_rows():
    reward, agrees = np.array([1.0, 0.0, 1.0, 1.0]), np.array([1.0, 1.0, 0.0, 1.0])
    assert round_values("replay", reward, agrees).mean() == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="takes none of the logged actions"):
        round_values("replay", reward, np.zeros(4))


@pytest.mark.parametrize("name", ["snips", "sndr"])
def test_influence_values_have_the_spread_of_repeated_logs(name):
    def estimate(seed):
        action, reward, w = sample(400, seed)
        q = np.array([0.4, 0.4]) if name == "sndr" else np.zeros(2)
        return influence(name, reward, w, q[action], np.full(400, TARGET @ q))

    runs = [estimate(seed) for seed in range(600)]
    means = np.array([v.mean() for v in runs])
    assert means.mean() == pytest.approx(VALUE, abs=0.005)
    predicted = np.sqrt(np.mean([v.var(ddof=1) / 400 for v in runs]))
    assert predicted == pytest.approx(means.std(), rel=0.08)


def test_influence_has_the_mean_of_the_round_values():
    action, reward, w = sample()
    for name, kind in ESTIMATORS.items():
        c = None if kind.constant is None else 0.7
        model = (np.full(500, 0.3) + 0.1 * action, np.full(500, 0.37)) if kind.model else ()
        values = influence(name, reward, w, *model, c=c)
        assert values.mean() == pytest.approx(round_values(name, reward, w, *model, c=c).mean())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ips", {"c": 2.0}, "ips has no constant"),
        ("clipped_ips", {}, "the constant of clipped_ips is None"),
        ("sub_ips", {"c": 1.5}, r"it must lie in \[0, 1\]"),
        ("dr", {}, "dr needs a reward model"),
    ],
)
def test_missing_pieces_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        round_values(name, REWARD, W, **options)
