"""Bandit simulators: armed, memory, dueling and linear environments, and the random streams."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.envs.bandits.armed import Armed as Armed
    from rlkit.envs.bandits.armed import RandomMeans as RandomMeans
    from rlkit.envs.bandits.armed import Switching as Switching
    from rlkit.envs.bandits.contextual import Classification as Classification
    from rlkit.envs.bandits.contextual import LinearContexts as LinearContexts
    from rlkit.envs.bandits.contextual import TabularContexts as TabularContexts
    from rlkit.envs.bandits.dueling import Dueling as Dueling
    from rlkit.envs.bandits.linear import LinearArms as LinearArms
    from rlkit.envs.bandits.memory import Blocking as Blocking
    from rlkit.envs.bandits.memory import LastSwitch as LastSwitch
    from rlkit.envs.bandits.memory import Rotting as Rotting
    from rlkit.envs.bandits.memory import Tallying as Tallying
    from rlkit.envs.bandits.multitask import SharedRepresentation as SharedRepresentation
    from rlkit.envs.bandits.payment_routing import PaymentRouting as PaymentRouting
    from rlkit.envs.bandits.slates import SlateWorld as SlateWorld

__getattr__, __dir__ = lazily(__name__, __file__)
