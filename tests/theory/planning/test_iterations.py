import numpy as np
import pytest

from rlkit.envs.tabular.classics import ring
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.backup import Backup
from rlkit.theory.planning.iterations import Watch, anchored_iteration
from rlkit.theory.planning.linear_program import solve_lp

MODEL = garnet(60, 3, 4, seed=0)


def test_brackets_hold_and_close_at_every_sweep():
    exact = solve_lp(MODEL, 0.99).value
    op, v, out = Backup(MODEL, 0.99), np.zeros(60), np.empty(60)
    sweeps = 0
    for sweeps in range(1, 60):  # noqa: B007
        low, high = op.bracket(v, *op(v, out))
        assert (out + low <= exact + 1e-7).all()
        assert (exact <= out + high + 1e-7).all()
        if high - low <= 2e-6:
            break
        v, out = out, v
    assert sweeps <= 45  # the sup-norm rule needs some 1800 sweeps
    assert np.abs(out - exact).max() > 1.0


@pytest.mark.parametrize("seed", range(3))
def test_sup_norm_precision_takes_value_iteration_1800_sweeps(seed):
    """1806 sweeps, 952 of Gauss-Seidel, and 38 to a bracket of 2e-6 (Garnets differ a little)."""
    model = garnet(60, 3, 4, seed=seed)
    exact = solve(model, 0.99, "pi", eps=1e-9).value
    op, v, out, jacobi, narrow = Backup(model, 0.99), np.zeros(60), np.empty(60), 0, 0
    while np.abs(v - exact).max() > 1e-6:
        low, high = op.bracket(v, *op(v, out))
        v, out, jacobi = out, v, jacobi + 1
        narrow = narrow or (jacobi if high - low <= 2e-6 else 0)
    assert jacobi == pytest.approx(1806, rel=0.01)
    assert narrow == pytest.approx(38, abs=4)
    v, in_place = np.zeros(60), 0
    while np.abs(v - exact).max() > 1e-6:
        op.sweep_in_place(v, np.arange(60), np.array([0, 60]))
        in_place += 1
    assert 0.4 * jacobi < in_place < 0.55 * jacobi


def test_brackets_hold_when_rows_end():
    p, r = MODEL.dense()
    scale = np.random.default_rng(0).uniform(0.0, 1.0, (60, 3, 1))
    mdp = FiniteMDP.from_dense(p * scale, r - 0.5, stop="deficit")
    exact = solve(mdp, 0.99, "pi").value
    op, v, out = Backup(mdp, 0.99), np.full(60, 3.0), np.empty(60)
    for _ in range(40):
        low, high = op.bracket(v, *op(v, out))
        assert (out + low <= exact + 1e-12).all()
        assert (exact <= out + high + 1e-12).all()
        v, out = out, v


def iterates(method, budget=25, **options):
    """Values seen by the operator in a short run."""
    seen = []

    class Spy(Backup):
        def __call__(self, v, out):
            seen.append(v.copy())
            return super().__call__(v, out)

    from rlkit.theory.planning.solvers import METHODS

    op = Spy(MODEL, 0.99)
    METHODS[method](op, np.zeros(60), Watch(op, 1e-12, budget), **options)
    return np.array(seen)


def test_anderson_without_memory_and_anchoring_without_anchor_are_value_iteration():
    plain = iterates("vi")
    np.testing.assert_array_equal(iterates("anderson", memory=0), plain)
    np.testing.assert_array_equal(iterates("halpern", beta=lambda k: 0.0), plain)


def test_anderson_residual_never_grows_where_it_is_accepted_and_it_is_fast():
    trail = iterates("anderson")
    op, out = Backup(MODEL, 0.99), np.empty(60)
    sizes = [np.abs(np.array(op(v, out))).max() for v in trail]
    accepted = np.minimum.accumulate(sizes)
    # A rejected extrapolation is followed by the plain step, which contracts the accepted one.
    for k in range(1, len(sizes)):
        assert sizes[k] <= accepted[k - 1] or (k + 1 < len(sizes) and sizes[k + 1] <= accepted[k])


def test_anderson_reaches_sup_norm_precision_long_before_value_iteration():
    exact = solve(MODEL, 0.99, "pi").value
    trail = iterates("anderson", budget=150)
    close = np.abs(trail - exact).max(1) <= 1e-6
    assert close.any()
    assert np.argmax(close) <= 65  # 59; value iteration needs 1806
    slow = ring(24)
    plain = solve(slow, 0.99, "vi").backups
    assert solve(slow, 0.99, "anderson", memory=12).backups < 0.05 * plain


@pytest.mark.parametrize("gamma", [0.9, 0.99, 0.999])
def test_anchored_residual_bound(gamma):
    exact = solve(MODEL, gamma, "pi").value
    sizes = []

    class Spy(Backup):
        def __call__(self, v, out):
            ends = super().__call__(v, out)
            sizes.append(max(abs(ends[0]), abs(ends[1])))
            return ends

    op = Spy(MODEL, gamma)
    anchored_iteration(op, np.zeros(60), Watch(op, 1e-9, 400))
    k = np.arange(len(sizes))
    bound = (1 / gamma - gamma) * (1 + 2 * gamma - gamma ** (k + 1))
    bound *= np.abs(exact).max() / (gamma ** -(k + 1.0) - gamma ** (k + 1))
    assert (np.array(sizes) <= bound).all()
    if gamma == 0.99:
        assert len(sizes) == 401  # the first is of zeros and costs none of the 400
        assert (np.array(sizes) / bound).max() == pytest.approx(0.33, abs=0.005)


def test_anchor_weights_are_one_over_the_sum_of_inverse_squares():
    trail = iterates("halpern", 8)
    total = 1.0
    for k in range(1, len(trail)):
        total += 0.99 ** (-2 * k)
        np.testing.assert_allclose(
            trail[k], (1 - 1 / total) * MODEL.q_table(trail[k - 1], 0.99).max(1)
        )


@pytest.mark.parametrize(("alpha", "gamma", "rate"), [(0.3, 0.9, 1.31), (0.9, 0.99, 2.16)])
def test_unsafeguarded_momentum_diverges_on_a_cycle_and_the_safeguard_saves_it(alpha, gamma, rate):
    cycle = FiniteMDP.from_dense(np.roll(np.eye(3), 1, 1)[:, None], [[1.0], [0.0], [0.0]])
    z = np.roots([1.0, -gamma * (1 + alpha) * (w := np.exp(2j * np.pi / 3)), gamma * alpha * w])
    assert np.abs(z).max() == pytest.approx(rate, abs=0.005)
    with pytest.warns(RuntimeWarning), np.errstate(all="ignore"):
        wild = solve(cycle, gamma, "momentum", alpha=alpha, safeguard=False, max_backups=400)
    assert not wild.converged
    assert not wild.gap < 1e6
    assert solve(cycle, gamma, "momentum", alpha=alpha).converged
