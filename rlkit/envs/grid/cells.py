"""What a grid holds, and how things are put into it.

A cell is one number of 16 bits, in MiniGrid's own tables: kind, colour and state as they are
observed, then the colour of the key inside a box (less one; 0 is none), then whether it is what the
mission asks for. A world is `cells` `[H, W]`, the agent `[3]` (column, row, direction), the
generator of its levels and `notes` `[N]`, what a family of levels writes down for itself.
"""

import numpy as np

from rlkit.core.jit import njit
from rlkit.envs.grid.rng import below

EMPTY, WALL, FLOOR, DOOR, KEY, BALL, BOX, GOAL, LAVA = range(1, 10)
RED, GREEN, BLUE, PURPLE, YELLOW, GREY = range(6)
BY_NAME = np.array([BLUE, GREEN, GREY, PURPLE, RED, YELLOW])  # MiniGrid draws from sorted names
OPEN, CLOSED, LOCKED = range(3)
RIGHT, DOWN, LEFT, UP = range(4)
DX, DY = np.array([1, 0, -1, 0]), np.array([0, 1, 0, -1])
_COLOUR, _STATE, _INSIDE, _WANTED = 4, 7, 9, 12  # first bit of each
# [0] colour and [1] kind of what is wanted, [2:4] a door's place, [4:] obstacles' places
NOTES = 4 + 2 * 16
ENDLESS = 1 << 62  # tries


@njit(cache=True, nogil=True)
def thing(kind: int, colour: int, state: int = 0) -> int:
    return kind | colour << _COLOUR | state << _STATE


@njit(cache=True, nogil=True)
def kind_of(cell: int) -> int:
    return cell & 15


@njit(cache=True, nogil=True)
def colour_of(cell: int) -> int:
    return cell >> _COLOUR & 7


@njit(cache=True, nogil=True)
def state_of(cell: int) -> int:
    return cell >> _STATE & 3


@njit(cache=True, nogil=True)
def boxed(key: int, colour: int) -> int:
    """A box of this colour with the key inside."""
    return thing(BOX, colour) | colour_of(key) + 1 << _INSIDE


@njit(cache=True, nogil=True)
def opened(box: int) -> int:
    """What a box leaves behind."""
    inside = box >> _INSIDE & 7
    return thing(KEY, inside - 1) if inside else EMPTY


@njit(cache=True, nogil=True)
def wanted(cell: int) -> int:
    """The thing, marked as what the mission asks for."""
    return cell | 1 << _WANTED


@njit(cache=True, nogil=True)
def is_wanted(cell: int) -> bool:
    return cell >> _WANTED & 1 == 1


@njit(cache=True, nogil=True)
def surround(cells: np.ndarray, x: int, y: int, width: int, height: int) -> None:
    """Walls around a rectangle, corners included."""
    wall = thing(WALL, GREY)
    for i in range(width):
        cells[y, x + i] = cells[y + height - 1, x + i] = wall
    for j in range(height):
        cells[y + j, x] = cells[y + j, x + width - 1] = wall


@njit(cache=True, nogil=True)
def column(cells: np.ndarray, x: int, y: int, length: int, what: int) -> None:
    for j in range(length):
        cells[y + j, x] = what


@njit(cache=True, nogil=True)
def clear(cells: np.ndarray) -> None:
    """An empty room as large as the grid."""
    cells[:] = EMPTY
    surround(cells, 0, 0, cells.shape[1], cells.shape[0])


@njit(cache=True, nogil=True)
def place(
    cells: np.ndarray,
    agent: np.ndarray,
    rng: np.ndarray,
    what: int,
    area: tuple[int, int, int, int],
    apart: bool = False,
    tries: int = ENDLESS,
) -> tuple[int, int]:
    """Puts `what` into an empty cell of `area` (column, row, width, height), not on the agent, and
    with `apart` not beside it. Column and row, or (-1, -1) after so many tries and one more."""
    x0, y0 = max(area[0], 0), max(area[1], 0)
    x1, y1 = min(x0 + area[2], cells.shape[1]), min(y0 + area[3], cells.shape[0])
    tried = 0
    while tried <= tries:
        tried += 1
        x = below(rng, x0, x1)
        y = below(rng, y0, y1)
        if cells[y, x] != EMPTY or (x == agent[0] and y == agent[1]):
            continue
        if apart and abs(agent[0] - x) + abs(agent[1] - y) < 2:
            continue
        cells[y, x] = what
        return x, y
    return -1, -1


@njit(cache=True, nogil=True)
def place_agent(
    cells: np.ndarray,
    agent: np.ndarray,
    rng: np.ndarray,
    area: tuple[int, int, int, int],
    tries: int = ENDLESS,
) -> bool:
    """The agent in an empty cell of `area`, in a drawn direction; whether there was one."""
    agent[0] = agent[1] = -1
    x, y = place(cells, agent, rng, EMPTY, area, False, tries)
    if x < 0:
        return False
    agent[0], agent[1], agent[2] = x, y, below(rng, 0, 4)
    return True


@njit(cache=True, nogil=True)
def everywhere(cells: np.ndarray) -> tuple[int, int, int, int]:
    """The area of the whole grid."""
    return 0, 0, cells.shape[1], cells.shape[0]
