import itertools

import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.optimize import minimize_scalar

from rlkit.theory.continuous.continuous_time import (
    ValueModel,
    clstd,
    ctd_offline,
    ctd_online,
    fit_martingale_loss,
    fit_mean_square_td_error,
    increments,
    linear_model,
    martingale_loss,
    minimise_moment,
    moment,
    rewards_to_go,
    solve_ctd,
    traces,
)
from rlkit.theory.continuous.diffusions import (
    Brownian,
    GeometricBrownian,
    OrnsteinUhlenbeck,
    make_paths,
)

NODES, MASS = hermegauss(24)
MASS = MASS / MASS.sum()
OU = OrnsteinUhlenbeck()
SQUARE = linear_model(lambda t, x: np.stack([-(x**2), -np.ones_like(x)], -1))  # theta = (a, b)
GROWTH = ValueModel(
    lambda th, t, x: x * np.exp(th[0] * (1 - t)),
    lambda th, t, x: ((1 - t) * x * np.exp(th[0] * (1 - t)))[..., None],
)
VARIANCE = linear_model(lambda t, x: (1 - t)[..., None], lambda t, x: x**2)


def ou_population(dt):
    """All transitions of the stationary process, by quadrature."""
    keep, noise = OU.transition(dt)
    now = np.repeat(0.5 / np.sqrt(2) * NODES, NODES.size)
    then = keep * now + noise * np.tile(NODES, NODES.size)
    return make_paths(
        np.array([0, dt]), np.c_[now, then], -(now**2)[:, None], weight=np.kron(MASS, MASS)
    )


def gbm_population(steps):
    """All transitions of geometric Brownian motion on a mesh."""
    law = GeometricBrownian()
    t = np.linspace(0, 1, steps + 1)
    drift, w = law.mu - law.s**2 / 2, np.kron(MASS, MASS)
    rows = []
    for a, b in itertools.pairwise(t):
        now = np.exp(drift * a + law.s * np.sqrt(a) * np.repeat(NODES, NODES.size))
        then = now * np.exp(drift * (b - a) + law.s * np.sqrt(b - a) * np.tile(NODES, NODES.size))
        rows.append((np.tile([a, b], (w.size, 1)), np.c_[now, then],
                     np.where(b == 1, then, np.nan)))  # fmt: skip
    times, x, ends = (np.concatenate(c) for c in zip(*rows, strict=True))
    return make_paths(times, x, terminal=ends, weight=np.tile(w, steps))


@pytest.mark.parametrize(
    ("dt", "a", "b"),
    [(0.1, 0.432396, 0.195950), (0.05, 0.416103, 0.197987), (0.01, 0.403204, 0.199600)],
)
def test_population_clstd_of_the_linear_quadratic_example(dt, a, b):
    paths = ou_population(dt)
    features = np.stack([-(paths.x**2), -np.ones_like(paths.x)], -1)
    found = clstd(paths, features, OU.beta)
    np.testing.assert_allclose(found, [a, b], atol=1e-6)
    np.testing.assert_allclose(found, OU.meshed_coefficients(dt), atol=1e-10)
    np.testing.assert_allclose(solve_ctd(SQUARE, paths, OU.beta, np.zeros(2)), found, atol=1e-8)


def test_bias_halves_with_the_mesh():
    truth = np.array(OU.coefficients())
    np.testing.assert_allclose(truth, [0.4, 0.2])
    bias = [np.abs(np.array(OU.meshed_coefficients(dt)) - truth) for dt in (0.02, 0.01, 0.005)]
    np.testing.assert_allclose(bias[0] / bias[1], 2, atol=0.02)
    np.testing.assert_allclose(bias[1] / bias[2], 2, atol=0.01)


