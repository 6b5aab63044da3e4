import gymnasium
import numpy as np
import pytest
import scipy.sparse as sp

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.learning.q_learning import learn_control


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


def spoilt(where, value):
    p, r = garnet(4, 2, 2, seed=1).dense()
    if where == "r":
        r[1, 1] = value
    elif where == "sum":
        p[1, 1] *= value
    else:
        p[1, 1] = np.array([value, 1 - value, 0, 0])
    return p, r


def from_coo(p, r):
    s, a, s2 = np.indices(p.shape).reshape(3, -1)
    return FiniteMDP.from_coo(s, a, s2, p.ravel(), np.repeat(r.ravel(), 4))


def outcomes(p, r, s, a):
    return [(p[s, a, t], t, r[s, a], False) for t in range(4) if p[s, a, t] != 0]


class Table:
    """What gymnasium's toy-text environments carry."""

    def __init__(self, p, r):
        self.unwrapped = self
        self.P = {s: {a: outcomes(p, r, s, a) for a in range(2)} for s in range(4)}


BUILDERS = {
    "dense": FiniteMDP.from_dense,
    "sparse": lambda p, r: FiniteMDP.from_sparse([sp.csr_matrix(p[:, a]) for a in range(2)], r),
    "coo": from_coo,
    "function": lambda p, r: FiniteMDP.from_function(lambda s, a: outcomes(p, r, s, a), 4, 2),
    "gymnasium": lambda p, r: FiniteMDP.from_gymnasium(Table(p, r)),
}


@pytest.mark.parametrize("form", BUILDERS)
@pytest.mark.parametrize(
    ("where", "value"), [("sum", 0.9), ("p", np.nan), ("p", 1.5), ("p", np.inf), ("r", np.nan)]
)
def test_every_constructor_names_the_row_of_a_bad_number(form, where, value):
    BUILDERS[form](*garnet(4, 2, 2, seed=1).dense())
    with pytest.raises(ValueError, match="state 1, action 1"):
        BUILDERS[form](*spoilt(where, value))


def test_sizes_beyond_int32_are_refused_before_they_are_made():
    big = 2**31
    wide = sp.csr_matrix(([1.0], ([0], [big])), shape=(1, big + 1))
    for build in (
        lambda: FiniteMDP.from_coo([0], [0], [big], [1.0], [0.0]),
        lambda: FiniteMDP.from_coo([0], [0], [0], [1.0], [0.0], num_states=big),
        lambda: FiniteMDP.from_coo([0], [2**32], [0], [1.0], [0.0]),
        lambda: FiniteMDP.from_sparse(wide, np.zeros(1), s=[0], a=[0]),
        lambda: FiniteMDP.from_function(lambda s, a: [(1.0, 0, 0.0, True)], big, 1),
        lambda: garnet(big, 1, 1),
    ):
        with pytest.raises(ValueError, match=r"int32|2147483647"):
            build()


def test_lists_of_states_must_be_integers_inside_the_model():
    with pytest.raises(ValueError, match=r"s\[0\] = 0.7 is not an integer"):
        FiniteMDP.from_coo([0.7], [0], [0], [1.0], [0.0])
    for state in (2, -1):
        with pytest.raises(ValueError, match=rf"row 1: state {state} lies outside 0..1"):
            FiniteMDP.from_sparse(sp.eye_array(2), np.zeros(2), s=[0, state], a=[0, 0])


def test_lists_of_a_callable_may_be_of_any_kind_and_length():
    moves = {
        (0, 0): [(0.5, 0, 1.0, False), (0.5, 1, 3.0, True)],
        (0, 2): [],
        (1, 1): [(1, 0, 2, 0)],
    }
    mdp = FiniteMDP.from_function(
        lambda s, a: (x for x in moves[s, a]), 2, lambda s: [a for t, a in moves if t == s]
    )
    np.testing.assert_array_equal(mdp.a_id, [0, 1])  # a list without entries is no action
    np.testing.assert_array_equal(mdp.r, [2.0, 2.0])
    np.testing.assert_array_equal(mdp.stop, [0.5, 0.0])
    with pytest.raises(ValueError, match="state 1, action 1: next state 5 outside"):
        FiniteMDP.from_function(lambda s, a: [(1.0, 5 * s, 0.0, False)], 2, lambda s: [s])
    with pytest.raises(ValueError, match="no action of any state leads anywhere"):
        FiniteMDP.from_function(lambda s, a: [], 2, 1)


