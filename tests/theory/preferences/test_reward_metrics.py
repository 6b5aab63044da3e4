import numpy as np
import pytest
from scipy.stats import spearmanr

from rlkit.envs.tabular.chains import chain
from rlkit.envs.tabular.classics import forest
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.preferences.reward_metrics import (
    CANONICAL,
    STARC,
    equivalent_reward,
    optimality_regret,
    pearson_distance,
    reward_distance,
    reward_norm,
    standardise,
    worst_case_regret,
)

MODEL = garnet(8, 3, 3, seed=4)
GAMMA = 0.9
P = MODEL.dense()[0]


def rewards(seed, shape=(8, 3, 8)):
    return np.random.default_rng(seed).normal(size=shape)


def shaped(seed, noise=False, scale=3.1):
    rng = np.random.default_rng(100 + seed)
    extra = rng.normal(size=P.shape) if noise else None
    return equivalent_reward(MODEL, rewards(seed), GAMMA, rng.normal(size=8), extra, scale)


@pytest.mark.parametrize("name", [c for c in CANONICAL if c != "none"])
@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_every_canonicalisation_is_linear_and_blind_to_shaping_and_scale(name, order):
    assert reward_distance(MODEL, rewards(0), shaped(0), GAMMA, name, order) < 1e-12
    assert reward_distance(MODEL, rewards(0), -rewards(0), GAMMA, name, order) == pytest.approx(2)
    a, b = CANONICAL[name](P, rewards(0), GAMMA), CANONICAL[name](P, rewards(1), GAMMA)
    both = CANONICAL[name](P, 2 * rewards(0) - rewards(1), GAMMA)
    np.testing.assert_allclose(both, 2 * a - b, atol=1e-12)


@pytest.mark.parametrize("name", [c for c in CANONICAL if c not in ("none", "dard")])
def test_canonicalising_twice_changes_nothing(name):
    image = CANONICAL[name](P, rewards(0), GAMMA)
    np.testing.assert_allclose(CANONICAL[name](P, image, GAMMA), image, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, np.inf])
@pytest.mark.parametrize("weighted", [False, True])
def test_only_starc_ignores_redistribution_over_next_states(order, weighted):
    for name in CANONICAL:
        gap = reward_distance(
            MODEL, rewards(0), shaped(0, noise=True), GAMMA, name, order, weighted=weighted
        )
        assert (gap < 1e-12) == (name in STARC), (name, gap)


def test_shaping_and_a_constant_cost_nothing_and_negation_costs_one_in_pearson_distance():
    for name in ("epic", "dard"):
        assert pearson_distance(MODEL, rewards(0), shaped(0), GAMMA, name) < 1e-12
        assert pearson_distance(MODEL, rewards(0), -rewards(0), GAMMA, name) == pytest.approx(1)
        assert pearson_distance(MODEL, rewards(0), shaped(0, True), GAMMA, name) > 0.1
    assert reward_distance(MODEL, rewards(0), rewards(0) + 7, GAMMA) < 1e-12
    image = CANONICAL["dard"](P, rewards(0), GAMMA)
    np.testing.assert_allclose(CANONICAL["dard"](P, shaped(0, scale=1), GAMMA), image, atol=1e-12)


def test_levelled_reward_has_value_zero_under_its_policy():
    law = np.random.default_rng(2).dirichlet(np.ones(3), 8)
    for policy in (None, law):
        image = CANONICAL["val"](P, rewards(0), GAMMA, policy)
        weights = np.full((8, 3), 1 / 3) if policy is None else law
        np.testing.assert_allclose((weights * image[:, :, 0]).sum(1), 0, atol=1e-12)


def test_minimal_rewards_are_the_smallest_of_their_class():
    for name, noisy in (("minimal", True), ("minimal_potential", False)):
        least = CANONICAL[name](P, rewards(0), GAMMA)
        for seed in range(20):
            rng = np.random.default_rng(seed)
            noise = 0.1 * rng.normal(size=P.shape) if noisy else None
            other = equivalent_reward(MODEL, least, GAMMA, 0.1 * rng.normal(size=8), noise)
            assert np.linalg.norm(other) > np.linalg.norm(least)


def test_metric_axioms_and_the_trivial_reward():
    triples = [rewards(k) for k in range(6)]
    zero = equivalent_reward(MODEL, np.zeros(P.shape), GAMMA, np.arange(8.0))
    for name in STARC:
        d = np.array(
            [[reward_distance(MODEL, a, b, GAMMA, name) for a in triples] for b in triples]
        )
        np.testing.assert_allclose(d, d.T)
        np.testing.assert_allclose(np.diag(d), 0)
        assert (d[:, None, :] <= d[:, :, None] + d[None] + 1e-12).all()
        assert reward_distance(MODEL, zero, 0 * zero, GAMMA, name) == 0
        assert reward_distance(MODEL, zero, triples[0], GAMMA, name) == pytest.approx(1)


def test_norm_orders_of_normaliser_and_metric_are_separate():
    R = rewards(0)
    assert reward_norm(P, R, np.inf, True) == np.abs(R[P > 0]).max()
    assert reward_norm(P, R, 1, True) == pytest.approx((P * np.abs(R)).sum())
    raw = standardise(MODEL, R, GAMMA, "val", 0)
    np.testing.assert_allclose(raw, CANONICAL["val"](P, R, GAMMA))
    unit = standardise(MODEL, R, GAMMA, "val", 1)
    assert np.abs(unit).sum() == pytest.approx(1)
    other = standardise(MODEL, rewards(1), GAMMA, "val", 1)
    got = reward_distance(MODEL, R, rewards(1), GAMMA, normaliser=1, metric=np.inf)
    assert got == pytest.approx(np.abs(unit - other).max())


