"""Lanes split over processes compute what they would compute together."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
import torch

from rlkit.core import state
from rlkit.core.errors import CheckpointError, RunError
from rlkit.eval.records import read_episodes, read_progress
from rlkit.run import groups
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import Progress
from rlkit.run.settings import plan
from rlkit.run.settings.options import Options, resolve
from rlkit.run.train import train

Build = Callable[..., Options]


@pytest.mark.parametrize(
    ("given", "cores", "expected"),
    [
        ({}, 2, [[0, 1, 2], [3, 4]]),
        ({}, 8, [[0], [1], [2], [3], [4]]),
        ({}, 1, [[0, 1, 2, 3, 4]]),
        ({"threads": 2}, 4, [[0, 1, 2], [3, 4]]),
        ({"config": {"hidden": (64, 64)}}, 2, [[0, 1, 2, 3, 4]]),  # lanes pay while nets are small
        ({"config": {"hidden": (64, 64)}, "workers": 3}, 2, [[0, 1], [2, 3], [4]]),
        ({"workers": 1}, 2, [[0, 1, 2, 3, 4]]),
        ({"device": "cuda"}, 2, [[0, 1, 2, 3, 4]]),
        ({"seeds": (4,)}, 2, [[0]]),
    ],
)
def test_lanes_are_split_where_it_pays(
    given: dict[str, Any], cores: int, expected: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "_cores", lambda: cores)
    options = resolve(Options(**{"algo": "dqn", "env": "CartPole-v1", "seeds": range(5)} | given))
    assert plan.split(options) == expected


def test_groups_train_what_one_process_trains(offline: Build, tmp_path: Path) -> None:
    config = {"hidden": (16, 16), "batch_size": 16, "tau": (0.6, 0.7, 0.9)}
    options = offline(seeds=(5, 1, 8), config=config, workers=1, steps=20)
    one = train(options).folder
    split = dataclasses.replace(options, workers=2, out=str(tmp_path / "split"))
    two = train(split).folder
    assert run_folder.read_config(two)["groups"] == [[0, 1], [2]]
    ours, theirs = (read_episodes(folder / "episodes.csv") for folder in (one, two))
    for name in ("lane", "seed", "step", "episode"):
        assert (ours[name] == theirs[name]).all()
    a, b = (state.tensors(run_folder.restore(folder).agent) for folder in (one, two))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-4, atol=1e-6)
    losses = [read_progress(folder / "progress.jsonl")[-1]["q_loss"] for folder in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


DYING = """
import os, signal
from rlkit.algos import iql

Config = iql.Config

class Agent(iql.Agent):
    def __init__(self, spec, c):
        super().__init__(spec, c)
        self.dies, self.count = 1 in spec.seeds, 0

    def update(self, b, c):
        self.count += 1
        if self.dies and self.count == 15:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().update(b, c)
"""


def test_a_worker_that_dies_is_told_and_nothing_is_lost(
    offline: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "rlkit_test_dying"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "agent.py").write_text(DYING)
    monkeypatch.syspath_prepend(tmp_path)
    started = []
    launch = groups._Worker.__init__

    def remember(worker: Any, *given: Any) -> None:
        launch(worker, *given)
        started.append(worker.process)

    monkeypatch.setattr(groups._Worker, "__init__", remember)
    options = offline(algo="rlkit_test_dying.agent", seeds=(0, 1), workers=2, eval_episodes=0)
    with pytest.raises(RunError, match=r"seeds 1 died [(]killed"):
        train(options)
    assert run_folder.steps(options.folder()) == [10]
    assert not list((options.folder() / "checkpoints").glob(".*"))
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)
    assert started[1].returncode == -signal.SIGKILL


def outcome(*messages: Any) -> Any:
    """What is received from a process that sends these messages and ends with exit code 3."""
    worker = groups._Worker.__new__(groups._Worker)
    worker.line, theirs = Pipe()
    worker.ahead, worker.at = deque(), -1.0
    for message in messages:
        theirs.send(message)
    theirs.close()
    worker.process = subprocess.Popen([sys.executable, "-S", "-c", "raise SystemExit(3)"])
    try:
        return worker.receive("1, 2")
    finally:
        worker.process.wait()
        worker.stop()


def test_what_a_worker_raised_is_raised_here() -> None:
    with pytest.raises(CheckpointError, match="the disk is full"):
        outcome(("error", ("CheckpointError", "the disk is full", "Traceback")))
    with pytest.raises(ValueError, match="row 3") as data:
        outcome(("error", ("ValueError", "row 3", "Traceback")))
    assert type(data.value) is ValueError
    with pytest.raises(RunError, match="seeds 1, 2 failed: KeyError: 'x'") as bug:
        outcome(("error", ("KeyError", "'x'", "Traceback of it")))
    assert bug.value.__notes__ == ["Traceback of it"]  # for --debug
    with pytest.raises(RunError, match=r"seeds 1, 2 died \(exit code 3\)"):
        outcome()
    assert outcome(("event", Progress(3))) == Progress(3)
