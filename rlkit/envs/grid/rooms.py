"""Levels of several rooms and doors: MiniGrid's families, drawn as it draws them.

Rooms of one size stand in rows; `doors` `[rows, columns, 4]` says where two are joined (right,
down, left, up), `places` where a door would stand (-1: none), `locked` which are behind a lock.
"""

from typing import NamedTuple

import numpy as np

from rlkit.core.jit import njit
from rlkit.envs.grid.cells import (
    BALL,
    BLUE,
    BOX,
    BY_NAME,
    CLOSED,
    DOOR,
    DX,
    DY,
    EMPTY,
    GOAL,
    GREEN,
    GREY,
    KEY,
    LEFT,
    LOCKED,
    RIGHT,
    UP,
    WALL,
    boxed,
    kind_of,
    place,
    place_agent,
    surround,
    thing,
    wanted,
)
from rlkit.envs.grid.rng import below

_TRIES = 1000


class Rooms(NamedTuple):
    doors: np.ndarray  # [rows, columns, 4] bool
    places: np.ndarray  # [rows, columns, 4, 2] column and row
    locked: np.ndarray  # [rows, columns] bool
    size: int  # of a room, both walls included


# --- families -------------------------------------------------------------------------------------
@njit(cache=True, nogil=True)
def key_corridor(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, of: np.ndarray
) -> bool:
    """`of`: size of a room, rows of rooms, kind of the object behind the locked door."""
    rooms = _rooms(cells, agent, rng, of[0])
    rows = of[1]
    for j in range(1, rows):
        _join(cells, rooms, 1, j, UP)
    j = below(rng, 0, rows)
    colour = _colour(rng)
    _door(cells, rooms, 2, j, LEFT, colour, True)
    if not _hide(cells, agent, rng, notes, rooms, 2, j, of[2], _colour(rng)):
        return False
    j = below(rng, 0, rows)
    if not _add(cells, agent, rng, rooms, 0, j, thing(KEY, colour)):
        return False
    return _enter(cells, agent, rng, rooms, 1, rows // 2) and _connect(cells, agent, rng, rooms)


@njit(cache=True, nogil=True)
def unlock(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, of: np.ndarray
) -> bool:
    """`of`: size of a room, whether a box lies behind the door, whether a ball lies before it."""
    rooms = _rooms(cells, agent, rng, of[0])
    if of[1] and not _hide(cells, agent, rng, notes, rooms, 1, 0, BOX, _colour(rng)):
        return False
    colour = _colour(rng)
    x, y = _door(cells, rooms, 0, 0, RIGHT, colour, True)
    notes[2], notes[3] = x, y
    if of[2]:
        cells[y, x - 1] = thing(BALL, _colour(rng))
    if not _add(cells, agent, rng, rooms, 0, 0, thing(KEY, colour)):
        return False
    return _enter(cells, agent, rng, rooms, 0, 0)


@njit(cache=True, nogil=True)
def obstructed(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, of: np.ndarray
) -> bool:
    """`of`: size of a room, quarters (0: two rooms and one door), column and row of the agent's
    room, whether keys are in boxes, whether balls bar the doors, whether keys come last."""
    rooms = _rooms(cells, agent, rng, of[0])
    colours = BY_NAME.copy()
    for k in range(len(colours)):  # a random order, drawn as one subset after the other
        chosen = k + below(rng, 0, len(colours) - k)
        colour = colours[chosen]
        for i in range(chosen, k, -1):
            colours[i] = colours[i - 1]
        colours[k] = colour
    quarters, in_box, barred, keys_last = of[1], of[4], of[5], of[6]
    if quarters == 0:
        _barred(cells, rooms, 0, 0, RIGHT, colours[0], barred)
        if not _key(cells, agent, rng, rooms, 0, 0, colours[0], in_box):
            return False
        if not _hide(cells, agent, rng, notes, rooms, 1, 0, BALL, BLUE):
            return False
        return _enter(cells, agent, rng, rooms, 0, 0)
    for side in range(quarters):
        i, j = 1 + DX[side], 1 + DY[side]
        _door(cells, rooms, 1, 1, side, colours[side], False)
        for turn in (-1, 1):
            colour = colours[(side + turn) % len(colours)]
            _barred(cells, rooms, i, j, (side + turn) % 4, colour, barred)
            if not keys_last and not _key(cells, agent, rng, rooms, i, j, colour, in_box):
                return False
        for turn in (-1, 1):
            colour = colours[(side + turn) % len(colours)]
            if keys_last and not _key(cells, agent, rng, rooms, i, j, colour, in_box):
                return False
    corner = below(rng, 0, quarters)
    i, j = 2 if corner < 2 else 0, 2 if 0 < corner < 3 else 0
    if not _hide(cells, agent, rng, notes, rooms, i, j, BALL, BLUE):
        return False
    return _enter(cells, agent, rng, rooms, of[2], of[3])


@njit(cache=True, nogil=True)
def multi_room(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, notes: np.ndarray, of: np.ndarray
) -> bool:
    """`of`: fewest and most rooms, largest size of one."""
    count = below(rng, of[0], of[1] + 1)
    rooms = np.zeros((count, 6), np.int64)  # column, row, width, height, column and row of its door
    best = 0
    while best < count:
        chain = _chain(cells, rng, count, of[2])
        if len(chain) > best:
            best = len(chain)
            rooms[:best] = chain
    cells[:] = EMPTY
    last = -1  # colour of the door before, by name
    for k in range(count):
        x, y, width, height = rooms[k, 0], rooms[k, 1], rooms[k, 2], rooms[k, 3]
        surround(cells, x, y, width, height)
        if k == 0:
            continue
        drawn = below(rng, 0, len(BY_NAME) - (1 if last >= 0 else 0))
        last = drawn + 1 if 0 <= last <= drawn else drawn
        cells[rooms[k, 5], rooms[k, 4]] = thing(DOOR, BY_NAME[last], CLOSED)
    x, y, width, height = rooms[0, 0], rooms[0, 1], rooms[0, 2], rooms[0, 3]
    if not place_agent(cells, agent, rng, (x, y, width, height)):
        return False
    x, y, width, height = rooms[-1, 0], rooms[-1, 1], rooms[-1, 2], rooms[-1, 3]
    return place(cells, agent, rng, thing(GOAL, GREEN), (x, y, width, height))[0] >= 0


@njit(cache=True, nogil=True)
def _chain(cells: np.ndarray, rng: np.ndarray, count: int, largest: int) -> np.ndarray:
    """Rooms `[<= count, 6]`, each joined to the one before; it ends where eight tries find none."""
    height, width = cells.shape
    rooms = np.zeros((count, 6), np.int64)
    door_x = below(rng, 0, width - 2)
    door_y = below(rng, 0, width - 2)
    wall, made = LEFT, 0  # the wall of the next room that holds its door
    while made < count:
        placed = False
        for _ in range(8 if made else 1):
            if made:
                x, y = rooms[made - 1, 0], rooms[made - 1, 1]
                wide, high = rooms[made - 1, 2], rooms[made - 1, 3]
                leave = below(rng, 0, 3)
                leave += leave >= wall
                if leave == RIGHT:
                    door_x, door_y = x + wide - 1, y + below(rng, 1, high - 1)
                elif leave == LEFT:
                    door_x, door_y = x, y + below(rng, 1, high - 1)
                elif leave == UP:
                    door_x, door_y = x + below(rng, 1, wide - 1), y
                else:
                    door_x, door_y = x + below(rng, 1, wide - 1), y + high - 1
                enter = (leave + 2) % 4
            else:
                enter = wall
            wide = below(rng, 4, largest + 1)
            high = below(rng, 4, largest + 1)
            x, y = door_x, door_y
            if made and enter in (RIGHT, LEFT):
                y = below(rng, door_y - high + 2, door_y)
                x = door_x - wide + 1 if enter == RIGHT else door_x
            elif made:
                x = below(rng, door_x - wide + 2, door_x)
                y = door_y if enter == UP else door_y - high + 1
            if _fits(rooms[: max(made - 1, 0)], x, y, wide, high, width, height):
                rooms[made] = np.array([x, y, wide, high, door_x, door_y])
                placed, wall = True, enter
                break
        if not placed:
            break
        made += 1
    return rooms[:made]


@njit(cache=True, nogil=True)
def _fits(rooms: np.ndarray, x: int, y: int, wide: int, high: int, width: int, height: int) -> bool:
    """Whether a room lies in the grid and apart from all but the last."""
    if x < 0 or y < 0 or x + wide > width or y + high >= height:
        return False
    for k in range(len(rooms)):
        x2, y2, wide2, high2 = rooms[k, 0], rooms[k, 1], rooms[k, 2], rooms[k, 3]
        if not (x + wide < x2 or x2 + wide2 <= x or y + high < y2 or y2 + high2 <= y):
            return False
    return True


# --- rooms of one size ----------------------------------------------------------------------------
@njit(cache=True, nogil=True)
def _rooms(cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, size: int) -> Rooms:
    """Rooms without doors; the agent in the middle, until it is put elsewhere."""
    cells[:] = EMPTY
    step = size - 1
    rows, columns = cells.shape[0] // step, cells.shape[1] // step
    places = np.full((rows, columns, 4, 2), -1)
    for j in range(rows):
        for i in range(columns):
            surround(cells, i * step, j * step, size, size)
            if i > 0:
                places[j, i, 2] = places[j, i - 1, 0]
            if j > 0:
                places[j, i, 3] = places[j - 1, i, 1]
            if i < columns - 1:
                places[j, i, 0, 0] = (i + 1) * step
                places[j, i, 0, 1] = below(rng, j * step + 1, (j + 1) * step)
            if j < rows - 1:
                places[j, i, 1, 0] = below(rng, i * step + 1, (i + 1) * step)
                places[j, i, 1, 1] = (j + 1) * step
    agent[0], agent[1] = columns // 2 * step + size // 2, rows // 2 * step + size // 2
    agent[2] = 0
    doors = np.zeros((rows, columns, 4), np.bool_)
    return Rooms(doors, places, np.zeros((rows, columns), np.bool_), size)


@njit(cache=True, nogil=True)
def _colour(rng: np.ndarray) -> int:
    return BY_NAME[below(rng, 0, len(BY_NAME))]


@njit(cache=True, nogil=True)
def _area(rooms: Rooms, i: int, j: int) -> tuple[int, int, int, int]:
    return i * (rooms.size - 1), j * (rooms.size - 1), rooms.size, rooms.size


@njit(cache=True, nogil=True)
def _mark(rooms: Rooms, i: int, j: int, side: int) -> None:
    """Two rooms are joined."""
    rooms.doors[j, i, side] = True
    rooms.doors[j + DY[side], i + DX[side], (side + 2) % 4] = True


@njit(cache=True, nogil=True)
def _door(
    cells: np.ndarray, rooms: Rooms, i: int, j: int, side: int, colour: int, locked: bool
) -> tuple[int, int]:
    """A door in the wall of a room; its column and row."""
    x, y = rooms.places[j, i, side, 0], rooms.places[j, i, side, 1]
    cells[y, x] = thing(DOOR, colour, LOCKED if locked else CLOSED)
    rooms.locked[j, i] = locked
    _mark(rooms, i, j, side)
    return x, y


@njit(cache=True, nogil=True)
def _barred(
    cells: np.ndarray, rooms: Rooms, i: int, j: int, side: int, colour: int, barred: bool
) -> None:
    """A locked door, with a ball before it if `barred`."""
    x, y = _door(cells, rooms, i, j, side, colour, True)
    if barred:
        cells[y - DY[side], x - DX[side]] = thing(BALL, GREEN)


@njit(cache=True, nogil=True)
def _join(cells: np.ndarray, rooms: Rooms, i: int, j: int, side: int) -> None:
    """Takes away the wall between two rooms, its ends excepted."""
    x, y = _area(rooms, i, j)[:2]
    last = rooms.size - 1
    for k in range(1, last):
        if side in (RIGHT, LEFT):
            cells[y + k, x + (last if side == RIGHT else 0)] = EMPTY
        else:
            cells[y + (0 if side == UP else last), x + k] = EMPTY
    _mark(rooms, i, j, side)


@njit(cache=True, nogil=True)
def _add(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, rooms: Rooms, i: int, j: int, what: int
) -> bool:
    return place(cells, agent, rng, what, _area(rooms, i, j), True, _TRIES)[0] >= 0


@njit(cache=True, nogil=True)
def _key(
    cells: np.ndarray,
    agent: np.ndarray,
    rng: np.ndarray,
    rooms: Rooms,
    i: int,
    j: int,
    colour: int,
    in_box: bool,
) -> bool:
    key = thing(KEY, colour)
    return _add(cells, agent, rng, rooms, i, j, boxed(key, GREY) if in_box else key)


@njit(cache=True, nogil=True)
def _hide(
    cells: np.ndarray,
    agent: np.ndarray,
    rng: np.ndarray,
    notes: np.ndarray,
    rooms: Rooms,
    i: int,
    j: int,
    kind: int,
    colour: int,
) -> bool:
    """What the mission asks for, somewhere in a room."""
    notes[0], notes[1] = colour, kind
    return _add(cells, agent, rng, rooms, i, j, wanted(thing(kind, colour)))


@njit(cache=True, nogil=True)
def _enter(
    cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, rooms: Rooms, i: int, j: int
) -> bool:
    """The agent into a room, not facing a thing."""
    while True:
        if not place_agent(cells, agent, rng, _area(rooms, i, j), _TRIES):
            return False
        front = kind_of(cells[agent[1] + DY[agent[2]], agent[0] + DX[agent[2]]])
        if front in (EMPTY, WALL):
            return True


@njit(cache=True, nogil=True)
def _connect(cells: np.ndarray, agent: np.ndarray, rng: np.ndarray, rooms: Rooms) -> bool:
    """Doors where they are drawn, until every room can be reached; locked rooms get none."""
    rows, columns = rooms.locked.shape
    step = rooms.size - 1
    for _ in range(5001):
        if _reached(rooms, agent[0] // step, agent[1] // step) == rows * columns:
            return True
        i = below(rng, 0, columns)
        j = below(rng, 0, rows)
        side = below(rng, 0, 4)
        if rooms.places[j, i, side, 0] < 0 or rooms.doors[j, i, side]:
            continue
        if rooms.locked[j, i] or rooms.locked[j + DY[side], i + DX[side]]:
            continue
        _door(cells, rooms, i, j, side, _colour(rng), False)
    return False


@njit(cache=True, nogil=True)
def _reached(rooms: Rooms, i: int, j: int) -> int:
    """How many rooms can be reached from one, through doors locked or not."""
    rows, columns = rooms.locked.shape
    seen = np.zeros((rows, columns), np.bool_)
    seen[j, i] = True
    found, before = 1, 0
    while found > before:
        before = found
        for y in range(rows):
            for x in range(columns):
                for side in range(4):
                    if not (seen[y, x] and rooms.doors[y, x, side]):
                        continue
                    if not seen[y + DY[side], x + DX[side]]:
                        seen[y + DY[side], x + DX[side]] = True
                        found += 1
    return found
