"""Grids are the package's environments, number for number: levels, views, rewards, ends."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import minigrid  # noqa: F401  # registers its ids
import numpy as np
import pytest

from rlkit.core.errors import UsageError
from rlkit.envs.grid import Grids
from rlkit.envs.grid.families import family_of

# One id of each way to draw a level, and every rule that ends one.
SOME = [
    "Empty-Random-6x6-v0",
    "FourRooms-v0",
    "DoorKey-6x6-v0",
    "MultiRoom-N4-S5-v1",
    "KeyCorridorS3R3-v0",
    "LavaGapS6-v0",
    "LavaCrossingS9N3-v0",
    "SimpleCrossingS11N5-v0",
    "DistShift2-v0",
    "Dynamic-Obstacles-Random-6x6-v0",
    "Unlock-v0",
    "UnlockPickup-v0",
    "BlockedUnlockPickup-v0",
    "ObstructedMaze-1Dlhb-v0",
    "ObstructedMaze-Full-v0",
    "ObstructedMaze-2Q-v1",
]
FAMILIES = ("Empty", "FourRooms", "DoorKey", "MultiRoom", "KeyCorridor", "LavaGap", "LavaCrossing")
FAMILIES += ("SimpleCrossing", "DistShift", "Dynamic", "Unlock", "BlockedUnlock", "Obstructed")
SEEDS = (0, 7, 2**31 - 1)


@pytest.mark.filterwarnings("ignore:.*out of date")
@pytest.mark.parametrize("name", SOME)
def test_every_step_is_the_packages(name: str) -> None:
    seen = compare(f"MiniGrid-{name}", steps=120)
    assert seen["picked"] or "Unlock" not in name
    assert seen["toggled"] or "Unlock" not in name


def every_id() -> list[str]:
    ids = [i for i in gymnasium.registry if i.startswith("MiniGrid-")]
    return [i for i in ids if i.removeprefix("MiniGrid-").startswith(FAMILIES)]


@pytest.mark.filterwarnings("ignore:.*out of date")
def test_the_documents_number_of_environments_is_true() -> None:
    ids = every_id()
    assert len(ids) == 56
    made = (gymnasium.make(name, disable_env_checker=True) for name in ids)
    assert all(family_of(env.unwrapped) is not None for env in made)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*out of date")
def test_a_million_steps_of_all_ids_are_the_packages() -> None:
    ids = every_id()
    for name in ids:
        compare(name, steps=1_000_000 // len(ids) // len(SEEDS) + 1)


def compare(name: str, steps: int) -> dict[str, int]:
    """Plays one id both ways; what was done, so that a test can ask whether enough was."""
    envs = [gymnasium.make(name, disable_env_checker=True) for _ in SEEDS]
    grids, rng = Grids.of(envs[0], len(envs)), np.random.default_rng(0)
    grids.reset(SEEDS)
    for k, env in enumerate(envs):
        np.testing.assert_array_equal(env.reset(seed=SEEDS[k])[0]["image"], grids.image[k])
    seen = {"picked": 0, "toggled": 0, "ended": 0}
    for t in range(steps):
        actions = np.array([likely(env.unwrapped, rng) for env in envs])
        led_to = grids.step(actions)
        for k, (env, action) in enumerate(zip(envs, actions.tolist(), strict=True)):
            obs, *rest, _ = env.step(action)
            assert rest == [values[k] for values in led_to], (name, t, k, action)
            np.testing.assert_array_equal(obs["image"], grids.image[k], err_msg=f"{name} {t}")
            seen["picked"] += env.unwrapped.carrying is not None
            seen["toggled"] += action == 5
            if rest[1] or rest[2]:
                seen["ended"] += 1
                seed = int(rng.integers(2**31)) if rng.random() < 0.5 else None
                first = env.reset(seed=seed)[0]["image"]
                grids.reset([seed], [k])
                np.testing.assert_array_equal(first, grids.image[k], err_msg=f"{name} {seed}")
        whole = envs[0].unwrapped.grid.encode().transpose(1, 0, 2)
        cells = grids.cells[0]
        np.testing.assert_array_equal(np.stack([cells & 15, cells >> 4 & 7], -1), whole[..., :2])
        np.testing.assert_array_equal(cells >> 7 & 3, whole[..., 2])
    return seen


def likely(env: Any, rng: np.random.Generator) -> int:
    """An action that leads somewhere more often than a uniform one: doors are opened, things are
    picked up and dropped again, the agent walks."""
    thing = env.grid.get(*env.front_pos)
    kind = "" if thing is None else thing.type
    if env.action_space.n == 7 and rng.random() < 0.8:
        if kind in ("key", "ball", "box") and env.carrying is None:
            return 5 if kind == "box" and rng.random() < 0.5 else 3
        if kind == "door" and not thing.is_open:
            return 5
    weights = np.array([0.17, 0.17, 0.5, 0.03, 0.05, 0.06, 0.02])[: env.action_space.n]
    return int(rng.choice(len(weights), p=weights / weights.sum()))


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("DoorKey-5x5-v0", {"size": 9, "max_steps": 11}),
        ("Empty-5x5-v0", {"size": 7, "agent_start_pos": (3, 2), "agent_start_dir": 3}),
        ("KeyCorridorS3R1-v0", {"obj_type": "key", "num_rows": 2}),
        ("LavaGapS5-v0", {"agent_view_size": 5}),
    ],
)
def test_arguments_are_read_off_the_environment(name: str, kwargs: dict[str, Any]) -> None:
    env = gymnasium.make(f"MiniGrid-{name}", disable_env_checker=True, **kwargs)
    grids = Grids.of(env, 1)
    for seed in range(5):
        grids.reset([seed])
        np.testing.assert_array_equal(env.reset(seed=seed)[0]["image"], grids.image[0])
    for _ in range(30):
        reward, terminated, truncated = grids.step(np.array([2]))
        obs, *rest, _ = env.step(2)
        assert rest == [reward[0], terminated[0], truncated[0]]
        np.testing.assert_array_equal(obs["image"], grids.image[0])


def unknown() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "Fetch-8x8-N3-v0", {}
    yield "FourRooms-v0", {"goal_pos": (3, 3)}
    yield "MemoryS7-v0", {}


@pytest.mark.parametrize(("name", "kwargs"), list(unknown()))
def test_what_has_no_kernel_is_left_to_the_package(name: str, kwargs: dict[str, Any]) -> None:
    env = gymnasium.make(f"MiniGrid-{name}", **kwargs)
    assert family_of(env.unwrapped) is None
    with pytest.raises(UsageError, match="not one of the grids"):
        Grids.of(env, 2)


def test_a_class_of_ones_own_is_never_taken_for_its_parent() -> None:
    from minigrid.envs import EmptyEnv

    class Slippery(EmptyEnv):
        pass

    assert family_of(Slippery(size=5)) is None


def test_what_does_not_fit_is_refused() -> None:
    grids = Grids.of("MiniGrid-Empty-5x5-v0", 2)
    with pytest.raises(UsageError, match="give its first episode a seed"):
        grids.reset([None, None])
    with pytest.raises(UsageError, match="a seed lies from 0"):
        grids.reset([0, -1])
    grids.reset([0, 1])
    with pytest.raises(ValueError, match="from 0 to 6"):
        grids.step(np.array([0, 7]))
    with pytest.raises(ValueError, match="shape"):
        grids.step(np.zeros((2, 1)))
    with pytest.raises(UsageError, match="at least 1"):
        Grids.of("MiniGrid-Empty-5x5-v0", 0)


def test_a_state_goes_on_as_it_would_have() -> None:
    grids = Grids.of("MiniGrid-Dynamic-Obstacles-6x6-v0", 3)
    grids.reset(range(3))
    saved = grids.state()
    again = Grids.of("MiniGrid-Dynamic-Obstacles-6x6-v0", 3)
    again.load(saved)
    for action in (0, 1, 1, 0, 2):
        for ours, theirs in zip(
            grids.step(np.full(3, action)), again.step(np.full(3, action)), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(grids.image, again.image)
    with pytest.raises(ValueError, match="steps has"):
        again.load(saved | {"steps": np.zeros(2, np.int64)})
