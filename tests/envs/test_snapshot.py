import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from safetensors.numpy import load, save

from rlkit.envs.make import make
from rlkit.envs.snapshot import SnapshotUnsupported, restore, snapshot

TASKS = (
    "Hopper-v5",
    "Ant-v5",  # its reward reads body positions that lag behind the state
    "MiniGrid-DoorKey-5x5-v0",
    "MiniGrid-Dynamic-Obstacles-5x5-v0",  # holds references to objects in the grid
    "BabyAI-GoToObj-v0",  # instructions refer back to the environment
    "CartPole-v1",
    "FrozenLake-v1",
)


def steps(env: Any, count: int) -> list[list[Any]]:
    """What `count` random steps return, resets included; actions from the space's own stream."""
    log = []
    for _ in range(count):
        obs, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        log.append([np.copy(obs), reward, terminated, truncated])
        if not isinstance(env, gymnasium.vector.VectorEnv) and (terminated or truncated):
            log.append([np.copy(env.reset()[0]), 0, 0, 0])
    return log


def assert_same(a: list[list[Any]], b: list[list[Any]]) -> None:
    assert len(a) == len(b)
    for row, (first, second) in enumerate(zip(a, b, strict=True)):
        for x, y in zip(first, second, strict=True):
            np.testing.assert_array_equal(x, y, err_msg=f"step {row}")


def stored(state: dict[str, Any]) -> dict[str, Any]:
    """The state after a trip through the files of a checkpoint."""
    return {"arrays": load(save(state["arrays"])), "meta": json.loads(json.dumps(state["meta"]))}


@pytest.mark.parametrize("task", TASKS)
def test_a_restored_environment_continues_bit_for_bit_through_resets(task: str) -> None:
    env = make(task)
    env.reset(seed=3)
    env.action_space.seed(4)
    steps(env, 137)
    state = stored(snapshot(env))
    expected = steps(env, 200)
    other = make(task)
    restore(other, state)
    assert_same(steps(other, 200), expected)
    third = make(task)  # a snapshot can be used again, and was not touched by what followed
    third.reset(seed=9)
    steps(third, 20)
    restore(third, state)
    assert_same(steps(third, 200), expected)


def test_a_snapshot_disturbs_nothing() -> None:
    def run(look: bool) -> list[list[Any]]:
        env = make("Hopper-v5")
        env.reset(seed=0)
        env.action_space.seed(0)
        log = steps(env, 30)
        if look:
            snapshot(env)
        return log + steps(env, 60)

    assert_same(run(look=True), run(look=False))


def test_the_time_limit_and_stateful_wrappers_continue() -> None:
    def build() -> gymnasium.Env:
        env = wrappers.TimeLimit(make("Pendulum-v1"), 37)
        return wrappers.NormalizeObservation(wrappers.RecordEpisodeStatistics(env))

    env = build()
    env.reset(seed=0)
    env.action_space.seed(0)
    steps(env, 50)
    state = stored(snapshot(env))
    expected = steps(env, 60)
    assert any(row[3] for row in expected)
    other = build()
    restore(other, state)
    assert_same(steps(other, 60), expected)


@pytest.mark.parametrize("mode", list(AutoresetMode)[:2])
def test_a_synchronous_vector_environment_continues(mode: AutoresetMode) -> None:
    def build() -> SyncVectorEnv:
        return SyncVectorEnv([lambda: make("CartPole-v1")] * 3, autoreset_mode=mode)

    env = build()
    env.reset(seed=0)
    env.action_space.seed(0)
    steps(env, 30)
    state = stored(snapshot(env))
    other = build()
    restore(other, state)
    assert_same(steps(other, 80), steps(env, 80))


def test_one_object_in_two_places_stays_one() -> None:
    env = make("MiniGrid-DoorKey-5x5-v0")
    env.reset(seed=0)
    core = env.unwrapped
    core.remembered = core.grid.get(2, 1) or core.grid.get(2, 2)
    other = make("MiniGrid-DoorKey-5x5-v0")
    restore(other, stored(snapshot(env)))
    copy = other.unwrapped
    assert copy.remembered is (copy.grid.get(2, 1) or copy.grid.get(2, 2))
    assert copy.remembered is not core.remembered


