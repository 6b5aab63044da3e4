"""A point maze from above, drawn without OpenGL: walls, goal, ball and the way it has come."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from rlkit.envs.tasks.maze import RADIUS, Layout

_FLOOR, _WALL = (238, 240, 243), (94, 102, 112)
_GOAL, _REACH, _WAY, _BALL = (200, 60, 50), (246, 214, 210), (120, 160, 200), (31, 90, 160)
_BALL_RADIUS, _GOAL_RADIUS, _WAY_RADIUS = 0.1, 0.08, 0.03
_FINE = 2  # pixels drawn for each side of a pixel that is shown: their mean


def picture(
    layout: Layout,
    ball: Sequence[float],
    goal: Sequence[float],
    way: Sequence[Sequence[float]] = (),
    cell: int = 48,
) -> np.ndarray:
    """The maze `[H, W, 3]` uint8 with `cell` pixels to a cell; places are (x, y) as the ball's."""
    side = cell * _FINE
    rows, columns = len(layout.rows), len(layout.rows[0])
    fine = _walls(layout.rows, side).copy()
    x = (np.arange(columns * side) + 0.5) / side - columns / 2
    y = rows / 2 - (np.arange(rows * side) + 0.5) / side

    def disc(place: Sequence[float], radius: float, colour: tuple[int, int, int]) -> None:
        near_x = np.flatnonzero(np.abs(x - place[0]) <= radius)
        near_y = np.flatnonzero(np.abs(y - place[1]) <= radius)
        if near_x.size and near_y.size:
            window = (slice(near_y[0], near_y[-1] + 1), slice(near_x[0], near_x[-1] + 1))
            inside = np.hypot(x[None, near_x] - place[0], y[near_y, None] - place[1]) <= radius
            fine[window][inside & (fine[window] != _WALL).any(-1)] = colour

    disc(goal, RADIUS, _REACH)
    disc(goal, _GOAL_RADIUS, _GOAL)
    for place in way:
        disc(place, _WAY_RADIUS, _WAY)
    disc(ball, _BALL_RADIUS, _BALL)
    quarters = [fine[i::2, j::2].astype(np.uint16) for i in (0, 1) for j in (0, 1)]
    return (sum(quarters[1:], quarters[0] + 2) // 4).astype(np.uint8)


@functools.cache
def _walls(layout: tuple[str, ...], side: int) -> np.ndarray:
    """The empty maze `[H, W, 3]`, `side` pixels to a cell."""
    walls = np.array([[kind == "#" for kind in row] for row in layout])
    return (
        np.where(walls[..., None], _WALL, _FLOOR).astype(np.uint8).repeat(side, 0).repeat(side, 1)
    )
