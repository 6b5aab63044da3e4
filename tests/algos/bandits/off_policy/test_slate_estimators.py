"""Slate estimators: reductions, exact enumeration of unbiasedness, bad rows."""

from itertools import permutations, product

import numpy as np
import pytest

from rlkit.algos.bandits.off_policy.slates import (
    SlateLog,
    plackett_luce,
    pseudo_inverse_values,
    slate_moments,
    slate_values,
)

ITEMS, SLOTS = 3, 2
SLATES = np.array(list(permutations(range(ITEMS), SLOTS)))
SCORES = {"log": np.array([0.0, 0.5, -0.4]), "target": np.array([1.0, -0.3, 0.2])}


def policy(name):
    """Prefix probabilities and slot marginals of every slate, and the marginals [m, K]."""
    prefix = plackett_luce(np.tile(SCORES[name], (len(SLATES), 1)), SLATES)
    marginal = np.zeros((SLOTS, ITEMS))
    for slate, chance in zip(SLATES, prefix[:, -1], strict=True):
        marginal[np.arange(SLOTS), slate] += chance
    return prefix, marginal[np.arange(SLOTS), SLATES], marginal


def world(kind):
    """Expected rewards [slates, slots] under a way users look at slates."""
    rng = np.random.default_rng(3)
    alone, pair = rng.random((SLOTS, ITEMS)), rng.random((ITEMS, ITEMS))
    own = alone[np.arange(SLOTS), SLATES]
    if kind == "independent":
        return own
    first, second = pair[SLATES[:, 0], SLATES[:, 1]], pair[SLATES[:, 1], SLATES[:, 0]]
    if kind == "cascade":  # the second slot depends on the first
        return np.stack([own[:, 0], first], axis=1)
    return np.stack([second, first], axis=1)  # each depends on the other


def exact_mean(kind, name, **options):
    prefix, slot, _ = policy("log")
    log = SlateLog(SLATES, world(kind), prefix, slot)
    target = dict(zip(("prefix", "slot"), policy("target")[:2], strict=True))
    values = slate_values(log, name, **target, **options)
    truth = policy("target")[0][:, -1] @ world(kind).sum(1)
    return prefix[:, -1] @ values, truth


def test_prefix_probabilities_are_those_of_drawing_without_replacement():
    for name in SCORES:
        prefix, _, marginal = policy(name)
        assert prefix[:, -1].sum() == pytest.approx(1.0)
        weights = np.exp(SCORES[name])
        np.testing.assert_allclose(marginal[0], weights / weights.sum())
        i, j = SLATES[4]
        by_hand = weights[i] / weights.sum() * weights[j] / (weights.sum() - weights[i])
        assert prefix[4, 1] == pytest.approx(by_hand)


@pytest.mark.parametrize(
    ("name", "unbiased_for", "biased_for"),
    [
        ("standard", ("independent", "cascade", "any"), ()),
        ("ranked", ("independent", "cascade"), ("any",)),
        ("independent", ("independent",), ("cascade", "any")),
    ],
)
def test_unbiased_exactly_where_they_claim(name, unbiased_for, biased_for):
    for kind in unbiased_for:
        found, truth = exact_mean(kind, name)
        assert found == pytest.approx(truth, abs=1e-12)
    for kind in biased_for:
        found, truth = exact_mean(kind, name)
        assert abs(found - truth) > 1e-3


def cascade_model(quality):
    """Q_k at the logged items and its mean under the target, for a model of given quality."""
    rewards = world("cascade")
    prefix = policy("target")[0]
    second = np.zeros((ITEMS, ITEMS))
    second[SLATES[:, 0], SLATES[:, 1]] = rewards[:, 1]
    first = np.zeros(ITEMS)
    first[SLATES[:, 0]] = rewards[:, 0]
    choice = np.zeros((ITEMS, ITEMS))
    choice[SLATES[:, 0], SLATES[:, 1]] = prefix[:, 1] / prefix[:, 0]
    after = (choice * second).sum(1)
    q = np.stack([(first + after)[SLATES[:, 0]], rewards[:, 1]], axis=1)
    start = np.zeros(ITEMS)
    start[SLATES[:, 0]] = prefix[:, 0]
    means = np.stack([np.full(len(SLATES), start @ (first + after)), after[SLATES[:, 0]]], axis=1)
    return quality * q, quality * means


@pytest.mark.parametrize("quality", [0.0, 0.4, 1.0])
def test_cascade_dr_is_unbiased_for_any_model_and_exact_for_the_right_one(quality):
    q, means = cascade_model(quality)
    found, truth = exact_mean("cascade", "cascade_dr", q_taken=q, q_mean=means)
    assert found == pytest.approx(truth, abs=1e-12)
    prefix = policy("log")[0]
    log = SlateLog(SLATES, world("cascade"), prefix)
    target = policy("target")[0]
    values = slate_values(log, "cascade_dr", prefix=target, q_taken=q, q_mean=means)
    if quality == 1.0:
        np.testing.assert_allclose(values, truth)  # rewards without noise: no variance at all
    if quality == 0.0:
        np.testing.assert_allclose(values, slate_values(log, "ranked", prefix=target))


