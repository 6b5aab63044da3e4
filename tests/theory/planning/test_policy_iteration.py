import numpy as np
import pytest

from rlkit.envs.tabular.chains import chain
from rlkit.envs.tabular.garnet import factored_garnet, garnet
from rlkit.envs.tabular.grids import maze
from rlkit.theory import FiniteMDP, linear, solve
from rlkit.theory.backup import Backup
from rlkit.theory.planning.iterations import Watch
from rlkit.theory.planning.policy_iteration import modified_policy_iteration, policy_iteration


def policies(forcing=None):
    """The sequence of policies that policy iteration evaluates."""
    seen = []

    class Spy(Backup):
        def pack(self, rows):
            seen.append(rows.copy())
            return super().pack(rows)

    op = Spy(garnet(80, 5, 4, seed=6), 0.99)
    options = {} if forcing is None else {"evaluation": "krylov", "forcing": forcing}
    policy_iteration(op, np.zeros(80), Watch(op, 1e-8, 1e4), **options)
    return np.unique(np.array(seen), axis=0)


def test_inexact_evaluation_reproduces_exact_policy_sequence():
    np.testing.assert_array_equal(policies(), policies(1e-9))


def test_ties_do_not_cycle():
    p = np.full((4, 3, 4), 0.25)
    found = solve(FiniteMDP.from_dense(p, np.ones((4, 3))), 0.99, "pi")
    assert found.converged
    np.testing.assert_allclose(found.value, 100.0)


def test_mpi_without_inner_sweeps_is_value_iteration():
    mdp = garnet(30, 3, 3, seed=1)
    none, vi = solve(mdp, 0.95, "mpi", k=0), solve(mdp, 0.95, "vi")
    np.testing.assert_array_equal(none.value, vi.value)
    assert none.backups == vi.backups


def test_policy_sweeps_are_counted_at_their_share_of_the_model():
    mdp = garnet(40, 8, 5, seed=2)
    op = Backup(mdp, 0.99)
    watch = Watch(op, 1e-6, 1e4)
    modified_policy_iteration(op, np.zeros(40), watch, k=4, cut=0.0)
    sweeps = op.touched / mdp.nnz
    improvements = round(sweeps / 1.5)  # the first, of zeros, reads no successors
    assert improvements > 2
    assert sweeps == improvements * (1 + 4 / 8)


def test_sparse_evaluation_is_chosen_where_successors_are_near(monkeypatch):
    asked = []
    plain = linear.factor_chain
    monkeypatch.setattr(linear, "factor_chain", lambda p, gamma: asked.append(1) or plain(p, gamma))
    for mdp, near in ((chain(60), True), (maze(12, slip=0.2), True), (garnet(90, 2, 3), False)):
        asked.clear()
        found = solve(mdp, 0.97, "pi")
        assert found.converged
        assert bool(asked) == near
        dense = solve(mdp, 0.97, "pi", evaluation="lu")
        np.testing.assert_allclose(found.value, dense.value, atol=1e-9)
        np.testing.assert_array_equal(found.policy, dense.policy)
    with pytest.raises(ValueError, match="factored"):
        solve(factored_garnet(8, 5, 3), 0.97, "pi", evaluation="sparse")


def test_factored_policy_iteration_both_ways():
    mdp = factored_garnet(8, 5, 3, seed=4)
    exact = solve(mdp.expanded(), 0.97, "pi").value
    for evaluation in ("lu", "krylov"):
        found = solve(mdp, 0.97, "pi", evaluation=evaluation)
        np.testing.assert_allclose(found.value, exact, atol=1e-6)
