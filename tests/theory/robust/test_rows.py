import numpy as np
import pytest
from scipy.optimize import linprog

from rlkit.theory.robust.rows import CHI2, KL, TV, divergence, worst_law, worst_value


def atoms(seed, n=5, ties=False):
    rng = np.random.default_rng(seed)
    values = np.sort(rng.normal(size=n))
    if ties:
        values[1] = values[0]
        values[-2] = values[-1]
    return values, rng.dirichlet(np.ones(n))


@pytest.mark.parametrize("kind", [TV, KL, CHI2])
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("strength", [1e-6, 0.03, 0.2, 0.6, 5.0])
@pytest.mark.parametrize("constrained", [True, False])
def test_dual_value_is_attained_by_a_feasible_law(kind, ties, strength, constrained):
    """Weak duality: a feasible law that attains the dual value proves both optimal."""
    for seed in range(25):
        values, p = atoms(seed, ties=ties)
        floor = values[0] - (0.5 if kind == TV and seed % 2 else 0.0)
        radius = min(strength, 1.0) if kind == TV else strength
        law = np.zeros(5)
        moved = worst_law(kind, constrained, radius, values, p, 5, floor, law)
        size = divergence(kind, law, p, 5, moved)
        attained = law @ values + moved * floor
        value = worst_value(kind, constrained, radius, values, p, 5, floor)
        assert law.min() >= 0
        assert law.sum() + moved == pytest.approx(1.0, abs=1e-12)
        if constrained:
            assert size <= radius * (1 + 1e-6) + 1e-9
            assert value == pytest.approx(attained, abs=1e-9)
        else:
            assert value == pytest.approx(attained + radius * size, abs=1e-9)
        assert value <= p @ values + 1e-12


def test_tv_ball_equals_the_linear_program():
    for seed in range(10):
        values, p = atoms(seed)
        n = 5
        rows = np.block([[np.eye(n), -np.eye(n)], [-np.eye(n), -np.eye(n)]])
        rows = np.vstack([rows, np.r_[np.zeros(n), np.full(n, 0.5)]])
        found = linprog(
            np.r_[values, np.zeros(n)], rows, np.r_[p, -p, 0.3],
            np.r_[np.ones(n), np.zeros(n)][None], [1.0], bounds=(0, None),
        )  # fmt: skip
        value = worst_value(TV, True, 0.3, values, p, n, values[0])
        assert value == pytest.approx(found.fun, abs=1e-12)


def test_no_other_law_does_better():
    rng = np.random.default_rng(3)
    for kind in (TV, KL, CHI2):
        values, p = atoms(7)
        for constrained in (True, False):
            best = worst_value(kind, constrained, 0.2, values, p, 5, values[0])
            others = 0.5 * rng.dirichlet(np.ones(5), 4000) + 0.5 * p
            sizes = np.array([divergence(kind, q, p, 5, 0.0) for q in others])
            scores = others @ values + (0.0 if constrained else 0.2 * sizes)
            kept = scores[sizes <= 0.2] if constrained else scores
            assert kept.size
            assert best <= kept.min() + 1e-12


def test_small_deviations_cost_half_the_variance():
    values, p = atoms(2)
    mean, variance = p @ values, p @ values**2 - (p @ values) ** 2
    for weight in (50.0, 200.0):
        kl = worst_value(KL, False, weight, values, p, 5, values[0])
        assert kl == pytest.approx(mean - variance / (2 * weight), abs=2 / weight**2)
        chi2 = worst_value(CHI2, False, weight, values, p, 5, values[0])
        assert chi2 == pytest.approx(mean - variance / (4 * weight), abs=1e-13)


def test_constants_and_single_atoms_are_unmoved():
    for kind in (TV, KL, CHI2):
        for constrained in (True, False):
            value = worst_value(kind, constrained, 0.3, np.full(3, 2.0), np.full(3, 1 / 3), 3, 2.0)
            assert value == pytest.approx(2.0, abs=1e-15)
            one = worst_value(kind, constrained, 0.3, np.array([2.0]), np.array([1.0]), 1, 2.0)
            assert one == pytest.approx(2.0, abs=1e-15)


def test_a_wide_enough_kl_ball_reaches_the_worst_atom():
    """From a radius of -ln p(argmin) on nature puts all mass there; just below, almost all."""
    for seed in range(10):
        values, p = atoms(seed)
        limit = -np.log(p[0])
        for radius in (limit, 1.5 * limit):
            assert worst_value(KL, True, radius, values, p, 5, values[0]) == pytest.approx(
                values[0]
            )
        assert worst_value(KL, True, 0.9 * limit, values, p, 5, values[0]) > values[0] + 1e-6
