"""What is asked is settled, said and refused before anything is written."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rlkit.core.errors import RunError, UsageError
from rlkit.eval.records import read_progress
from rlkit.run.records import folder as run_folder
from rlkit.run.records.progress import Silent
from rlkit.run.settings import opening
from rlkit.run.settings.options import Options
from rlkit.run.settings.plan import settle
from rlkit.run.train import resume, train
from tests.run.edited import edit

Build = Callable[..., Options]


class Told(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.parametrize(
    "change", [{"warmup": 120}, {"warmup": 5_000}, {"utd": 0.001}, {"update_every": 200}]
)
def test_a_training_that_would_never_update_is_refused(
    change: dict[str, float], online: Build
) -> None:
    options = online(**change)
    with pytest.raises(UsageError, match=r"no update would happen: 120 steps .*--utd 0"):
        train(options)
    assert not options.folder().exists()


def test_it_is_done_when_asked_and_says_so(online: Build) -> None:
    told = Told()
    result = train(online(env="rlkit-test/Counter-v0", utd=0.0, warmup=120), told)
    assert result.step == 120
    assert any("no update will happen" in line for line in told.notes)
    assert {r["updates"] for r in read_progress(result.folder / "progress.jsonl")} == {0}


def test_a_training_begins_with_what_it_is(online: Build, offline: Build) -> None:
    text = "\n".join(opening.lines(settle(online(seeds=(0, 3), workers=2))))
    for words in (
        "sac on InvertedPendulum-v5: observations (4,), actions Box(1)",
        "seeds 0, 3 in 2 processes, on cpu, engine eager",
        "120 environment steps a lane: 20 of warm-up (random actions), 1 updates a step from there "
        "on, 100 in all",
        f"folder  {online().folder()}",
    ):
        assert words in text
    beside = "\n".join(opening.lines(settle(offline(env="InvertedPendulum-v5"))))
    assert "tests/pendulum/random-v0 (" in beside
    assert "evaluated in InvertedPendulum-v5: observations (4,)" in beside
    assert "40 updates" in beside
    told = Told()
    train(offline(steps=10), told)
    assert told.notes[0].startswith("iql on tests/pendulum/random-v0")


@pytest.mark.parametrize(
    ("algo", "config", "words"),
    [
        (
            "mopo",
            {"termination": "never"},
            r"work    before the first update a model of 7 members is fitted to the dataset: 7 to "
            r"200 epochs \(--config.max-epochs\) of \d updates",
        ),
        ("mopo", {"batch_model": 1, "termination": "never"}, r"of \d\d\d updates; the run has 40$"),
        (
            "ss_orl",
            {"agent": "mopo", "given": "termination=never", "steps_idm": 300},
            "work    the dataset is completed by an inverse model, of 300 updates .*; before the "
            "first update a model of 7",
        ),
        (
            "decision_transformer",
            {"context": 5000},
            r"windows of 5,000 steps, each 15,000 tokens .*: 62,500 times the work of 20 steps; "
            r"the longest episode has \d+: the rest is padding",
        ),
    ],
)
def test_what_takes_time_is_said_before_it(
    algo: str, config: dict[str, object], words: str, offline: Build
) -> None:
    lines = opening.lines(settle(offline(algo=algo, config=config)))
    assert any(re.search(words, line) for line in lines), lines


@pytest.mark.parametrize(
    ("algo", "config"),
    [("mopo", {"real_ratio": 1.0, "termination": "never"}), ("decision_transformer", {})],
)
def test_nothing_is_said_of_nothing(algo: str, config: dict[str, object], offline: Build) -> None:
    lines = opening.lines(settle(offline(algo=algo, config=config)))
    assert not [line for line in lines if line.startswith("work")]


def test_an_environment_beside_a_dataset_is_where_it_is_evaluated(offline: Build) -> None:
    folder = train(offline(env="InvertedPendulum-v5", steps=10)).folder
    assert not (run_folder.step_folder(folder, 10) / "group_0" / "replay.safetensors").exists()
    assert run_folder.read(folder).task.env_id == "InvertedPendulum-v5"


def test_resume_cannot_take_steps_back(offline: Build) -> None:
    folder = train(offline()).folder
    before = (folder / "config.json").read_bytes()
    for steps in (1, 39):
        with pytest.raises(UsageError, match="was asked for 40 steps and has done 40"):
            resume(folder, steps, quiet=True)
    assert (folder / "config.json").read_bytes() == before
    assert resume(folder, 40, quiet=True).status == "reused"


def test_a_folder_with_what_a_start_writes_is_free(offline: Build) -> None:
    options = offline(steps=10)
    folder = options.folder()
    folder.mkdir(parents=True)
    for name in (".lock", "versions.json", "cell.json", ".step", ".config.json.77.tmp"):
        (folder / name).write_text("{")
    assert train(options).status == "trained"
    assert not list(folder.glob(".*.tmp"))
    (folder / "config.json").unlink()
    with pytest.raises(RunError, match="is not a run folder; choose another"):
        train(options)  # records are nobody's leftovers


def test_what_the_system_refuses_is_named_with_its_cause(
    offline: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file.run/\.lock cannot be written: Not a directory"):
        train(offline(out=str(tmp_path / "file" / "run")))

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    options = offline()
    with monkeypatch.context() as patch:
        patch.setattr("rlkit.eval.records.append_progress", full)
        with pytest.raises(RunError, match=r"progress\.jsonl cannot be written: the disk is full"):
            train(options)
    monkeypatch.setattr("fcntl.flock", lambda *_: (_ for _ in ()).throw(OSError(37, "No locks")))
    with pytest.raises(RunError, match=r"\.lock cannot be locked: No locks"):
        train(options)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("options", [], "options is"),
        ("options", {}, "options: .*no entry 'algo'"),
        ("options", {"seeds": [0], "algo": "iqk", "dataset": "x"}, "unknown algorithm 'iqk'"),
        ("task", {"obs": 3}, "task: "),
        ("groups", [[0], [0]], "groups: "),
        ("groups", "ab", "groups is"),
        ("hash", None, "hash is None"),
    ],
)
def test_a_damaged_config_is_named_with_its_field(
    field: str, value: object, words: str, offline: Build
) -> None:
    options = offline(steps=10)
    path = train(options).folder / "config.json"
    edit(path, lambda config: config.update({field: value}))
    for act in (
        lambda: resume(path.parent, quiet=True),
        lambda: train(dataclasses.replace(options, steps=20)),
        lambda: run_folder.restore(path.parent),
    ):
        with pytest.raises(RunError, match=rf"config\.json.*{words}"):
            act()


def test_what_has_no_effect_on_a_dataset_alone_is_said(offline: Build) -> None:
    lines = opening.lines(settle(offline(utd=4, envs=3, warmup=20)))
    assert "note    nothing is collected: envs 3, utd 4, warmup 20 without effect" in lines
    for given in ({}, {"algo": "sac", "utd": 20.0, "config": {}}):  # the second is REDQ's
        assert not any("without effect" in line for line in opening.lines(settle(offline(**given))))
