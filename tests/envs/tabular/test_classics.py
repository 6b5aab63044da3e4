import numpy as np
import pytest

from rlkit.envs.tabular.classics import baird, boyan_chain, inventory, ring, two_theta
from rlkit.theory import solve
from rlkit.theory.evaluation import evaluate_policy
from rlkit.theory.learning.td_matrices import expected_iterates, td_system


def test_boyan_value_is_linear_in_its_features():
    case = boyan_chain()
    v = evaluate_policy(case.mdp, case.target, 1.0)
    np.testing.assert_allclose(v, -2.0 * np.arange(13))
    np.testing.assert_allclose(case.features @ [-24, -16, -8, 0], v)


def test_ring_spectrum():
    eigenvalues = np.sort(np.linalg.eigvalsh(ring(7).matrix().toarray()))
    np.testing.assert_allclose(eigenvalues, np.sort(np.cos(2 * np.pi * np.arange(7) / 7)))


def test_baird_features():
    case = baird()
    np.testing.assert_allclose(case.features @ [1, 1, 1, 1, 1, 1, 10, 1], [3] * 6 + [12])
    np.testing.assert_allclose(case.behaviour.sum(1), 1.0)


def test_inventory_orders_up_to_a_level_and_counts_sales():
    mdp = inventory(10, mean_demand=3.0, fixed=0.0)
    policy = solve(mdp, 0.95).policy
    level = np.arange(11) + policy
    assert len(set(level[policy > 0])) == 1  # base-stock policy without fixed cost
    from scipy.stats import poisson

    d = np.arange(200)
    sales = (np.minimum(d, 7) * poisson.pmf(d, 3.0)).sum()
    row = mdp.row_table()[2, 5]
    assert mdp.r[row] == pytest.approx(2 * sales - 5 - 0.05 * 2)
    with pytest.raises(ValueError, match="mean_demand"):
        inventory(5, 0.0)


def test_two_theta_diverges_beyond_five_sixths():
    case = two_theta()
    for gamma in (0.8, 0.9):
        system = td_system(case.mdp, case.features, case.target, gamma, behaviour=case.behaviour)
        assert system.A.item() == pytest.approx(0.5 * (5 - 6 * gamma))
        after = expected_iterates(system, np.ones(1), "td", 0.1, 0.0, 1000)
        assert (abs(after.item()) > 1) == (gamma > 5 / 6)
        corrected = expected_iterates(system, np.ones(1), "tdc", 0.05, 0.3, 3000)
        assert abs(corrected.item()) < 1
