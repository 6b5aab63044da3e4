"""Bandits: `simulate` runs compiled kernels; batched policies are one module each, in wings."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.algos.bandits.context_free import ContextFreePolicy as ContextFreePolicy
    from rlkit.algos.bandits.driver import play as play
    from rlkit.algos.bandits.interface import Decision as Decision
    from rlkit.algos.bandits.interface import Feedback as Feedback
    from rlkit.algos.bandits.interface import Policy as Policy
    from rlkit.algos.bandits.simulation.records import Simulation as Simulation
    from rlkit.algos.bandits.simulation.simulator import simulate as simulate

__getattr__, __dir__ = lazily(__name__, __file__)
