import contextlib

import numpy as np
import pytest

from rlkit.envs.tabular.chains import chain, deep_sea, river_swim
from rlkit.envs.tabular.classics import forest, inventory, ring
from rlkit.envs.tabular.garnet import factored_garnet, garnet
from rlkit.envs.tabular.grids import frozen_lake, maze
from rlkit.theory import FiniteMDP, backup, solve
from rlkit.theory.backup import Backup
from rlkit.theory.planning.solvers import METHODS

PUTERMAN = FiniteMDP.from_dense(
    np.array([[[0.5, 0.5], [0, 1]], [[0, 1], [0, 0]]]), [[5, 10], [-1, -np.inf]]
)


def random_model(seed):
    """Fifty Garnets in turn: sparse, dense, factored, and with rows that end."""
    kind = seed % 4
    if kind == 0:
        return garnet(20, 3, 3, seed)
    if kind == 1:
        return garnet(12, 4, 12, seed)
    if kind == 2:
        return factored_garnet(5, 3, 3, seed)
    p, r = garnet(15, 3, 4, seed).dense()
    scale = np.random.default_rng(seed).uniform(0.7, 1.0, (15, 3, 1))
    return FiniteMDP.from_dense(p * scale, r - 0.5, stop="deficit")


@pytest.mark.parametrize("method", METHODS)
def test_puterman_two_state(method):
    found = solve(PUTERMAN, 0.95, method)
    assert found.converged
    np.testing.assert_allclose(found.value, [-8.571428571, -20.0], atol=1e-6)
    np.testing.assert_array_equal(found.policy, [0, 0])


@pytest.mark.parametrize(
    ("gamma", "value"), [(0.9, (26.244, 29.484, 33.484)), (0.96, (74.6496, 78.1056, 82.1056))]
)
def test_forest(gamma, value):
    np.testing.assert_allclose(solve(forest(), gamma, eps=1e-9).value, value, atol=1e-8)


@contextlib.contextmanager
def every_bracket_checked(monkeypatch, truth):
    """Holds each bracket that a solver computes against the truth; gives the list of widths."""
    widths = []
    call, bracket = Backup.__call__, Backup.bracket

    def watched(self, v, out):
        self.last = out
        return call(self, v, out)

    def checked(self, v, low, high):
        shifts = bracket(self, v, low, high)
        if (low, high) != (0.0, 0.0):  # not the rounding floor
            widths.append(shifts[1] - shifts[0])
            assert (self.last + shifts[0] <= truth + 1e-9).all()
            assert (truth <= self.last + shifts[1] + 1e-9).all()
        return shifts

    with monkeypatch.context() as patch:
        patch.setattr(Backup, "__call__", watched)
        patch.setattr(Backup, "bracket", checked)
        yield widths


def test_all_methods_agree_on_fifty_garnets_and_bound_them_at_every_sweep(monkeypatch):
    sweeps = dict.fromkeys(METHODS, 0)
    for seed in range(50):
        mdp = random_model(seed)
        exact = solve(mdp, 0.95, "lp").value
        for method in METHODS:
            with every_bracket_checked(monkeypatch, exact) as widths:
                found = solve(mdp, 0.95, method)
            sweeps[method] += len(widths)
            assert min(widths) <= 1e-6
            assert found.converged, (seed, method)
            assert found.gap <= 1e-6
            assert (found.lower <= exact + 1e-9).all(), (seed, method)
            assert (exact <= found.upper + 1e-9).all(), (seed, method)
            # The greedy policy loses no more than the bracket's width.
            again = FiniteMDP.from_sparse(
                mdp.matrix()[mdp.rows(found.policy)], mdp.r[mdp.rows(found.policy)],
                s=np.arange(mdp.num_states), a=np.zeros(mdp.num_states, int), stop="deficit",
            )  # fmt: skip
            assert (exact - solve(again, 0.95, "pi").value).max() <= found.gap + 1e-9
    assert min(sweeps.values()) >= 50
    assert sweeps["vi"] > 500


@pytest.mark.parametrize("mdp", [maze(4), inventory(8), ring(9), chain(8), frozen_lake()])
def test_slow_mixing_models_agree(mdp):
    exact = solve(mdp, 0.99, "pi").value
    for method in METHODS:
        if (method, mdp.num_states) == ("momentum", 9):
            continue  # an unsuitable method for a periodic chain: see test_iterations
        found = solve(mdp, 0.99, method)
        assert found.converged, method
        np.testing.assert_allclose(found.value, exact, atol=1e-6)