def greedy_sets(R):
    r = (P * R).sum(2)
    found = solve(MODEL.with_rewards(r), GAMMA, "pi")
    q = found.q_table()
    return q >= q.max(1, keepdims=True) - 1e-9 * np.abs(q).max()


def test_distance_zero_means_the_same_greedy_actions_and_no_regret():
    for seed in range(5):
        one, two = rewards(seed), shaped(seed, noise=True)
        assert (greedy_sets(one) == greedy_sets(two)).all()
        assert worst_case_regret(MODEL, one, two, GAMMA) < 1e-6
    assert worst_case_regret(MODEL, rewards(0), -rewards(0), GAMMA) == pytest.approx(1)
    assert optimality_regret(MODEL, rewards(0), -rewards(0), GAMMA) == pytest.approx(1)
    assert optimality_regret(MODEL, rewards(0), shaped(0, True), GAMMA) == pytest.approx(0)
    # Under a reward that ranks nothing there is nothing to regret, and no division by zero.
    zero = np.zeros(P.shape)
    assert optimality_regret(MODEL, zero, rewards(0), GAMMA) == 0
    assert worst_case_regret(MODEL, zero, rewards(0), GAMMA) == 0
    assert worst_case_regret(MODEL, rewards(0), zero, GAMMA) == pytest.approx(1)


def test_worst_case_regret_is_at_least_every_pair_of_policies_and_bounded_both_ways():
    ratios = []
    for seed in range(12):
        one = rewards(seed)
        two = one + (0.05 + 0.2 * seed) * rewards(seed + 50)
        regret = worst_case_regret(MODEL, one, two, GAMMA)
        assert regret >= optimality_regret(MODEL, one, two, GAMMA) - 1e-9
        ratios.append(regret / reward_distance(MODEL, one, two, GAMMA))
    assert min(ratios) > 0.2
    assert max(ratios) < 2.0


def sparse_dynamics(rng, states=12, actions=3):
    logits = rng.normal(size=(states, actions, states))
    weights = np.where(logits > 1.0, np.exp(logits), 0)
    weights[np.arange(states), :, np.arange(states)] += 1e-3  # a row must have a successor
    return FiniteMDP.from_dense(weights / weights.sum(2, keepdims=True), np.zeros(weights.shape))


def test_starc_ranks_regret_better_than_epic():
    """50 families of interpolated rewards: rank correlation with the two-sided regret."""
    score = {"val": [], "epic": []}
    for seed in range(50):
        rng = np.random.default_rng(seed)
        mdp = sparse_dynamics(rng)
        one, two = rng.normal(size=(2, 12, 3, 12))
        family = [one + w * (two - one) for w in np.linspace(0, 1, 9)[1:]]
        regret = [
            optimality_regret(mdp, one, R, 0.95) + optimality_regret(mdp, R, one, 0.95)
            for R in family
        ]
        for name, table in score.items():
            gaps = [reward_distance(mdp, one, R, 0.95, name) for R in family]
            table.append((gaps, regret))
    rank = {
        name: spearmanr(*(np.concatenate([x[k] for x in table]) for k in (0, 1)))[0]
        for name, table in score.items()
    }
    assert rank["val"] > rank["epic"] + 0.02
    assert rank["val"] > 0.7


def test_errors_name_what_is_wrong():
    bad = rewards(0)
    bad[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match=r"R\(1, 2, 3\) is nan"):
        reward_distance(MODEL, bad, bad, GAMMA)
    with pytest.raises(ValueError, match="shape"):
        reward_distance(MODEL, rewards(0)[:, :2], rewards(0), GAMMA)
    with pytest.raises(ValueError, match="gamma"):
        reward_distance(MODEL, rewards(0), rewards(0), 1.0)
    with pytest.raises(ValueError, match="one of val"):
        reward_distance(MODEL, rewards(0), rewards(0), GAMMA, "best")
    with pytest.raises(ValueError, match="order"):
        reward_distance(MODEL, rewards(0), rewards(0), GAMMA, normaliser=3)
    episodic = FiniteMDP.from_dense(np.full((2, 1, 2), 0.25), np.zeros((2, 1)), stop="deficit")
    with pytest.raises(ValueError, match="absorbing"):
        reward_distance(episodic, np.zeros((2, 1, 2)), np.zeros((2, 1, 2)), GAMMA)
    with pytest.raises(ValueError, match="constant"):
        pearson_distance(MODEL, np.zeros(P.shape), rewards(0), GAMMA)
    with pytest.raises(ValueError, match="scale"):
        equivalent_reward(MODEL, rewards(0), GAMMA, np.zeros(8), scale=-1)


@pytest.mark.parametrize("mdp", [forest(4), chain()])
def test_works_on_named_families(mdp):
    n, actions = mdp.num_states, mdp.num_actions
    R = np.broadcast_to(mdp.dense()[1][:, :, None], (n, actions, n))
    other = equivalent_reward(mdp, R, 0.9, np.arange(n), rewards(1, R.shape), 2.0)
    assert reward_distance(mdp, R, other, 0.9) < 1e-12
