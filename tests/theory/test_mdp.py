import numpy as np
import pytest

from rlkit.envs.tabular.garnet import factored_garnet, garnet
from rlkit.theory import FiniteMDP, solve


def two_states(**changes):
    arrays = dict(
        sa_ptr=[0, 2, 3], row_ptr=[0, 2, 3, 4], col=[0, 1, 1, 1], val=[0.5, 0.5, 1.0, 1.0],
        r=[5.0, 10.0, -1.0], a_id=[0, 1, 0],
    )  # fmt: skip
    return FiniteMDP(**{k: np.array(v) for k, v in (arrays | changes).items()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val": [0.5, 0.4, 1.0, 1.0]}, r"state 0, action 0 .*sum to 0.9"),
        ({"val": [0.5, 0.5, np.nan, 1.0]}, r"state 0, action 1 .*not finite"),
        ({"val": [1.5, -0.5, 1.0, 1.0]}, r"state 0, action 0 .*negative"),
        ({"r": [5.0, np.nan, -1.0]}, r"state 0, action 1 .*reward nan"),
        ({"r": [5.0, -np.inf, -1.0]}, r"state 0, action 1 .*leave infeasible"),
        ({"col": [0, 1, 1, 2]}, r"state 1, action 0 .*successor 2 lies outside 0..1"),
        ({"col": [0, 1, 1, 2**31]}, r"successor 2147483648 \(entry 3\) does not fit int32"),
        ({"col": [0, 1, -(2**32), 1]}, r"successor -4294967296 \(entry 2\) does not fit int32"),
        ({"col": [0.5, 1, 1, 1]}, r"col\[0\] = 0.5 is not an integer"),
        ({"col": [0, 1, 1, -1]}, r"state 1, action 0 .*successor -1 lies outside"),
        ({"a_id": [0, 2**32 + 1, 0]}, r"action 4294967297 \(entry 1\) does not fit int32"),
        ({"a_id": [-1, 1, 0]}, r"state 0, action -1 .*negative action id"),
        ({"sa_ptr": ["0", "2", "3"]}, r"sa_ptr must hold integers"),
        ({"col": [1, 0, 1, 1]}, r"state 0, action 0 .*out of order"),
        ({"col": [0, 0, 1, 1]}, r"state 0, action 0 .*repeated"),
        ({"sa_ptr": [0, 3, 3]}, r"state 1 has no feasible action"),
        ({"a_id": [1, 0, 0]}, r"state 0, action 0 \(row 1\): actions of a state"),
        ({"a_id": [0, 2000, 0]}, "action ids reach 2000, but only 2 of them occur"),
        ({"row_ptr": [0, 2, -3, 4]}, r"decreases at index 1 .*overflow"),
        ({"row_ptr": [0, 2, 3, 5]}, r"row_ptr must run from 0 to 4"),
        ({"stop": [0.0, 2.0, 0.0]}, r"termination probability 2.0"),
        ({"mu0": [0.5, 0.6]}, r"mu0 must be non-negative and sum to 1"),
        ({"exo": [[0.5, 0.5], [0.5, 0.6]]}, r"exo row 1 is not a probability law"),
    ],
)
def test_bad_model_is_refused_and_the_place_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        two_states(**changes)


def test_long_honest_rows_are_accepted():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(2000), 2000) * (1 + 1e-13)  # far above a few ulp, still honest
    mdp = FiniteMDP.from_dense(p[:, None], np.zeros((2000, 1)))
    assert mdp.row_sum_range[1] > 1.0


def test_arrays_are_read_only_and_not_copied():
    val = np.array([0.5, 0.5, 1.0, 1.0])
    mdp = FiniteMDP(
        np.array([0, 2, 3]), np.array([0, 2, 3, 4]), np.array([0, 1, 1, 1], np.int32), val,
        np.zeros(3), np.array([0, 1, 0], np.int32),
    )  # fmt: skip
    assert np.shares_memory(mdp.val, val)
    assert val.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        mdp.val[0] = 0.0


