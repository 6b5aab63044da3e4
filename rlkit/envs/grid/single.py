"""Levels of one space, with walls, lava or a door in it: MiniGrid's families, drawn as it draws.

A level is a kernel `(cells, agent, rng, notes, settings) -> whether it could be drawn`.
"""

import numpy as np

from rlkit.core.jit import njit
from rlkit.envs.grid.cells import (
    BALL,
    BLUE,
    DOOR,
    EMPTY,
    GOAL,
    GREEN,
    GREY,
    KEY,
    LAVA,
    LOCKED,
    RED,
    WALL,
    YELLOW,
    clear,
    column,
    everywhere,
    place,
    place_agent,
    thing,
)
from rlkit.envs.grid.rng import below, shuffle

_OBSTACLES = 4  # first of `notes`: column and row of each


@njit(cache=True, nogil=True)
def empty(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, at: np.ndarray
) -> bool:
    """`at`: column (-1: drawn), row and direction of the start."""
    clear(cells)
    height, width = cells.shape
    cells[height - 2, width - 2] = thing(GOAL, GREEN)
    return _start(cells, agent, rng, at)


@njit(cache=True, nogil=True)
def obstacles(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, at: np.ndarray
) -> bool:
    """`at`: as for `empty`, and the number of balls that move."""
    if not empty(cells, agent, rng, notes, at):
        return False
    for k in range(at[3]):
        x, y = place(cells, agent, rng, thing(BALL, BLUE), everywhere(cells), False, 100)
        if x < 0:
            return False
        notes[_OBSTACLES + 2 * k], notes[_OBSTACLES + 2 * k + 1] = x, y
    return True


@njit(cache=True, nogil=True)
def move_obstacles(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, count: int
) -> None:
    """Each ball goes to a free cell beside it, where a hundred draws find one."""
    for k in range(_OBSTACLES, _OBSTACLES + 2 * count, 2):
        x0, y0 = notes[k], notes[k + 1]
        area = (x0 - 1, y0 - 1, 3, 3)
        x, y = place(cells, agent, rng, thing(BALL, BLUE), area, False, 100)
        if x >= 0:
            cells[y0, x0] = EMPTY
            notes[k], notes[k + 1] = x, y


@njit(cache=True, nogil=True)
def dist_shift(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, at: np.ndarray
) -> bool:
    """`at`: as for `empty`, and the row of the second strip of lava."""
    clear(cells)
    width = cells.shape[1]
    cells[1, width - 2] = thing(GOAL, GREEN)
    for i in range(width - 6):
        cells[1, 3 + i] = cells[at[3], 3 + i] = thing(LAVA, RED)
    return _start(cells, agent, rng, at)


@njit(cache=True, nogil=True)
def four_rooms(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, _: np.ndarray
) -> bool:
    clear(cells)
    height, width = cells.shape
    wide, high = width // 2, height // 2
    for j in range(2):
        for i in range(2):
            left, top = i * wide, j * high
            if i == 0:
                column(cells, left + wide, top, high, thing(WALL, GREY))
                cells[below(rng, top + 1, top + high), left + wide] = EMPTY
            if j == 0:
                cells[top + high, left : left + wide] = thing(WALL, GREY)
                cells[top + high, below(rng, left + 1, left + wide)] = EMPTY
    if not place_agent(cells, agent, rng, everywhere(cells)):
        return False
    return place(cells, agent, rng, thing(GOAL, GREEN), everywhere(cells))[0] >= 0


@njit(cache=True, nogil=True)
def door_key(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, _: np.ndarray
) -> bool:
    clear(cells)
    height, width = cells.shape
    cells[height - 2, width - 2] = thing(GOAL, GREEN)
    split = below(rng, 2, width - 2)
    column(cells, split, 0, height, thing(WALL, GREY))
    left = (0, 0, split, height)
    if not place_agent(cells, agent, rng, left):
        return False
    cells[below(rng, 1, height - 2), split] = thing(DOOR, YELLOW, LOCKED)
    return place(cells, agent, rng, thing(KEY, YELLOW), left)[0] >= 0


@njit(cache=True, nogil=True)
def gap(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, of: np.ndarray
) -> bool:
    """`of`: what bars the way."""
    clear(cells)
    height, width = cells.shape
    agent[0], agent[1], agent[2] = 1, 1, 0
    cells[height - 2, width - 2] = thing(GOAL, GREEN)
    x = below(rng, 2, width - 2)
    y = below(rng, 1, height - 1)
    column(cells, x, 1, height - 2, of[0])
    cells[y, x] = EMPTY
    return True


@njit(cache=True, nogil=True)
def crossing(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, of: np.ndarray
) -> bool:
    """`of`: what bars the way, and the number of rivers. Rivers run on even columns and rows; the
    way to the goal crosses each once, in a drawn order."""
    clear(cells)
    height, width = cells.shape
    agent[0], agent[1], agent[2] = 1, 1, 0
    cells[height - 2, width - 2] = thing(GOAL, GREEN)
    upright = len(range(2, height - 2, 2))  # how many of the possible rivers run down a column
    rivers = np.arange(upright + len(range(2, width - 2, 2)))
    shuffle(rng, rivers)
    rivers = np.sort(rivers[: of[1]])
    columns = 2 + 2 * rivers[rivers < upright]
    rows = 2 + 2 * (rivers[rivers >= upright] - upright)
    for y in rows:
        cells[y, 1 : width - 1] = of[0]
    for x in columns:
        cells[1 : height - 1, x] = of[0]
    turns = np.zeros(len(rivers), np.int64)  # 0: through a column, 1: through a row
    turns[len(columns) :] = 1
    shuffle(rng, turns)
    xs, ys = _limits(columns, height - 1), _limits(rows, width - 1)
    i, j = 0, 0
    for turn in turns:
        if turn == 0:
            x, y = xs[i + 1], below(rng, ys[j] + 1, ys[j + 1])
            i += 1
        else:
            x, y = below(rng, xs[i] + 1, xs[i + 1]), ys[j + 1]
            j += 1
        cells[y, x] = EMPTY
    return True


@njit(cache=True, nogil=True)
def _limits(rivers: np.ndarray, last: int) -> np.ndarray:
    limits = np.zeros(len(rivers) + 2, np.int64)
    limits[1:-1] = rivers
    limits[-1] = last
    return limits


@njit(cache=True, nogil=True)
def _start(cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, at: np.ndarray) -> bool:
    if at[0] < 0:
        return place_agent(cells, agent, rng, everywhere(cells))
    agent[0], agent[1], agent[2] = at[0], at[1], at[2]
    return True
