"""Tabular solvers, learners and theory on one finite-MDP type (numpy, scipy, numba only)."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.theory.evaluation import evaluate_policy as evaluate_policy
    from rlkit.theory.evaluation import greedy as greedy
    from rlkit.theory.evaluation import occupancy as occupancy
    from rlkit.theory.mdp import FiniteMDP as FiniteMDP
    from rlkit.theory.planning.solvers import Solution as Solution
    from rlkit.theory.planning.solvers import solve as solve

__getattr__, __dir__ = lazily(__name__, __file__)
