import numpy as np
import pytest

from rlkit.envs.tabular.classics import baird, boyan_chain
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.evaluation import evaluate_policy, policy_model
from rlkit.theory.learning.td_learning import METHODS, td_learn
from rlkit.theory.learning.td_matrices import (
    emphatic_system,
    expected_iterates,
    gradient_direction,
    nstep_system,
    td_system,
)
from rlkit.theory.planning.structure import stationary_law
from rlkit.theory.returns.laws import outcomes_from_coo
from rlkit.theory.trajectories import simulate

STAR = baird()
START = np.array([1, 1, 1, 1, 1, 1, 10, 1.0])
MODEL = garnet(8, 2, 3, seed=4)
FEATURES = np.random.default_rng(0).normal(size=(8, 3))
UNIFORM = np.full((8, 2), 0.5)
SKEWED = np.tile([0.7, 0.3], (8, 1))


@pytest.mark.parametrize(("method", "lam"), [("td", 0.0), ("td", 0.7), ("true-online", 0.7)])
def test_on_policy_learning_reaches_its_fixed_point(method, lam):
    run = td_learn(
        MODEL, FEATURES, UNIFORM, 200_000, gamma=0.9, method=method, lam=lam, alpha=0.03,
        power=0.6, offset=2000, replicates=2,
    )  # fmt: skip
    exact = td_system(MODEL, FEATURES, UNIFORM, 0.9, lam).fixed_point()
    np.testing.assert_allclose(run.theta[:, -1], np.tile(exact, (2, 1)), atol=0.12)


@pytest.mark.parametrize(
    ("method", "beta"), [("td", None), ("gtd2", 0.1), ("tdc", 0.1), ("emphatic", None)]
)
def test_off_policy_learning_reaches_its_fixed_point(method, beta):
    # Mild ratios: the follow-on weight of emphatic TD has a large variance.
    run = td_learn(
        MODEL, FEATURES, SKEWED, 400_000, gamma=0.6, method=method, behaviour=UNIFORM, alpha=0.03,
        beta=beta, power=0.6, offset=4000, replicates=2,
    )  # fmt: skip
    if method == "emphatic":
        exact = emphatic_system(MODEL, FEATURES, SKEWED, UNIFORM, 0.6).fixed_point()
    else:
        exact = td_system(MODEL, FEATURES, SKEWED, 0.6, behaviour=UNIFORM).fixed_point()
    np.testing.assert_allclose(run.theta[:, -1], np.tile(exact, (2, 1)), atol=0.15)


def test_baird_td_diverges_and_the_gradient_methods_do_not():
    common = dict(gamma=0.99, behaviour=STAR.behaviour, theta0=START, alpha=0.01)
    value = STAR.features @ START
    with np.errstate(all="ignore"):
        wild = td_learn(STAR.mdp, STAR.features, STAR.target, 5000, method="td", **common)
    assert np.abs(STAR.features @ wild.theta[0, -1]).max() > 1e3 * np.abs(value).max()
    for method in ("gtd2", "tdc"):
        run = td_learn(
            STAR.mdp, STAR.features, STAR.target, 20_000, method=method, beta=0.05, **common
        )
        assert np.abs(run.theta).max() < 50
        assert np.abs(STAR.features @ run.theta[0, -1]).max() < np.abs(value).max()


def test_baird_expected_updates():
    law = stationary_law(policy_model(STAR.mdp, STAR.behaviour)[0])
    np.testing.assert_allclose(law, 1 / 7)
    plain = td_system(STAR.mdp, STAR.features, STAR.target, 0.99, law=law)
    emphatic = emphatic_system(STAR.mdp, STAR.features, STAR.target, STAR.behaviour, 0.99)
    size = np.abs(STAR.features @ START).max()
    assert np.abs(expected_iterates(plain, START, "td", 0.01, 0, 3000)).max() > 1e3
    assert np.linalg.eigvals(plain.A).real.min() < -1e-3
    assert np.linalg.eigvals(emphatic.A).real.min() > -1e-9
    steady = expected_iterates(emphatic, START, "td", 0.01, 0, 3000)
    assert np.abs(STAR.features @ steady).max() < size
    for method in ("gtd2", "tdc"):
        theta = expected_iterates(plain, START, method, 0.01, 0.05, 20_000)
        assert plain.mspbe(theta) < 0.05 * plain.mspbe(START)


@pytest.mark.parametrize("method", ["gtd2", "tdc"])
def test_gradient_directions_descend_the_projected_error(method):
    system = td_system(MODEL, FEATURES, SKEWED, 0.9, behaviour=UNIFORM)
    theta, small = np.array([0.3, -1.0, 2.0]), 1e-5
    u = np.linalg.solve(system.C, system.b - system.A @ theta)
    slope = np.array(
        [
            (system.mspbe(theta + small * e) - system.mspbe(theta - small * e)) / (2 * small)
            for e in np.eye(3)
        ]
    )
    exact = -2.0 * system.A.T @ u
    np.testing.assert_allclose(slope, exact, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        gradient_direction(system, theta, u, method), -0.5 * exact, rtol=0, atol=1e-10
    )


def test_termination_stops_the_bootstrap_and_truncation_does_not():
    p = np.array([[[1.0]]])
    endless = FiniteMDP.from_dense(p, [[1.0]])
    ending = FiniteMDP.from_dense(0 * p, [[1.0]], stop=[[1.0]])
    options = dict(gamma=0.5, alpha=0.1, max_length=3)
    for method in ("td", "true-online", "emphatic"):
        for mdp, value in ((endless, 2.0), (ending, 1.0)):
            run = td_learn(mdp, np.ones((1, 1)), [0], 2000, method=method, **options)
            assert run.theta[0, -1, 0] == pytest.approx(value, abs=1e-6)


