import numpy as np
import pytest

from rlkit.envs.tabular.garnet import garnet
from rlkit.envs.tabular.grids import maze
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.evaluation import evaluate_policy, greedy, occupancy
from rlkit.theory.geometry.representations import successor_representation
from rlkit.theory.learning.q_learning import learn_control, speedy_q
from rlkit.theory.learning.td_learning import td_learn
from rlkit.theory.learning.td_matrices import emphatic_system, td_system
from rlkit.theory.objectives.automata import learn_counterfactual, reward_machine
from rlkit.theory.planning.finite_horizon import backward_induction, evaluate_stages
from rlkit.theory.planning.linear_program import solve_lp
from rlkit.theory.robust.rectangular import solve_robust
from rlkit.theory.trajectories import (
    certainty_equivalence,
    lstd,
    monte_carlo_returns,
    offline_td,
    recursive_lstd,
    simulate,
)
from rlkit.theory.validate import as_integers, check_gamma

MODEL, STAY, ONE_HOT = garnet(4, 2, 2, seed=1), np.zeros(4, int), np.eye(4)
DATA = simulate(MODEL, STAY, 20)
MACHINE = reward_machine(np.zeros((1, 1), int), np.ones((1, 1)))
DISCOUNTED = {
    "solve": lambda g: solve(MODEL, g),
    "evaluate_policy": lambda g: evaluate_policy(MODEL, STAY, g),
    "greedy": lambda g: greedy(MODEL, np.zeros(4), g),
    "occupancy": lambda g: occupancy(MODEL, STAY, g),
    "solve_lp": lambda g: solve_lp(MODEL, g),
    "backward_induction": lambda g: backward_induction(MODEL, 3, gamma=g),
    "evaluate_stages": lambda g: evaluate_stages(MODEL, np.zeros((3, 4), int), gamma=g),
    "learn_control": lambda g: learn_control(MODEL, 5, gamma=g),
    "speedy_q": lambda g: speedy_q(MODEL, 5, g),
    "td_learn": lambda g: td_learn(MODEL, ONE_HOT, STAY, 5, gamma=g),
    "td_system": lambda g: td_system(MODEL, ONE_HOT, STAY, g),
    "emphatic_system": lambda g: emphatic_system(MODEL, ONE_HOT, STAY, STAY, g),
    "lstd": lambda g: lstd(DATA, ONE_HOT, g),
    "recursive_lstd": lambda g: recursive_lstd(DATA, ONE_HOT, g),
    "offline_td": lambda g: offline_td(DATA, ONE_HOT, np.zeros(4), g, 0.0, 0.1),
    "monte_carlo_returns": lambda g: monte_carlo_returns(DATA, g),
    "certainty_equivalence": lambda g: certainty_equivalence(DATA, MODEL, g),
    "successor_representation": lambda g: successor_representation(MODEL, STAY, g),
    "solve_robust": lambda g: solve_robust(MODEL, g, "tv", radius=0.1),
    "learn_counterfactual": lambda g: learn_counterfactual(
        MODEL, MACHINE, np.zeros((4, 2, 4), int), g, 5, 0
    ),
}


@pytest.mark.parametrize("name", DISCOUNTED)
@pytest.mark.parametrize("gamma", [-0.1, 1.1, np.nan, np.inf, None, "much"])
def test_gamma_outside_the_unit_interval_is_refused_everywhere(name, gamma):
    with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\]"):
        DISCOUNTED[name](gamma)


def test_gamma_is_a_number_from_zero_to_one():
    assert [check_gamma(g) for g in (0, 0.5, np.float32(1.0))] == [0.0, 0.5, 1.0]


def test_no_discount_is_refused_where_it_has_no_meaning():
    with pytest.raises(ValueError, match="occupancy needs gamma < 1"):
        occupancy(MODEL, STAY, 1.0)
    # With termination the program would be feasible, and blind to its objective.
    for model in (MODEL, maze(2)):
        with pytest.raises(ValueError, match="program needs gamma < 1"):
            solve_lp(model, 1.0)


def test_integers_are_never_rounded():
    np.testing.assert_array_equal(as_integers("x", [1.0, 2.0]), [1, 2])
    assert as_integers("x", np.array([], float)).dtype == np.int64
    for bad, says in (([1, 1.5], r"x\[1\] = 1.5"), ([np.nan], r"x\[0\] = nan"), ([1j], "complex")):
        with pytest.raises(ValueError, match=says):
            as_integers("x", bad)
    with pytest.raises(ValueError, match="does not fit int32"):
        FiniteMDP(*(np.array(x) for x in ([0, 1], [0, 1], [0], [1.0], [0.0], [2**40])))
