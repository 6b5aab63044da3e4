"""A step of many grids at once, and what their agents see; MiniGrid's rules."""

import numpy as np

from rlkit.core.jit import njit
from rlkit.envs.grid.cells import (
    BALL,
    BOX,
    CLOSED,
    DOOR,
    DX,
    DY,
    EMPTY,
    FLOOR,
    GOAL,
    GREY,
    KEY,
    LAVA,
    LOCKED,
    OPEN,
    WALL,
    colour_of,
    is_wanted,
    kind_of,
    opened,
    state_of,
    thing,
)
from rlkit.envs.grid.single import move_obstacles

TURN_LEFT, TURN_RIGHT, FORWARD, PICK_UP, DROP, TOGGLE, DONE = range(7)
REACH, PICK, UNLOCK, AVOID = range(4)  # what ends an episode besides goal and lava


@njit(cache=True, nogil=True)
def step(
    actions: np.ndarray,  # [n]
    rows: np.ndarray,  # [k], which are stepped
    cells: np.ndarray,  # [n, H, W]
    agent: np.ndarray,  # [n, 3]
    carrying: np.ndarray,  # [n], EMPTY is nothing
    steps: np.ndarray,  # [n]
    rng: np.ndarray,  # [n, 6]
    notes: np.ndarray,  # [n, NOTES]
    rule: int,
    balls: int,
    max_steps: int,
    reward: np.ndarray,  # [n] float64
    terminated: np.ndarray,  # [n]
    truncated: np.ndarray,  # [n]
) -> None:
    """One action in each of some grids; what is not stepped keeps its rewards and flags.

    Levels have walls around their agent. Where there is none, as in a state from elsewhere, the
    edge of the grid is one.
    """
    height, width = cells.shape[1], cells.shape[2]
    for k in rows:
        action, direction = actions[k], agent[k, 2]
        x, y = agent[k, 0] + DX[direction], agent[k, 1] + DY[direction]
        inside = 0 <= x < width and 0 <= y < height
        reward[k], terminated[k] = 0.0, False
        steps[k] += 1
        hit = False
        if rule == AVOID:
            if action > FORWARD:
                action = TURN_LEFT
            ahead = cells[k, y, x] if inside else thing(WALL, GREY)
            hit = action == FORWARD and kind_of(ahead) not in (EMPTY, GOAL)
            move_obstacles(cells[k], agent[k], rng[k], notes[k], balls)
        front = cells[k, y, x] if inside else thing(WALL, GREY)
        kind = kind_of(front)
        earned = False
        if action == TURN_LEFT:
            agent[k, 2] = (direction + 3) % 4
        elif action == TURN_RIGHT:
            agent[k, 2] = (direction + 1) % 4
        elif action == FORWARD:
            open_door = kind == DOOR and state_of(front) == OPEN
            if open_door or kind in (EMPTY, FLOOR, GOAL, LAVA):
                agent[k, 0], agent[k, 1] = x, y
            earned = kind == GOAL
            terminated[k] = kind in (GOAL, LAVA)
        elif action == PICK_UP:
            if kind in (KEY, BALL, BOX) and carrying[k] == EMPTY:
                carrying[k] = front
                cells[k, y, x] = EMPTY
            earned = rule == PICK and is_wanted(carrying[k])
        elif action == DROP:
            if kind == EMPTY and carrying[k] != EMPTY:
                cells[k, y, x] = carrying[k]
                carrying[k] = EMPTY
        elif action == TOGGLE and inside:
            cells[k, y, x] = _toggled(front, carrying[k])
            if rule == UNLOCK:
                earned = state_of(cells[k, notes[k, 3], notes[k, 2]]) == OPEN
        if earned:
            terminated[k] = True
            reward[k] = 1 - 0.9 * (steps[k] / max_steps)
        if hit:
            terminated[k] = True
            reward[k] = -1.0
        truncated[k] = steps[k] >= max_steps


@njit(cache=True, nogil=True)
def _toggled(front: int, carried: int) -> int:
    kind, colour = kind_of(front), colour_of(front)
    if kind == BOX:
        return opened(front)
    if kind != DOOR:
        return front
    if state_of(front) == LOCKED:
        fits = kind_of(carried) == KEY and colour_of(carried) == colour
        return thing(DOOR, colour, OPEN) if fits else front
    return thing(DOOR, colour, CLOSED if state_of(front) == OPEN else OPEN)


@njit(cache=True, nogil=True)
def look(
    cells: np.ndarray,  # [n, H, W]
    agent: np.ndarray,  # [n, 3]
    carrying: np.ndarray,  # [n]
    which: np.ndarray,  # [k], rows to look from
    through: bool,  # whether walls hide nothing
    image: np.ndarray,  # [n, V, V, 3] uint8: column, row, (kind, colour, state); 0 is unseen
) -> None:
    """Fills the views: the agent at the middle of the last row, looking to the first."""
    size = image.shape[1]
    half = size // 2
    height, width = cells.shape[1], cells.shape[2]
    seen = np.zeros((size, size), np.bool_)  # [row, column]
    view = np.zeros((size, size), np.uint16)
    for k in which:
        fx, fy = DX[agent[k, 2]], DY[agent[k, 2]]
        for row in range(size):
            ahead = size - 1 - row
            for col in range(size):
                aside = col - half
                x = agent[k, 0] + fx * ahead - fy * aside
                y = agent[k, 1] + fy * ahead + fx * aside
                inside = 0 <= x < width and 0 <= y < height
                view[row, col] = cells[k, y, x] if inside else thing(WALL, GREY)
        if through:
            seen[:] = True
        else:
            _visible(view, seen)
        view[size - 1, half] = carrying[k]
        for row in range(size):
            for col in range(size):
                cell = view[row, col] if seen[row, col] else 0
                image[k, col, row, 0] = kind_of(cell)
                image[k, col, row, 1] = colour_of(cell)
                image[k, col, row, 2] = state_of(cell)


@njit(cache=True, nogil=True)
def _visible(view: np.ndarray, seen: np.ndarray) -> None:
    """Sight spreads from the agent, row by row to the front and along each row both ways; walls and
    shut doors are seen and stop it."""
    size = view.shape[0]
    seen[:] = False
    seen[size - 1, size // 2] = True
    for row in range(size - 1, -1, -1):
        for turn in range(2):
            for i in range(size - 1):
                col = i if turn == 0 else size - 1 - i
                if not seen[row, col] or _hides(view[row, col]):
                    continue
                beside = col + 1 if turn == 0 else col - 1
                seen[row, beside] = True
                if row > 0:
                    seen[row - 1, beside] = seen[row - 1, col] = True


@njit(cache=True, nogil=True)
def _hides(cell: int) -> bool:
    kind = kind_of(cell)
    return kind == WALL or (kind == DOOR and state_of(cell) != OPEN)