@pytest.mark.parametrize(
    ("layout", "slippery", "gamma", "value"),
    [
        ("4x4", True, 0.9, 0.068890905), ("4x4", False, 0.9, 0.59049),
        ("4x4", True, 0.95, 0.180471578), ("4x4", False, 0.95, 0.773780937),
        ("4x4", True, 0.99, 0.542025932), ("4x4", False, 0.99, 0.95099005),
        ("4x4", True, 1.0, 0.823529412), ("4x4", False, 1.0, 1.0),
        ("8x8", True, 0.9, 0.006411114), ("8x8", False, 0.9, 0.254186583),
        ("8x8", True, 0.95, 0.048250204), ("8x8", False, 0.95, 0.513342083),
        ("8x8", True, 0.99, 0.414640362), ("8x8", False, 0.99, 0.877521023),
        ("8x8", True, 1.0, 1.0), ("8x8", False, 1.0, 1.0),
    ],
)  # fmt: skip
def test_frozen_lake_values(layout, slippery, gamma, value):
    found = solve(frozen_lake(layout, slippery), gamma, eps=1e-10)
    assert found.value[0] == pytest.approx(value, abs=1e-9)


def test_sweeps_of_other_programs_are_ours():
    """pymdptoolbox's forest after its four sweeps; 8x8 FrozenLake without discount, to 1e-13."""
    v = np.zeros(3)
    for _ in range(4):
        v = forest().q_table(v, 0.96).max(1)
    np.testing.assert_allclose(v, [5.93215488, 9.38815488, 13.38815488], atol=1e-8)
    operator, v, out, sweeps, change = Backup(frozen_lake("8x8"), 1.0), np.zeros(64), None, 0, 1.0
    while change >= 1e-13:
        out = np.empty(64)
        change = max(np.abs(operator(v, out)))
        v, sweeps = out, sweeps + 1
    assert abs(sweeps - 1895) <= 2  # the last digits decide when the change is below 1e-13
    assert v[0] == pytest.approx(1.0, abs=1e-11)


def test_unconverged_solve_warns_and_still_bounds():
    mdp = frozen_lake("8x8")
    exact = solve(mdp, 0.99, eps=1e-10).value
    with pytest.warns(RuntimeWarning, match="budget of 5 backups"):
        found = solve(mdp, 0.99, "vi", max_backups=5)
    assert not found.converged
    assert (found.lower <= exact).all()
    assert (exact <= found.upper).all()


def test_precision_beyond_float64_is_not_claimed():
    with pytest.warns(RuntimeWarning, match="float64 certifies no better"):
        assert not solve(river_swim(), 0.999999, "mpi", eps=1e-9).converged


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gamma": 1.2}, r"gamma must lie in \[0, 1\]"),
        ({"gamma": -0.1}, r"gamma must lie in \[0, 1\]"),
        ({"gamma": float("nan")}, r"gamma must lie in \[0, 1\]"),
        ({"method": "newton"}, "method must be one of vi, gs, ps"),
        ({"eps": 0.0}, "eps must be positive"),
        ({"v0": np.ones(3)}, "v0 must have shape"),
        ({"gamma": 1.0, "method": "gs"}, "gamma = 1 is solved by"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        solve(PUTERMAN, **arguments)


def test_threads_change_nothing(monkeypatch):
    mdp = garnet(300, 4, 5, seed=1)
    assert Backup(mdp, 0.99, 2)._pool is None  # too small for two
    monkeypatch.setattr(backup, "PER_THREAD", 1000)
    operator = Backup(mdp, 0.99, 2)
    assert operator._pool is not None
    operator.close()
    for method, options in (("mpi", {}), ("vi", {}), ("gs", {"order": "coloured"})):
        one, two = (solve(mdp, 0.99, method, threads=t, **options) for t in (1, 2))
        np.testing.assert_array_equal(one.value, two.value)
        np.testing.assert_array_equal(one.policy, two.policy)
    with pytest.raises(ValueError, match="coloured"):
        solve(mdp, 0.99, "gs", threads=2)


def test_a_row_that_ends_at_once_and_gamma_zero():
    sea = deep_sea(6, seed=3)
    assert solve(sea, 1.0).value[0] == pytest.approx(0.99)
    found = solve(PUTERMAN, 0.0)
    np.testing.assert_allclose(found.value, [10.0, -1.0])


def test_progress_is_reported():
    seen = []
    solve(frozen_lake(), 0.99, "vi", progress=seen.append)
    assert [x.backups for x in seen[:3]] == [0.0, 1.0, 2.0]  # of zeros only rewards are read
    assert seen[-1].width <= 1e-6
    assert len(seen) > 10


def test_float32_memory_model_solves_within_its_own_bounds():
    single = garnet(50, 3, 5, seed=9).as_float32()
    with np.errstate(all="raise"):
        found = solve(single, 0.95, eps=1e-7)
    exact = solve(single, 0.95, "pi").value
    assert np.abs(found.value - exact).max() <= 1e-7


def test_long_solves_print_width_and_time_left(monkeypatch, capsys):
    now = iter(np.arange(0.0, 1000.0, 0.6))
    monkeypatch.setattr("rlkit.theory.planning.solvers.time.monotonic", lambda: float(next(now)))
    solve(frozen_lake(), 0.99, "vi", progress=True, eps=1e-3)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 10
    assert "backups, width" in lines[-1]
    assert "s left" in lines[-1]