def test_deficit_becomes_termination():
    p = np.array([[[0.5, 0.4], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    ending = FiniteMDP.from_dense(p, np.ones((2, 2)), stop="deficit")
    np.testing.assert_allclose(ending.stop, [0.1, 0, 0, 0], atol=1e-15)
    assert not ending.is_stochastic


def test_save_load_round_trip(tmp_path):
    mdp = factored_garnet(4, 3, 2)
    mdp.save(tmp_path / "model.npz")
    again = FiniteMDP.load(tmp_path / "model.npz")
    for name in ("sa_ptr", "row_ptr", "col", "val", "r", "a_id", "exo"):
        np.testing.assert_array_equal(getattr(again, name), getattr(mdp, name))
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]


def test_load_names_a_foreign_file(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.ones(3))
    with pytest.raises(ValueError, match=r"other.npz is not a FiniteMDP: missing .*'a_id'"):
        FiniteMDP.load(tmp_path / "other.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match=r"text.npz is damaged, or is not an npz file"):
        FiniteMDP.load(tmp_path / "text.npz")


def test_factored_form_equals_its_expansion():
    mdp = factored_garnet(6, 4, 3, seed=3)
    v = np.random.default_rng(0).normal(size=mdp.num_states)
    np.testing.assert_allclose(mdp.q(v, 0.9), mdp.expanded().q(v, 0.9), rtol=1e-13)
    np.testing.assert_allclose(
        mdp.matrix().toarray(), mdp.expanded().matrix().toarray(), rtol=1e-13
    )
    assert mdp.nnz == 6 * 4 * 3
    assert mdp.expanded().nnz == 4 * mdp.nnz


def test_q_table_marks_infeasible_actions_and_matches_dense():
    mdp = FiniteMDP.from_dense(
        np.array([[[0.5, 0.5], [0, 1]], [[0, 1], [0, 0]]]), [[5, 10], [-1, -np.inf]]
    )
    v = np.array([1.0, 2.0])
    np.testing.assert_allclose(mdp.q_table(v, 0.5), [[5.75, 11.0], [0.0, -np.inf]])
    with pytest.raises(ValueError, match="policy takes action 1 in state 1"):
        mdp.rows(np.array([0, 1]))


def test_values_and_policies_must_fit_the_states():
    mdp = two_states()
    for v in (np.zeros(1), np.zeros(3), np.zeros((2, 1))):
        with pytest.raises(ValueError, match=r"v must have shape \(2,\)"):
            mdp.q(v, 0.9)
    with pytest.raises(ValueError, match=r"policy\[1\] = 0.5 is not an integer"):
        mdp.rows(np.array([0.0, 0.5]))
    np.testing.assert_array_equal(mdp.rows(np.array([1.0, 0.0])), [1, 2])


def test_relabelling_states_permutes_the_value():
    mdp = garnet(15, 3, 4, seed=2)
    p, r = mdp.dense()
    order = np.random.default_rng(1).permutation(15)
    other = FiniteMDP.from_dense(p[order][:, :, order], r[order])
    np.testing.assert_allclose(
        solve(other, 0.9, eps=1e-10).value, solve(mdp, 0.9, eps=1e-10).value[order], atol=1e-9
    )


def test_float32_sums_stay_in_float64():
    mdp = garnet(30, 3, 5, seed=4)
    single = mdp.as_float32()
    assert single.val.dtype == np.float32
    assert single.q(np.ones(30), 0.9).dtype == np.float64
    found = solve(single, 0.9, eps=1e-9)
    exact = solve(single, 0.9, "lp").value
    assert (found.lower <= exact + 1e-9).all()
    assert (exact <= found.upper + 1e-9).all()
    np.testing.assert_allclose(found.value, solve(mdp, 0.9, eps=1e-9).value, atol=1e-5)


def test_a_model_is_written_beside_its_place_and_renamed(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    first = factored_garnet(4, 3, 2)
    first.save(path)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(ValueError, match=r"model\.npz cannot be written: the disk is full"):
        first.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
