import warnings

import numpy as np
import pytest

from rlkit.envs.tabular.chains import river_swim
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory.geometry.bisimulation import bisimulation_metric
from rlkit.theory.learning.q_learning import learn_control
from rlkit.theory.learning.regret.ucrl import ucrl
from rlkit.theory.learning.td_learning import td_learn
from rlkit.theory.objectives.occupancy import maximum_entropy
from rlkit.theory.planning.average_reward import howard, relative_value_iteration
from rlkit.theory.planning.finite_horizon import StagePlan, backward_induction
from rlkit.theory.planning.linear_program import solve_lp
from rlkit.theory.planning.solvers import solve
from rlkit.theory.returns.distributional import evaluate_laws
from rlkit.theory.returns.laws import Quantile
from rlkit.theory.robust.rectangular import solve_robust
from rlkit.theory.trajectories import simulate

MDP = garnet(200, 3, 4)
POLICY = np.zeros(200, int)
RESULTS = {
    "solve": lambda: solve(MDP, 0.9),
    "howard": lambda: howard(MDP),
    "stages": lambda: backward_induction(MDP, 30),
    "lp": lambda: solve_lp(MDP, 0.9),
    "robust": lambda: solve_robust(MDP, 0.9, "tv", radius=0.1),
    "entropy": lambda: maximum_entropy(river_swim(30), 0.9)[0],
    "metric": lambda: bisimulation_metric(garnet(20, 2, 2), 0.5),
    "laws": lambda: evaluate_laws(MDP, POLICY, 0.5, Quantile(30)),
    "control": lambda: learn_control(MDP, 500, gamma=0.9, replicates=3),
    "td": lambda: td_learn(MDP, np.eye(200), POLICY, 500, gamma=0.9),
    "ucrl": lambda: ucrl(river_swim(30), 500),
    "simulate": lambda: simulate(MDP, POLICY, 5000),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_print_in_at_most_five_lines(name):
    found = RESULTS[name]()
    lines = str(found).splitlines()
    assert len(lines) <= 5
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith(type(found).__name__)
    assert repr(found) == str(found)


def test_a_print_says_what_matters():
    text = str(solve(MDP, 0.9))
    assert "value float64 [200] " in text
    assert "converged True" in text
    assert "gamma 0.9" in text
    small = str(howard(river_swim(3)))
    assert "policy [1 1 1]" in small
    broken = StagePlan(np.array([[np.nan, 1.0], [2.0, np.inf]]), np.zeros((1, 2)), np.zeros((1, 2)))
    assert "value float64 [2, 2] 1 to 2 (2 not finite)" in str(broken)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda: solve(MDP, discount=0.9), "'discount'; here it is 'gamma'"),
        (lambda: solve(MDP, beta=0.9), "'beta'; here it is 'gamma'"),
        (lambda: solve(MDP, max_iter=10), "'max_iter'; here it is 'max_backups'"),
        (lambda: solve(MDP, tol=1e-3), "'tol'; here it is 'eps'"),
        (lambda: solve(MDP, epsilon=1e-3), "'epsilon'; here it is 'eps'"),
        (lambda: solve(MDP, 0.9, "pi", evaluatoin="lu"), "'evaluatoin'; here it is 'evaluation'"),
        (lambda: solve(MDP, 1.0, "pi", colour=1), r"'colour' \(it has .*gamma"),
        (lambda: relative_value_iteration(MDP, max_iter=9), "here it is 'max_backups'"),
        (lambda: howard(MDP, max_iter=9), "here it is 'max_iterations'"),
        (lambda: solve_robust(MDP, discount=0.9, kind="tv"), "here it is 'gamma'"),
        (lambda: bisimulation_metric(MDP, 0.9, tol=1), "here it is 'tolerance'"),
        (lambda: learn_control(MDP, 9, discount=0.9), "here it is 'gamma'"),
        (lambda: learn_control(MDP, n_steps=9, gamma=0.9), "here it is 'steps'"),
        (lambda: td_learn(MDP, np.eye(200), POLICY, 9, gamma=0.9, learning_rate=1), "is 'alpha'"),
        (lambda: backward_induction(MDP, H=3), "here it is 'horizon'"),
    ],
)
def test_words_of_other_libraries_are_answered_with_ours(call, answer):
    with pytest.raises(TypeError, match=answer):
        call()


def test_warnings_point_at_the_caller():
    for call in (
        lambda: solve(MDP, 0.99, max_backups=1),
        lambda: relative_value_iteration(MDP, 1e-9, max_backups=1),
        lambda: solve_robust(MDP, 0.99, "tv", radius=0.1, max_backups=1),
    ):
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            call()
        assert heard[0].filename == __file__
