"""Objectives beyond one expected return: occupancies, automata, temporal logic, separations."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.theory.objectives.automata import Automaton as Automaton
    from rlkit.theory.objectives.automata import product as product
    from rlkit.theory.objectives.automata import reward_machine as reward_machine
    from rlkit.theory.objectives.occupancy import chebyshev as chebyshev
    from rlkit.theory.objectives.occupancy import constrained as constrained
    from rlkit.theory.objectives.occupancy import convex_front as convex_front
    from rlkit.theory.objectives.occupancy import lexicographic as lexicographic
    from rlkit.theory.objectives.occupancy import markov_expressivity as markov_expressivity
    from rlkit.theory.objectives.occupancy import maximum_entropy as maximum_entropy
    from rlkit.theory.objectives.temporal_logic import ltl_satisfaction as ltl_satisfaction
    from rlkit.theory.objectives.temporal_logic import ltl_task as ltl_task

__getattr__, __dir__ = lazily(__name__, __file__)
