"""Bandits whose arms remember: last-switch dependence, planned and learnt; the policies for
rotting and tallying arms are kernels of `simulation`."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.algos.bandits.memory.last_switch import explore_then_follow as explore_then_follow
    from rlkit.algos.bandits.memory.last_switch import follow_plan as follow_plan
    from rlkit.algos.bandits.memory.planning import CyclePlan as CyclePlan
    from rlkit.algos.bandits.memory.planning import best_average_reward as best_average_reward
    from rlkit.algos.bandits.memory.planning import relaxation as relaxation

__getattr__, __dir__ = lazily(__name__, __file__)
