"""Tabular solvers, learners and theory on one finite-MDP type (numpy, scipy, numba only)."""

from rlkit.theory.mdp import FiniteMDP
from rlkit.theory.planning.solvers import solve

__all__ = ["FiniteMDP", "solve"]