@pytest.mark.parametrize(("steps", "wrong"), [(10, -0.3299), (50, -1.8142), (250, -4.5951)])
def test_squared_td_errors_diverge_where_ctd_is_right(steps, wrong):
    """Minimisers in closed form; for two meshes also through all transitions by quadrature.

    They are -.3299, -1.8142, -4.5951; coarser searches give -.328, -1.816, -4.592.
    """
    law = GeometricBrownian()
    best = minimize_scalar(
        lambda th: law.mean_square_increment(th, steps), bounds=(-8, 1), method="bounded",
        options={"xatol": 1e-8},
    ).x  # fmt: skip
    assert best == pytest.approx(wrong, abs=1e-4)
    if steps < 250:
        paths = gbm_population(steps)
        assert solve_ctd(GROWTH, paths, 0.0, np.zeros(1))[0] == pytest.approx(0.1, abs=1e-9)
        found = fit_mean_square_td_error(GROWTH, paths, 0.0, np.zeros(1))
        assert found[0] == pytest.approx(best, abs=1e-5)


def test_brownian_example_gives_one_by_every_method():
    """x^2 + theta (T - t): exact in expectation; here 10000 paths, within some standard errors."""
    paths = Brownian().paths(10, 10_000, seed=0)
    features, known = (1 - paths.t)[..., None], paths.x**2
    answers = [
        solve_ctd(VARIANCE, paths, 0.0, np.zeros(1)),
        solve_ctd(VARIANCE, paths, 0.0, np.zeros(1), 0.5),
        clstd(paths, features, 0.0, 0.0, known),
        clstd(paths, features, 0.0, 0.5, known),
        fit_martingale_loss(VARIANCE, paths, 0.0, np.zeros(1)),
        minimise_moment(VARIANCE, paths, 0.0, np.zeros(1)),
        minimise_moment(VARIANCE, paths, 0.0, np.zeros(1), weighting="identity"),
    ]
    np.testing.assert_allclose(answers, 1, atol=0.05)
    np.testing.assert_allclose(answers[0], answers[2], atol=1e-9)
    np.testing.assert_allclose(answers[1], answers[3], atol=1e-9)
    # as many test processes as parameters: the least moment is the root
    np.testing.assert_allclose(answers[5], answers[0], atol=1e-6)
    np.testing.assert_allclose(answers[6], answers[0], atol=1e-6)


def test_martingale_loss_is_least_squares_on_returns():
    paths = Brownian(0.5).paths(15, 300, seed=1)
    model = linear_model(lambda t, x: np.stack([np.ones_like(x), x, x**2, t], -1))
    found = fit_martingale_loss(model, paths, 0.3, np.zeros(4))
    phi = model.gradient(found, paths.t, paths.x)[:, :-1].reshape(-1, 4)
    scale = np.exp(-0.3 * paths.t[:, :-1]).ravel()
    target = rewards_to_go(paths, 0.3).ravel()
    exact = np.linalg.lstsq(scale[:, None] * phi, scale * target, rcond=None)[0]
    np.testing.assert_allclose(found, exact, atol=1e-6)
    for shift in 0.01 * np.eye(4):
        assert martingale_loss(model, found + shift, paths, 0.3) > martingale_loss(
            model, found, paths, 0.3
        )


def test_full_traces_have_the_stationary_point_of_the_martingale_loss():
    """beta = 0, lambda = 1: exactly (exchange of the two sums), on any sample."""
    paths = GeometricBrownian().paths(12, 40, seed=2)
    loss = fit_martingale_loss(GROWTH, paths, 0.0, np.zeros(1))
    np.testing.assert_allclose(moment(GROWTH, loss, paths, 0.0, 1.0), 0, atol=1e-8)
    np.testing.assert_allclose(solve_ctd(GROWTH, paths, 0.0, np.zeros(1), 1.0), loss, atol=1e-6)


