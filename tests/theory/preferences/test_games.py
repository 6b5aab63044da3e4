import numpy as np
import pytest

from rlkit.theory.preferences.games import (
    game_descent,
    game_extragradient,
    kl,
    magnetic_descent,
    nash_conv,
    quantal_response,
    regret_matching_plus,
    solve_zero_sum,
)

PERTURBED = np.array([[0, -1, 3], [1, 0, -3], [-3, 3, 0.0]])
NASH = np.array([3, 3, 1]) / 7


def test_linear_programme_finds_equilibria():
    found = solve_zero_sum(PERTURBED)
    np.testing.assert_allclose(found.row, NASH, atol=1e-9)
    np.testing.assert_allclose(found.column, NASH, atol=1e-9)
    assert found.value == pytest.approx(0, abs=1e-9)
    for seed in range(10):
        a = np.random.default_rng(seed).normal(size=(3, 5)) - 2
        found = solve_zero_sum(a)
        assert nash_conv(a, found.row, found.column) == pytest.approx(0, abs=1e-9)
        assert found.row @ a @ found.column == pytest.approx(found.value)


def test_conv_is_the_sum_of_best_response_gains():
    a = np.random.default_rng(0).normal(size=(3, 4))
    x, y = np.full((2, 3), 1 / 3), np.full((2, 4), 1 / 4)
    gains = (a @ y[0]).max() - x[0] @ a @ y[0] + x[0] @ a @ y[0] - (x[0] @ a).min()
    np.testing.assert_allclose(nash_conv(a, x, y), gains)


def test_quantal_response_is_its_own_soft_best_response():
    for t in (1.0, 0.1, 0.003):
        found = quantal_response(PERTURBED, t)
        soft = np.exp(PERTURBED @ found.column / t - (PERTURBED @ found.column / t).max())
        np.testing.assert_allclose(found.row, soft / soft.sum(), atol=1e-9)
        np.testing.assert_allclose(found.row, found.column, atol=1e-9)  # a symmetric game
    assert nash_conv(PERTURBED, found.row, found.column) < 0.01
    np.testing.assert_allclose(found.row, NASH, atol=0.01)
    a = np.random.default_rng(1).normal(size=(3, 4))
    rho, sigma = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.2, 0.3, 0.4])
    found = quantal_response(a, 0.5, rho, sigma)
    soft = sigma * np.exp(-found.row @ a / 0.5)
    np.testing.assert_allclose(found.column, soft / soft.sum(), atol=1e-10)
    np.testing.assert_allclose(quantal_response(a, 1e6, rho, sigma).row, rho, atol=1e-5)


def test_magnetic_descent_reaches_the_quantal_response_linearly():
    """Perturbed rock-paper-scissors at temperature .1: 1000 iterations."""
    exact = quantal_response(PERTURBED, 0.1)
    play = magnetic_descent(PERTURBED, 0.1, 0.1 / 9, 6000)
    distance = kl(exact.row, play.row) + kl(exact.column, play.column)
    slopes = np.diff(np.log(distance[[1000, 2000, 3000]]))
    assert slopes[0] == pytest.approx(slopes[1], rel=0.2)
    assert slopes[1] < -1
    assert distance[-1] < 1e-4
    # a larger step still converges here, within the 1000 iterations of the published example
    fast = magnetic_descent(PERTURBED, 0.1, 0.05, 1000)
    assert kl(exact.row, fast.row[-1]) < 1e-2


@pytest.mark.parametrize("seed", range(3))
def test_regret_matching_plus_approaches_the_linear_programme(seed):
    a = np.random.default_rng(seed).normal(size=(4, 5))
    _, short = regret_matching_plus(a, 100)
    play, mean = regret_matching_plus(a, 1000)
    gap = nash_conv(a, mean.row, mean.column)
    assert gap < 0.01
    assert gap < nash_conv(a, short.row, short.column)
    assert mean.value == pytest.approx(solve_zero_sum(a).value, abs=0.01)
    np.testing.assert_allclose(play.row.sum(1), 1)


def test_last_iterates_circle_without_a_hint_and_converge_with_one():
    start = np.r_[0.7, 0.2, 0.1, 0.2, 0.3, 0.5]
    plain = game_descent(PERTURBED, 0.05, 2000, start=start)
    hinted = game_descent(PERTURBED, 0.3, 400, "last", start)
    prox = game_extragradient(PERTURBED, 0.2, 500, start)
    far = [kl(NASH, p.row) + kl(NASH, p.column) for p in (plain, hinted, prox)]
    assert (np.diff(far[0]) > -1e-12).all()
    assert far[1][-1] < 1e-6
    assert far[2][-1] < 1e-6
    # KL to the equilibrium falls at every step of mirror-prox
    assert (np.diff(far[2]) < 1e-12).all()


def test_errors():
    with pytest.raises(ValueError, match="finite"):
        solve_zero_sum(np.array([[np.nan]]))
    with pytest.raises(ValueError, match="temperature"):
        quantal_response(PERTURBED, 0.0)
    with pytest.raises(ValueError, match="positive law"):
        quantal_response(PERTURBED, 1.0, np.array([1.0, 0, 0]))
    with pytest.raises(ValueError, match="rounds"):
        regret_matching_plus(PERTURBED, 0)
    with pytest.raises(ValueError, match="eta"):
        magnetic_descent(PERTURBED, 0.1, 0.0, 5)
