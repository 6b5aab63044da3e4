"""Files that name code of ours by where it was before are read as what it is now."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest

from rlkit.envs.make import make, make_described
from rlkit.envs.snapshot import restore, snapshot
from rlkit.envs.specs import from_text, to_text

# as versions before wrote them into datasets, run folders and policies
FORMER = {
    "rlkit/BitFlip-v0": "rlkit.envs.bit_flip:BitFlip",
    "rlkit/CatchPixels-v0": "rlkit.envs.catch:catch",
    "rlkit/PendulumTasks-v1": "rlkit.envs.contextual:tasks",
    "rlkit/HopperDistracted-v5": "rlkit.envs.distracted:distracted",
    "rlkit/PointMaze_UMaze-v0": "rlkit.envs.maze_env:PointMaze",
    "rlkit/CartPolePositions-v1": "rlkit.envs.partial:positions",
    "rlkit/BetTwice-v1": "rlkit.envs.stocked:stocked",
}


def older(env: gymnasium.Env) -> str:
    """The text of its spec, as it was before."""
    return str(to_text(env.spec)).replace("rlkit.envs.tasks.", "rlkit.envs.")


@pytest.mark.parametrize("env_id", FORMER)
def test_an_environment_is_made_again_from_an_older_text(env_id: str) -> None:
    env = make(env_id)
    assert env.spec is not None
    text = older(env)
    assert json.loads(text)["entry_point"] == FORMER[env_id]
    assert from_text(text, "here").entry_point == env.spec.entry_point
    again = make_described(text, "here")
    ours, theirs = env.reset(seed=3)[0], again.reset(seed=3)[0]
    np.testing.assert_array_equal(ours, theirs)
    assert to_text(again.spec) == to_text(env.spec)


def test_wrappers_of_an_older_text() -> None:
    env = make(from_text(_wrapped("rlkit.envs.stocked:Stocked"), "here"))
    assert env.observation_space.shape == (4,)  # the pendulum's three numbers, and the stock
    assert "rlkit.envs.tasks.stocked:Stocked" in str(to_text(env.spec))


def _wrapped(entry: str) -> str:
    inner = json.loads(str(to_text(gymnasium.spec("Pendulum-v1"))))
    stock = {"name": "Stocked", "entry_point": entry, "kwargs": {"gamma": 0.9, "stocks": [0.0]}}
    return json.dumps(inner | {"additional_wrappers": [stock]})


@pytest.mark.parametrize("env_id", ["rlkit/PendulumTasks-v1", "rlkit/CatchPixels-v0"])
def test_an_older_snapshot_continues(env_id: str) -> None:
    env = make(env_id)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    state = snapshot(env)
    text = json.dumps(state["meta"]).replace("rlkit.envs.tasks.", "rlkit.envs.")
    assert text != json.dumps(state["meta"])
    again = make(env_id)
    restore(again, {"arrays": state["arrays"], "meta": json.loads(text)})
    action = env.action_space.sample()
    ours, theirs = env.step(action), again.step(action)
    np.testing.assert_array_equal(ours[0], theirs[0])
    assert ours[1:4] == theirs[1:4]
