"""Rows that do not fit the environment they are for are refused before a training begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from rlkit.core.errors import UsageError
from rlkit.data.formats import minari_io
from rlkit.envs.make import make
from rlkit.run.preparing import prepare
from rlkit.run.settings.options import Options

Build = Callable[..., Options]


def file(path: Path, obs: float, action: float) -> str:
    steps = 8
    with h5py.File(path, "w") as out:
        out["observations"] = np.full((steps, 3), obs, np.float32)
        out["actions"] = np.linspace(-action, action, steps, dtype=np.float32)[:, None]
        out["rewards"] = np.arange(steps, dtype=np.float32)
        out["terminals"] = np.arange(steps) == 3
        out["timeouts"] = np.arange(steps) == 7
    return str(path)


def test_a_file_without_bounds_takes_those_of_the_environment(
    offline: Build, tmp_path: Path
) -> None:
    data = file(tmp_path / "x.hdf5", 0.5, 2.0)
    task, _ = prepare(offline(dataset=data, env="Pendulum-v1"))
    assert task.transforms.action_high == [2.0]


@pytest.mark.parametrize(
    ("obs", "action", "words"),
    [
        (0.5, 3.0, "column action: row 0 .* outside the bounds"),
        (20.0, 1.0, r"column obs: row 0 holds 20 in entry 0, outside the environment's \[-1, 1\]"),
    ],
)
def test_rows_outside_the_environments_bounds_are_refused(
    offline: Build, tmp_path: Path, obs: float, action: float, words: str
) -> None:
    data = file(tmp_path / "x.hdf5", obs, action)
    with pytest.raises(UsageError, match=f"does not fit environment Pendulum-v1: {words}"):
        prepare(offline(dataset=data, env="Pendulum-v1"))


def test_a_dataset_is_held_against_the_environment_it_names(
    offline: Build, dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, meta = minari_io.read(dataset)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env: Any = make("Hopper-v5")
    env.close()
    minari_io.write(
        store,
        "mine/x-v0",
        observation_space=meta.observation_space,
        action_space=meta.action_space,
        env_spec=env.spec,
    )
    with pytest.raises(UsageError, match=r"environment Hopper-v5: observations have shape \(4,\)"):
        prepare(offline(dataset="mine/x-v0"))
