"""The picture of a maze has walls, goal and ball where the maze has them."""

from __future__ import annotations

import numpy as np
import pytest

from rlkit.envs.tasks import maze_picture
from rlkit.envs.tasks.maze import LAYOUTS
from rlkit.envs.tasks.maze_picture import picture


def test_cells_goal_and_ball_stand_where_the_layout_has_them() -> None:
    layout, cell = LAYOUTS["umaze"], 20
    goal = layout.centre(layout.goal)
    ball = layout.centre((3, 3))
    shown = picture(layout, ball, goal, [layout.centre((3, 2))], cell)
    assert shown.shape == (5 * cell, 5 * cell, 3)
    for row, kinds in enumerate(layout.rows):
        for column, kind in enumerate(kinds):
            corner = shown[row * cell + 1, column * cell + 1]
            is_wall = (corner == maze_picture._WALL).all()
            assert is_wall == (kind == "#")

    def middle(row: int, column: int) -> list[int]:
        return shown[row * cell + cell // 2, column * cell + cell // 2].tolist()

    assert middle(*layout.goal) == list(maze_picture._GOAL)
    assert middle(3, 3) == list(maze_picture._BALL)


def test_a_maze_in_mode_rgb_array_needs_no_opengl_and_keeps_the_trail_of_one_episode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("gymnasium_robotics")
    import rlkit

    monkeypatch.setenv("MUJOCO_GL", "none-such")
    env = rlkit.make("rlkit/PointMaze_UMaze-v0", render_mode="rgb_array")
    env.reset(seed=0)
    first = env.render()
    for _ in range(30):
        env.step(np.ones(2, np.float32))
    moved = env.render()
    trail = env.unwrapped._picture_trail
    assert (first != moved).any()
    assert len(trail) > 3
    gaps = np.linalg.norm(np.diff(np.array(trail), axis=0), axis=1)
    assert gaps.min() > 0.03
    env.reset(seed=0)
    assert len(env.unwrapped._picture_trail) == 1
    assert (env.render() == first).all()
