"""Real-valued arguments: numbers only, finite, in range; whole numbers are numbers."""

import numpy as np
import pytest

from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.continuous.continuous_time import clstd
from rlkit.theory.continuous.diffusions import OrnsteinUhlenbeck, make_paths
from rlkit.theory.continuous.mean_variance import Market
from rlkit.theory.continuous.mean_variance import learn as learn_portfolio
from rlkit.theory.geometry.bisimulation import policy_bisimulation
from rlkit.theory.geometry.lipschitz import value_constant
from rlkit.theory.learning.q_learning import learn_control, speedy_q
from rlkit.theory.learning.regret.episodic import learn
from rlkit.theory.learning.regret.lsvi import learn_linear
from rlkit.theory.learning.regret.ucrl import ucrl
from rlkit.theory.learning.td_learning import td_learn
from rlkit.theory.planning.average_reward import relative_value_iteration
from rlkit.theory.planning.linear_program import flow_matrix
from rlkit.theory.planning.solvers import solve
from rlkit.theory.preferences.mirror_maps import ball
from rlkit.theory.preferences.online_learning import adaptive, quadratic_stream
from rlkit.theory.preferences.preference_games import regularised_nash
from rlkit.theory.preferences.reward_metrics import equivalent_reward
from rlkit.theory.returns.stock import exponential
from rlkit.theory.robust.r2pvi_settings import turning_chain
from rlkit.theory.robust.rectangular import solve_robust
from rlkit.theory.robust.regularised import suggested_weight
from rlkit.theory.trajectories import lstd, simulate

M = garnet(5, 2, 2)
PHI, PI = np.eye(5), np.zeros(5, int)
NO_NUMBER = (True, None, "5", np.nan)


@pytest.mark.parametrize("bad", [*NO_NUMBER, np.inf])
def test_starting_values_of_control(bad):
    with pytest.raises(ValueError, match="q0"):
        learn_control(M, 50, gamma=0.9, q0=bad)
    with pytest.raises(ValueError, match="q0"):
        speedy_q(M, 3, 0.9, q0=bad)
    with pytest.raises(ValueError, match="noise"):
        learn_control(M, 50, gamma=0.9, noise=bad)


@pytest.mark.parametrize("whole", [0, -1])
def test_a_whole_starting_value_is_the_same_number(whole):
    for method in ("q", "double"):
        one, other = (
            learn_control(M, 50, gamma=0.9, q0=q0, method=method).q for q0 in (whole, float(whole))
        )
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("noise", [-1.0, np.ones(3), np.full(10, np.nan), -np.ones(10)])
def test_noise_of_control(noise):
    with pytest.raises(ValueError, match="noise"):
        learn_control(M, 50, gamma=0.9, noise=noise)


@pytest.mark.parametrize("bad", NO_NUMBER)
def test_ranges_name_their_argument(bad):
    for name, call in (
        ("omega", lambda: learn_control(M, 50, gamma=0.9, omega=bad)),
        ("tau", lambda: relative_value_iteration(M, tau=bad)),
        ("v_max", lambda: learn(M, 3, 4, v_max=bad)),
        ("v_max", lambda: learn_linear(M, np.eye(10), 3, 4, v_max=bad)),
        ("span", lambda: ucrl(garnet(4, 2, 2).with_rewards(np.ones(8)), 10, span=bad)),
    ):
        with pytest.raises(ValueError, match=name):
            call()


@pytest.mark.parametrize("bad", ["5", True, np.nan, [0.1, 0.2]])
def test_robust_sets(bad):
    for name in ("radius", "weight"):
        with pytest.raises(ValueError, match=name):
            solve_robust(M, 0.9, "kl", **{name: bad})


@pytest.mark.parametrize("bad", [np.full(5, np.nan), np.ones(4), "abcde", np.full(5, np.inf)])
def test_arrays(bad):
    with pytest.raises(ValueError, match="theta0"):
        td_learn(M, PHI, PI, 20, gamma=0.9, theta0=bad)
    with pytest.raises(ValueError, match="v0"):
        solve(M, 0.9, v0=bad)
    with pytest.raises(ValueError, match="features"):
        td_learn(M, bad, PI, 20, gamma=0.9)


