import numpy as np
import pytest

from rlkit.envs.tabular.chains import deep_sea, lock, river_swim
from rlkit.envs.tabular.garnet import garnet
from rlkit.envs.tabular.grids import frozen_lake
from rlkit.theory import FiniteMDP
from rlkit.theory.learning.regret.episodic import METHODS, learn
from rlkit.theory.learning.regret.episodic_plans import (
    UCBVI_CH,
    UCBVI_SIMPLE,
    bonus,
    optimistic_plan,
    sampled_plan,
)
from rlkit.theory.planning.finite_horizon import backward_induction
from rlkit.theory.returns.laws import outcomes_from_coo, outcomes_of
from rlkit.theory.streams import stream

SMALL = garnet(4, 2, 2, seed=1)


@pytest.mark.parametrize(
    ("n", "first", "mean"),
    [(8, (30, 120), 0.90), (12, (90, 350), 0.80), (16, (350, 650), 0.58)],
)
def test_deep_sea_is_found_in_a_polynomial_number_of_episodes(n, first, mean):
    found = learn(deep_sea(n, seed=3), n, 1500, scale=0.1, v_max=1.0, stage_counts=True)
    assert first[0] < np.argmax(found.returns[0] > 0.5) < first[1]
    assert found.returns.mean() > mean


def test_greedy_exploration_fails_where_optimism_succeeds():
    mdp = lock(10, 2, seed=1)
    plain = learn(mdp, 10, 2000, "eps-greedy-q", replicates=2)
    assert plain.regret()[:, -1].min() > 1900
    for method, scale in (("ucbvi-simple", 0.1), ("psrl", 1.0), ("rlsvi", 1.0)):
        assert learn(mdp, 10, 2000, method, scale=scale).regret()[0, -1] < 900, method


def test_dithering_never_crosses_a_deep_sea():
    found = learn(deep_sea(15), 15, 10_000, "eps-greedy-q", replicates=2)
    assert found.returns.max() < 0.5


@pytest.mark.parametrize(
    ("method", "scale"),
    [("ucbvi-simple", 0.1), ("ucbvi-bf", 0.003), ("psrl", 1.0), ("rlsvi", 0.1)],
)
def test_slippery_lake_is_planned_as_by_dynamic_programming(method, scale):
    """After 80 000 steps; Q-learning, optimistic or not, has seen too little by then."""
    found = learn(frozen_lake(), 20, 4000, method, scale=scale, v_max=1.0)
    assert found.value[0, -200:].mean() > 0.97 * found.optimal


@pytest.mark.parametrize(
    ("mdp", "horizon", "method", "scale"),
    [(SMALL, 5, "ucbvi-simple", 3.0), (garnet(20, 4, 3), 10, "ucbvi-bf", 0.1)],
)
def test_regret_grows_like_a_root_while_the_bonus_rules(mdp, horizon, method, scale):
    regret = learn(mdp, horizon, 20_000, method, scale=scale, replicates=2).regret().mean(0)
    assert 0.3 <= np.log(regret[-1] / regret[1999]) / np.log(10) <= 0.7


def test_bonus_and_noise_of_practice():
    """kappa / sqrt(n) + cap / n, as a bonus (UCBVI) and as a standard deviation (RLSVI)."""
    assert bonus(UCBVI_SIMPLE, 25.0, 9.9, 9.9, 7, 4.0, 9.9, 0.5) == pytest.approx(0.5 / 5 + 4 / 25)
    arm = FiniteMDP.from_dense(np.ones((1, 1, 1)), [[0.3]])
    total, one = np.full((1, 1), 100.0), np.zeros(1)
    q, v, policy, seen = np.zeros((1, 1)), np.zeros((2, 1)), np.zeros((1, 1), np.int64), []
    rng = stream(0, 0, 0)
    for _ in range(4000):
        sampled_plan(
            METHODS["rlsvi"], arm.sa_ptr, arm.row_ptr, arm.col, total, 0 * total, total,
            0.3 * total, 0.0, 1.0, 1.0, False, np.inf, 0.5, rng, q, v, policy, one,
            np.zeros((1, 1)), one,
        )  # fmt: skip
        seen.append(q[0, 0])
    assert np.mean(seen) == pytest.approx(0.3, abs=0.004)
    assert np.std(seen) == pytest.approx(0.5 / 10 + 1 / 100, rel=0.05)


