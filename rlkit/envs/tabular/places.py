"""Where the states of a model lie, for pictures: cells of a grid, steps from a start."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import numpy as np

from rlkit.envs.tabular import grids
from rlkit.envs.tabular.families import split
from rlkit.theory.mdp import Array, FiniteMDP

_UP_RIGHT_DOWN_LEFT = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])  # CliffWalking's actions


class Places(NamedTuple):
    """A grid that states lie in."""

    cell_of: Array  # [S] row * width + column; -1 is nowhere
    shape: tuple[int, int]
    moves: Array | None  # [A, 2] step of each action in rows and columns; None: they are no steps
    letters: tuple[str, ...] = ()  # S, H, G where there are such cells


def places(source: str, mdp: FiniteMDP) -> Places | None:
    """The grid of the model that `find_model(source)` gave; None where no grid is known."""
    name, options = split(source)
    if name == "frozen_lake":
        layout = options.get("layout", "4x4")
        return _lake(grids.LAKES[layout] if isinstance(layout, str) else layout, mdp)
    if name == "maze":
        layout = options["layout"]
        if not isinstance(layout, tuple):
            layout = grids.random_maze(int(layout), options.get("seed", 0))
        cells = np.array([list(row) for row in layout])
        return Places(np.flatnonzero(np.isin(cells, [".", "S"])), cells.shape, grids.MOVES, layout)
    return _of_environment(name, options, mdp)


def _lake(layout: Any, mdp: FiniteMDP) -> Places | None:
    cells = np.array([list(row) for row in layout])
    if cells.size != mdp.num_states:
        return None
    return Places(np.arange(cells.size), cells.shape, grids.MOVES, tuple(map("".join, cells)))


def _of_environment(name: str, options: dict[str, Any], mdp: FiniteMDP) -> Places | None:
    """FrozenLake and CliffWalking of gymnasium, and any MiniGrid."""
    import gymnasium

    if grid := name.startswith(("MiniGrid-", "BabyAI-")):
        importlib.import_module("minigrid")
    elif name.rpartition(":")[2] not in gymnasium.registry:
        return None
    env = gymnasium.make(name, disable_env_checker=True, **options)
    try:
        inner: Any = env.unwrapped
        if grid:
            from rlkit.envs.tabular.minigrid import enumerate_minigrid

            keys = enumerate_minigrid(env).keys  # in the order of the states
            width, height = inner.grid.width, inner.grid.height
            cell_of = np.array([key[0][1] * width + key[0][0] for key in keys])
            return Places(cell_of, (height, width), None)
        if hasattr(inner, "desc"):
            return _lake(inner.desc.astype(str).tolist(), mdp)
        shape = getattr(inner, "shape", None)
        if isinstance(shape, tuple) and len(shape) == 2 and np.prod(shape) == mdp.num_states:
            moves = _UP_RIGHT_DOWN_LEFT if type(inner).__name__ == "CliffWalkingEnv" else None
            return Places(np.arange(mdp.num_states), shape, moves)
        return None
    finally:
        env.close()


def steps_from_start(mdp: FiniteMDP) -> Array:
    """Least number of steps from a state where episodes begin to each state `[S]`; -1: never.

    Without an initial law all begin in state 0.
    """
    matrix = mdp.matrix()
    found = np.full(mdp.num_states, -1)
    here = np.array([0]) if mdp.mu0 is None else np.flatnonzero(mdp.mu0 > 0)
    found[here], count = 0, 0
    while here.size:
        count += 1
        rows = np.concatenate([np.arange(mdp.sa_ptr[s], mdp.sa_ptr[s + 1]) for s in here])
        reached = np.unique(matrix[rows].indices)
        here = reached[found[reached] < 0]
        found[here] = count
    return found
