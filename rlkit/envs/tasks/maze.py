"""Point mazes in the form of D4RL's maze2d: layouts, ways, and a controller that walks them.

After Fu et al. 2020, "D4RL: Datasets for Deep Data-Driven Reinforcement Learning" (arXiv
2004.07219). The data are of a controller that wanders between random cells and knows nothing of
the task's goal, so that no episode shows the way: an agent must stitch it together.

The environments, `rlkit/PointMaze_UMaze-v0` and its kin, are in `maze_env.py`; they need the
extra `robotics`. `Dense` in an id is for dense rewards, `Goal` for goals that change from episode
to episode. The controller brakes at the centre of each cell on its way, so that the data know how
to stop.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Cell = tuple[int, int]  # row from the top, column
Act = Callable[[np.ndarray], np.ndarray]

RADIUS = 0.5  # within it the goal is reached
_STIFFNESS, _DAMPING = 10.0, 1.0  # gains of the controller, actions per unit and per unit a second
_REACHED = 0.1  # as near to a centre the controller walks on to the next
_SIDES = ((-1, 0), (0, -1), (0, 1), (1, 0))


@dataclass(frozen=True)
class Layout:
    """A maze of unit cells, its origin in the middle, x to the right and y upwards."""

    name: str
    rows: tuple[str, ...]  # '#' wall, '.' floor, 'G' the goal of the task
    steps: int  # of an episode

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell that is no wall, row by row."""
        return tuple(
            (i, j) for i, row in enumerate(self.rows) for j, kind in enumerate(row) if kind != "#"
        )

    @cached_property
    def open(self) -> frozenset[Cell]:
        """The same as a set."""
        return frozenset(self.cells)

    @cached_property
    def goal(self) -> Cell:
        """The goal of the task."""
        return next(cell for cell in self.cells if self.rows[cell[0]][cell[1]] == "G")

    def centre(self, cell: Cell) -> tuple[float, float]:
        """Coordinates (x, y) of a cell's centre."""
        return cell[1] + 0.5 - len(self.rows[0]) / 2, len(self.rows) / 2 - cell[0] - 0.5

    def cell(self, x: float, y: float) -> Cell:
        """The cell that holds a point."""
        return math.floor(len(self.rows) / 2 - y), math.floor(x + len(self.rows[0]) / 2)

    @cached_property
    def ways(self) -> dict[tuple[Cell, Cell], Cell]:
        """The next cell of a shortest way for each (cell, goal); at the goal the goal itself.

        Of equally short ways the one that goes up before left before right before down.
        """
        found: dict[tuple[Cell, Cell], Cell] = {}
        for goal in self.cells:
            found[goal, goal] = goal
            queue = deque([goal])
            while queue:
                here = queue.popleft()
                for side in _SIDES:
                    there = (here[0] - side[0], here[1] - side[1])
                    if there in self.open and (there, goal) not in found:
                        found[there, goal] = here
                        queue.append(there)
        return found


LAYOUTS = {
    "umaze": Layout("UMaze", ("#####", "#G..#", "###.#", "#...#", "#####"), 300),
    "medium": Layout(
        "Medium",
        (
            "########",
            "#..##..#",
            "#..#...#",
            "##...###",
            "#..#...#",
            "#.#..#.#",
            "#...#.G#",
            "########",
        ),
        600,
    ),
    "large": Layout(
        "Large",
        (
            "############",
            "#....#.....#",
            "#.##.#.#.#.#",
            "#......#...#",
            "#.####.###.#",
            "#..#.#.....#",
            "##.#.#.#.###",
            "#..#...#.G.#",
            "############",
        ),
        800,
    ),
}


def register() -> None:
    """Makes the ids of the mazes known to gymnasium; a second call changes nothing."""
    import gymnasium

    for name, layout in LAYOUTS.items():
        for dense in (False, True):
            for goals in (False, True):
                env_id = f"rlkit/PointMaze_{layout.name}{'Goal' * goals}{'Dense' * dense}-v0"
                if env_id not in gymnasium.registry:
                    gymnasium.register(
                        env_id,
                        entry_point="rlkit.envs.tasks.maze_env:PointMaze",
                        max_episode_steps=layout.steps,
                        kwargs={"maze": name, "dense": dense, "goals": goals},
                    )


def wanderer(layout: Layout, noise: float, rng: np.random.Generator) -> Act:
    """`act(observation [4]) -> action [2]` float32 of one episode that wanders from cell to cell.

    Each time a goal is reached another cell is drawn. `noise` is the standard deviation added to
    the actions, which are clipped to [-1, 1] afterwards.
    """

    def another(goal: Cell | None) -> Cell:
        others = [cell for cell in layout.cells if cell != goal]
        return others[int(rng.integers(len(others)))]

    return _walker(layout, another, noise, rng)


def seeker(layout: Layout, noise: float, rng: np.random.Generator) -> Act:
    """As `wanderer`, but going to the task's goal and staying there: the expert without noise."""
    return _walker(layout, lambda goal: layout.goal, noise, rng)


def _walker(
    layout: Layout, choose: Callable[[Cell | None], Cell], noise: float, rng: np.random.Generator
) -> Act:
    """From centre to centre of a shortest way, proportional-derivative; `choose` gives the goal
    that comes after one that is reached."""
    goal: Cell | None = None
    to: Cell | None = None  # the cell whose centre is walked to

    def act(obs: np.ndarray) -> np.ndarray:
        nonlocal goal, to
        x, y, vx, vy = (float(value) for value in obs[:4])
        if to is None:
            to = layout.cell(x, y)
        cx, cy = layout.centre(to)
        if math.hypot(cx - x, cy - y) < _REACHED:
            if goal is None or to == goal:
                goal = choose(goal)
            to = layout.ways[to, goal]
            cx, cy = layout.centre(to)
        force = _STIFFNESS * (cx - x) - _DAMPING * vx, _STIFFNESS * (cy - y) - _DAMPING * vy
        draws = rng.standard_normal(2)
        noisy = [f + noise * float(z) for f, z in zip(force, draws, strict=True)]
        return np.array([min(max(a, -1.0), 1.0) for a in noisy], np.float32)

    return act
