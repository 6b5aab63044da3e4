"""A training writes into its own folder and removes from it, wherever a link inside would lead."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rlkit.core.errors import RunError
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train

Build = Callable[..., Options]


@pytest.fixture
def begun(tmp_path: Path, offline: Build) -> Path:
    folder = tmp_path / "run"
    train(offline(out=str(folder), steps=20, checkpoint_every=10, eval_episodes=0))
    (folder / "plots").mkdir()
    (folder / "tensorboard" / "seed_0").mkdir(parents=True)
    (folder / "video").mkdir()
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "inner",
    [
        "checkpoints",
        "checkpoints/step_000000010",
        "checkpoints/step_000000020",
        "checkpoints/step_000000020/group_0",
        "checkpoints/step_000000020/group_0/agent.safetensors",
        "plots",
        "tensorboard",
        "tensorboard/seed_0",
        "video",
        "config.json",
        "versions.json",
        "progress.jsonl",
        ".lock",
    ],
)
def test_a_link_inside_is_refused_by_name_before_anything_is_written(
    begun: Path, tmp_path: Path, inner: str
) -> None:
    link, other = begun / inner, tmp_path / "other"
    link.rename(other)
    link.symlink_to(other)
    before = contents(tmp_path)
    with pytest.raises(RunError, match=r"is a link: a run writes into its own folder only") as told:
        resume(begun, 40, quiet=True)
    assert str(told.value).startswith(f"{link} ")
    assert contents(tmp_path) == before


def test_a_link_that_leads_nowhere_is_one_too(begun: Path, tmp_path: Path) -> None:
    (begun / "plots").rmdir()
    (begun / "plots").symlink_to(tmp_path / "absent")
    with pytest.raises(RunError, match="plots is a link"):
        resume(begun, 40, quiet=True)


def test_the_folder_itself_and_what_is_not_ours_may_be_links(begun: Path, tmp_path: Path) -> None:
    (begun / "notes").symlink_to(tmp_path)
    link = tmp_path / "link"
    link.symlink_to(begun)
    assert resume(link, 40, quiet=True).step == 40
    assert run_folder.steps(begun)[-1] == 40
