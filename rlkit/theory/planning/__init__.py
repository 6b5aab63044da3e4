"""Planners of finite MDPs: `solve` and its methods, average and total reward, finite horizons."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.theory.planning.average_reward import AverageSolution as AverageSolution
    from rlkit.theory.planning.average_reward import anchored_average as anchored_average
    from rlkit.theory.planning.average_reward import average_value as average_value
    from rlkit.theory.planning.average_reward import howard as howard
    from rlkit.theory.planning.average_reward import (
        relative_value_iteration as relative_value_iteration,
    )
    from rlkit.theory.planning.finite_horizon import backward_induction as backward_induction
    from rlkit.theory.planning.finite_horizon import evaluate_stages as evaluate_stages
    from rlkit.theory.planning.finite_horizon import stage_occupancy as stage_occupancy
    from rlkit.theory.planning.linear_program import solve_lp as solve_lp
    from rlkit.theory.planning.solvers import Solution as Solution
    from rlkit.theory.planning.solvers import solve as solve
    from rlkit.theory.planning.structure import communicating_classes as communicating_classes
    from rlkit.theory.planning.structure import diameter as diameter
    from rlkit.theory.planning.structure import reachable as reachable
    from rlkit.theory.planning.structure import recurrent_classes as recurrent_classes
    from rlkit.theory.planning.structure import stationary_law as stationary_law

__getattr__, __dir__ = lazily(__name__, __file__)