def test_a_sparse_matrix_given_in_order_is_copied_all_the_same():
    p = sp.csr_array(np.array([[0.5, 0.5], [0.0, 1.0]]))
    mdp = FiniteMDP.from_sparse(p, np.zeros(2), s=[0, 1], a=[0, 0])
    p.data[:] = 7.0
    np.testing.assert_array_equal(mdp.val, [0.5, 0.5, 1.0])
    unsorted = sp.csr_array((np.array([0.25, 0.75, 1.0]), [1, 0, 1], [0, 2, 3]))
    mdp = FiniteMDP.from_sparse(unsorted, np.zeros(2), s=[0, 1], a=[0, 0])
    np.testing.assert_array_equal(mdp.val, [0.75, 0.25, 1.0])
    np.testing.assert_array_equal(unsorted.indices, [1, 0, 1])


def test_rewards_by_state_are_those_of_every_action():
    rng = np.random.default_rng(0)
    P, by_state = rng.dirichlet(np.ones(4), (4, 3)), rng.normal(size=4)
    expected = FiniteMDP.from_dense(P, np.repeat(by_state[:, None], 3, 1))
    np.testing.assert_array_equal(FiniteMDP.from_dense(P, by_state).r, expected.r)
    blocks = [sp.csr_array(P[:, a]) for a in range(3)]
    np.testing.assert_array_equal(FiniteMDP.from_sparse(blocks, by_state).r, expected.r)


def test_sparse_rewards_by_pair_and_by_successor():
    rng = np.random.default_rng(1)
    P = rng.dirichlet(np.ones(5), (5, 2)) * (rng.random((5, 2, 5)) < 0.6)
    P[..., 0] += 1 - P.sum(2)
    R = rng.normal(size=(5, 2, 5)) * (rng.random((5, 2, 5)) < 0.3)
    blocks = [sp.csr_array(P[:, a]) for a in range(2)]
    found = FiniteMDP.from_sparse(blocks, [sp.csr_array(R[:, a]) for a in range(2)])
    np.testing.assert_allclose(found.r, FiniteMDP.from_dense(P, R).r, atol=1e-15)
    table = (P * R).sum(2)
    found = FiniteMDP.from_sparse(blocks, sp.csr_array(table))
    np.testing.assert_allclose(found.r, table.ravel(), atol=1e-15)
    with pytest.raises(ValueError, match="R has 1 matrices"):
        FiniteMDP.from_sparse(blocks, [sp.csr_array(R[:, 0])])


def test_action_ids_may_have_gaps():
    """Solved as with ids from 0 on; the policy speaks the given ids."""
    s, s2, r = [0, 0, 1], [1, 0, 0], [1.0, 2.0, 3.0]
    gaps = FiniteMDP.from_coo(s, [2, 7, 5], s2, np.ones(3), r)
    plain = FiniteMDP.from_coo(s, [0, 1, 0], s2, np.ones(3), r)
    for method in ("vi", "pi", "mpi", "lp"):
        found, expected = (solve(m, 0.9, method=method, eps=1e-9) for m in (gaps, plain))
        np.testing.assert_allclose(found.value, expected.value, atol=1e-7)
        ids = np.array([[2, 7], [5, -1]])[np.arange(2), expected.policy]
        np.testing.assert_array_equal(found.policy, ids)
    assert gaps.num_actions == 8
    np.testing.assert_array_equal(np.isneginf(gaps.q_table(np.zeros(2), 0.9)[0]).sum(), 6)
    run = learn_control(gaps, 2000, gamma=0.9)
    assert run.table(gaps).argmax(1).tolist() == solve(gaps, 0.9).policy.tolist()
