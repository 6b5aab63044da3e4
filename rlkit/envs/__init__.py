"""What gymnasium lacks: exact tabular families, bandit simulators, wrappers (and `rlkit.make`)."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.envs.edge_of_reach import EdgeOfReach as EdgeOfReach
    from rlkit.envs.minigrid import SymbolicView as SymbolicView
    from rlkit.envs.taught import Taught as Taught

__getattr__, __dir__ = lazily(__name__, __file__)
