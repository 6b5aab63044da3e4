import numpy as np
import pytest
from scipy.optimize import linprog

from rlkit.theory.learning.regret.optimism import descending, largest_box, largest_kl, largest_l1


def case(seed, n=6):
    rng = np.random.default_rng(seed)
    p, u = rng.dirichlet(np.full(n, 0.5)), rng.normal(size=n)
    if seed % 3 == 0:
        p[np.argmax(u)] = 0.0
        p /= p.sum()
    order = np.arange(n)
    descending(u, order)
    np.testing.assert_array_equal(u[order], np.sort(u)[::-1])
    return p, u, order


@pytest.mark.parametrize("radius", [0.0, 0.1, 0.7, 2.0])
def test_l1_ball_equals_the_linear_program(radius):
    for seed in range(15):
        p, u, order = case(seed)
        n = p.size
        # Variables q and the slacks of |q - p|.
        above = np.block([[np.eye(n), -np.eye(n)], [-np.eye(n), -np.eye(n)]])
        rows = np.vstack([above, np.r_[np.zeros(n), np.ones(n)]])
        found = linprog(
            -np.r_[u, np.zeros(n)], rows, np.r_[p, -p, radius],
            np.r_[np.ones(n), np.zeros(n)][None], [1.0], bounds=(0, None),
        )  # fmt: skip
        assert largest_l1(p, radius, u, order) == pytest.approx(-found.fun, abs=1e-12)


def test_box_equals_the_linear_program():
    for seed in range(15):
        p, u, order = case(seed)
        radius = np.random.default_rng(seed + 99).uniform(0, 0.4, p.size)
        bounds = np.clip(np.c_[p - radius, p + radius], 0, 1)
        found = linprog(-u, A_eq=np.ones((1, p.size)), b_eq=[1.0], bounds=bounds)
        assert largest_box(p, radius, u, order) == pytest.approx(-found.fun, abs=1e-12)


@pytest.mark.parametrize("radius", [0.01, 0.3, 2.0])
def test_kl_ball_equals_search_on_the_simplex(radius):
    x, y = np.meshgrid(np.linspace(0, 1, 1001), np.linspace(0, 1, 1001))
    grid = np.stack([x, y, 1 - x - y], -1)[x + y <= 1].clip(1e-12)
    for seed in range(9):
        p, u, order = case(seed, 3)
        seen = p > 0
        divergence = (p[seen] * np.log(p[seen] / grid[:, seen])).sum(1)
        found = (grid @ u)[divergence <= radius].max()
        value = largest_kl(p, radius, u, order)
        assert value >= found - 1e-9
        assert value <= found + 0.004 * np.ptp(u)


def test_no_radius_is_the_expectation():
    for seed in range(5):
        p, u, order = case(seed)
        assert largest_l1(p, 0.0, u, order) == pytest.approx(p @ u, abs=1e-14)
        assert largest_box(p, np.zeros(6), u, order) == pytest.approx(p @ u, abs=1e-14)
        assert largest_kl(p, 1e-15, u, order) == pytest.approx(p @ u, abs=1e-6)
