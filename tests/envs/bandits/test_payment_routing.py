"""The payment simulator: actions, availability, rates, and what additive models can represent."""

import numpy as np
import pytest

from rlkit.envs.bandits.payment_routing import FEATURES, PaymentRouting, tweak_matrix


def drawn(env, size=20_000, seed=0):
    obs, means = env.draw(0, size, np.random.default_rng(seed))
    return obs.context, obs.mask, means


def test_actions_are_settings_of_four_tweaks():
    tweaks = tweak_matrix()
    assert tweaks.shape == (24, 5)
    assert not tweaks[0].any()
    assert len({tuple(row) for row in tweaks}) == 24
    assert tweaks[:, 3:].sum(1).max() == 1  # the ternary tweak has one setting at a time
    np.testing.assert_array_equal(tweaks.sum(0), [12, 12, 12, 8, 8])


def test_features_are_numbers_and_one_hot_categories():
    context, _, _ = drawn(PaymentRouting())
    assert context.shape == (20_000, FEATURES)
    assert np.abs(context[:, :8].mean(0)).max() < 0.03
    assert np.abs(context[:, :8].std(0) - 1).max() < 0.02
    pairs = context[:, 8:].reshape(-1, 4, 2)
    np.testing.assert_array_equal(pairs.sum(2), 1.0)
    np.testing.assert_allclose(pairs[:, :, 1].mean(0), [0.1, 0.5, 0.5, 0.5], atol=0.015)


def test_availability_depends_on_the_categories():
    context, mask, _ = drawn(PaymentRouting(seed=1))
    assert mask[:, 0].all()
    assert mask[:, 1:].mean() == pytest.approx(0.7, abs=0.06)
    level = context[:, 11] == 1
    gap = np.abs(mask[level].mean(0) - mask[~level].mean(0))
    assert gap[0] == 0
    assert gap[1:].max() > 0.1


def test_rates_and_lifts_have_the_sizes_they_claim():
    base, small, large = [], [], []
    for seed in range(12):
        context, _, means = drawn(PaymentRouting(seed=seed), 4000)
        lift, rare = means - means[:, :1], context[:, 9] == 1
        base.append(means[:, 0].mean())
        small.append(np.sqrt((lift[~rare] ** 2).mean()))
        large.append(np.sqrt((lift[rare] ** 2).mean()))
    assert np.mean(base) == pytest.approx(0.85, abs=0.02)
    assert 0.015 < np.mean(small) < 0.045
    assert 0.08 < np.mean(large) < 0.22


@pytest.mark.parametrize("kappa", [0.0, 1.0])
def test_additive_models_are_right_without_interactions_only(kappa):
    env = PaymentRouting(kappa)
    context, _, means = drawn(env, 50)
    logit = np.log(means / (1 - means))  # [50, 24]
    basis = np.concatenate([np.ones((24, 1)), tweak_matrix()], axis=1)
    off = logit.T - basis @ np.linalg.lstsq(basis, logit.T, rcond=None)[0]
    assert (np.abs(off).max() < 1e-9) == (kappa == 0)
    assert context.shape == (50, 16)


def test_answers_and_waiting_times():
    env, rng = PaymentRouting(delay=0.3), np.random.default_rng(0)
    assert env.waiting(50_000, rng).mean() == pytest.approx(0.3, rel=0.02)
    np.testing.assert_array_equal(PaymentRouting(delay=0.0).waiting(5, rng), 0.0)
    means = np.tile([0.2, 0.9], (20_000, 1))
    rewards = env.sample(means, rng)
    assert set(np.unique(rewards)) == {0.0, 1.0}
    np.testing.assert_allclose(rewards.mean(0), [0.2, 0.9], atol=0.01)


def test_a_seed_is_a_processor():
    a, b, c = (PaymentRouting(seed=s) for s in (0, 0, 1))
    x = drawn(a, 10)[0]
    np.testing.assert_array_equal(a.means(x), b.means(x))
    assert not np.allclose(a.means(x), c.means(x))
    with pytest.raises(ValueError, match="kappa is -1"):
        PaymentRouting(kappa=-1.0)
    with pytest.raises(ValueError, match="delay is -0"):
        PaymentRouting(delay=-0.1)
