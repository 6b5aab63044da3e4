"""Grid worlds: FrozenLake, mazes."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import check_count, check_fraction, check_number, check_seed, settings

LAKES = {
    "4x4": ("SFFF", "FHFH", "FFFH", "HFFG"),
    "8x8": (
        "SFFFFFFF", "FFFFFFFF", "FFFHFFFF", "FFFFFHFF",
        "FFFHFFFF", "FHHFFFHF", "FHFFHFHF", "FFFHFFFG",
    ),
}  # fmt: skip
MOVES = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]])  # left, down, right, up


def frozen_lake(layout: str | tuple[str, ...] = "4x4", slippery: bool = True) -> FiniteMDP:
    """gymnasium's FrozenLake: reward 1 for entering G; H and G end the episode.

    On ice a move goes its way or to either side with probability 1/3 each. The end states have
    rows of their own, worth 0, as in gymnasium's table. State = row * width + column.
    """
    if isinstance(layout, str) and layout not in LAKES:
        raise ValueError(f"layout must be rows of text or one of {sorted(LAKES)}, got {layout!r}")
    cells = _cells(LAKES[layout] if isinstance(layout, str) else layout, "SFHG")
    height, width = cells.shape
    flat = cells.ravel()
    transitions: list[tuple[int, int, int, float, float]] = []
    for s in range(flat.size):
        for a in range(4):
            if flat[s] in "HG":
                transitions.append((s, a, -1, 1.0, 0.0))
                continue
            for b in ((a - 1) % 4, a, (a + 1) % 4) if slippery else (a,):
                row, column = np.clip(
                    np.array(divmod(s, width)) + MOVES[b], 0, [height - 1, width - 1]
                )
                t = int(row * width + column)
                end, p = flat[t] in "HG", 1 / 3 if slippery else 1.0
                transitions.append((s, a, -1 if end else t, p, float(flat[t] == "G")))
    start = (flat == "S").astype(float)
    s_, a_, t_, p_, r_ = (np.array(x) for x in zip(*transitions, strict=True))
    return FiniteMDP.from_coo(s_, a_, t_, p_, r_, flat.size, start / start.sum())


@settings(size=partial(check_count, least=2), seed=check_seed)
def random_maze(size: int, seed: int = 0) -> tuple[str, ...]:
    """Layout of a perfect maze (depth-first) with size x size rooms, S and G in corners.

    Text of side 2 * size + 1: '#' wall, '.' floor.
    """
    rng = np.random.default_rng(seed)
    side = 2 * size + 1
    grid = np.full((side, side), "#")
    grid[1, 1] = "."
    path = [(1, 1)]
    while path:
        row, column = path[-1]
        ahead = [
            (row + 2 * dr, column + 2 * dc, row + dr, column + dc)
            for dr, dc in MOVES.tolist()
            if 0 < row + 2 * dr < side
            and 0 < column + 2 * dc < side
            and grid[row + 2 * dr, column + 2 * dc] == "#"
        ]
        if not ahead:
            path.pop()
            continue
        r2, c2, wall_r, wall_c = ahead[rng.integers(len(ahead))]
        grid[wall_r, wall_c] = grid[r2, c2] = "."
        path.append((r2, c2))
    grid[1, 1], grid[side - 2, side - 2] = "S", "G"
    return tuple("".join(row) for row in grid)


@settings(seed=check_seed, slip=check_fraction, step_reward=check_number, goal_reward=check_number)
def maze(
    layout: int | tuple[str, ...], seed: int = 0, slip: float = 0.0, step_reward: float = -1.0,
    goal_reward: float = 0.0,
) -> FiniteMDP:  # fmt: skip
    """Maze with one state a floor cell, actions left, down, right, up; entering G ends it.

    `layout` is text ('#' wall, '.' floor, 'S' starts, 'G' goals) or the size of a random maze.
    With probability `slip` the move goes to one of the two sides. Walls stop a move; every move
    costs `step_reward`, and the one into G adds `goal_reward`. G itself is not a state.
    """
    if isinstance(layout, int | float | np.number):
        layout = random_maze(int(check_count("layout", layout, 2)), seed)
    cells = _cells(layout, "#.SG")
    if not (cells == "G").any():
        raise ValueError("a maze needs a goal G")
    floor = np.isin(cells, [".", "S"])
    index = np.full(cells.shape, -1)
    index[floor] = np.arange(floor.sum())
    padded = np.pad(cells, 1, constant_values="#")
    rows, columns = np.nonzero(floor)
    here = index[rows, columns]
    parts: list[tuple[Array, ...]] = []
    for a in range(4):
        chances = ((a, 1.0 - slip), ((a - 1) % 4, slip / 2), ((a + 1) % 4, slip / 2))
        for b, p in chances:
            if p == 0.0:
                continue
            r2, c2 = rows + MOVES[b, 0], columns + MOVES[b, 1]
            target = padded[r2 + 1, c2 + 1]
            blocked, goal = target == "#", target == "G"
            inside = ~blocked & ~goal
            there = np.where(goal, -1, here)
            there[inside] = index[r2[inside], c2[inside]]
            reward = step_reward + goal_reward * goal
            full = np.full(here.size, p)
            parts.append((here, np.full(here.size, a), there, full, reward))
    s, a_, s2, p_, r = (np.concatenate(x) for x in zip(*parts, strict=True))
    starts = (cells[floor] == "S").astype(float)
    mu0 = starts / starts.sum() if starts.any() else None
    return FiniteMDP.from_coo(s, a_, s2, p_, r, int(floor.sum()), mu0)


def _cells(layout: Any, allowed: str) -> Array:
    """The letters `[height, width]` of rows of text; ValueError naming what is not allowed."""
    rows = list(layout) if isinstance(layout, list | tuple | np.ndarray) else []
    if not rows or not all(isinstance(row, str) for row in rows):
        raise ValueError(f"layout must be rows of text, got {layout!r:.80}")
    if len({len(row) for row in rows}) != 1:
        raise ValueError("the rows of a layout must be equally long")
    cells = np.array([list(row) for row in rows])
    if (bad := np.argwhere(~np.isin(cells, list(allowed)))).size:
        row, column = bad[0]
        found = str(cells[row, column])
        raise ValueError(f"layout row {row}, column {column}: {found!r} is not one of {allowed!r}")
    return cells
