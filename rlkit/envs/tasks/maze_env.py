"""The point mazes of `maze.py` as environments, on the simulation of gymnasium-robotics.

A ball of radius 0.1 is pushed by a force; its velocity is clipped to ±5. Needs
the extra `robotics`.
"""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from rlkit.core.words.nearest import suggestion
from rlkit.envs.tasks.maze import LAYOUTS, RADIUS, Layout
from rlkit.envs.tasks.maze_picture import picture

with contextlib.redirect_stderr(io.StringIO()):  # it prints news of its robot hands
    from gymnasium_robotics.envs.maze import point
    from gymnasium_robotics.envs.maze.maze_v4 import Maze

_NEAR = 0.03  # between the places of a trail that is drawn
_SCATTER = 0.1  # half-width of the starts around a cell's centre; deviation of their velocity


class PointMaze(point.PointEnv):
    """Observation `[4]`: x, y and their velocities. Action `[2]` in [-1, 1]: the force.

    An episode starts near the centre of a random cell. The reward is 1 within 0.5 of the goal and
    0 elsewhere, or with `dense` exp(-distance); nothing terminates. The goal is that of the layout
    and is not observed. With `goals` it is the centre of another random cell in each episode, and
    observations are dictionaries as of gymnasium-robotics' GoalEnv.
    """

    draws_itself = True  # pictures need no OpenGL

    def __init__(
        self, maze: str = "umaze", dense: bool = False, goals: bool = False, **kwargs: Any
    ) -> None:
        if maze not in LAYOUTS:
            raise ValueError(f"no maze {maze!r}{suggestion(maze, LAYOUTS)}")
        self.maze, self.dense, self.goals = maze, dense, goals
        self._picture_trail: list[tuple[float, float]] = []  # of the episode, for pictures alone
        walls = [[1 if kind == "#" else 0 for kind in row] for row in self.layout.rows]
        base = Path(point.__file__).parent / "../assets/point/point.xml"
        _, model = Maze.make_maze(str(base), walls, 1.0, 0.4)
        try:
            super().__init__(xml_file=model, **kwargs)
        finally:
            Path(model).unlink(missing_ok=True)
        self.goal = np.array(self.layout.centre(self.layout.goal))  # [2]
        if goals:
            state, place = (gymnasium.spaces.Box(-np.inf, np.inf, (n,), np.float64) for n in (4, 2))
            self.observation_space = gymnasium.spaces.Dict(
                observation=state, achieved_goal=place, desired_goal=place
            )

    @property
    def layout(self) -> Layout:
        """Walls, cells and ways."""
        return LAYOUTS[self.maze]

    def reset_model(self) -> Any:
        """A start drawn from the environment's generator, and the goal where goals change."""
        cells, rng = self.layout.cells, self.np_random
        start = int(rng.integers(len(cells)))
        if self.goals:  # any cell but the start
            goal = (start + 1 + int(rng.integers(len(cells) - 1))) % len(cells)
            self.goal = np.array(self.layout.centre(cells[goal]))
        position = np.array(self.layout.centre(cells[start])) + rng.uniform(-_SCATTER, _SCATTER, 2)
        self._picture_trail = [tuple(position)]
        self.set_state(position, _SCATTER * rng.standard_normal(2))
        return self._seen(self._get_obs()[0])

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One hundredth of a second."""
        state, _, _, _, info = super().step(action)
        if (
            self.render_mode == "rgb_array"
            and math.dist(state[:2], self._picture_trail[-1]) > _NEAR
        ):
            self._picture_trail.append((float(state[0]), float(state[1])))
        distance = math.hypot(state[0] - self.goal[0], state[1] - self.goal[1])
        near = distance <= RADIUS
        reward = math.exp(-distance) if self.dense else float(near)
        return self._seen(state), reward, False, False, info | {"success": near}

    @property
    def compute_reward(self) -> Callable[[np.ndarray, np.ndarray, Any], np.ndarray]:
        """Rewards `[...]` of places and goals `[..., 2]`, as hindsight relabelling asks for them.

        There with goals only: other libraries know goal-conditioned environments by it.
        """
        if not self.goals:
            raise AttributeError("compute_reward is for mazes whose goals change (goals=True)")
        return self._reward_of

    def _reward_of(self, achieved: np.ndarray, desired: np.ndarray, info: Any) -> np.ndarray:
        distance = np.linalg.norm(np.asarray(achieved) - desired, axis=-1)
        return np.exp(-distance) if self.dense else (distance <= RADIUS).astype(np.float64)

    def render(self) -> Any:
        """A picture from above, with the goal in it; other modes than "rgb_array" are MuJoCo's."""
        if self.render_mode == "rgb_array":
            ball, goal = self.data.qpos[:2].tolist(), self.goal.tolist()
            return picture(self.layout, ball, goal, self._picture_trail)
        self.model.site("target").pos = [*self.goal, 0.2]
        return super().render()

    def _seen(self, state: np.ndarray) -> Any:
        if not self.goals:
            return state
        place, goal = state[:2].copy(), self.goal.copy()
        return {"observation": state, "achieved_goal": place, "desired_goal": goal}
