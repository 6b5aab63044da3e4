"""Compiled simulation of context-free, linear, dueling and memory bandits: `simulate`."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.algos.bandits.simulation.records import Simulation as Simulation
    from rlkit.algos.bandits.simulation.simulator import simulate as simulate

__getattr__, __dir__ = lazily(__name__, __file__)
