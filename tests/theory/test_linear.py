"""Linear systems of chains that hardly ever leave a state."""

import numpy as np
import pytest
import scipy.sparse as sp

from rlkit.theory import FiniteMDP
from rlkit.theory.evaluation import evaluate_policy, occupancy
from rlkit.theory.geometry.representations import successor_representation
from rlkit.theory.linear import factor_chain, solve_chain
from rlkit.theory.planning.average_reward import howard


def two_states(p: float) -> FiniteMDP:
    return FiniteMDP(
        [0, 1, 2], [0, 2, 4], [0, 1, 0, 1], [1.0 - p, p, p, 1.0 - p], [1.0, 3.0], [0, 0]
    )


@pytest.mark.parametrize("p", [1e-3, 1e-17, 1e-300])
def test_the_gain_of_a_chain_that_hardly_moves(p):
    for multichain in (True, False):
        found = howard(two_states(p), multichain=multichain)
        np.testing.assert_allclose(found.gain, 2.0, rtol=1e-12)
        # h(1) - h(0) = (r(1) - r(0)) / 2p
        assert found.bias[1] - found.bias[0] == pytest.approx(1.0 / p, rel=1e-9)


def test_a_bias_beyond_floating_point_names_its_state():
    with pytest.raises(ValueError, match="state 1 is left so slowly"):
        howard(two_states(1e-320))


def test_a_bias_that_hides_a_choice_is_refused():
    p = 1e-17
    moves = np.array([[[1 - p, p], [1 - p, p]], [[p, 1 - p], [p, 1 - p]]])
    with pytest.raises(ValueError, match="is left so slowly that its bias"):
        howard(FiniteMDP.from_dense(moves, np.array([[1.0, 1.5], [5.0, 4.0]])))


def test_transient_states_that_hardly_leave():
    p = 1e-17
    moves = np.array([[1 - 2 * p, p, p], [0, 1, 0], [0, 0, 1]])[:, None, :]
    found = howard(FiniteMDP.from_dense(moves, np.array([[0.0], [1.0], [4.0]])))
    np.testing.assert_allclose(found.gain, [2.5, 1.0, 4.0], rtol=1e-12)


def test_values_and_occupancies_near_gamma_one():
    gamma = np.nextafter(1.0, 0.0)
    gone = 1.0 - gamma
    # v(1) - v(0) = 2 / (gone + 2 gamma p), v(0) + v(1) = 4 / gone
    for p in (1e-3, 1e-17):
        v = evaluate_policy(two_states(p), np.zeros(2, int), gamma)
        half = 1.0 / (gone + 2 * gamma * p)
        np.testing.assert_allclose(v, [2 / gone - half, 2 / gone + half], rtol=1e-12)
        shares = occupancy(two_states(p), np.zeros(2, int), gamma, np.array([1.0, 0.0]))
        np.testing.assert_allclose(shares, [0.5 + gone * half / 2, 0.5 - gone * half / 2])
        psi = successor_representation(two_states(p), np.zeros(2, int), gamma)
        np.testing.assert_allclose(gone * psi.sum(1), 1.0, rtol=1e-12)


def test_elimination_agrees_with_lu_both_ways():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(7), 7)
    stop = np.zeros(7)
    stop[3] = 1e-10  # slow enough for elimination, quick enough for LU's leading digits
    p[3] *= 1.0 - stop[3]
    for transpose in (False, True):
        b = rng.random((7, 2))
        system = np.eye(7) - p
        expected = np.linalg.solve(system.T if transpose else system, b)
        found = solve_chain(p, b, stop=stop, transpose=transpose)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        np.testing.assert_allclose((system.T if transpose else system) @ found, b, atol=1e-4)


def test_closed_sets_are_named():
    closed = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    with pytest.raises(ValueError, match=r"state [12] is left so slowly"):
        solve_chain(closed, np.ones(3))
    with pytest.raises(ValueError, match="state 12 "):
        solve_chain(closed, np.ones(3), states=np.array([10, 11, 12]))
    with pytest.raises(ValueError, match="sparse factorisation"):
        factor_chain(sp.eye_array(5, format="csr"))
    with pytest.raises(ValueError, match="sparse factorisation"):
        solve_chain(sp.eye_array(2001, format="csr"), np.ones(2001))
