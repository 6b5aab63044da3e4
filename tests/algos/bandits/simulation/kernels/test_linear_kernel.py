"""Linear kernels: rank-one algebra against direct solves, decisions against numpy, coverage."""

import numpy as np
import pytest
from scipy.linalg import solve_triangular

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.simulation.kernels.linear import (
    LINTS,
    LINUCB,
    cholesky,
    cholesky_update,
    run_linear,
    solve_transposed,
)
from rlkit.envs.bandits.linear import LinearArms


def run_and_look(policy, env, horizon, disjoint=False, ridge=0.7, scale=0.5, seed=3):
    """The work arrays of one run: inverse, precision, moment, theta, truth, ..., log_det."""
    flat = env.tables()
    arms, dim = flat.features.shape
    models = arms if disjoint else 1
    square, vector = (models, dim, dim), (models, dim)
    work = [np.empty(square), np.empty(square), np.empty(vector), np.empty(vector)]
    work += [np.empty(flat.theta.shape), np.empty((arms, dim)), np.empty((arms, dim))]
    work += [np.empty(arms), np.empty(dim), np.empty((dim, dim)), np.empty(dim), np.empty(models)]
    work += [np.empty(models, np.int64), np.empty((4, 2), np.uint64), np.empty(1, np.bool_)]
    regret, pulls, path = np.zeros((1, 1)), np.zeros((1, arms), np.int64), np.zeros((1, arms), int)
    par, rounds = np.array([ridge, scale, 0.5, 1.0, 0.01]), np.array([horizon])
    run_linear(
        policy, par, disjoint, flat, 0, seed, False, rounds, regret, pulls, path, tuple(work)
    )
    return work


@pytest.mark.parametrize(("policy", "disjoint"), [(LINUCB, False), (LINTS, False), (LINUCB, True)])
@pytest.mark.parametrize("horizon", [37, 2990])
def test_rank_one_updates_equal_the_direct_solve(policy, disjoint, horizon):
    env = LinearArms("per_round", arms=6, dim=5, context=disjoint)
    work = run_and_look(policy, env, horizon, disjoint)
    inverse, precision, moment, theta, log_det = (work[i] for i in (0, 1, 2, 3, 11))
    for m in range(len(theta)):
        np.testing.assert_allclose(inverse[m], np.linalg.inv(precision[m]), atol=1e-9)
        np.testing.assert_allclose(theta[m], np.linalg.solve(precision[m], moment[m]), atol=1e-9)
        direct = np.linalg.slogdet(precision[m] / 0.7)[1]
        assert log_det[m] == pytest.approx(direct, abs=1e-8)
    assert np.trace(precision, axis1=1, axis2=2).sum() == pytest.approx(
        horizon + 0.7 * 5 * len(theta)  # unit vectors
    )
    if policy == LINTS:
        lower = work[9]
        np.testing.assert_allclose(lower @ lower.T, precision[0], rtol=1e-9, atol=1e-9)


def test_cholesky_functions():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(6, 9))
    matrix, x, z = a @ a.T, rng.normal(size=6), rng.normal(size=6)
    lower = np.empty((6, 6))
    cholesky(matrix, lower)
    np.testing.assert_allclose(lower, np.linalg.cholesky(matrix), atol=1e-12)
    cholesky_update(lower, x.copy())
    np.testing.assert_allclose(lower @ lower.T, matrix + np.outer(x, x), atol=1e-12)
    expected = solve_triangular(lower.T, z, lower=False)
    solve_transposed(lower, z)
    np.testing.assert_allclose(z, expected, atol=1e-12)


def numpy_choices(features, theta, horizon, ridge, width):
    """Arms chosen by argmax x'theta + width(V) sqrt(x' V^-1 x) on noiseless rewards."""
    dim = features.shape[1]
    v, b, choices = ridge * np.eye(dim), np.zeros(dim), []
    for _ in range(horizon):
        inverse = np.linalg.inv(v)
        spread = np.sqrt(np.einsum("ai,ij,aj->a", features, inverse, features))
        arm = int((features @ inverse @ b + width(v) * spread).argmax())
        choices.append(arm)
        v += np.outer(features[arm], features[arm])
        b += features[arm] * (features[arm] @ theta)
    return choices


@pytest.mark.parametrize("policy", ["linucb", "oful"])
def test_every_choice_equals_the_numpy_loop(policy):
    rng = np.random.default_rng(2)
    # Different norms, so that no two arms tie; with noiseless rewards all is deterministic.
    features, theta = rng.normal(size=(7, 3)), np.array([0.5, -0.3, 0.2])
    env = LinearArms(features, theta, noise="none")
    ridge, horizon = 0.8, 300

    def beta(v):
        log_det = np.linalg.slogdet(v)[1] - 3 * np.log(ridge)
        return 0.4 * np.sqrt(log_det - 2 * np.log(0.05)) + np.sqrt(ridge) * 1.5

    if policy == "oful":
        parameters = {"ridge": ridge, "noise_bound": 0.4, "norm_bound": 1.5, "delta": 0.05}
        width = beta
    else:
        parameters, width = {"ridge": ridge, "alpha": 0.9}, lambda v: 0.9
    run = simulate(
        policy,
        env=env,
        runs=1,
        horizon=horizon,
        checkpoints=np.arange(1, horizon + 1),
        **parameters,
    )
    played = np.diff(run.mean_pulls, axis=0, prepend=np.zeros((1, 7))).argmax(1)
    np.testing.assert_array_equal(played, numpy_choices(features, theta, horizon, ridge, width))


