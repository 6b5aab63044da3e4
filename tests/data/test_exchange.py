"""A dataset goes out as a D4RL file and comes back the same."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from gymnasium import spaces

from rlkit.cli.dataset_commands import dataset as command
from rlkit.core.errors import FileError, UsageError
from rlkit.data import EpisodeStore, datasets, write
from rlkit.data.exchange import export_d4rl

BOX = spaces.Box(-1, 1, (2,), np.float32)
VIEW = spaces.Box(-np.inf, np.inf, (3,), np.float32)


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("actions", [None, 4])
def test_a_round_trip_keeps_every_step(store, actions: int | None) -> None:
    before: EpisodeStore = store(actions=actions)
    space = BOX if actions is None else spaces.Discrete(4)
    write(before, "mine/a-v0", observation_space=VIEW, action_space=space)
    command(["export", "mine/a-v0", "a.hdf5"])
    command(["import-d4rl", "a.hdf5", "mine/b-v0"])
    after, meta = datasets.read("mine/b-v0")
    for name in ("obs", "action", "reward", "next_obs", "terminated", "truncated", "episode", "t"):
        assert (getattr(after, name) == getattr(before, name)).all(), name
    assert not meta.notes  # nothing was missing, nothing had to be repaired
    assert np.allclose(after.extra["raw_return"][after.starts], before.returns())


def test_the_file_is_in_the_layout_of_d4rl(store) -> None:
    before: EpisodeStore = store()
    seeded = before.with_columns(level_seed=before.episode + 7)
    write(seeded, "mine/a-v0", observation_space=VIEW, action_space=BOX, description="of hall 3")
    with h5py.File(export_d4rl("mine/a-v0", "a.h5")) as file:
        kinds = {name: file[name].dtype for name in file if isinstance(file[name], h5py.Dataset)}
        assert kinds == {
            "observations": np.float32,
            "next_observations": np.float32,
            "actions": np.float32,
            "rewards": np.float32,
            "terminals": bool,
            "timeouts": bool,
        }
        assert file["infos/level_seed"][:].tolist() == seeded.extra["level_seed"].tolist()
        assert file["metadata/description"][()].decode() == "of hall 3"


def test_what_cannot_be_exported_is_refused(store) -> None:
    before: EpisodeStore = store()
    write(before, "mine/a-v0", observation_space=VIEW, action_space=BOX)
    with pytest.raises(UsageError, match=r"named \.hdf5"):
        export_d4rl("mine/a-v0", "a.csv")
    with pytest.raises(FileError, match="no folder nowhere"):
        export_d4rl("mine/a-v0", "nowhere/a.hdf5")
    export_d4rl("mine/a-v0", "a.hdf5")
    with pytest.raises(UsageError, match="already stands"):
        export_d4rl("mine/a-v0", "a.hdf5")
    known = np.arange(len(before)) != 3
    marked = before.with_columns(action_known=known)
    write(marked, "mine/c-v0", observation_space=VIEW, action_space=BOX)
    with pytest.raises(UsageError, match="1 of 17 steps have no action"):
        export_d4rl("mine/c-v0", "a.hdf5", overwrite=True)
    with pytest.raises(ValueError, match="no dataset"):
        export_d4rl("mine/none-v0", "b.hdf5")
