import numpy as np
import pytest

from rlkit.envs.tabular.garnet import factored_garnet, garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.evaluation import evaluate_policy, greedy, occupancy, policy_model
from rlkit.theory.planning.linear_program import flow_matrix, solve_lp


def uniform(mdp):
    return np.full((mdp.num_states, mdp.num_actions), 1.0 / mdp.num_actions)


@pytest.mark.parametrize("mdp", [garnet(40, 3, 4, seed=1), factored_garnet(5, 4, 3)])
def test_value_solves_its_equation_by_lu_and_krylov(mdp):
    policy = uniform(mdp)
    p, r = policy_model(mdp, policy)
    for method in ("lu", "krylov", "auto"):
        v = evaluate_policy(mdp, policy, 0.95, method)
        np.testing.assert_allclose(v, r + 0.95 * (p @ v), atol=1e-10)


def test_occupancy_sums_to_one_and_prices_rewards():
    mdp = garnet(20, 3, 4, seed=3)
    d = occupancy(mdp, uniform(mdp), 0.9)
    v = evaluate_policy(mdp, uniform(mdp), 0.9)
    assert d.sum() == pytest.approx(1.0)
    assert d @ mdp.r == pytest.approx(0.1 * mdp.initial_law() @ v)


def test_dual_program_is_the_occupancy_of_the_optimal_policy():
    mdp = garnet(20, 3, 4, seed=5)
    program = solve_lp(mdp, 0.95)
    best = solve(mdp, 0.95, "pi")
    np.testing.assert_allclose(program.value, best.value, atol=1e-7)
    np.testing.assert_allclose(program.occupancy, occupancy(mdp, best.policy, 0.95), atol=1e-9)
    flow = flow_matrix(mdp, 0.95).T @ program.occupancy
    np.testing.assert_allclose(flow, 0.05 * mdp.initial_law(), atol=1e-9)
    with pytest.raises(ValueError, match="positive weight"):
        solve_lp(mdp, 0.95, np.eye(20)[0])


def test_policies_are_checked():
    mdp = garnet(4, 2, 2)
    with pytest.raises(ValueError, match=r"policy of state 2 puts 0.5"):
        evaluate_policy(mdp, [[1, 0], [1, 0], [0.5, 0], [1, 0]], 0.9)
    with pytest.raises(ValueError, match=r"expected \(4, 2\)"):
        evaluate_policy(mdp, np.ones((4, 3)), 0.9)


def test_greedy_marks_ties_and_takes_the_lowest():
    mdp = FiniteMDP.from_dense(
        np.tile(np.eye(3)[[1, 1, 2]], (3, 1, 1)), [[1, 1, 0], [0, 2, 2], [3, -np.inf, 0]]
    )
    policy, ties = greedy(mdp, np.zeros(3), 0.9)
    np.testing.assert_array_equal(policy, [0, 1, 0])
    np.testing.assert_array_equal(ties, [1, 1, 0, 0, 1, 1, 1, 0])
    big = garnet(30, 3, 4, seed=2)
    found = solve(big, 0.9)
    np.testing.assert_array_equal(greedy(big, found.value, 0.9)[0], found.policy)
