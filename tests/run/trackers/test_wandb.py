"""Weights & Biases: by a stand-in always, by the package itself, offline, where it is installed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from rlkit.eval.records import mean_returns, read_episodes
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train
from tests.run.trackers.stand_ins import Run, instead_of_wandb

Build = Callable[..., Options]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    return instead_of_wandb(monkeypatch)


def test_a_run_for_each_lane_in_the_group_of_the_training(offline: Build, runs: list[Run]) -> None:
    result = train(offline(seeds=(0, 3), track=("wandb",)))
    assert [run.given["name"] for run in runs] == ["run/seed_0", "run/seed_3"]
    assert {run.given["group"] for run in runs} == {"run"}
    assert {run.given["project"] for run in runs} == {"rlkit"}
    assert {run.given["dir"] for run in runs} == {str(result.folder)}
    assert len({run.given["id"] for run in runs}) == 2
    assert [run.given["config"]["seed"] for run in runs] == [0, 3]
    assert runs[0].given["config"]["config.tau"] == 0.7
    assert [run.exit_code for run in runs] == [0, 0]
    assert [run.axes for run in runs] == [{"*": "step"}] * 2
    _, steps, returns = mean_returns(read_episodes(result.folder / "episodes.csv"))
    for lane, run in enumerate(runs):
        name = "evaluation_episodes/return_mean"
        told = [(row["step"], row[name]) for row in run.rows if name in row]
        assert [step for step, _ in told] == steps.tolist()
        np.testing.assert_allclose([value for _, value in told], returns[lane])
        assert sum("latest_update/q_loss" in row for row in run.rows) == 4


def test_going_on_is_the_same_run_and_another_training_another(
    offline: Build, runs: list[Run], tmp_path: Path
) -> None:
    folder = train(offline(track=("wandb",))).folder
    resume(folder, 60, quiet=True)
    train(offline(track=("wandb",), out=str(tmp_path / "other")))
    first, second, third = runs
    assert first.given["id"] == second.given["id"] != third.given["id"]
    assert (first.given["resume"], second.given["resume"]) == (None, "allow")


def test_one_that_stops_early_is_not_finished(offline: Build, runs: list[Run]) -> None:
    assert train(offline(track=("wandb",)), lambda event: False).status == "stopped"
    assert runs[0].exit_code == 1


@pytest.mark.filterwarnings("ignore")  # its own deprecations
def test_offline_the_package_itself_writes_what_can_be_sent_later(
    offline: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    result = train(offline(seeds=(0, 3), track=("wandb",)))
    files = sorted(result.folder.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2
    names = set()
    for path in files:
        keys = set()
        for data in logged(path.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            keys |= {item.key or ".".join(item.nested_key) for item in record.history.item}
            if record.run.display_name:
                names.add(record.run.display_name)
        assert {"step", "latest_update/q_loss", "evaluation_episodes/return_mean"} <= keys
    assert names == {"run/seed_0", "run/seed_3"}


def logged(data: bytes, block: int = 32_768) -> Iterator[bytes]:
    """The records of a file as LevelDB's log has them, in blocks, after a head of 7 bytes."""
    at, whole = 7, b""
    while at + 7 <= len(data):
        if block - at % block < 7:  # too little for a head: the rest of the block is empty
            at += block - at % block
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last piece
            yield whole
            whole = b""
