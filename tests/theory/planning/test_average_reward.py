import numpy as np
import pytest

from rlkit.envs.tabular.chains import deep_sea, jao, river_swim
from rlkit.envs.tabular.classics import forest
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.planning.average_reward import (
    anchored_average,
    average_value,
    howard,
    relative_value_iteration,
    restarting,
)

CYCLE = FiniteMDP.from_dense(np.array([[[0.0, 1.0]], [[1.0, 0.0]]]), [[0.0], [1.0]])


@pytest.mark.parametrize(
    ("n", "variant", "gain", "span"),
    [
        (6, "ucrl", 0.428622434, 6.310324),
        (12, "ucrl", 0.428571429, 14.880952),
        (6, "calm_end", 0.857168357, 12.619522),
        (12, "calm_end", 0.857142857, 29.761905),
        (6, "strong_current", 0.334250344, 7.524072),
    ],
)
def test_river_swim_constants(n, variant, gain, span):
    mdp = river_swim(n, variant)
    for found in (relative_value_iteration(mdp, 1e-10), howard(mdp), howard(mdp, False)):
        np.testing.assert_allclose(found.gain, gain, atol=1e-9)
        assert np.ptp(found.bias) == pytest.approx(span, abs=1e-6)
        np.testing.assert_array_equal(found.policy, 1)


def test_jao_constants():
    found = relative_value_iteration(jao(8, which=5), 1e-11)
    assert found.gain[0] == pytest.approx(0.714286, abs=1e-6)
    assert np.ptp(found.bias) == pytest.approx(1.428571, abs=1e-6)
    assert found.policy[0] == 5


def test_two_cycle_needs_the_aperiodicity_transform():
    found = relative_value_iteration(CYCLE, 1e-9)
    assert found.gain[0] == pytest.approx(0.5)
    assert abs(np.diff(found.bias)[0]) == pytest.approx(0.5, abs=1e-8)
    with pytest.warns(RuntimeWarning, match="periodic with tau = 1"):
        stuck = relative_value_iteration(CYCLE, 1e-9, tau=1.0, max_backups=100)
    assert not stuck.converged
    assert stuck.lower <= 0.5 <= stuck.upper


def test_bounds_hold_at_every_budget_and_methods_agree():
    for seed in range(20):
        mdp = garnet(15, 3, 3, seed=seed)
        exact = howard(mdp)
        assert np.ptp(exact.gain) < 1e-9
        with pytest.warns(RuntimeWarning):
            early = relative_value_iteration(mdp, 1e-12, max_backups=4)
        assert early.lower <= exact.gain[0] <= early.upper
        found = relative_value_iteration(mdp, 1e-9)
        assert found.gain[0] == pytest.approx(exact.gain[0], abs=1e-9)


def test_vanishing_discount_gives_gain_and_bias():
    mdp = garnet(12, 3, 3, seed=3)
    gamma = 1 - 1e-6
    v = solve(mdp, gamma, "pi", eps=1e-2).value
    found = howard(mdp)
    np.testing.assert_allclose((1 - gamma) * v, found.gain, atol=1e-5)
    np.testing.assert_allclose(v - v[0], found.bias - found.bias[0], atol=1e-4)


def test_shifting_rewards_moves_the_gain_alone():
    mdp = garnet(12, 3, 3, seed=4)
    here, there = howard(mdp), howard(mdp.with_rewards(mdp.r + 2.5))
    np.testing.assert_allclose(there.gain, here.gain + 2.5)
    np.testing.assert_allclose(there.bias, here.bias, atol=1e-12)


def test_multichain_gains_differ_and_the_unichain_form_refuses():
    # State 0 may go to an absorbing state worth 1 or to one worth 2; state 3 is on its own.
    p = np.zeros((4, 2, 4))
    p[0, 0, 1] = p[0, 1, 2] = 1.0
    p[1, :, 1] = p[2, :, 2] = p[3, :, 3] = 1.0
    mdp = FiniteMDP.from_dense(p, [[9.0, 0.0], [1, 1], [2, 2], [0.5, 0.5]])
    found = howard(mdp)
    np.testing.assert_allclose(found.gain, [2, 1, 2, 0.5])
    assert found.policy[0] == 1
    with pytest.raises(ValueError, match="recurrent classes"):
        howard(mdp, multichain=False)
    with pytest.warns(RuntimeWarning, match="multichain"):
        assert not relative_value_iteration(mdp, max_backups=200).converged