def test_one_hot_features_without_ridge_are_ucb_by_pulls():
    means = np.array([0.6, 0.5, 0.45])
    env = LinearArms(np.eye(3), means, noise="none")
    run = simulate("linucb", env=env, runs=1, horizon=2000, ridge=1e-9, alpha=0.3)
    pulls = np.zeros(3)
    for _ in range(2000):
        index = np.where(pulls > 0, means + 0.3 / np.sqrt(np.maximum(pulls, 1)), np.inf)
        pulls[int(index.argmax())] += 1
    np.testing.assert_allclose(run.pulls[0], pulls, atol=2)


def test_rotating_features_and_parameters_changes_no_decision():
    rng = np.random.default_rng(5)
    features, theta = rng.normal(size=(9, 4)), rng.normal(size=4)
    q, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    for policy in ("linucb", "oful", "linear_greedy"):
        straight = simulate(policy, env=LinearArms(features, theta), runs=5, horizon=400)
        turned = simulate(policy, env=LinearArms(features @ q, theta @ q), runs=5, horizon=400)
        np.testing.assert_allclose(straight.regret, turned.regret, atol=1e-8)


def test_oful_covers_the_truth_and_its_regret_is_sublinear():
    env = LinearArms("per_run", arms=20, dim=5)
    run = simulate("oful", env=env, runs=500, horizon=1000, noise_bound=0.1, delta=0.01)
    assert run.extra["covered"].mean() >= 0.99
    assert run.extra["covered"].shape == (500,)
    long = simulate("oful", env=env, runs=30, horizon=10_000, checkpoints=[5000], noise_bound=0.1)
    assert long.mean()[1] / long.mean()[0] < 1.6
    tight = simulate("oful", env=env, runs=200, horizon=300, noise_bound=1e-3, norm_bound=1e-3)
    assert tight.extra["covered"].mean() < 0.5  # a radius too small is noticed


@pytest.mark.parametrize("policy", ["linucb", "lints", "oful"])
def test_shared_models_learn_and_ignore_relabelling(policy):
    rng = np.random.default_rng(0)
    features, theta = rng.normal(size=(8, 4)) / 2, np.array([1.0, 0.0, -1.0, 0.5]) / 2
    order = rng.permutation(8)
    options = {"runs": 40, "horizon": 1000} | ({"noise_bound": 0.1} if policy == "oful" else {})
    straight = simulate(policy, env=LinearArms(features, theta), **options)
    moved = simulate(policy, env=LinearArms(features[order], theta), seed=1, **options)
    error = np.hypot(straight.standard_error()[-1], moved.standard_error()[-1])
    assert abs(straight.mean()[-1] - moved.mean()[-1]) < 4 * error + 1e-9
    worst = (features @ theta).max() - (features @ theta).mean()
    assert straight.mean()[-1] < 0.15 * 1000 * worst


@pytest.mark.parametrize("policy", ["linucb_disjoint", "lints_disjoint"])
def test_disjoint_models_learn_a_contextual_task(policy):
    env = LinearArms("per_round", arms=5, dim=4, context=True)
    run = simulate(policy, env=env, runs=20, horizon=4000, checkpoints=[2000])
    uniform = simulate(policy, env=env, runs=20, horizon=1, ridge=1e9)
    assert run.mean()[1] < 0.1 * uniform.mean()[-1] * 4000
    assert run.mean()[1] - run.mean()[0] < 0.5 * run.mean()[0]


def test_misspecified_offsets_enter_rewards_and_regret():
    features, theta = np.eye(2), [0.5, 0.4]
    env = LinearArms(features, theta, offsets=[-0.2, 0.2], noise="none")
    run = simulate("linucb", env=env, runs=1, horizon=500)
    assert run.pulls[0].argmax() == 1
    assert run.regret[0, -1] == pytest.approx(0.3 * run.pulls[0, 0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": "per_day", "arms": 2, "dim": 2}, "features is 'per_day'"),
        ({"features": "per_run"}, "arms is 0"),
        ({"features": [[1.0, np.nan]]}, r"features\[0, 1\] is nan"),
        ({"features": np.eye(2), "theta": [1.0, 2.0, 3.0]}, "theta has shape"),
        ({"features": np.eye(2), "context": True}, "needs drawn features"),
        ({"features": np.eye(2), "offsets": [1.0]}, "offsets has shape"),
        ({"features": np.eye(2), "noise": "bernoulli"}, "gaussian noise or none"),
        ({"features": np.eye(2), "sigma": 0.0}, "sigma is 0"),
    ],
)
def test_bad_linear_environments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        LinearArms(**arguments).tables()
