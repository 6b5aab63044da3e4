import numpy as np
import pytest
from scipy.special import expit

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.preferences.identifiability import (
    Comparisons,
    Segments,
    all_segments,
    compare_all,
    constant_shift,
    deterministic_regret,
    fit_reward,
    full_length,
    lottery_preference,
    noiseless_labels,
    optimal_advantage,
    partial_return,
    regret,
    stochastic_luck,
)
from rlkit.theory.preferences.reward_metrics import reward_distance


def test_constant_shift_is_invisible_to_partial_return_and_flips_the_optimum():
    case = constant_shift()
    one, two = solve(case.model, 0.9, "pi"), solve(case.other, 0.9, "pi")
    np.testing.assert_allclose(one.value, [-1.9, -1])
    np.testing.assert_allclose(two.value, [10, 10])
    assert one.policy.tolist() == [0, 0]
    assert two.policy[1] == 1  # in state 0 both actions are worth 10
    for temperature in (0.0, 1.0):
        labels = [compare_all(partial_return(m, case.segments), temperature).probability
                  for m in (case.model, case.other)]  # fmt: skip
        np.testing.assert_allclose(*labels)
        labels = [compare_all(-regret(m, case.segments, 0.9), temperature).probability
                  for m in (case.model, case.other)]  # fmt: skip
        assert np.abs(labels[0] - labels[1]).max() > 0.3


def test_luck_makes_partial_return_prefer_the_worse_lottery():
    case = stochastic_luck()
    assert lottery_preference(case.model, case.segments) == pytest.approx(0.586186, abs=1e-6)
    advantage = optimal_advantage(case.model, 1.0)
    np.testing.assert_allclose(advantage, [0, -0.2, 0, 0, 0], atol=1e-12)
    assert expit(advantage[1] - advantage[0]) == pytest.approx(0.450166, abs=1e-6)
    assert solve(case.model, 1.0, "pi").policy[0] == 0
    assert solve(case.other, 1.0, "pi").policy[0] == 1
    # `other` is what partial return learns from endless one-step comparisons at the choice.
    step = Segments(np.array([[0, 1], [0, 2]]), np.array([[0], [1]]))
    seen = Comparisons(np.array([1]), np.array([0]), np.array([0.586186]))
    fitted = fit_reward(case.model, step, seen, 1.0, "return")
    assert fitted[1] - fitted[0] == pytest.approx(case.other.r[1], abs=1e-4)
    # the deterministic form of regret charges luck: its labels depend on the outcome
    unlucky = deterministic_regret(case.model, case.segments, 1.0)
    np.testing.assert_allclose(unlucky, [0, -1, 5], atol=1e-12)
    np.testing.assert_allclose(regret(case.model, case.segments, 1.0), [0, 0.2, 0.2], atol=1e-12)


def test_noiseless_partial_return_gives_only_an_order():
    case = noiseless_labels()
    scores = [partial_return(m, case.segments) for m in (case.model, case.other)]
    np.testing.assert_array_equal(*[compare_all(s, 0.0).probability for s in scores])
    assert solve(case.model, 0.9, "pi").policy[0] == 1
    assert solve(case.other, 0.9, "pi").policy[0] == 0
    scores = [-regret(m, case.segments, 0.9) for m in (case.model, case.other)]
    labels = [compare_all(s, 0.0).probability for s in scores]
    assert (labels[0] != labels[1]).any()
    # noisy labels carry the strength and tell the two apart
    scores = [partial_return(m, case.segments) for m in (case.model, case.other)]
    assert np.abs(np.subtract(*[compare_all(s).probability for s in scores])).max() > 0.1


def test_regret_labels_recover_the_reward_up_to_shaping():
    """Endless regret labels on 100 random MDPs: optimal policy, same A*, STARC distance 0."""
    for seed in range(100):
        mdp = garnet(5, 2, 2, seed=seed)
        segments = all_segments(mdp, 1)
        labels = compare_all(-regret(mdp, segments, 0.9), 0.5)
        learned = mdp.with_rewards(0.5 * fit_reward(mdp, segments, labels, 0.9))
        advantage = optimal_advantage(mdp, 0.9)
        chosen = mdp.rows(solve(learned, 0.9, "pi").policy)
        assert advantage[chosen].min() > -1e-3, seed
        np.testing.assert_allclose(optimal_advantage(learned, 0.9), advantage, atol=2e-3)
        tables = [np.repeat(m.dense()[1][:, :, None], 5, 2) for m in (mdp, learned)]
        assert reward_distance(mdp, *tables, 0.9) < 1e-2