def test_what_cannot_be_saved_is_named(tmp_path: Path) -> None:
    env = make("CartPole-v1")
    env.unwrapped.handle = (tmp_path / "file").open("w")
    with pytest.raises(SnapshotUnsupported, match=r"CartPoleEnv\.handle holds a TextIOWrapper"):
        snapshot(env)
    env.unwrapped.handle.close()


def test_asynchronous_environments_are_out_of_reach() -> None:
    class OutOfReach(AsyncVectorEnv):
        def __init__(self) -> None:  # no processes are started
            self._state = None
            self.closed = True

    with pytest.raises(SnapshotUnsupported, match="use SyncVectorEnv"):
        snapshot(OutOfReach())


def test_a_snapshot_of_another_environment_is_refused() -> None:
    env = make("Hopper-v5")
    env.reset(seed=0)
    state = snapshot(env)
    with pytest.raises(ValueError, match="the snapshot of"):
        restore(make("Walker2d-v5"), state)
    with pytest.raises(ValueError, match="the snapshot of"):
        restore(wrappers.ClipAction(make("Hopper-v5")), state)
    with pytest.raises(ValueError, match="format 99"):
        restore(env, {"arrays": {}, "meta": {"format": 99}})


def test_a_forged_class_is_not_created() -> None:
    env = make("MiniGrid-DoorKey-5x5-v0")
    env.reset(seed=0)
    state = snapshot(env)
    for entry in state["meta"]["objects"]:
        if "class" in entry:
            entry["class"] = "subprocess:Popen"
    with pytest.raises(ValueError, match="may not create a subprocess:Popen"):
        restore(env, state)


FORGED = [
    {"enum": "rlkit.core.files.replacing:os.__dict__", "member": "system"},
    {"enum": "rlkit.core.files.replacing:os", "member": "system"},
    {"enum": "minigrid.core.world_object:np", "member": "save"},
    {"enum": "minigrid.core.world_object:Key", "member": "can_pickup"},  # listed, no enumeration
    {"enum": "gymnasium.vector.vector_env:AutoresetMode.__members__", "member": "SAME_STEP"},
    {"enum": "gymnasium.envs.registration:registry", "member": "Hopper-v5"},
    {"rng": {"dict": [["bit_generator", "seed"]]}},
    {"text": ["x"], "dtype": "O"},
    {"text": "x", "dtype": "<U1000000000"},
    {"object": 99},
    {"object": 1e99},
    {"object": 10**30},
    {"rng": {"dict": [["bit_generator", "PCG64"], ["state", {"dict": [["state", -1]]}]]}},
    {
        "rng": {
            "dict": [
                ["bit_generator", "PCG64"],
                ["state", {"dict": [["state", 2**200], ["inc", 2**200]]}],
                ["has_uint32", 0],
                ["uinteger", 2**80],
            ]
        }
    },
    {"deque": [], "maxlen": 10**30},
    {"set": [{"list": []}]},
    {"nonsense": []},
    {},
]


@pytest.mark.parametrize("value", FORGED, ids=str)
def test_forged_values_are_refused(value: dict[str, Any]) -> None:
    env = make("MiniGrid-DoorKey-5x5-v0")
    env.reset(seed=0)
    state = snapshot(env)
    state["meta"]["layers"][-1]["attributes"].append(["mission", value])
    with pytest.raises(ValueError, match=r"snapshot|no enumeration"):
        restore(env, state)


@pytest.mark.parametrize("key", ["__class__", "__dict__", 3])
def test_forged_names_are_refused(key: Any) -> None:
    env = make("CartPole-v1")
    env.reset(seed=0)
    state = snapshot(env)
    state["meta"]["layers"][0]["attributes"].append([key, {"dict": []}])
    with pytest.raises(ValueError, match="may not set"):
        restore(env, state)


def test_only_listed_classes_are_written() -> None:
    class Key:  # a name of the list, from elsewhere
        pass

    env = make("CartPole-v1")
    env.unwrapped.key = Key()
    with pytest.raises(SnapshotUnsupported, match=r"key holds a Key"):
        snapshot(env)


@pytest.mark.parametrize("name", ["BabyAI-BossLevel-v0", "MiniGrid-MultiRoom-N2-S4-v0"])
def test_every_object_of_the_grids_is_listed(name: str) -> None:
    env, again = make(name), make(name)
    env.reset(seed=3)
    again.reset(seed=4)
    restore(again, stored(snapshot(env)))
    for action in (2, 0, 2, 1, 2):
        np.testing.assert_array_equal(env.step(action)[0], again.step(action)[0])
