"""Point mazes: layouts, ways, the controller, and the environments."""

from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from safetensors.numpy import load, save

from rlkit.data.recorder import record_episode
from rlkit.data.spaces import flatten
from rlkit.envs.make import make
from rlkit.envs.snapshot import restore, snapshot
from rlkit.envs.tasks import maze
from rlkit.envs.tasks.maze import LAYOUTS
from rlkit.envs.terminations import termination

FORMS = [
    f"rlkit/PointMaze_{layout.name}{goal}{dense}-v0"
    for layout in LAYOUTS.values()
    for goal in ("", "Goal")
    for dense in ("", "Dense")
]


@pytest.mark.parametrize(
    ("name", "cells", "goal", "steps"),
    [("umaze", 7, (1, 1), 300), ("medium", 26, (6, 6), 600), ("large", 46, (7, 9), 800)],
)
def test_layouts_are_those_of_maze2d(
    name: str, cells: int, goal: tuple[int, int], steps: int
) -> None:
    layout = LAYOUTS[name]
    assert (len(layout.cells), layout.goal, layout.steps) == (cells, goal, steps)
    for cell in layout.cells:
        assert layout.cell(*layout.centre(cell)) == cell
    from gymnasium_robotics.envs.maze import maps

    theirs = {"umaze": maps.U_MAZE, "medium": maps.MEDIUM_MAZE, "large": maps.LARGE_MAZE}[name]
    assert [[int(kind == "#") for kind in row] for row in layout.rows] == theirs


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_ways_are_shortest(layout: maze.Layout) -> None:
    """Against all-pairs distances by matrix powers."""
    cells = layout.cells
    step = np.array([[abs(a - c) + abs(b - d) <= 1 for c, d in cells] for a, b in cells])
    reached, distance = np.eye(len(cells), dtype=bool), np.full((len(cells),) * 2, -1)
    for far in range(len(cells)):
        distance[reached & (distance < 0)] = far
        reached = reached @ step
    for i, start in enumerate(cells):
        for j, goal in enumerate(cells):
            here, length = start, 0
            while here != goal:
                after = layout.ways[here, goal]
                assert abs(after[0] - here[0]) + abs(after[1] - here[1]) == 1
                here, length = after, length + 1
            assert length == distance[i, j]


@pytest.mark.parametrize("env_id", FORMS)
def test_an_environment_is_made_again_from_its_spec(env_id: str) -> None:
    env = make(env_id)
    spec = EnvSpec.from_json(env.spec.to_json())
    del gymnasium.registry[env_id]  # as where another package reads the dataset
    again = make(spec)
    np.testing.assert_array_equal(env.reset(seed=5)[0], again.reset(seed=5)[0])
    for _ in range(3):
        action = env.action_space.sample()
        ours, theirs = env.step(action), again.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1:4] == theirs[1:4]


def test_observations_rewards_and_ends() -> None:
    env, dense = make("rlkit/PointMaze_UMaze-v0"), make("rlkit/PointMaze_UMazeDense-v0")
    assert env.observation_space.shape == (4,)
    layout = LAYOUTS["umaze"]
    goal = np.array(layout.centre(layout.goal))
    act = maze.seeker(layout, 0.0, np.random.default_rng(0))
    seen = [env.reset(seed=2)[0]]
    assert dense.reset(seed=2)[0].tolist() == seen[0].tolist()
    rewards, ended = [], False
    while not ended:
        action = act(seen[-1])
        obs, reward, terminated, ended, info = env.step(action)
        thick = dense.step(action)[1]
        distance = np.linalg.norm(obs[:2] - goal)
        assert reward == (distance <= 0.5) == info["success"]
        assert thick == pytest.approx(np.exp(-distance))
        assert not terminated
        seen.append(obs)
        rewards.append(reward)
    assert len(rewards) == 300
    assert set(rewards) == {0, 1}  # it came from elsewhere and stayed
    assert rewards[-1] == 1


