"""What gymnasium lacks: exact tabular families, bandit simulators, wrappers (and `rlkit.make`)."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.envs.levels import Levels as Levels
    from rlkit.envs.minigrid import SymbolicView as SymbolicView
    from rlkit.envs.tasks.catch import Catch as Catch
    from rlkit.envs.tasks.contextual import Contextual as Contextual
    from rlkit.envs.tasks.edge_of_reach import EdgeOfReach as EdgeOfReach
    from rlkit.envs.tasks.stocked import Stocked as Stocked
    from rlkit.envs.taught import Taught as Taught

__getattr__, __dir__ = lazily(__name__, __file__)
