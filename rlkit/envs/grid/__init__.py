"""MiniGrid as kernels: thousands of levels a step, equal to the package bit for bit."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.envs.grid.batch import Grids as Grids
    from rlkit.envs.grid.mazes import maze as maze
    from rlkit.envs.grid.vector import GridVectorEnv as GridVectorEnv

__getattr__, __dir__ = lazily(__name__, __file__)