def test_true_online_at_lambda_zero_is_td():
    case = boyan_chain()
    options = dict(gamma=1.0, alpha=0.1, replicates=2)
    one, two = (
        td_learn(case.mdp, case.features, case.target, 3000, method=m, **options).theta
        for m in ("td", "true-online")
    )
    np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_threads_and_company_change_nothing(method):
    options = dict(gamma=0.9, method=method, alpha=0.01)
    two = td_learn(MODEL, FEATURES, UNIFORM, 500, replicates=3, threads=2, **options).theta
    one = td_learn(MODEL, FEATURES, UNIFORM, 500, replicates=1, **options).theta
    np.testing.assert_array_equal(two[0], one[0])
    assert not np.array_equal(two[0], two[1])


@pytest.mark.parametrize(("n", "behaviour"), [(1, UNIFORM), (3, UNIFORM), (3, None), (12, None)])
def test_n_step_learning_reaches_its_fixed_point(n, behaviour):
    run = td_learn(
        MODEL, FEATURES, SKEWED, 300_000, gamma=0.7, method="nstep", n=n, behaviour=behaviour,
        alpha=0.02, power=0.6, offset=4000, replicates=2,
    )  # fmt: skip
    exact = nstep_system(MODEL, FEATURES, SKEWED, 0.7, n, behaviour).fixed_point()
    np.testing.assert_allclose(run.theta[:, -1], np.tile(exact, (2, 1)), atol=0.12)


def test_the_n_step_system_begins_with_td_and_ends_with_the_values():
    one, td = nstep_system(MODEL, FEATURES, SKEWED, 0.7, 1), td_system(MODEL, FEATURES, SKEWED, 0.7)
    np.testing.assert_allclose(one.A, td.A, atol=1e-14)
    np.testing.assert_allclose(one.b, td.b, atol=1e-14)
    whole = nstep_system(MODEL, FEATURES, SKEWED, 0.7, 200)
    values = evaluate_policy(MODEL, SKEWED, 0.7)
    projected = np.linalg.solve(whole.C, FEATURES.T @ (whole.law * values))
    np.testing.assert_allclose(whole.fixed_point(), projected, atol=1e-10)


def test_one_step_is_td():
    case = boyan_chain()
    options = dict(gamma=1.0, alpha=0.1, replicates=2)
    one, two = (
        td_learn(case.mdp, case.features, case.target, 3000, method=m, n=1, **options).theta
        for m in ("td", "nstep")
    )
    np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("n", "max_length"), [(3, 0), (50, 0), (4, 6), (50, 6)])
def test_n_step_updates_equal_a_loop_over_the_same_transitions(n, max_length):
    """Monte Carlo where n exceeds all episodes; truncated returns are bootstrapped."""
    case, steps, gamma, alpha = boyan_chain(), 400, 0.9, 0.05
    run = td_learn(
        case.mdp, case.features, case.target, steps, gamma=gamma, method="nstep", n=n, alpha=alpha,
        max_length=max_length, checkpoints=1,
    )  # fmt: skip
    data = simulate(case.mdp, case.target, steps, max_length=max_length)
    theta, begin = np.zeros(case.features.shape[1]), 0
    for t in range(steps):
        over, s2 = bool(data.last[t]), int(data.s2[t])
        ahead = 0.0 if s2 < 0 else float(theta @ case.features[s2])
        due = range(max(begin, t + 1 - n), t + 1) if over else [t + 1 - n]
        for j in due:
            if j >= begin:
                powers = gamma ** np.arange(t + 1 - j)
                goal = powers @ data.r[j : t + 1] + gamma ** (t + 1 - j) * ahead
                x = case.features[data.s[j]]
                theta = theta + alpha * (goal - theta @ x) * x
        begin = t + 1 if over else begin
    np.testing.assert_allclose(run.theta[0, -1], theta, rtol=1e-9, atol=1e-12)


def test_rewards_of_outcomes_are_paid_as_they_fall():
    """+3 with probability .8, else -2: with a step of 1 the value is the last reward."""
    bet = outcomes_from_coo([0, 0], [0, 0], [-1, -1], [0.8, 0.2], [3.0, -2.0])
    options = dict(gamma=0.9, alpha=1.0, checkpoints=200)
    for method in ("td", "nstep"):
        run = td_learn(bet, np.ones((1, 1)), [0], 4000, method=method, **options)
        seen = run.theta[0, :, 0]
        assert set(np.round(seen, 9)) == {3.0, -2.0}
        assert (seen > 0).mean() == pytest.approx(0.8, abs=0.12)
    mean = td_learn(bet.mdp, np.ones((1, 1)), [0], 4000, **options)
    np.testing.assert_allclose(mean.theta[0, :, 0], 2.0)


def test_bad_requests():
    with pytest.raises(ValueError, match="behaviour never takes state 0, action 1"):
        td_learn(MODEL, FEATURES, UNIFORM, 9, gamma=0.9, behaviour=np.zeros(8, int))
    with pytest.raises(ValueError, match="lam = 0"):
        td_learn(MODEL, FEATURES, UNIFORM, 9, gamma=0.9, method="tdc", lam=0.5)
    with pytest.raises(ValueError, match=r"features must have shape \(8, k\)"):
        td_learn(MODEL, FEATURES[:3], UNIFORM, 9, gamma=0.9)
