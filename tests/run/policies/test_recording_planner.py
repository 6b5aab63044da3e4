"""Demonstrations of MiniGrid's shortest paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rlkit.cli.main import main
from rlkit.core.errors import UsageError
from rlkit.core.streams import generator
from rlkit.data.formats import minari_io
from rlkit.envs.make import make
from rlkit.envs.minigrid_planner import plan_length
from rlkit.run.policies.recording import record


def test_every_episode_is_a_shortest_path_on_a_training_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    words = ["--policy", "planner", "--env", "MiniGrid-FourRooms-v0", "--levels", "3"]
    assert (
        main(["dataset", "record", *words, "--episodes", "5", "--out", "mine/r-v0", "--quiet"]) == 0
    )
    store, meta = minari_io.read("mine/r-v0")
    assert meta.details["levels"] == 3
    assert meta.algorithm == "shortest paths (planner)"
    env = make("MiniGrid-FourRooms-v0")
    for number in range(5):
        level = int(generator(0, "level", number).integers(2**31)) % 3
        first, _ = env.reset(seed=level)
        start = store.starts[number]
        np.testing.assert_array_equal(store.obs[start], first)
        assert store.lengths[number] == plan_length(env)
    assert store.terminated[store.ends].all()


@pytest.mark.parametrize(
    ("env", "sample", "said"),
    [
        (None, False, "give --env, and no --sample"),
        ("MiniGrid-Empty-5x5-v0", True, "give --env, and no --sample"),
        ("CartPole-v1", False, "CartPole-v1 is none"),
        ("MiniGrid-Unlock-v0", False, "finds no way in MiniGrid-Unlock-v0"),
    ],
)
def test_what_the_planner_is_not_for_is_said(
    env: str | None, sample: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    with pytest.raises(UsageError, match=said):
        record("planner", "mine/none-v0", episodes=1, env=env, sample=sample)