def test_river_swim_ranking():
    runs = {
        method: learn(river_swim(), 20, 2000, method, scale=scale, replicates=2).regret()[:, -1]
        for method, scale in (("eps-greedy-q", 1.0), ("ucbvi-simple", 0.1), ("psrl", 1.0))
    }
    assert runs["psrl"].max() < 100 < 2000 < runs["eps-greedy-q"].min()
    assert runs["ucbvi-simple"].max() < 150


@pytest.mark.parametrize("method", ["ucb-h", "ucb-b", "ucbvi-ch", "ucbvi-bf"])
def test_theory_constants_are_optimistic(method):
    found = learn(SMALL, 5, 300, method, replicates=10)
    assert (found.planned >= found.optimal - 1e-12).all()


@pytest.mark.parametrize(
    ("method", "scale"), [("ucbvi-simple", 0.3), ("ucbvi-bf", 0.01), ("ucb-h", 0.02)]
)
def test_scaled_bonus_makes_regret_sublinear(method, scale):
    regret = learn(SMALL, 5, 20_000, method, scale=scale, replicates=4).regret().mean(0)
    slope = np.log(regret[-1] / regret[1999]) / np.log(10)
    assert slope < 0.75
    assert regret[-1] < 0.3 * 20_000 * (regret[:50].mean() / 25)


@pytest.mark.parametrize("method", METHODS)
def test_replicates_are_the_same_in_any_company_and_on_two_threads(method):
    two = learn(SMALL, 4, 60, method, replicates=2, threads=2, bernoulli=True)
    one = learn(SMALL, 4, 60, method, replicates=1, bernoulli=True)
    np.testing.assert_array_equal(two.value[0], one.value[0])
    assert not np.array_equal(two.returns[0], two.returns[1])
    assert (two.value <= two.optimal + 1e-12).all()


def plan_inputs(mdp, horizon, scale):
    """Counts of `scale` visits a row in exactly the proportions of the model."""
    rows = mdp.num_rows
    total = np.full((1, rows), scale)
    seen = (mdp.val * scale)[None]
    return seen, np.zeros((1, rows)), total, (mdp.r * scale)[None], np.zeros((horizon, rows))


def test_bandit_limit_is_the_ucb_index():
    arms = FiniteMDP.from_dense(np.ones((1, 3, 1)), [[0.2, 0.5, 0.6]])
    total = np.array([[50.0, 7.0, 9.0]])
    seen, ended, sums = total.copy(), np.zeros((1, 3)), total * arms.r
    q, v, policy = np.ones((1, 3)), np.zeros((2, 1)), np.zeros((1, 1), np.int64)
    optimistic_plan(
        UCBVI_CH, arms.sa_ptr, arms.row_ptr, arms.col, seen, ended, total, sums, np.zeros((1, 1)),
        np.inf, 2.0, 0.05, q, v, policy,
    )  # fmt: skip
    index = np.minimum(1.0, arms.r + 0.05 * 7 * 2.0 / np.sqrt(total[0]))
    np.testing.assert_allclose(q[0], index)
    assert policy[0, 0] == index.argmax()