def test_average_value_solves_its_equations():
    mdp = garnet(10, 1, 2, seed=6)
    p, r = mdp.matrix(), mdp.r
    gain, bias = average_value(p, r)
    np.testing.assert_allclose(p @ gain, gain)
    np.testing.assert_allclose(gain + bias, r + p @ bias)


def test_ending_models_are_refused_and_can_be_restarted():
    with pytest.raises(ValueError, match="terminates; give it a restart"):
        howard(deep_sea(3))
    assert howard(restarting(deep_sea(3))).gain[0] == pytest.approx(0.99 / 3)


def two_rooms():
    """State 0 chooses one of two closed rooms, of gains 1/2 (a cycle) and 2; state 5 is stuck."""
    s, a = np.array([0, 0, 1, 2, 3, 4, 5]), np.array([0, 1, 0, 0, 0, 0, 0])
    s2 = np.array([1, 3, 2, 1, 4, 3, 5])
    r = np.array([0.0, 0.0, 0.0, 1.0, 3.0, 1.0, 0.25])
    return FiniteMDP.from_coo(s, a, s2, np.ones(7), r)


def test_anchoring_finds_the_gains_of_a_periodic_multichain_model():
    mdp = two_rooms()
    exact = howard(mdp)
    np.testing.assert_allclose(exact.gain, [2, 0.5, 0.5, 2, 2, 0.25])
    with pytest.warns(RuntimeWarning, match="may be multichain"):
        relative_value_iteration(mdp, 1e-6, max_backups=1000)
    errors = {}
    for eps in (1e-2, 1e-4):
        found = anchored_average(mdp, eps)
        assert found.converged
        np.testing.assert_array_equal(found.policy, exact.policy)
        assert found.lower <= exact.gain.min()
        assert exact.gain.max() <= found.upper
        errors[found.backups] = np.abs(found.gain - exact.gain).max()
        assert errors[found.backups] < eps
    # A single anchor's error falls like one over the number of backups; restarts do better.
    (few, rough), (many, fine) = errors.items()
    assert fine * many < 0.5 * rough * few
    with pytest.warns(RuntimeWarning, match="has not settled"):
        assert not anchored_average(mdp, 1e-9, max_backups=100).converged


def test_anchoring_agrees_on_garnets():
    for seed in range(5):
        mdp = garnet(12, 3, 3, seed=seed)
        found = anchored_average(mdp, 1e-4)
        np.testing.assert_allclose(found.gain, howard(mdp).gain, atol=1e-3)


@pytest.mark.parametrize("budget", [1, 2, 3, 9, 100, 1000])
@pytest.mark.parametrize("method", [relative_value_iteration, anchored_average])
@pytest.mark.filterwarnings("ignore:.*stopped after:RuntimeWarning")
def test_the_gain_lies_within_its_bounds_whatever_the_budget(method, budget):
    for mdp in (forest(), two_rooms(), garnet(12, 3, 3, seed=1), garnet(9, 2, 2).as_float32()):
        found = method(mdp, 1e-9, max_backups=budget)
        assert found.lower <= found.gain.min()
        assert found.gain.max() <= found.upper
        best = howard(mdp).gain
        assert found.lower <= best.min() + 1e-12
        assert best.max() <= found.upper + 1e-12
        assert found.backups <= budget


def test_anchoring_reaches_a_fine_gain_of_the_forest():
    found = anchored_average(forest(), 1e-3)
    assert found.gain == pytest.approx(3.24, abs=1e-3)
    found = anchored_average(forest(), 1e-5)
    assert found.converged
    assert found.backups < 20_000
    assert found.gain == pytest.approx(3.24, abs=1e-5)
    assert found.bias == pytest.approx(np.array([-56, -2, 58]) / 15, abs=0.02)
