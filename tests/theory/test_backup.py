import tracemalloc

import numpy as np

from rlkit.envs.tabular.garnet import factored_garnet, garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.backup import Backup
from rlkit.theory.planning.finite_horizon import backward_induction


def test_operator_is_the_dense_formula():
    mdp = garnet(12, 3, 4, seed=1)
    p, r = mdp.dense()
    v, out = np.random.default_rng(0).normal(size=12), np.empty(12)
    op = Backup(mdp, 0.9)
    low, high = op(v, out)
    expected = (r + 0.9 * p @ v).max(1)
    np.testing.assert_allclose(out, expected, rtol=1e-13)
    assert (low, high) == ((out - v).min(), (out - v).max())
    np.testing.assert_array_equal(mdp.a_id[op.best], (r + 0.9 * p @ v).argmax(1))
    assert op.touched == mdp.nnz


def test_ties_go_to_the_lowest_action():
    mdp = FiniteMDP.from_dense(np.full((3, 4, 3), 1 / 3), np.ones((3, 4)))
    np.testing.assert_array_equal(solve(mdp, 0.9).policy, 0)
    np.testing.assert_array_equal(backward_induction(mdp, 2).policy, 0)


def test_packed_policy_is_the_operator_of_that_policy_alone():
    for mdp in (garnet(20, 3, 4, seed=2), factored_garnet(5, 4, 3)):
        op = Backup(mdp, 0.9)
        rows = mdp.rows(np.arange(20) % 3)
        v, out = np.random.default_rng(1).normal(size=20), np.empty(20)
        op.pack(rows)(v, out)
        np.testing.assert_allclose(out, mdp.q(v, 0.9)[rows], rtol=1e-13)


def test_a_new_policy_takes_the_place_of_the_last():
    p, r = garnet(25, 3, 4, seed=3).dense()
    p[:, 1] = np.eye(25)  # rows of other lengths, so that what follows moves
    mdp, rng = FiniteMDP.from_dense(p, r), np.random.default_rng(2)
    op, v, out = Backup(mdp, 0.9), rng.normal(size=25), np.empty(25)
    action = rng.integers(3, size=25)
    for _ in range(20):
        action[rng.integers(25, size=3)] = rng.integers(3, size=3)
        rows = mdp.rows(action)
        low, high = op.pack(rows)(v, out)
        np.testing.assert_allclose(out, mdp.q(v, 0.9)[rows], rtol=1e-13)
        assert (low, high) == ((out - v).min(), (out - v).max())


def test_single_precision_needs_no_more_sweeps():
    # Its rows sum to one within 1e-7 only, which the bracket would feel for as long as values
    # drift: see Backup.centre.
    mdp = garnet(300, 4, 5, seed=2)
    for method in ("vi", "mpi"):
        double, single = (solve(m, 0.99, method).backups for m in (mdp, mdp.as_float32()))
        assert single <= 1.1 * double


def test_rounding_floor_grows_with_the_value_and_towards_gamma_one():
    mdp = garnet(10, 2, 3)
    small, large = np.ones(10), np.full(10, 1e6)
    assert 0 < Backup(mdp, 0.9).rounding_floor(small) < 1e-12
    assert Backup(mdp, 0.9).rounding_floor(large) > 1e4 * Backup(mdp, 0.9).rounding_floor(small)
    assert Backup(mdp, 0.9999).rounding_floor(small) > Backup(mdp, 0.9).rounding_floor(small)


def test_a_solve_needs_less_than_a_third_of_the_model_on_top():
    mdp = garnet(5000, 4, 50, seed=1)
    solve(mdp, 0.9)  # compiled beforehand
    tracemalloc.start()
    assert solve(mdp, 0.99).converged
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * mdp.nbytes