def test_the_pseudo_inverse_is_unbiased_for_sums_of_slot_values_it_never_sees():
    prefix, _, _ = policy("log")
    marginal = policy("target")[2]
    moments = slate_moments(SLATES, prefix[:, -1], ITEMS)
    wanted = np.tile(marginal, (len(SLATES), 1, 1))
    total = world("independent").sum(1)
    spread = np.stack([total, np.zeros(len(total))], axis=1)  # only the sum is observed
    values = pseudo_inverse_values(SlateLog(SLATES, spread, prefix), wanted, moments, ITEMS)
    truth = policy("target")[0][:, -1] @ total
    assert prefix[:, -1] @ values == pytest.approx(truth)
    with pytest.raises(ValueError, match="target has shape"):
        pseudo_inverse_values(SlateLog(SLATES, spread, prefix), wanted[:, :1], moments, ITEMS)
    with pytest.raises(ValueError, match=r"sum to 0\.5, not to one"):
        slate_moments(SLATES, prefix[:, -1] / 2, ITEMS)


def test_the_pseudo_inverse_of_independent_slots_in_closed_form():
    """With replacement and independent slots it is r (1 - m + sum_k w_k)."""
    slates = np.array(list(product(range(ITEMS), repeat=SLOTS)))
    log_p, target_p = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.6, 0.3])
    slot = log_p[slates]
    log = SlateLog(slates, np.random.default_rng(0).random(slates.shape), np.cumprod(slot, axis=1))
    moments = slate_moments(slates, slot.prod(1), ITEMS)
    wanted = np.tile(target_p, (len(slates), SLOTS, 1))
    values = pseudo_inverse_values(log, wanted, moments, ITEMS)
    w = (target_p / log_p)[slates]
    np.testing.assert_allclose(values, log.reward.sum(1) * (w.sum(1) - 1))


def test_slates_of_one_slot_are_plain_weighting():
    rng = np.random.default_rng(1)
    items, reward = rng.integers(3, size=(50, 1)), rng.random((50, 1))
    prob, target = np.array([0.5, 0.3, 0.2])[items], np.array([0.1, 0.6, 0.3])[items]
    log = SlateLog(items, reward, prob, prob)
    plain = (target / prob * reward)[:, 0]
    for name in ("standard", "independent", "ranked"):
        np.testing.assert_allclose(slate_values(log, name, prefix=target, slot=target), plain)
    w = target / prob
    own = slate_values(log, "ranked", prefix=target, normalised=True)
    np.testing.assert_allclose(own, plain / w.mean())
    zero = np.zeros((50, 1))
    model = slate_values(log, "cascade_dr", prefix=target, q_taken=zero, q_mean=zero)
    np.testing.assert_allclose(model, plain)


def test_self_normalised_weights_shift_with_rewards():
    prefix, slot, _ = policy("log")
    own_prefix, own_slot, _ = policy("target")
    log = SlateLog(SLATES, world("cascade"), prefix, slot)
    more = SlateLog(SLATES, world("cascade") + 5, prefix, slot)
    for name in ("standard", "ranked", "independent"):
        options = {"prefix": own_prefix, "slot": own_slot, "normalised": True}
        rise = (
            slate_values(more, name, **options).mean() - slate_values(log, name, **options).mean()
        )
        assert rise == pytest.approx(5 * SLOTS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefix": [[0.5, 0.2], [0.5, 0.0]]}, r"prefix of row 1 is \[0.5, 0.0\].*\(0, 1\]"),
        ({"prefix": [[0.5, 0.2], [1.5, 0.2]]}, "prefix of row 1"),
        ({"prefix": [[0.5, 0.2], [0.2, 0.5]]}, "prefix of row 1 rises"),
        ({"slot": [[0.5, 0.2], [0.2, -0.5]]}, "slot of row 1"),
        ({"reward": [[0, np.nan], [0, 1]]}, "reward of row 0 is not finite"),
        ({"reward": [[0], [1]]}, "reward has shape"),
        ({"items": [0, 1]}, "items has shape"),
        ({"prefix": [[0.5], [0.5]]}, "prefix has shape"),
    ],
)
def test_bad_slate_logs_are_refused(changes, message):
    good = {"items": [[0, 1], [1, 0]], "reward": np.zeros((2, 2)), "prefix": np.full((2, 2), 0.5)}
    with pytest.raises(ValueError, match=message):
        SlateLog(**{k: np.array(v) for k, v in {**good, **changes}.items()})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("best", {}, "estimator is 'best'"),
        ("independent", {"slot": np.ones((2, 2))}, "independent needs slot probabilities"),
        ("ranked", {}, "ranked needs the target's prefix"),
        ("cascade_dr", {"prefix": np.full((2, 2), 0.5)}, "cascade_dr needs q_taken"),
        ("ranked", {"prefix": np.zeros((2, 2)), "normalised": True}, "slot 0 has no weight"),
        ("ranked", {"prefix": np.array([[0.5, 0.5], [0.1, np.nan]])}, "prefix of row 1"),
    ],
)
def test_bad_slate_requests_are_refused(name, options, message):
    log = SlateLog(np.array([[0, 1], [1, 0]]), np.zeros((2, 2)), np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match=message):
        slate_values(log, name, **options)


@pytest.mark.parametrize("item", [-1, ITEMS])
def test_unknown_items_are_named_with_their_row(item):
    slates = SLATES.copy()
    slates[4, 1] = item
    log = SlateLog(slates, np.zeros(slates.shape), np.full(slates.shape, 0.5))
    wanted, square = np.zeros((len(slates), SLOTS, ITEMS)), np.eye(SLOTS * ITEMS)
    for call in (
        lambda: pseudo_inverse_values(log, wanted, square, ITEMS),
        lambda: slate_moments(slates, np.full(len(slates), 1 / len(slates)), ITEMS),
        lambda: plackett_luce(np.zeros((len(slates), ITEMS)), slates),
    ):
        with pytest.raises(ValueError, match=r"slate of row 4 is .*there are items 0 to 2"):
            call()
