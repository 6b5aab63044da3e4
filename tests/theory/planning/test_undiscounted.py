import numpy as np
import pytest

from rlkit.envs.tabular.chains import lock
from rlkit.envs.tabular.garnet import garnet
from rlkit.envs.tabular.grids import maze
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.evaluation import evaluate_policy


def test_paid_stay_is_refused_and_named():
    with pytest.raises(ValueError, match=r"improper policy: state 0, action 0 .*pays"):
        solve(garnet(5, 2, 2), 1.0)


def test_costly_trap_is_refused():
    p = np.zeros((2, 2, 2))
    p[0, 0, 1] = p[1, :, 1] = 1.0
    stop = np.array([[0.0, 1.0], [0.0, 0.0]])
    model = FiniteMDP.from_dense(p, -np.ones((2, 2)), stop=stop)
    with pytest.raises(ValueError, match="from state 1 every policy"):
        solve(model, 1.0)


def test_maze_counts_steps_with_certified_bounds():
    mdp = maze(("S..", "##.", "G.."))
    found = solve(mdp, 1.0)
    np.testing.assert_allclose(found.value, [-6, -5, -4, -3, -1, -2])
    assert found.converged
    assert (found.lower <= found.value).all()
    assert (found.value <= found.upper).all()
    assert evaluate_policy(mdp, found.policy, 1.0)[0] == pytest.approx(-6)


def test_free_stay_may_be_left_or_kept():
    # States 0 and 1 walk to each other for free; leaving from 1 pays `prize`, from 0 costs 5.
    def model(prize):
        p, r, stop = np.zeros((2, 2, 2)), np.zeros((2, 2)), np.zeros((2, 2))
        p[0, 0, 1] = p[1, 0, 0] = stop[0, 1] = stop[1, 1] = 1.0
        r[0, 1], r[1, 1] = -5.0, prize
        return FiniteMDP.from_dense(p, r, stop=stop)

    np.testing.assert_allclose(solve(model(3.0), 1.0).value, [3.0, 3.0])
    np.testing.assert_array_equal(solve(model(3.0), 1.0).policy, [0, 1])
    np.testing.assert_allclose(solve(model(-3.0), 1.0).value, [0.0, 0.0])
    np.testing.assert_array_equal(solve(model(-3.0), 1.0).policy, [0, 0])


def test_lock_is_worth_one_from_every_live_state():
    found = solve(lock(6, 3), 1.0)
    np.testing.assert_allclose(found.value[:-1], 1.0)
    assert found.value[-1] == 0.0


def test_large_gamma_approaches_the_total_reward():
    mdp = maze(4, seed=3, slip=0.2)
    total = solve(mdp, 1.0).value
    np.testing.assert_allclose(solve(mdp, 1 - 1e-7, "pi", eps=1e-3).value, total, rtol=1e-3)


def test_evaluation_of_an_improper_policy_is_refused():
    mdp = maze(("S..", "..G"))
    with pytest.raises(ValueError, match="needs a proper policy, but state 0"):
        evaluate_policy(mdp, np.zeros(mdp.num_states, int), 1.0)
