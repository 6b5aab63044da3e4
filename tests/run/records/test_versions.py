"""Versions tell whether a continuation can be expected to agree digit for digit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rlkit.core.errors import FileError
from rlkit.run.records import versions
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train


def test_versions_name_packages_commit_and_hardware() -> None:
    found = versions.collect()
    assert found["torch"] == torch.__version__
    assert {"python", "numpy", "gymnasium", "mujoco", "commit", "processor", "cores"} <= set(found)
    assert found["device"] == "cpu"


def test_an_absent_package_or_git_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise versions.importlib.metadata.PackageNotFoundError(name)

    def no_git(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(versions.importlib.metadata, "version", absent)
    monkeypatch.setattr(versions.subprocess, "run", no_git)
    found = versions.collect()
    assert found["mujoco"] is None
    assert found["commit"] is None


def test_only_what_decides_the_digits_is_a_difference() -> None:
    then = {"torch": "2.8", "minari": "0.5", "processor": "A", "commit": "1"}
    now = {"torch": "2.9", "minari": "0.6", "processor": "A", "commit": "2", "numpy": "2"}
    assert versions.differences(then, now) == ["torch 2.8 (now 2.9)"]
    assert versions.differences({}, now) == []


def test_a_lost_file_is_no_error(tmp_path: Path) -> None:
    assert versions.read(tmp_path / "absent.json") == {}


@pytest.mark.parametrize("content", ["{", "[]", "", "{" * 5000])
def test_a_damaged_file_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "versions.json"
    path.write_text(content)
    with pytest.raises(FileError, match=r"versions\.json"):
        versions.read(path)


def test_a_run_goes_on_without_its_versions_and_says_so(offline: Callable[..., Options]) -> None:
    folder = train(offline(steps=10)).folder
    (folder / "versions.json").write_text("{")
    notes = resume(folder, 20, quiet=True).notes
    assert [note for note in notes if "versions.json is damaged" in note]