def test_starts_are_scattered_around_every_cell() -> None:
    env = make("rlkit/PointMaze_Medium-v0")
    layout = LAYOUTS["medium"]
    starts = np.array([env.reset(seed=seed)[0] for seed in range(400)])
    cells = [layout.cell(x, y) for x, y, *_ in starts]
    assert set(cells) == set(layout.cells)
    away = starts[:, :2] - [layout.centre(cell) for cell in cells]
    assert np.abs(away).max() <= 0.1
    assert starts[:, 2:].std() == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_controller_arrives_from_every_cell(layout: maze.Layout) -> None:
    env = make(f"rlkit/PointMaze_{layout.name}-v0")
    simulation = env.unwrapped
    for cell in layout.cells:
        obs, _ = env.reset(seed=0)
        simulation.set_state(np.array(layout.centre(cell)), np.zeros(2))
        obs = np.array([*layout.centre(cell), 0, 0])
        act = maze.seeker(layout, 0.0, np.random.default_rng(0))
        rewards = []
        for _ in range(layout.steps):
            obs, reward, *_ = env.step(act(obs))
            rewards.append(reward)
            if reward:
                break
        assert rewards[-1] == 1, cell


def test_the_wanderer_goes_everywhere_and_is_the_same_again() -> None:
    env = make("rlkit/PointMaze_UMaze-v0")
    layout = LAYOUTS["umaze"]
    episodes = [
        record_episode(env, maze.wanderer(layout, 0.5, np.random.default_rng(seed)), seed)
        for seed in (0, 1, 2, 3, 0)
    ]
    visited = {layout.cell(x, y) for e in episodes for x, y, *_ in e["obs"]}
    assert visited == set(layout.cells)
    for name, column in episodes[0].items():
        np.testing.assert_array_equal(column, episodes[-1][name])
    actions = np.concatenate([e["action"] for e in episodes])
    assert actions.dtype == np.float32
    assert np.abs(actions).max() == 1


def test_goals_change_by_episode_and_are_observed() -> None:
    env = make("rlkit/PointMaze_UMazeGoal-v0")
    plain = env.unwrapped
    assert env.observation_space.shape == (8,)
    goals = set()
    for seed in range(60):
        obs, _ = env.reset(seed=seed)
        inner = plain.observation_space
        state = np.concatenate([plain.data.qpos, plain.data.qvel])
        nested = {"observation": state, "achieved_goal": state[:2], "desired_goal": plain.goal}
        stacked = {name: value[None] for name, value in nested.items()}
        np.testing.assert_array_equal(flatten(inner, stacked)[0], obs)
        assert np.linalg.norm(plain.goal - state[:2]) > 0.5
        goals.add(tuple(plain.goal))
    assert goals == {LAYOUTS["umaze"].centre(cell) for cell in LAYOUTS["umaze"].cells}
    places = np.array([[0.0, 0.5], [0.6, 0.0]])
    assert plain.compute_reward(places, np.zeros(2), {}).tolist() == [1, 0]


def test_a_restored_maze_goes_on_bit_for_bit() -> None:
    env, other = make("rlkit/PointMaze_UMazeGoal-v0"), make("rlkit/PointMaze_UMazeGoal-v0")
    env.reset(seed=3)
    env.action_space.seed(0)
    for _ in range(40):
        env.step(env.action_space.sample())
    state = snapshot(env)
    restore(other, {"arrays": load(save(state["arrays"])), "meta": state["meta"]})
    for _ in range(40):
        action = env.action_space.sample()
        ours, theirs = env.step(action), other.step(action)
        np.testing.assert_array_equal(ours[0], theirs[0])
        assert ours[1:4] == theirs[1:4]
    np.testing.assert_array_equal(env.reset()[0], other.reset()[0])


def test_learnt_models_may_be_rolled_out_in_it() -> None:
    import torch

    assert not termination("rlkit/PointMaze_Large-v0")(torch.zeros(5, 4)).any()


def test_making_one_is_silent_and_leaves_no_file(
    capfd: pytest.CaptureFixture[str], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    make("rlkit/PointMaze_UMaze-v0")
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == "gymnasium_robotics"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "rlkit.envs.tasks.maze_env", raising=False)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    with pytest.raises(ValueError, match=r"pip install .*\[robotics\]"):
        make("rlkit/PointMaze_UMaze-v0")


def test_a_misspelt_maze_finds_its_neighbour() -> None:
    with pytest.raises(ValueError, match="did you mean 'rlkit/PointMaze_UMaze-v0'"):
        make("rlkit/PointMaze_Umaze-v0")
