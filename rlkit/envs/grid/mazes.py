"""Grids of one's own, drawn as text."""

import numpy as np

from rlkit.core.errors import UsageError
from rlkit.core.jit import njit
from rlkit.envs.grid.cells import (
    BLUE,
    CLOSED,
    DOOR,
    EMPTY,
    GOAL,
    GREEN,
    GREY,
    KEY,
    LAVA,
    LOCKED,
    PURPLE,
    RED,
    WALL,
    YELLOW,
    place_agent,
    thing,
)
from rlkit.envs.grid.families import Family
from rlkit.envs.grid.stepping import REACH

_STARTS = ">v<^"  # right, down, left, up: MiniGrid's order of directions
_COLOURS = {"r": RED, "g": GREEN, "b": BLUE, "p": PURPLE, "y": YELLOW, "e": GREY}
_LEGEND = {" ": EMPTY, "#": thing(WALL, GREY), "*": thing(GOAL, GREEN), "~": thing(LAVA, RED)}
_LEGEND |= {"|": thing(DOOR, GREY, CLOSED)}
_LEGEND |= {letter: thing(KEY, colour) for letter, colour in _COLOURS.items()}
_LEGEND |= {letter.upper(): thing(DOOR, c, LOCKED) for letter, c in _COLOURS.items()}


def maze(
    text: str, *, max_steps: int | None = None, view: int = 7, through: bool = False
) -> Family:
    """The family of one map, for `Grids(maze(text), n)`.

        #######
        #> #  #      # wall        * goal        ~ lava        | door
        #  Y  #      r g b p y e   key: red, green, blue, purple, yellow, grey
        # y# *#      R G B P Y E   locked door of that colour
        #######      > v < ^       the start; without one each seed draws another

    The edge must be wall. `max_steps` is by default four a cell, as in most of MiniGrid's. Raises
    UsageError naming line and column of what does not fit.
    """
    lines = [line for line in text.strip("\n").splitlines()]
    if len(lines) < 3 or len({len(line) for line in lines}) != 1 or len(lines[0]) < 3:
        raise UsageError("a maze needs three lines or more, of one length, three or more")
    if view < 3 or view % 2 == 0:
        raise UsageError(f"view must be odd and at least 3, got {view}")
    height, width = len(lines), len(lines[0])
    max_steps = 4 * width * height if max_steps is None else max_steps
    if max_steps < 1:
        raise UsageError(f"max_steps must be at least 1, got {max_steps}")
    cells, start = np.full((height, width), EMPTY, np.int64), [-1, -1, 0]
    for y, line in enumerate(lines):
        for x, letter in enumerate(line):
            where = f"line {y + 1}, column {x + 1}"
            if letter in _STARTS:
                if start[0] >= 0:
                    raise UsageError(f"{where}: a second start")
                start = [x, y, _STARTS.index(letter)]
            elif letter in _LEGEND:
                cells[y, x] = _LEGEND[letter]
            else:
                raise UsageError(f"{where}: {letter!r} is none of {''.join(_LEGEND)}{_STARTS}")
            edge = y in (0, height - 1) or x in (0, width - 1)
            if edge and letter != "#":
                raise UsageError(f"{where}: the edge must be wall (#)")
    if start[0] < 0 and not (cells == EMPTY).any():
        raise UsageError("the maze has no empty cell to start from")
    settings = np.concatenate([np.array(start), cells.reshape(-1)])
    return Family(_drawn, settings, REACH, 0, 7, width, height, max_steps, view, through)


@njit(cache=True, nogil=True)
def _drawn(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, of: np.ndarray
) -> bool:
    height, width = cells.shape
    for y in range(height):
        for x in range(width):
            cells[y, x] = of[3 + y * width + x]
    if of[0] < 0:
        return place_agent(cells, agent, rng, (1, 1, width - 2, height - 2))
    agent[0], agent[1], agent[2] = of[0], of[1], of[2]
    return True