def test_no_bonus_is_certainty_equivalence_and_infinite_counts_are_exact_dp():
    exact = backward_induction(SMALL, 6)
    for scale in (0.0, 1.0):
        seen, ended, total, sums, _ = plan_inputs(SMALL, 6, 1e14)
        q, v = np.full((6, 8), 6.0), np.zeros((7, 4))
        policy = np.zeros((6, 4), np.int64)
        optimistic_plan(
            UCBVI_SIMPLE, SMALL.sa_ptr, SMALL.row_ptr, SMALL.col, seen, ended, total, sums,
            np.zeros((6, 4)), np.inf, 1.0, scale, q, v, policy,
        )  # fmt: skip
        np.testing.assert_allclose(v, exact.value, atol=1e-5)
        np.testing.assert_array_equal(policy, exact.rows)


def test_posterior_sampling_with_infinite_counts_is_exact_dp():
    exact = backward_induction(SMALL, 6)
    seen, ended, total, sums, q = plan_inputs(SMALL, 6, 1e12)
    v, policy = np.zeros((7, 4)), np.zeros((6, 4), np.int64)
    sampled_plan(
        METHODS["psrl"], SMALL.sa_ptr, SMALL.row_ptr, SMALL.col, seen, ended, total, sums, 0.0,
        1.0, 0.25, False, np.inf, 1.0, stream(0, 0, 0), q, v, policy, np.zeros(4), np.zeros((8, 4)),
        np.zeros(8),
    )  # fmt: skip
    np.testing.assert_allclose(v, exact.value, atol=1e-4)


def test_termination_is_learnt_as_an_end():
    found = learn(lock(3, 2), 6, 400, "ucbvi-simple", scale=0.1, replicates=2)
    np.testing.assert_allclose(found.value[:, -1], 1.0)
    assert (found.returns <= 1.0).all()


def test_bad_arguments():
    with pytest.raises(ValueError, match="method must be one of"):
        learn(SMALL, 3, 3, "ucb")
    with pytest.raises(ValueError, match="horizon must be a whole number"):
        learn(SMALL, 0, 3)
    with pytest.raises(ValueError, match="bernoulli"):
        learn(deep_sea(3), 3, 3, bernoulli=True)


def paid_on_arrival():
    """State 1 pays on arrival, action 1 is likelier to lead there; a tenth is the end."""
    s, a, s2 = (x.ravel() for x in np.meshgrid([0, 1], [0, 1], [0, 1, -1], indexing="ij"))
    there = 0.9 * np.where(a == 1, 0.8, 0.3)
    p = np.select([s2 == 1, s2 == 0], [there, 0.9 - there], 0.1)
    return outcomes_from_coo(s, a, s2, p, (s2 == 1).astype(float), 2, np.eye(2)[0])


@pytest.mark.parametrize("method", METHODS)
def test_rewards_by_successor_are_learnt_in_the_mean(method):
    scale = 0.01 if method == "ucbvi-ch" else 0.3
    found = learn(paid_on_arrival(), 3, 3000, method, scale=scale, epsilon=0.05, replicates=3)
    best = 0.72 * (1 + 0.9 + 0.81)
    assert found.optimal == pytest.approx(best)
    assert found.value[:, -1000:].mean() > 0.97 * best
    # every reward is an arrival's, 0 or 1, and in the mean they are worth what the policies are
    np.testing.assert_array_equal(found.returns, np.round(found.returns))
    assert found.returns.mean() == pytest.approx(found.value.mean(), abs=0.03)


@pytest.mark.parametrize("method", METHODS)
def test_outcomes_that_pay_a_row_s_reward_change_nothing(method):
    model = deep_sea(4, seed=1)
    flat, plain = (learn(x, 4, 100, method, scale=0.1) for x in (outcomes_of(model), model))
    np.testing.assert_allclose(flat.returns, plain.returns, atol=1e-12)
    np.testing.assert_allclose(flat.planned, plain.planned, atol=1e-9)


def test_coins_of_outcomes_are_refused():
    with pytest.raises(ValueError, match="rewards of their own"):
        learn(paid_on_arrival(), 3, 10, bernoulli=True)
