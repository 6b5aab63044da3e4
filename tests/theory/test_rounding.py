"""What rounding leaves in a model is neither an end nor an edge."""

import numpy as np
import pytest
import scipy.sparse as sp

from rlkit.envs.tabular.classics import ring
from rlkit.envs.tabular.env import TabularEnv
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory.evaluation import evaluate_policy
from rlkit.theory.geometry.bisimulation import bisimulation_metric
from rlkit.theory.learning.td_matrices import emphatic_system, td_system
from rlkit.theory.mdp import FiniteMDP
from rlkit.theory.objectives.automata import reach_probability
from rlkit.theory.planning.average_reward import average_value, howard, restarting
from rlkit.theory.planning.end_components import end_components, reach_surely
from rlkit.theory.planning.solvers import solve
from rlkit.theory.planning.structure import (
    communicating_classes,
    diameter,
    reachable,
    recurrent_classes,
    stationary_law,
)
from rlkit.theory.returns.distributional import evaluate_laws
from rlkit.theory.returns.laws import Quantile
from rlkit.theory.trajectories import certainty_equivalence, simulate


def thirds(stop=None):
    """Endless in all but the tenth digit."""
    return FiniteMDP.from_dense(np.full((3, 1, 3), 0.3333333333), np.ones((3, 1)), stop=stop)


def endless_float32():
    p = np.random.default_rng(0).dirichlet(np.ones(50), (50, 1))
    return FiniteMDP.from_dense(p, np.ones((50, 1))).as_float32()


def half_way(stop):
    """Two states that each stay, change or end."""
    p = np.full((2, 1, 2), 0.5 * (1.0 - stop))
    return FiniteMDP.from_dense(p, np.ones((2, 1)), stop=np.full((2, 1), stop))


ENDLESS = {
    "short rows": thirds,
    "declared deficit": lambda: thirds("deficit"),
    "declared rounding": lambda: thirds(np.full((3, 1), 1e-10)),
    "float32": endless_float32,
    "float32 deficit": lambda: FiniteMDP.from_dense(
        np.full((3, 1, 3), 1 / 3 - 1e-7, np.float32), np.ones((3, 1)), stop="deficit"
    ),
}


@pytest.mark.parametrize("make", ENDLESS.values(), ids=ENDLESS)
def test_rounding_never_ends_a_process(make):
    mdp = make()
    policy = np.zeros(mdp.num_states, int)
    assert mdp.is_stochastic
    with pytest.raises(ValueError, match="never terminates"):
        evaluate_policy(mdp, policy, 1.0)
    with pytest.raises(ValueError, match="without ever terminating"):
        solve(mdp, 1.0, "pi")
    with pytest.raises(ValueError, match="never terminates"):
        evaluate_laws(mdp, policy, 1.0, Quantile(4))
    features = np.eye(mdp.num_states)
    with pytest.raises(ValueError, match="never terminates"):
        td_system(mdp, features, policy, 1.0, 1.0)
    with pytest.raises(ValueError, match="never terminates"):
        emphatic_system(mdp, features, policy, policy, 1.0)
    assert (end_components(mdp)[0] >= 0).all()
    assert not reach_surely(mdp)[0].any()
    assert howard(mdp).gain == pytest.approx(1.0)
    assert stationary_law(mdp.laws()).sum() == pytest.approx(1.0)
    assert restarting(mdp) is mdp
    assert simulate(mdp, policy, 2000).s2.min() >= 0


def test_a_policy_that_ends_with_a_rounding_s_probability_does_not_end():
    rows = np.full((3, 2, 3), 0.3333333333)
    rows[:, 1] = 0.0
    mdp = FiniteMDP.from_dense(rows, np.ones((3, 2)), stop=np.tile([0.0, 1.0], (3, 1)))
    assert evaluate_policy(mdp, np.tile([0.99, 0.01], (3, 1)), 1.0) == pytest.approx(100.0)
    # What the rows lack would have halved this one, and decided the next.
    assert evaluate_policy(mdp, np.tile([1 - 1e-8, 1e-8], (3, 1)), 1.0) == pytest.approx(1e8)
    with pytest.raises(ValueError, match="never terminates"):
        evaluate_policy(mdp, np.tile([1 - 1e-12, 1e-12], (3, 1)), 1.0)


