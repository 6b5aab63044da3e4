import numpy as np
import pytest

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.returns.laws import (
    Categorical,
    Quantile,
    cvar,
    make_plan,
    outcomes_from_coo,
    outcomes_of,
    quantiles,
    split,
    under_policy,
)

GRID = Categorical(np.linspace(-2, 12, 141))


def chain(seed=0):
    mdp = garnet(5, 2, 3, seed=seed)
    return under_policy(outcomes_of(mdp), np.full((5, 2), 0.5))


def random_laws(law, seed, n=6):
    rng = np.random.default_rng(seed)
    if isinstance(law, Categorical):
        raw = rng.dirichlet(np.full(law.size, 0.1), (n, 1))
    else:
        raw = np.sort(rng.normal(3, 2, (n, 1, law.size)), -1)
    raw[-1] = law.point(0.0)  # nothing comes after the end
    return raw


def test_splitting_keeps_the_mean_inside_the_grid_and_reports_what_lies_outside():
    grid = np.array([0.0, 1.0, 3.0])
    low, weight, outside = split(grid, np.array([-1.0, 0.0, 0.25, 2.0, 3.0, 5.0]))
    assert low.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(weight, [0, 0, 0.25, 0.5, 1, 1])
    np.testing.assert_allclose(outside, [1, 0, 0, 0, 0, 2])


def test_categorical_backup_contracts_by_the_root_of_gamma_in_cramer():
    plan = make_plan(chain(), 0.81, GRID)
    for seed in range(10):
        x, y = random_laws(GRID, seed), random_laws(GRID, seed + 50)
        before = GRID.cramer(x, y).max()
        after = GRID.cramer(GRID.backup(plan, x)[0], GRID.backup(plan, y)[0]).max()
        assert after <= 0.9 * before + 1e-12


def test_quantile_backup_contracts_by_gamma_in_the_largest_distance():
    law = Quantile(25)
    plan = make_plan(chain(), 0.8, law)
    for seed in range(10):
        x, y = random_laws(law, seed), random_laws(law, seed + 50)
        after = np.abs(law.backup(plan, x)[0] - law.backup(plan, y)[0]).max()
        assert after <= 0.8 * np.abs(x - y).max() + 1e-12


def test_categorical_backup_preserves_means_and_reports_its_moves():
    mdp = garnet(5, 2, 3, seed=1)
    model = outcomes_of(mdp)
    laws = random_laws(GRID, 3)
    fresh, moved = GRID.backup(make_plan(model, 0.9, GRID), laws)
    mean = GRID.mean(laws)[:-1, 0]
    np.testing.assert_allclose(GRID.mean(fresh)[:, 0], mdp.q(mean, 0.9), atol=1e-9)
    np.testing.assert_allclose(fresh.sum(-1), 1)
    assert (moved <= 0.05 + 1e-12).all()  # half a grid step
    assert moved.max() > 0.01


def test_backup_of_termination_and_of_random_rewards():
    model = outcomes_from_coo(
        [0, 0, 1], [0, 0, 0], [1, 1, -1], [0.25, 0.75, 1], [2.0, -1.0, 1.0], mu0=[1.0, 0]
    )
    np.testing.assert_allclose(model.mdp.r, [-0.25, 1])
    law = Categorical(np.arange(-3.0, 5))
    plan = make_plan(model, 1.0, law)
    laws = np.tile(law.point(0.0), (3, 1, 1))
    for _ in range(2):
        laws = np.concatenate([law.backup(plan, laws)[0], laws[-1:]])
    np.testing.assert_allclose(laws[0, 0], [0, 0, 0, 0.75, 0, 0, 0.25, 0])
    np.testing.assert_allclose(laws[1, 0], law.point(1.0))


def test_quantiles_of_weighted_atoms():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=(4, 30)), rng.random((4, 30))
    weights[:, ::3] = 0
    got, spread = quantiles(values, weights, 8)
    for k in range(4):
        order = np.argsort(values[k])
        run = np.cumsum(weights[k][order]) / weights[k].sum()
        expected = [values[k][order][np.argmax(run >= (i + 0.5) / 8)] for i in range(8)]
        np.testing.assert_allclose(got[k], expected)
        live = values[k][weights[k] > 0]
        assert spread[k] == pytest.approx(np.ptp(live))


def test_quantile_projection_is_nearest_in_w1():
    """Any other m equal atoms are farther; and the reported bound holds."""
    rng = np.random.default_rng(1)
    atoms = np.sort(rng.normal(size=40))
    best, spread = quantiles(atoms[None], np.ones((1, 40)), 5)
    fine = np.repeat(best[0], 8)
    distance = np.abs(fine - atoms).mean()
    assert distance <= spread[0] / 10
    for _ in range(50):
        other = np.sort(best[0] + 0.2 * rng.normal(size=5))
        assert np.abs(np.repeat(other, 8) - atoms).mean() >= distance - 1e-12


def test_policies_mix_outcomes():
    mdp = garnet(5, 2, 3, seed=0)
    model = under_policy(outcomes_of(mdp), np.array([0, 1, 0, 1, 1]))
    assert model.mdp.num_rows == 5
    np.testing.assert_allclose(model.mdp.r, mdp.r[mdp.rows([0, 1, 0, 1, 1])])
    end = FiniteMDP.from_dense(np.full((1, 1, 1), 0.25), np.ones((1, 1)), stop="deficit")
    assert outcomes_of(end).s2.tolist() == [0, -1]
    np.testing.assert_allclose(outcomes_of(end).p, [0.25, 0.75])


def test_tail_means():
    values, weights = np.array([3.0, -2.0]), np.array([0.8, 0.2])
    assert cvar(values, weights, 0.1) == pytest.approx(-2)
    assert cvar(values, weights, 0.4) == pytest.approx(0.5)
    assert cvar(values, weights, 1.0) == pytest.approx(2)
    with pytest.raises(ValueError, match="tau"):
        cvar(values, weights, 0.0)
