import gymnasium
import numpy as np
import pytest
import scipy.sparse as sp

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve


def test_dense_round_trip_is_exact():
    mdp = garnet(12, 3, 5, seed=1)
    p, r = mdp.dense()
    again = FiniteMDP.from_dense(p, r)
    np.testing.assert_array_equal(again.val, mdp.val)
    np.testing.assert_array_equal(again.col, mdp.col)
    np.testing.assert_array_equal(again.dense()[0], p)


def test_three_index_rewards_are_contracted_once():
    p, _ = garnet(8, 2, 3, seed=2).dense()
    r3 = np.random.default_rng(0).normal(size=p.shape)
    np.testing.assert_allclose(
        FiniteMDP.from_dense(p, r3).r.reshape(8, 2), (p * r3).sum(2), rtol=1e-12
    )


def test_action_first_order_is_recognised():
    p = np.ones((2, 3, 3)) / 3
    with pytest.raises(ValueError, match=r"looks like \(A, S, S\)"):
        FiniteMDP.from_dense(p, np.zeros((3, 2)))


def test_zero_row_is_an_error_not_an_infeasible_action():
    p = np.zeros((2, 1, 2))
    p[0, 0, 0] = 1.0
    with pytest.raises(ValueError, match=r"state 1, action 0 .*sum to 0"):
        FiniteMDP.from_dense(p, np.zeros((2, 1)))


def test_coo_sums_duplicates_and_averages_their_rewards():
    mdp = FiniteMDP.from_coo(
        [0, 0, 0, 1], [0, 0, 0, 0], [1, 0, 1, -1], [0.25, 0.5, 0.25, 1.0], [4.0, 0.0, 8.0, 2.0]
    )
    np.testing.assert_allclose(mdp.dense()[0][0, 0], [0.5, 0.5])
    np.testing.assert_allclose(mdp.r, [3.0, 2.0])
    np.testing.assert_allclose(mdp.stop, [0.0, 1.0])


def test_coo_refuses_out_of_range_and_bad_numbers():
    with pytest.raises(ValueError, match=r"s2\[1\] = 5 lies outside -1..1"):
        FiniteMDP.from_coo([0, 1], [0, 0], [1, 5], [1.0, 1.0], [0.0, 0.0], num_states=2)
    with pytest.raises(ValueError, match=r"entry 1 \(state 1, action 0\): p = -1.0"):
        FiniteMDP.from_coo([0, 1], [0, 0], [1, 1], [1.0, -1.0], [0.0, 0.0])


@pytest.mark.parametrize("form", ["list", "rows"])
def test_scipy_sparse_equals_dense(form):
    mdp = garnet(10, 3, 4, seed=5)
    p, r = mdp.dense()
    if form == "list":
        other = FiniteMDP.from_sparse([sp.csr_matrix(p[:, a]) for a in range(3)], r)
    else:
        shuffled = np.random.default_rng(0).permutation(30)
        other = FiniteMDP.from_sparse(
            mdp.matrix()[shuffled], mdp.r[shuffled],
            s=mdp.state_of_row()[shuffled], a=mdp.a_id[shuffled],
        )  # fmt: skip
    np.testing.assert_array_equal(other.val, mdp.val)
    np.testing.assert_array_equal(other.r, mdp.r)


def test_gymnasium_table_has_the_known_values():
    env = gymnasium.make("FrozenLake-v1", map_name="4x4", is_slippery=True)
    mdp = FiniteMDP.from_gymnasium(env)
    assert mdp.mu0[0] == 1.0
    assert solve(mdp, 0.9, eps=1e-11).value[0] == pytest.approx(0.068890905, abs=1e-9)


def test_environment_without_a_table_is_refused():
    with pytest.raises(ValueError, match="no transition dictionary P"):
        FiniteMDP.from_gymnasium(gymnasium.make("CartPole-v1"))


def test_function_with_state_dependent_actions():
    def step(s, a):
        return [(1.0, s + a, float(s), s + a == 3)]

    mdp = FiniteMDP.from_function(step, 4, lambda s: range(2 if s < 3 else 1))
    assert mdp.num_rows == 7
    assert mdp.table(mdp.r)[3, 1] == -np.inf
    with pytest.raises(ValueError, match="state 0, action 0: next state 9"):
        FiniteMDP.from_function(lambda s, a: [(1.0, 9, 0.0, False)], 2, 1)


def test_counts_become_frequencies_and_unseen_pairs_need_a_decision():
    counts = np.zeros((2, 2, 2))
    counts[0, 0] = [3, 1]
    counts[1, 0] = [0, 2]
    counts[1, 1] = [1, 0]
    rewards = np.array([[1.0, 7.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="state 0, action 1 was never tried"):
        FiniteMDP.from_counts(counts, rewards)
    assert FiniteMDP.from_counts(counts, rewards, unseen="drop").num_rows == 3
    stops = FiniteMDP.from_counts(counts, rewards, unseen="stop")
    assert stops.q_table(np.full(2, 100.0), 0.9)[0, 1] == 7.0
    looped = FiniteMDP.from_counts(counts, rewards, unseen="self")
    np.testing.assert_allclose(looped.dense()[0][0], [[0.75, 0.25], [1.0, 0.0]])


def test_factored_constructor_checks_its_moves():
    with pytest.raises(ValueError, match=r"move\(0, 0, 0\) = 5"):
        FiniteMDP.factored(np.full((2, 1, 1), 5), np.ones((1, 1)), np.zeros((2, 1, 1)))