@pytest.mark.parametrize("stop", [1e-6, 1e-3])
def test_a_small_termination_above_rounding_ends(stop):
    mdp = half_way(stop)
    assert evaluate_policy(mdp, np.zeros(2, int), 1.0) == pytest.approx(1.0 / stop, rel=1e-6)
    assert solve(mdp, 1.0, "pi", 1e-6 / stop).value == pytest.approx(1.0 / stop, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_float32_models_answer_questions_without_discount_as_float64_ones(seed):
    mdp = garnet(20, 3, 3, seed=seed)
    p, r = mdp.dense()
    ending = FiniteMDP.from_dense(p * 0.9, r, stop="deficit")
    for exact in (mdp, ending):
        single = exact.as_float32()
        assert diameter(single) == pytest.approx(diameter(exact), rel=1e-4)
        goal = np.arange(20) < 2
        np.testing.assert_allclose(
            reach_probability(single, goal)[0], reach_probability(exact, goal)[0], atol=1e-5
        )
        np.testing.assert_allclose(
            howard(restarting(single)).gain, howard(restarting(exact)).gain, atol=1e-5
        )
        found = bisimulation_metric(single, 0.5, 1e-3).distance
        np.testing.assert_allclose(found, bisimulation_metric(exact, 0.5, 1e-3).distance, atol=1e-4)
    single, exact = solve(ending.as_float32(), 1.0), solve(ending, 1.0)
    assert single.converged
    np.testing.assert_allclose(single.value, exact.value, rtol=1e-5)


def test_rare_arrivals_are_arrivals():
    goal = np.array([False, True])
    p = np.array([[[1.0 - 1e-9, 1e-9]], [[0.5, 0.5]]])
    rare = FiniteMDP.from_dense(p, np.zeros((2, 1)))
    assert reach_surely(rare, goal)[0].all()
    assert communicating_classes(rare).max() == 0
    p[0, 0] = [1.0 - 1e-6, 1e-6]
    mdp = FiniteMDP.from_dense(p, np.zeros((2, 1)))
    assert reach_probability(mdp, goal)[0] == pytest.approx([1.0, 1.0])
    assert diameter(mdp) == pytest.approx(1e6, rel=1e-5)


def test_an_estimate_without_an_observed_end_has_no_total_return():
    data = simulate(ring(4), np.zeros(4, int), 50)
    assert np.isfinite(certainty_equivalence(data, ring(4), 0.9)).all()
    with pytest.raises(ValueError, match="gamma = 1 needs termination"):
        certainty_equivalence(data, ring(4), 1.0)


# ---- an edge is a positive probability -----------------------------------------------------------


def with_zeros(p, r, zero=0.0, dtype=np.float64):
    """Every successor stored, as arrays and files may have it."""
    states, actions, _ = p.shape
    stored = np.where(p == 0, zero, p).ravel().astype(dtype)
    return FiniteMDP(
        np.arange(states + 1) * actions, np.arange(states * actions + 1) * states,
        np.tile(np.arange(states), states * actions), stored, r.ravel(),
        np.tile(np.arange(actions), states),
    )  # fmt: skip


TWO_ISLANDS = (np.eye(2)[:, None], np.array([[1.0], [3.0]]))


@pytest.mark.parametrize("zero", [0.0, -1e-13])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_entries_that_are_not_positive_are_no_edges(zero, dtype):
    mdp = with_zeros(*TWO_ISLANDS, zero, dtype)
    assert mdp.nnz == 2
    np.testing.assert_array_equal(howard(mdp).gain, [1.0, 3.0])
    np.testing.assert_array_equal(recurrent_classes(mdp.matrix()), [0, 1])
    np.testing.assert_array_equal(communicating_classes(mdp), [0, 1])
    np.testing.assert_array_equal(reachable(mdp, 0), [True, False])
    assert len(set(end_components(mdp)[0])) == 2
    assert diameter(mdp) == np.inf
    with pytest.raises(ValueError, match="2 recurrent classes"):
        stationary_law(mdp.matrix())
    with pytest.raises(ValueError, match="a policy has 2 recurrent classes"):
        howard(mdp, multichain=False)
    np.testing.assert_array_equal(reach_probability(mdp, np.array([True, False]))[0], [1, 0])


def test_a_file_with_zeros_is_read_without_them(tmp_path):
    p, r = TWO_ISLANDS
    np.savez(
        tmp_path / "m.npz", sa_ptr=[0, 1, 2], row_ptr=[0, 2, 4], col=[0, 1, 0, 1], val=p.ravel(),
        r=r.ravel(), a_id=[0, 0],
    )  # fmt: skip
    mdp = FiniteMDP.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(mdp.row_ptr, [0, 1, 2])
    np.testing.assert_array_equal(howard(mdp).gain, [1.0, 3.0])


def test_bare_matrices_with_zeros_have_the_same_classes():
    stored = sp.csr_array((np.array([1.0, 0.0, 0.0, 1.0]), [0, 1, 0, 1], [0, 2, 4]))
    np.testing.assert_array_equal(recurrent_classes(stored), [0, 1])
    gain, _ = average_value(stored, np.array([1.0, 3.0]))
    np.testing.assert_array_equal(gain, [1.0, 3.0])
    passing = sp.csr_array((np.array([0.5, 0.5, 0.0, 1.0]), [0, 1, 0, 1], [0, 2, 4]))
    np.testing.assert_array_equal(stationary_law(passing), [0.0, 1.0])


def test_models_with_and_without_stored_zeros_are_one_model():
    p, r = garnet(8, 2, 3, seed=1).dense()
    full, sparse = with_zeros(p, r), FiniteMDP.from_dense(p, r)
    for name in ("row_ptr", "col", "val"):
        np.testing.assert_array_equal(getattr(full, name), getattr(sparse, name))
    np.testing.assert_array_equal(
        bisimulation_metric(full, 0.9).distance, bisimulation_metric(sparse, 0.9).distance
    )
    assert TabularEnv(full).mdp.nnz == sparse.nnz