def test_shapes_of_constructors():
    p, r = np.full((2, 1, 2), 0.25), np.ones((2, 1))
    for stop in (np.array([0.5, 0.5]), 0.5, [[0.5, 0.5]]):
        with pytest.raises(ValueError, match="stop must have shape"):
            FiniteMDP.from_dense(p, r, stop=stop)
    assert FiniteMDP.from_dense(p, r, stop=[[0.5], [0.5]]).stop.tolist() == [0.5, 0.5]
    whole = FiniteMDP.from_dense(2 * p, r)
    rows = whole.matrix()[[1, 0]]
    for call, what in (
        (lambda: FiniteMDP.from_dense(p, "ab"), "R must be an array of numbers"),
        (lambda: FiniteMDP.from_sparse([], r), "P holds no matrix"),
        (lambda: FiniteMDP.from_sparse(rows, [1.0, 1.0], s=[1, 0], a=[0, 0], stop=[0.0]), "stop"),
        (lambda: FiniteMDP.from_sparse(rows, r, s=[1, 0], a=[0, 0]), "R must have shape"),
        (lambda: FiniteMDP.from_coo([[0]], [0], [0], [1.0], [1.0]), "equal length"),
        (lambda: FiniteMDP.from_coo([0], [0], [0], [1.0], [1.0], "2"), "num_states"),
        (lambda: FiniteMDP.from_counts(np.ones((2, 2)), r), "counts must have shape"),
        (lambda: FiniteMDP.from_counts(2 * p, np.ones((2, 2))), "rewards must have shape"),
        (lambda: whole.with_rewards(np.ones((2, 2))), "r must have shape"),
        (lambda: FiniteMDP([0, 1], [0, 1], [0], [1.0], None, [0]), "r must be an array"),
        (lambda: FiniteMDP([0, 1], [0, 1], [0], [1.0], [1.0], [0], exo=np.ones(1)), "exo"),
        (lambda: FiniteMDP([0, 1], [0, 1], [0], [1.0], [1.0], [0], mu0=1.0), "mu0"),
    ):
        with pytest.raises(ValueError, match=what):
            call()


@pytest.mark.parametrize("bad", NO_NUMBER)
def test_other_real_arguments(bad):
    paths = OrnsteinUhlenbeck().paths(0.1, 5, 3, 0)
    segment = np.array([[0.0, 1.0], [1.0, 0.0]])
    calls = {
        "beta": lambda: clstd(paths, np.ones((3, 6, 1)), bad),
        "lam": lambda: clstd(paths, np.ones((3, 6, 1)), 0.5, bad),
        "dt": lambda: OrnsteinUhlenbeck().transition(bad),
        "r": lambda: make_paths([0.0, 1.0], np.zeros((2, 2)), bad),
        "rate_w": lambda: learn_portfolio(Market(), iterations=1, rate_w=bad),
        "reward_weight": lambda: policy_bisimulation(M, PI, 0.9, reward_weight=bad),
        "reward": lambda: value_constant(bad, 0.5, 0.9),
        "r_correlation": lambda: suggested_weight(bad, 1.0),
        "tau": lambda: regularised_nash(0.5 * np.ones((2, 2)), bad),
        "radius": lambda: ball(2, bad),
        "smoothness": lambda: adaptive(1.0, 1.0, bad),
        "noise": lambda: quadratic_stream(segment, bad, 0),
        "risk": lambda: exponential(bad),
        "gamma": lambda: flow_matrix(M, bad),
        "norm": lambda: turning_chain(0.1, norm=bad),
        "scale": lambda: equivalent_reward(M, np.zeros((5, 2, 5)), 0.9, np.zeros(5), scale=bad),
    }
    for name, call in calls.items():
        with pytest.raises(ValueError, match=name):
            call()


def test_dependent_features_are_no_linear_algebra_error():
    paths = OrnsteinUhlenbeck().paths(0.1, 5, 3, 0)
    with pytest.raises(ValueError, match="linearly dependent"):
        clstd(paths, np.zeros((3, 6, 2)), 0.5)
    data = simulate(M, PI, 5, seed=1)
    with pytest.raises(ValueError, match="positive ridge"):
        lstd(data, np.zeros((5, 2)), 0.9, ridge=0.0)
