import numpy as np
import pytest

from rlkit.envs.tabular.garnet import garnet
from rlkit.envs.tabular.grids import maze
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.evaluation import evaluate_policy
from rlkit.theory.learning.q_kernels import METHODS
from rlkit.theory.learning.q_learning import learn_control, speedy_q
from rlkit.theory.returns.laws import outcomes_from_coo

MODEL = garnet(6, 2, 3, seed=1)
OPTIMAL = MODEL.q(solve(MODEL, 0.8, eps=1e-10).value, 0.8)


@pytest.mark.parametrize(
    ("method", "tolerance"), [("q", 0.05), ("double", 0.06), ("dyna", 0.05), ("prioritised", 0.02)]
)
def test_off_policy_methods_find_the_optimal_q(method, tolerance):
    run = learn_control(MODEL, 200_000, gamma=0.8, method=method, epsilon=0.3, replicates=2)
    error = np.abs(run.q - OPTIMAL).max(2)
    assert (error[:, -1] < tolerance).all()
    assert error[:, -1].max() < error[:, 0].max()


@pytest.mark.parametrize("method", ["sarsa", "expected-sarsa", "nstep-sarsa"])
def test_on_policy_methods_find_the_value_of_their_soft_policy(method):
    run = learn_control(MODEL, 300_000, gamma=0.8, method=method, epsilon=0.3)
    table = run.table(MODEL)
    policy = np.full((6, 2), 0.15)
    policy[np.arange(6), table.argmax(1)] = 0.85
    exact = MODEL.q_table(evaluate_policy(MODEL, policy, 0.8), 0.8)
    np.testing.assert_allclose(table, exact, atol=0.06)


@pytest.mark.parametrize("method", METHODS)
def test_a_deterministic_maze_is_solved(method):
    mdp = maze(3, seed=1)
    run = learn_control(mdp, 40_000, gamma=0.95, method=method, alpha=0.5, epsilon=0.3)
    greedy = run.table(mdp).argmax(1)
    exact = solve(mdp, 0.95).value[0]
    assert evaluate_policy(mdp, greedy, 0.95)[0] == pytest.approx(exact, abs=1e-6)


def test_planning_needs_fewer_steps():
    mdp = maze(5, seed=1)
    start = int(np.argmax(mdp.mu0))
    best = solve(mdp, 0.95).value[start]
    error = {}
    for method in ("q", "dyna", "prioritised"):
        run = learn_control(
            mdp, 2500, gamma=0.95, method=method, alpha=0.5, planning=20, replicates=5
        )
        error[method] = np.mean([run.table(mdp, k)[start].max() - best for k in range(5)])
    assert error["dyna"] < 0.2 * error["q"]
    assert error["prioritised"] < 0.2 * error["q"]


def test_dyna_plus_keeps_trying():
    mdp = maze(3, seed=2)
    tries = []
    for kappa in (0.0, 0.05):
        run = learn_control(
            mdp, 3000, gamma=0.95, method="dyna", alpha=0.5, epsilon=0.0, kappa=kappa, q0=-30.0
        )
        tries.append((run.q[0, -1] != -30.0).sum())
    assert tries[1] > tries[0]


def test_maximisation_bias_hits_q_learning_harder_than_double():
    # Sutton & Barto example 6.7: left leads to ten arms of mean -.1 and deviation 1.
    def step(s, a):
        if s == 0:
            return [(1.0, 1, 0.0, a == 1)]
        return [(1.0, 0, -0.1, True)]

    mdp = FiniteMDP.from_function(step, 2, lambda s: range(2 if s == 0 else 10), [1.0, 0.0])
    noise = (mdp.state_of_row() == 1).astype(float)
    rate = {
        method: (
            learn_control(
                mdp, 700, gamma=1.0, method=method, alpha=0.1, epsilon=0.1, noise=noise,
                replicates=200, episodes=300,
            ).first_actions[:, :100] == 0
        ).mean()
        for method in ("q", "double")
    }  # fmt: skip
    assert rate["q"] > rate["double"] + 0.1


def test_speedy_forms_agree_and_converge():
    p = np.zeros((5, 2, 5))
    rng = np.random.default_rng(0)
    p[np.arange(5)[:, None], np.arange(2), rng.integers(5, size=(5, 2))] = 1.0
    still = FiniteMDP.from_dense(p, rng.random((5, 2)))
    one, two = (speedy_q(still, 300, 0.9, form=f)[0] for f in ("increments", "average"))
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-12)
    noisy = [speedy_q(MODEL, n, 0.8, replicates=3, threads=2) for n in (100, 3000)]
    np.testing.assert_array_equal(noisy[0][0], speedy_q(MODEL, 100, 0.8)[0])
    errors = [np.abs(q - OPTIMAL).max() for q in noisy]
    assert errors[1] < 0.15
    assert errors[1] < 0.5 * errors[0]


def test_truncation_bootstraps_and_termination_does_not():
    endless = FiniteMDP.from_dense(np.ones((1, 1, 1)), [[1.0]])
    ending = FiniteMDP.from_dense(np.zeros((1, 1, 1)), [[1.0]], stop=[[1.0]])
    for method in METHODS:
        for mdp, value in ((endless, 2.0), (ending, 1.0)):
            run = learn_control(
                mdp, 3000, gamma=0.5, method=method, alpha=0.2, max_length=4, threshold=1e-9
            )
            assert run.q[0, -1, 0] == pytest.approx(value, abs=1e-6), method


@pytest.mark.parametrize("method", METHODS)
def test_threads_and_company_change_nothing(method):
    options = dict(gamma=0.8, method=method, noise=0.3)
    two = learn_control(MODEL, 400, replicates=3, threads=2, **options).q
    one = learn_control(MODEL, 400, replicates=1, **options).q
    np.testing.assert_array_equal(two[0], one[0])
    assert not np.array_equal(two[0], two[1])


def test_bad_requests():
    with pytest.raises(ValueError, match="method must be one of"):
        learn_control(MODEL, 10, gamma=0.9, method="dqn")
    with pytest.raises(ValueError, match="omega must lie in"):
        learn_control(MODEL, 10, gamma=0.9, omega=0.4)


@pytest.mark.parametrize("method", ["q", "double", "sarsa", "expected-sarsa", "dyna"])
def test_rewards_of_outcomes_are_paid_as_they_fall_and_q_is_that_of_their_means(method):
    s, a = [0, 0, 0, 1, 1], [0, 1, 1, 0, 0]
    model = outcomes_from_coo(s, a, [1, 1, -1, 0, -1], [1, 0.8, 0.2, 0.5, 0.5], [1, 3, -2, 0, 4.0])
    last = learn_control(model, 3000, gamma=0.0, method="q", alpha=1.0, epsilon=1.0).q[0]
    assert set(np.round(last[:, 1], 9)) <= {3.0, -2.0, 0.0}
    assert len(set(np.round(last[:, 1], 9))) > 1
    run = learn_control(model, 200_000, gamma=0.8, method=method, epsilon=0.2)
    exact = model.mdp.q(solve(model.mdp, 0.8, eps=1e-10).value, 0.8)
    if method in ("q", "double", "dyna"):
        np.testing.assert_allclose(run.q[0, -1], exact, atol=0.12)
    assert run.q[0, -1, :2].argmax() == exact[:2].argmax()
