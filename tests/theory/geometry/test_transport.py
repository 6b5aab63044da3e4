import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance

from rlkit.theory.geometry.transport import row_transport, sweep_limit, wasserstein


def by_linear_program(p, q, cost):
    n, m = cost.shape
    out = np.kron(np.eye(n), np.ones(m))
    into = np.kron(np.ones(n), np.eye(m))
    return linprog(cost.ravel(), A_eq=np.r_[out, into], b_eq=np.r_[p, q]).fun


@pytest.mark.parametrize("seed", range(15))
def test_equals_the_linear_program(seed):
    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 7, 2)
    p, q = rng.dirichlet(np.ones(n) * 0.5), rng.dirichlet(np.ones(m) * 0.5)
    cost = rng.random((n, m)) if seed % 2 else np.round(3 * rng.random((n, m)))
    assert wasserstein(p, q, cost) == pytest.approx(by_linear_program(p, q, cost), abs=1e-9)


def test_equals_the_distance_on_a_line():
    rng = np.random.default_rng(0)
    x, p, q = rng.normal(size=9), rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(9))
    got = wasserstein(p, q, np.abs(x[:, None] - x[None]))
    assert got == pytest.approx(wasserstein_distance(x, x, p, q), abs=1e-12)


def test_equal_masses_as_in_an_assignment():
    n = 6
    cost = np.abs(np.arange(n)[:, None] - (np.arange(n)[None] + 2.0))
    assert wasserstein(np.full(n, 1 / n), np.full(n, 1 / n), cost) == pytest.approx(2.0)


def test_rows_of_a_sparse_matrix_with_shared_successors():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6, 2))
    ground = np.linalg.norm(x[:, None] - x[None], axis=2)
    col = np.array([0, 1, 2, 4, 1, 2, 5], np.int32)
    val = np.r_[rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3))]
    dense = np.zeros((2, 6))
    dense[0, col[:4]], dense[1, col[4:]] = val[:4], val[4:]
    got = row_transport(np.array([0, 4, 7]), col, val, 0, 1, ground)
    assert got == pytest.approx(by_linear_program(*dense, ground), abs=1e-9)


def test_limits_and_errors():
    assert 0.5 ** sweep_limit(1e-3, 0.5, 1.0) <= 1e-3
    assert sweep_limit(1e-3, 0.0, 1.0) == 1
    with pytest.raises(ValueError, match="mass"):
        wasserstein(np.ones(1), np.ones(2), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="shape"):
        wasserstein(np.ones(1), np.ones(1), np.zeros((1, 2)))