def test_short_traces_are_the_gradient_up_to_the_mesh():
    paths = GeometricBrownian().paths(10, 40, seed=3)
    slope = GROWTH.gradient(np.zeros(1), paths.t, paths.x)
    np.testing.assert_allclose(traces(slope, paths.dt, 1e-40) / 0.1, traces(slope, paths.dt, 0.0),
                               rtol=1e-3)  # fmt: skip
    np.testing.assert_allclose(
        solve_ctd(GROWTH, paths, 0.0, np.zeros(1), 1e-40),
        solve_ctd(GROWTH, paths, 0.0, np.zeros(1)), atol=1e-3,
    )  # fmt: skip
    # two half meshes decay as one whole mesh
    decay = traces(np.ones((1, 3, 1)), np.array([[0.5, 0.5]]), 0.3)
    assert decay[0, 1, 0] == pytest.approx(0.5 * (1 + 0.3**0.5))


def test_true_value_is_a_martingale_and_others_are_not():
    paths = GeometricBrownian().paths(10, 40_000, seed=4)
    for theta, fair in ((0.1, True), (0.4, False)):
        value = GROWTH.value(np.array([theta]), paths.t, paths.x)
        drift = increments(paths, value, 0.0).mean(0)
        noise = increments(paths, value, 0.0).std(0) / 200
        assert (np.abs(drift) < 4 * noise).all() == fair


def test_offline_and_online_learning_approach_the_truth():
    paths = Brownian().paths(10, 800, seed=5)
    for lam in (0.0, 0.5):
        size = 3.0 if lam == 0 else 10.0
        found = ctd_offline(
            VARIANCE, paths, 0.0, np.zeros(1), lambda j, size=size: size / (j + 10), lam
        )
        assert found == pytest.approx(1, abs=0.2)
    found = ctd_online(VARIANCE, paths, 0.0, np.zeros(1), lambda j: 20.0 / (j + 100))
    assert found == pytest.approx(1, abs=0.2)


def test_online_updates_equal_the_offline_sum_for_tiny_steps():
    paths = Brownian().paths(8, 1, seed=6)
    for lam in (0.0, 0.4):
        off = ctd_offline(VARIANCE, paths, 0.0, np.ones(1), lambda j: 1e-7, lam)
        on = ctd_online(VARIANCE, paths, 0.0, np.ones(1), lambda j: 1e-7, lam)
        np.testing.assert_allclose((on - 1) / 1e-7, (off - 1) / 1e-7, rtol=1e-4)


def test_online_learning_of_the_endless_example():
    """One long path of the linear-quadratic example."""
    paths = OU.paths(0.1, 20_000, 1, seed=7)
    found = ctd_online(SQUARE, paths, OU.beta, np.zeros(2), lambda j: 30.0 / (j + 100) ** 0.7)
    np.testing.assert_allclose(found, OU.meshed_coefficients(0.1), atol=0.1)
    features = SQUARE.gradient(found, paths.t, paths.x)
    np.testing.assert_allclose(
        clstd(paths, features, OU.beta, 0.2), OU.meshed_coefficients(0.1), atol=0.06
    )


def test_errors():
    with pytest.raises(ValueError, match="path 1: t must increase"):
        make_paths(np.array([[0, 1], [1, 1]]), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="path 0 has a non-finite"):
        make_paths(np.array([0, 1]), np.array([[0, np.nan]]))
    endless = OU.paths(0.1, 3, 2, seed=0)
    with pytest.raises(ValueError, match="path 0 has no payoff"):
        rewards_to_go(endless, 0.1)
    with pytest.raises(ValueError, match="features"):
        clstd(endless, np.zeros((2, 3, 1)), 0.1)
    with pytest.raises(ValueError, match="lam"):
        traces(np.zeros((1, 2, 1)), np.ones((1, 1)), 2.0)
    with pytest.raises(ValueError, match="weighting"):
        minimise_moment(SQUARE, endless, 0.1, np.zeros(2), weighting="none")
    with pytest.raises(ValueError, match="values"):
        increments(endless, np.zeros(3), 0.1)
