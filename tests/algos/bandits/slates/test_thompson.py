"""The slate recommender: its policies, its lanes, and what it learns."""

import numpy as np
import pytest
import torch

from rlkit.algos.bandits.slates.thompson import (
    Config,
    SlateRecommender,
    fill_slates,
    play_slates,
)
from rlkit.envs.bandits.slates import SlateWorld

ITEMS, SLOTS, DIM = 12, 3, 2
SMALL = {"dim": DIM, "dtype": torch.float64, "particles": 2, "batch": 8, "item_steps": 0}


def recommender(groups=None, slots=SLOTS, **options):
    return SlateRecommender(ITEMS, slots, Config(**{**SMALL, **options}), groups)


def sessions(rec, users=6, steps=4, seed=0, slots=SLOTS):
    rng = np.random.default_rng(seed)
    shape = (rec.spec.lanes, users, steps)
    slates = np.argsort(rng.random((*shape, ITEMS)), axis=-1)[..., :slots]
    return rec.sessions(slates, rng.integers(0, slots + 1, shape))


def test_slates_are_filled_rank_by_rank():
    ranked = torch.tensor([[3, 1, 2], [3, 2, 0], [5, 3, 4]])  # three draws
    assert fill_slates(ranked, 3).tolist() == [3, 5, 1]
    assert fill_slates(ranked, 5).tolist() == [3, 5, 1, 2, 0]
    alone = torch.tensor([[[4, 2, 9]], [[1, 0, 3]]])
    assert fill_slates(alone, 3).tolist() == [[4, 2, 9], [1, 0, 3]]


def test_without_spread_every_policy_is_greedy():
    slates = {}
    for policy in ("greedy", "ts", "in_slate"):
        rec = recommender(policy=policy, seeds=(0, 1), temperature=0.0)
        slates[policy] = rec.recommend(sessions(rec), 3)
    np.testing.assert_array_equal(slates["greedy"], slates["ts"])
    np.testing.assert_array_equal(slates["greedy"], slates["in_slate"])
    other = recommender(policy="greedy", seeds=(0, 1))
    np.testing.assert_array_equal(other.recommend(sessions(other), 9), slates["greedy"])
    warm = recommender(policy="in_slate", seeds=(0, 1))
    assert not np.array_equal(warm.recommend(sessions(warm), 3), slates["greedy"])


def test_slates_of_one_item_are_the_same_for_both_samplers():
    slates = []
    for policy in ("ts", "in_slate"):
        rec = recommender(policy=policy, slots=1)
        slates.append(rec.recommend(sessions(rec, slots=1), 5))
    np.testing.assert_array_equal(*slates)


@pytest.mark.parametrize("policy", ["random", "greedy", "ts", "in_slate"])
def test_slates_hold_different_items_and_repeat_by_step(policy):
    rec = recommender(policy=policy, seeds=(0, 1), first_scale=2.0)
    past = sessions(rec, users=20)
    slates = rec.recommend(past, 1)
    assert slates.shape == (2, 20, SLOTS)
    assert (np.sort(slates, -1)[..., 1:] > np.sort(slates, -1)[..., :-1]).all()
    np.testing.assert_array_equal(slates, rec.recommend(past, 1))
    if policy != "greedy":
        assert not np.array_equal(slates, rec.recommend(past, 2))


def test_a_lane_learns_the_same_in_any_company():
    both = recommender(seeds=(3, 7))
    past = sessions(both, users=10)
    both.learn(past, 6)
    for lane, seed in enumerate((3, 7)):
        alone = recommender(seeds=(seed,))
        alone.learn(
            alone.sessions(past.slates[lane : lane + 1], past.clicks[lane : lane + 1]), 6
        )  # fmt: skip
        for a, b in zip(alone.model.parameters(), both.model.parameters(), strict=True):
            torch.testing.assert_close(a[0], b[lane], atol=1e-9, rtol=1e-7)


def test_saved_recommenders_go_on_alike(tmp_path):
    rec, other = recommender(), recommender()
    past = sessions(rec)
    rec.learn(past, 4)
    np.savez(tmp_path / "rec.npz", **rec.state_dict())
    with np.load(tmp_path / "rec.npz", allow_pickle=False) as state:
        other.load_state_dict(dict(state))
    for r in (rec, other):
        r.learn(past, 3)
    np.testing.assert_array_equal(rec.recommend(past, 0), other.recommend(past, 0))
    a, b = rec.state_dict(), other.state_dict()
    assert all(np.array_equal(a[k], b[k]) for k in a)


def test_the_recurrent_unit_waits_for_the_items():
    rec = recommender(item_steps=3)
    first = [p.detach().clone() for p in rec.model.memory.parameters()]
    vectors = rec.model.vectors.mean.detach().clone()
    past = sessions(rec)
    rec.learn(past, 3)
    assert all(torch.equal(a, b) for a, b in zip(first, rec.model.memory.parameters(), strict=True))
    assert not torch.equal(vectors, rec.model.vectors.mean)
    rec.learn(past, 1)
    assert not torch.equal(first[0], next(rec.model.memory.parameters()))


