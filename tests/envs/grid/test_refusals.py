"""What no grid can be asked for: refused in words, never stepped outside its arrays."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from rlkit.core.errors import UsageError
from rlkit.envs.grid.batch import Grids
from rlkit.envs.grid.vector import GridVectorEnv
from rlkit.envs.make import make

DOOR, BALLS, UNLOCK = (
    "MiniGrid-DoorKey-5x5-v0", "MiniGrid-Dynamic-Obstacles-5x5-v0", "MiniGrid-Unlock-v0",
)  # fmt: skip


def started(name: str = DOOR, n: int = 2) -> Grids:
    grids = Grids.of(name, n)
    grids.reset(range(n))
    return grids


@pytest.mark.parametrize(
    ("actions", "told"),
    [
        ([1.7, 0.0], "integers"), ([1.0, 0.0], "integers"), ([np.nan, 0], "integers"),
        ([True, False], "integers"), (["1", "0"], "integers"), ([0], "shape"), (0, "shape"),
        ([[0, 0]], "shape"), ([0, 7], "from 0 to 6"), ([-1, 0], "from 0 to 6"),
    ],
)  # fmt: skip
def test_actions_that_are_none(actions: Any, told: str) -> None:
    grids = started()
    before = grids.state()
    with pytest.raises(ValueError, match=told):
        grids.step(np.array(actions))
    for name, array in grids.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8])
def test_integers_of_every_width_are_actions(dtype: type) -> None:
    a, b = started(), started()
    a.step(np.array([1, 2], dtype))
    b.step(np.array([1, 2]))
    np.testing.assert_array_equal(a.image, b.image)


def test_a_step_before_the_first_level() -> None:
    with pytest.raises(UsageError, match="comes after reset"):
        Grids.of(DOOR, 2).step(np.zeros(2, int))
    with pytest.raises(UsageError, match="comes after reset"):
        GridVectorEnv(DOOR, 2).step(np.zeros(2, int))
    grids = Grids.of(DOOR, 2)
    grids.reset([0], [1])
    grids.step(np.zeros(2, int), np.array([1]))
    with pytest.raises(UsageError, match="comes after reset"):
        grids.step(np.zeros(2, int))


DAMAGE: list[tuple[str, str, Any, Any, str]] = [
    (DOOR, "agent", (0, 0), 40, "agent is outside"),
    (DOOR, "agent", (0, 1), -1, "agent is outside"),
    (DOOR, "agent", (1, 0), 5, "agent is outside"),
    (DOOR, "agent", (0, 2), 4, "direction"),
    (DOOR, "agent", (0, 2), -1, "direction"),
    (DOOR, "cells", (0, 2, 2), 15, "no number"),
    (DOOR, "cells", (0, 2, 2), 0, "no number"),
    (DOOR, "cells", (0, 2, 2), 2 | 7 << 4, "no number"),
    (BALLS, "notes", (0, 4), 9, "a ball is outside"),
    (BALLS, "notes", (1, 7), -3, "a ball is outside"),
    (UNLOCK, "notes", (0, 2), 900, "the door is outside"),
]


@pytest.mark.parametrize(("name", "array", "at", "value", "told"), DAMAGE)
def test_a_state_that_no_grid_can_be_in(
    name: str, array: str, at: Any, value: int, told: str
) -> None:
    grids = started(name)
    good = grids.state()
    grids.load(good)
    grids.step(np.zeros(2, int))
    now = grids.state()
    bad = {key: x.copy() for key, x in good.items()}
    bad[array][at] = value
    with pytest.raises(ValueError, match=told):
        grids.load(bad)
    for key, x in grids.state().items():  # nothing was taken over
        np.testing.assert_array_equal(x, now[key])


@pytest.mark.parametrize("name", [DOOR, BALLS, UNLOCK, "MiniGrid-KeyCorridorS3R2-v0",
                                  "MiniGrid-ObstructedMaze-1Dlhb-v0", "MiniGrid-MultiRoom-N4-S5-v0",
                                  "MiniGrid-LavaCrossingS9N2-v0", "MiniGrid-FourRooms-v0",
                                  "MiniGrid-DistShift1-v0"])  # fmt: skip
def test_every_state_on_the_way_can_be_loaded(name: str) -> None:
    grids, rng = started(name, 4), np.random.default_rng(0)
    for _ in range(60):
        _, terminated, truncated = grids.step(rng.integers(0, grids.family.actions, 4))
        state = grids.state()
        again = Grids(grids.family, 4)
        again.load({key: x[2:3] for key, x in state.items()}, np.array([1]))
        np.testing.assert_array_equal(again.image[1], grids.image[2])
        again.load(state)
        np.testing.assert_array_equal(again.image, grids.image)
        over = np.flatnonzero(terminated | truncated)
        grids.reset([None] * len(over), over)


@pytest.mark.parametrize("name", [DOOR, BALLS])
def test_the_edge_of_a_grid_without_walls_is_one(name: str) -> None:
    """A state that no level has: every action stays inside, and nothing else is written to."""
    grids = started(name, 3)
    state = grids.state()
    state["cells"][:] = 1
    state["agent"][:] = [[0, 0, 3], [4, 4, 0], [0, 4, 2]]
    state["notes"][:, 4:] = 2
    grids.load(state)
    rng = np.random.default_rng(0)
    for _ in range(80):
        grids.step(rng.integers(0, grids.family.actions, 3))
        assert ((grids.agent[:, :2] >= 0) & (grids.agent[:, :2] < 5)).all()


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("MiniGrid-Empty-5x5-v0", {"agent_start_pos": (50, 50)}),
        ("MiniGrid-Empty-5x5-v0", {"agent_start_pos": (0, 0)}),
        ("MiniGrid-Empty-5x5-v0", {"agent_start_pos": (-2, 1)}),
        ("MiniGrid-Empty-5x5-v0", {"agent_start_dir": 4}),
        ("MiniGrid-Empty-5x5-v0", {"agent_start_pos": (1.5, 1)}),
        ("MiniGrid-Empty-5x5-v0", {"size": 4}),
        ("MiniGrid-DistShift1-v0", {"strip2_row": 100}),
        ("MiniGrid-Dynamic-Obstacles-5x5-v0", {"agent_start_pos": (9, 1)}),
    ],
)
def test_arguments_that_the_kernels_cannot_take_are_left_to_the_package(
    name: str, kwargs: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="not one of the grids"):
        Grids.of(make(name, **kwargs), 2)


def test_seeds_and_masks_of_a_vector_environment() -> None:
    env = GridVectorEnv(DOOR, 3)
    by_int, _ = env.reset(seed=5)
    for seed in (np.int64(5), [5, 6, 7], (5, 6, 7), np.array([5, 6, 7])):
        given: Any = seed
        np.testing.assert_array_equal(env.reset(seed=given)[0], by_int)
    for wrong in ([1, 2], [1, 2, 3, 4]):
        with pytest.raises(ValueError, match="seeds for 3 grids"):
            env.reset(seed=wrong)
    for mask in ([True], np.zeros(3, bool), np.ones(4, bool)):
        with pytest.raises(ValueError, match="reset_mask must be 3 flags"):
            env.reset(options={"reset_mask": mask})
    fresh = GridVectorEnv(DOOR, 3)
    views, _ = fresh.reset(seed=[5, None, 7])  # the second draws from the system's
    np.testing.assert_array_equal(views[[0, 2]], by_int[[0, 2]])


@pytest.mark.parametrize("mode", ["NextStep", "SameStep", "Disabled"])
@pytest.mark.parametrize("name", [DOOR, BALLS, "MiniGrid-MultiRoom-N2-S4-v0"])
def test_what_comes_out_is_of_the_spaces(name: str, mode: str) -> None:
    env = GridVectorEnv(name, 5, mode)
    env.action_space.seed(0)
    views, _ = env.reset(seed=0)
    for _ in range(40):
        assert views in env.observation_space
        assert views.dtype == env.single_observation_space.dtype == np.uint8
        views, reward, terminated, truncated, info = env.step(env.action_space.sample())
        assert (reward.dtype, terminated.dtype, truncated.dtype) == (np.float64, bool, bool)
        over = terminated | truncated
        if mode == "Disabled" and over.any():
            views, _ = env.reset(options={"reset_mask": over})
        if "final_obs" in info:
            np.testing.assert_array_equal(info["_final_obs"], over)
            assert info["final_obs"] in env.observation_space
    assert isinstance(env, gymnasium.vector.VectorEnv)