def test_partial_return_learner_fails_where_regret_succeeds():
    case = constant_shift()
    labels = compare_all(partial_return(case.other, case.segments))
    fitted = case.other.with_rewards(fit_reward(case.other, case.segments, labels, 0.9, "return"))
    assert solve(fitted, 0.9, "pi").policy[1] == 0
    labels = compare_all(-regret(case.other, case.segments, 0.9))
    fitted = case.other.with_rewards(fit_reward(case.other, case.segments, labels, 0.9, "regret"))
    assert solve(fitted, 0.9, "pi").policy[1] == 1
    np.testing.assert_allclose(
        optimal_advantage(fitted, 0.9), optimal_advantage(case.other, 0.9), atol=1e-3
    )


def corridor(n=4):
    """Deterministic walk with an absorbing goal; every segment of length n may end there."""
    s, a = np.divmod(np.arange(3 * n), 3)
    s2 = np.clip(np.where(s == n - 1, s, s + a - 1), 0, n - 1)
    r = np.where(s == n - 1, 0.0, -1.0 - 0.3 * (a == 0))
    return FiniteMDP.from_coo(s, a, np.where(s2 == n - 1, -1, s2), np.ones(3 * n), r, n)


def test_models_coincide_for_segments_into_one_absorbing_state():
    mdp = corridor()
    segments = all_segments(mdp, 5)
    ended = segments.states[:, -1] < 0
    segments = Segments(segments.states[ended], segments.actions[ended])
    v = solve(mdp, 1.0, "pi").value[segments.states[:, 0]]
    np.testing.assert_allclose(regret(mdp, segments, 1.0), v - partial_return(mdp, segments))


def test_regret_forms_agree_without_chance_and_zero_means_optimal():
    mdp = corridor()
    segments = all_segments(mdp, 3)
    found = regret(mdp, segments, 1.0)
    np.testing.assert_allclose(found, deterministic_regret(mdp, segments, 1.0), atol=1e-9)
    assert (found >= 0).all()
    optimal = optimal_advantage(mdp, 1.0) > -1e-9
    table = np.append(mdp.table(optimal, 0.0), np.ones((1, 3)), 0)
    all_optimal = table[segments.states[:, :-1], segments.actions].all(1)
    np.testing.assert_array_equal(found < 1e-9, all_optimal)


def test_shaping_changes_returns_but_not_regrets():
    mdp = garnet(5, 2, 2, seed=3)
    segments = all_segments(mdp, 2)
    phi = np.random.default_rng(0).normal(size=5)
    shaped = mdp.with_rewards(mdp.q(phi, 0.9) - phi[mdp.state_of_row()])
    np.testing.assert_allclose(regret(mdp, segments, 0.9), regret(shaped, segments, 0.9), atol=1e-9)
    assert np.abs(partial_return(mdp, segments) - partial_return(shaped, segments)).max() > 0.1


def test_segments_are_complete_and_errors_are_named():
    mdp = constant_shift().model
    segments = all_segments(mdp, 2)
    assert len(segments.states) == 4 + 3  # 2 x 2 from state 0; end, stay-end, stay-stay from 1
    assert len(full_length(segments).states) == 6
    with pytest.raises(ValueError, match="more than 10"):
        all_segments(garnet(5, 2, 2), 3, limit=10)
    two = FiniteMDP.from_coo([0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0])
    with pytest.raises(ValueError, match="action 1 in state 1"):
        partial_return(two, Segments(np.array([[1, 0]]), np.array([[1]])))
    with pytest.raises(ValueError, match="actions"):
        partial_return(two, Segments(np.array([[1, 0]]), np.array([[1, 0]])))
    labels = compare_all(np.zeros(2))
    with pytest.raises(ValueError, match="statistic"):
        fit_reward(two, Segments(np.array([[1, 0]]), np.array([[0]])), labels, 0.9, "advantage")