def test_the_bound_rises_and_lies_below_the_evidence_of_a_tiny_model():
    """Evidence by simple averaging over the prior, for one user and one slate."""
    rec = recommender(particles=32, lr=0.05)
    m = rec.model
    past = rec.sessions(np.array([[[[0, 1, 2]]]]), np.array([[[1]]]))
    bounds = []
    for _ in range(3):
        bounds.append(np.mean([rec.elbo(past, 1, step)[0].item() for step in range(8)]))
        rec.learn(past, 60)
    assert bounds[0] < bounds[1] < bounds[2] < 0
    rng, draws = torch.Generator().manual_seed(0), 5_000

    def normal(*shape):
        return torch.randn(1, draws, *shape, generator=rng, dtype=torch.float64)

    with torch.no_grad():
        centre, width = 5 * normal(1, DIM), 5 * normal(1, DIM)
        w = {"vectors": centre + width.abs() * normal(ITEMS, DIM), "bias": 5 * normal(SLOTS + 1)}
        w |= {"given": normal(DIM, 3 * DIM), "recurrent": normal(DIM, 3 * DIM)}
        w |= {"out": normal(DIM, DIM)}
        log_p = m.log_likelihood(w, 0.5 * normal(1, DIM), past, universal=False)
    evidence = (log_p.logsumexp(1) - np.log(draws)).item()
    assert bounds[2] < evidence


WORLD = SlateWorld(items=60, groups=6, dim=2, slots=4)


def learner(policy, **options):
    standard = {"dim": 2, "particles": 2, "lr": 0.03, "item_steps": 10, "likelihood_weight": 4.0}
    config = Config(policy, seeds=(0, 1), first_scale=0.3, **{**standard, **options})
    return SlateRecommender(60, 4, config)


@pytest.fixture(scope="module")
def played():
    """Every policy for 18 rounds with 30 users in two lanes: its recommender and what it showed."""
    learners = {policy: learner(policy) for policy in ("random", "greedy", "ts", "in_slate")}
    return {p: (rec, play_slates(WORLD, rec, 30, 18, steps=15)) for p, rec in learners.items()}


def test_recommenders_win_clicks(played):
    rate = {policy: log.rate[:, -4:].mean() for policy, (_, log) in played.items()}
    assert rate["random"] < 0.4
    for policy in ("greedy", "ts", "in_slate"):
        assert rate[policy] > rate["random"] + 0.1
    first = played["random"][1].slates[:, :, 0]
    for _, log in played.values():
        assert np.isfinite(log.rate).all()
        np.testing.assert_array_equal(log.slates[:, :, 0], first)
        assert log.clicks.min() >= 0


def test_sampling_within_the_slate_makes_it_diverse(played):
    """What the three policies show on one and the same posterior."""
    trained, log = played["ts"]
    spread = {}
    for policy in ("random", "greedy", "ts", "in_slate"):
        rec = learner(policy)
        rec.load_state_dict(trained.state_dict())
        past = rec.sessions(log.slates, log.clicks)
        slates = [rec.recommend(past, step) for step in range(12)]
        spread[policy] = np.mean([WORLD.spread(s[lane]) for s in slates for lane in range(2)])
    assert spread["in_slate"] > spread["ts"] + 0.15
    assert spread["ts"] > spread["greedy"]
    assert spread["random"] > spread["in_slate"]


def popular_slates(world, users, steps, seed, tilt):
    """Sessions under a recommender that favours some items whatever the user's taste."""
    rng = np.random.default_rng(seed)
    favour = tilt * np.random.default_rng(99).standard_normal(world.items)
    taste = world.users(users, rng)
    slates, clicks = np.empty((1, users, steps, world.slots), int), np.empty((1, users, steps), int)
    for t in range(steps):
        order = np.argsort(-favour - rng.gumbel(size=(users, world.items)), axis=1)
        slates[0, :, t] = order[:, : world.slots]
        clicks[0, :, t], taste = world.click(taste, slates[0, :, t], rng)
    return slates, clicks


def test_what_was_not_shown_is_not_held_against_an_item():
    """Trained on popular slates, tested on random ones: the slate's likelihood against the
    catalogue's."""
    world = SlateWorld(items=40, groups=8, dim=2, slots=4)
    train, test = popular_slates(world, 300, 6, 0, 1.5), popular_slates(world, 200, 6, 1, 0.0)
    found = {}
    for universal in (False, True):
        config = Config(dim=2, particles=2, batch=400, lr=0.02, item_steps=20, universal=universal)
        rec = SlateRecommender(40, 4, config)
        rec.learn(rec.sessions(*train), 80)
        found[universal] = rec.log_likelihood(rec.sessions(*test), first=3).item()
    some = (test[1] > 0).mean()
    guess = some * np.log(some / 4) + (1 - some) * np.log(1 - some)
    assert found[False] > guess
    assert found[False] > found[True] + 0.2


def test_wrong_sessions_are_named():
    rec = recommender()
    slates, clicks = np.zeros((1, 5, 2, SLOTS), int) + np.arange(SLOTS), np.zeros((1, 5, 2), int)

    def changed(array, where, value):
        array = array.copy()
        array[where] = value
        return array

    for s, k, message in (
        (changed(slates, (0, 3, 1, 0), ITEMS), clicks, "lane 0, user 3, step 1 has an unknown"),
        (slates, changed(clicks, (0, 2, 0), 4), "lane 0, user 2, step 0 has a click outside"),
        (changed(slates, (0, 1, 1, 0), -1), changed(clicks, (0, 1, 1), 1), "user 1, step 1 has a "),
        (slates[..., :2], clicks, "slates have shape"),
        (slates, clicks[:, :, :1], "clicks have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            rec.sessions(s, k)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "best"}, "unknown policy 'best'"),
        ({"slots": 13}, "slots is 13"),
        ({"particles": 0}, "particles is 0"),
        ({"groups": np.zeros(3, int)}, "groups must be 12 whole numbers"),
    ],
)
def test_bad_recommenders_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        recommender(**options)
    world = SlateWorld(items=20, groups=2, slots=3)
    with pytest.raises(ValueError, match="the world has 20 items and 3 slots"):
        play_slates(world, recommender(), 5, 2)
