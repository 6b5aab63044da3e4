"""`train` and `resume`: the folder is the truth, and nothing that is wrong touches it."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlkit.core.errors import CheckpointError, RunError, UsageError
from rlkit.data.formats import minari_io, minari_local
from rlkit.eval.records import read_episodes, read_progress
from rlkit.run.records import folder as run_folder
from rlkit.run.records.progress import Silent
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train
from tests.run.edited import edit

Build = Callable[..., Options]
Digests = Callable[[Path], dict[str, str]]


class Told(Silent):
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.steps: list[tuple[int, str]] = []

    def update(self, step: int, text: str = "") -> None:
        self.steps.append((step, text))

    def note(self, text: str) -> None:
        self.notes.append(text)


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_training_leaves_a_complete_run_folder(offline: Build) -> None:
    told = Told()
    result = train(offline(seeds=(0, 3), eval_episodes=4), told)
    folder = result.folder
    assert result.status == "trained"
    assert result.step == 40
    names = {path.name for path in folder.iterdir()} - {".lock"}
    assert names == {
        "config.json",
        "versions.json",
        "episodes.csv",
        "progress.jsonl",
        "checkpoints",
    }
    rows = read_episodes(folder / "episodes.csv")
    assert len(rows) == 4 * 2 * 4
    last = rows[rows["step"] == 40]
    expected = [last["return"][last["seed"] == seed].mean() for seed in (0, 3)]
    assert result.returns.tolist() == pytest.approx(expected)
    progress = read_progress(folder / "progress.jsonl")
    assert [record["step"] for record in progress] == [10, 20, 30, 40]
    assert all(len(record["q_loss"]) == 2 and record["engine"] == "eager" for record in progress)
    assert told.steps[-1] == (40, f"return {expected[0]:.1f} {expected[1]:.1f}")
    versions = json.loads((folder / "versions.json").read_text())
    assert versions["torch"].startswith("2.")
    config = run_folder.read_config(folder)
    assert config["groups"] == [[0, 1]]
    assert config["hash"] == run_folder.options(folder).hash()


def test_the_same_training_again_is_reused_as_it_stands(offline: Build) -> None:
    folder = train(offline()).folder
    before, told = everything(folder), Told()
    again = train(dataclasses.replace(offline(), log_every=3), told)
    assert again.status == "reused"
    assert "is finished (40 steps): reused" in told.notes[0]
    assert everything(folder) == before
    assert np.isfinite(again.returns).all()


def test_a_finished_training_is_extended(offline: Build, tmp_path: Path) -> None:
    folder = train(offline(steps=20)).folder
    result = resume(folder, steps=40, quiet=True)
    assert (result.status, result.step) == ("resumed", 40)
    straight = train(offline(out=str(tmp_path / "straight"))).folder
    assert (folder / "episodes.csv").read_bytes() == (straight / "episodes.csv").read_bytes()
    assert run_folder.options(folder).steps == 40
    by_train = train(offline(steps=50))
    assert (by_train.status, by_train.step) == ("resumed", 50)


def test_another_training_does_not_enter_the_folder(offline: Build, tmp_path: Path) -> None:
    folder = train(offline()).folder
    before = everything(folder)
    with pytest.raises(UsageError, match=r"another run .seeds \[0\] there, \[1\] here.*--out"):
        train(offline(seeds=(1,)))
    with pytest.raises(UsageError, match=r"another run .config.tau 0.7 there, 0.8 here.; choose"):
        train(offline(config={"hidden": (16, 16), "batch_size": 16, "tau": 0.8}, steps=50))
    assert everything(folder) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(RunError, match="exists and is not a run folder"):
        train(offline(out=str(tmp_path / "mine")))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(RunError, match="is not a run folder"):
        resume(tmp_path / "mine")


def test_bad_data_is_refused_before_anything_is_written(
    offline: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = minari_io.read

    def spoilt(name: str) -> Any:
        store, meta = read(name)
        reward = store.reward.copy()
        reward[5] = np.nan
        return dataclasses.replace(store, reward=reward), meta

    options = offline()
    with monkeypatch.context() as patch:
        patch.setattr(minari_io, "read", spoilt)
        with pytest.raises(ValueError, match="reward: row 5"):
            train(options)
    assert not options.folder().exists()
    with pytest.raises(UsageError, match="no dataset"):
        train(offline(dataset="absent-v0"))
    with pytest.raises(UsageError, match="has 3 values for 2 seeds"):
        train(offline(seeds=(0, 1), config={"tau": (0.5, 0.6, 0.7)}))
    with pytest.raises(ValueError, match="unknown policy 'best'"):
        train(offline(algo="bc", config={"policy": "best"}))
    assert not options.folder().exists()


def test_a_full_disk_keeps_the_last_checkpoint_and_the_run_goes_on_later(
    offline: Build, monkeypatch: pytest.MonkeyPatch, digests: Digests, tmp_path: Path
) -> None:
    straight = train(offline(out=str(tmp_path / "straight"))).folder
    options, fsync, left = offline(), os.fsync, [8]

    def filling(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", filling)
        with pytest.raises(CheckpointError, match=r"step_0000000\d0.*the disk is full"):
            train(options)
    there = run_folder.steps(options.folder())
    assert there
    assert max(there) < 40
    assert not list((options.folder() / "checkpoints").glob(".*"))
    assert train(options).status == "resumed"
    assert digests(options.folder()) == digests(straight)


def test_a_corrupted_checkpoint_says_how_to_go_on(offline: Build) -> None:
    folder = train(offline(steps=30)).folder
    last = run_folder.step_folder(folder, 30)
    path = run_folder.group_folder(last, 0) / "agent.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"remove .*0030, which goes back to step 20"):
        resume(folder, steps=40, quiet=True)


def test_training_anew_leaves_no_policy_of_a_lost_future(offline: Build) -> None:
    folder = train(offline(steps=40, keep=1)).folder
    for step in run_folder.steps(folder):  # only what could continue is lost
        path = run_folder.group_folder(run_folder.step_folder(folder, step), 0)
        index = json.loads((path / "checkpoint.json").read_text())
        del index["sha256"], index["format"]  # as the first version wrote it, without a sum
        index["meta"]["dropped"] = ["replay"]
        (path / "checkpoint.json").write_text(json.dumps(index))
    assert run_folder.steps(folder, whole=True) == []
    result = resume(folder, steps=50, quiet=True)
    assert result.step == 50
    assert read_episodes(folder / "episodes.csv")["step"].tolist() == [10, 10, 20, 20] + [
        step for step in (30, 40, 50) for _ in range(2)
    ]


def test_a_checkpoint_of_other_spaces_is_refused(offline: Build) -> None:
    folder = train(offline(steps=20)).folder
    edit(folder / "config.json", lambda c: c["options"]["config"].update(hidden=[32, 32]))
    with pytest.raises(CheckpointError, match=r"does not fit this training: .* shape"):
        resume(folder, steps=30, quiet=True)


def test_a_dataset_without_environment_trains_without_evaluation(
    offline: Build, minari_root: Path
) -> None:
    store, meta = minari_io.read("tests/pendulum/random-v0")
    if not minari_local.exists("tests/pendulum/bare-v0"):
        minari_io.write(
            store,
            "tests/pendulum/bare-v0",
            observation_space=meta.observation_space,
            action_space=meta.action_space,
        )
    told = Told()
    result = train(offline(dataset="tests/pendulum/bare-v0"), told)
    assert np.isnan(result.returns).all()
    assert any("names no environment" in note for note in told.notes)
    assert run_folder.steps(result.folder)[-1] == 40


def test_the_callers_thread_setting_is_left_alone(offline: Build) -> None:
    before = torch.get_num_threads()
    seen = []

    class Watch(Silent):
        def update(self, step: int, text: str = "") -> None:
            seen.append(torch.get_num_threads())

    train(offline(steps=10, threads=before + 1), Watch())
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before


def test_changed_versions_are_told_on_resume(offline: Build) -> None:
    folder = train(offline(steps=20)).folder
    path = folder / "versions.json"
    versions = json.loads(path.read_text())
    path.write_text(json.dumps(versions | {"torch": "1.0"}))
    result = resume(folder, steps=30, quiet=True)
    assert any("begun with torch 1.0 (now 2." in note for note in result.notes)
    path.unlink()
    assert not any("begun with" in n for n in resume(folder, steps=40, quiet=True).notes)


def test_a_training_that_cannot_begin_leaves_its_folder_to_another(tmp_path: Path) -> None:
    """Who compares is looked for when the rows are fed, after the folder has been written."""
    kwargs = {"env": "Pendulum-v1", "steps": 4, "utd": 0.0, "eval_episodes": 0, "quiet": True}
    wrong = Options(
        "spo", out=str(tmp_path / "a"), config={"teacher": "nowhere_at_all:judge"}, **kwargs
    )
    with pytest.raises(UsageError, match="cannot import 'nowhere_at_all'"):
        train(wrong)
    assert run_folder.CONFIG not in everything(tmp_path / "a")
    assert train(dataclasses.replace(wrong, algo="sac", config={})).step == 4


def test_data_that_do_not_do_leave_the_folder_to_another(offline: Build) -> None:
    """A teacher is asked when the training begins, after the folder has been written."""
    small = {"hidden": (4,), "bc_steps": 3, "batch_size": 2, "length": 2}
    wrong = offline(algo="cpl", workers=1, config={**small, "teacher": "skipping:1000"})
    with pytest.raises(ValueError, match="skipped all 400 pairs"):
        train(wrong)
    assert run_folder.CONFIG not in everything(wrong.folder())
    right = dataclasses.replace(wrong, config={**small, "teacher": "rational"})
    assert train(right).status == "trained"
