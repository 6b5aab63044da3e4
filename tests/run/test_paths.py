"""Where a path is taken, whatever `os.fspath` reads is one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlkit
from rlkit.core.errors import UsageError
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options, resolve
from rlkit.run.train import train
from tests.sweeps.sweep_files import BANDITS


class Where:
    """A path that is neither a text nor a `pathlib.Path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    given: dict[str, Any] = {"steps": 30, "warmup": 10, "eval_every": 30, "eval_episodes": 2}
    given |= {
        "config": {"hidden": (8,), "hidden_q": (8,), "batch_size": 8},
        "quiet": True,
        "seeds": (0, 1),
    }
    folder = rlkit.train("sac", env="Pendulum-v1", out=Where(root / "a"), engine="eager", **given)
    assert folder.folder == root / "a"
    rlkit.export(root / "a", root / "p.safetensors")
    rlkit.FiniteMDP.from_dense(np.ones((1, 1, 1)), np.ones((1, 1))).save(Where(root / "m.npz"))
    (root / "sweep.toml").write_text(BANDITS)
    rlkit.sweep(Where(root / "sweep.toml"), out=Where(root / "sweep"), workers=1, quiet=True)
    return root


CALLS: dict[str, Callable[[Path], Any]] = {
    "resume": lambda root: rlkit.resume(Where(root / "a"), quiet=True),
    "evaluate a run": lambda root: rlkit.evaluate(Where(root / "a"), 1),
    "evaluate a file": lambda root: rlkit.evaluate(Where(root / "p.safetensors"), 1),
    "load a run": lambda root: rlkit.load(Where(root / "a")),
    "load a file": lambda root: rlkit.load(Where(root / "p.safetensors")),
    "Policy.load": lambda root: rlkit.Policy.load(Where(root / "p.safetensors")),
    "FiniteMDP.load": lambda root: rlkit.FiniteMDP.load(Where(root / "m.npz")),
    "export": lambda root: rlkit.export(Where(root / "a"), Where(root / "q.safetensors")),
    "report": lambda root: rlkit.report(Where(root / "sweep"), out=Where(root / "page")),
    "compare": lambda root: rlkit.compare(Where(root / "a"), Where(root / "a")),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_front_door_takes_paths(name: str, runs: Path) -> None:
    assert CALLS[name](runs) is not None


def test_a_dataset_a_folder_and_a_start_may_be_paths(
    offline: Callable[..., Options], minari_root: Path, tmp_path: Path
) -> None:
    where = minari_root / "tests" / "pendulum" / "random-v0"
    assert len(rlkit.dataset(Where(where))) > 100
    first = train(offline(dataset=Where(where), out=Where(tmp_path / "a"), steps=10)).folder
    second = train(offline(from_run=Where(first), out=tmp_path / "b", steps=10)).folder
    assert run_folder.options(second).from_run == os.fspath(first)


def test_a_path_is_stored_as_its_text(tmp_path: Path) -> None:
    given = resolve(Options("cpl", dataset="x", config={"preferences": tmp_path / "x"}))
    assert given.config.preferences == str(tmp_path / "x")
    with pytest.raises(UsageError, match="Options: out is 3; give text"):
        rlkit.Options("sac", env="Pendulum-v1", out=3)  # type: ignore[arg-type]
