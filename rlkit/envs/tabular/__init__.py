"""Tabular families with exact models: each gives a FiniteMDP; `env.make` runs any of them."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.envs.tabular.chains import chain as chain
    from rlkit.envs.tabular.chains import deep_sea as deep_sea
    from rlkit.envs.tabular.chains import jao as jao
    from rlkit.envs.tabular.chains import lock as lock
    from rlkit.envs.tabular.chains import river_swim as river_swim
    from rlkit.envs.tabular.classics import baird as baird
    from rlkit.envs.tabular.classics import boyan_chain as boyan_chain
    from rlkit.envs.tabular.classics import forest as forest
    from rlkit.envs.tabular.classics import inventory as inventory
    from rlkit.envs.tabular.classics import ring as ring
    from rlkit.envs.tabular.classics import two_theta as two_theta
    from rlkit.envs.tabular.control import pendulum as pendulum
    from rlkit.envs.tabular.families import find_model as find_model
    from rlkit.envs.tabular.garnet import banded_garnet as banded_garnet
    from rlkit.envs.tabular.garnet import factored_garnet as factored_garnet
    from rlkit.envs.tabular.grids import frozen_lake as frozen_lake
    from rlkit.envs.tabular.grids import maze as maze
    from rlkit.envs.tabular.grids import random_maze as random_maze

__getattr__, __dir__ = lazily(__name__, __file__)
