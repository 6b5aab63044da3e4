"""Runs of stable-baselines3's agents end as ours do: at a signal, and at what is not finite."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlkit.cli.main import main
from rlkit.core import state
from rlkit.core.errors import DivergedError, Interrupted
from rlkit.eval.records import read_episodes, read_progress
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import Diverged, Event, Metrics
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train

SMALL: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 8, "batch_size": 8, "n_epochs": 1},
    "dqn": {"learning_starts": 8, "batch_size": 8, "buffer_size": 1000},
    "sac": {"learning_starts": 8, "batch_size": 8, "buffer_size": 1000},
}
FAR = 1e30  # a learning rate that no parameter survives


def options(name: str, tmp_path: Path, **given: Any) -> Options:
    config = SMALL[name] | {"hidden": (8,)} | given.pop("config", {})
    values: dict[str, Any] = {"steps": 60, "eval_every": 10, "eval_episodes": 1, "log_every": 10}
    values |= {"env": "CartPole-v1" if name == "dqn" else "Pendulum-v1", "quiet": True}
    values |= {"out": str(tmp_path / "run"), "checkpoint_every": 4, "keep": 1}
    return Options(f"sb3:{name}", config=config, **values | given)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint_and_says_how_to_go_on(number: int, tmp_path: Path) -> None:
    sent: list[int] = []

    def hear(event: Event) -> None:
        if isinstance(event, Metrics) and event.step >= 10 and not sent:
            sent.append(event.step)
            os.kill(os.getpid(), number)

    given = options("ppo", tmp_path, checkpoint_every=60)
    with pytest.raises(Interrupted, match=r"stopped at step \d+ of 60.* rlkit resume") as stop:
        train(given, hear)
    assert stop.value.code == 128 + number
    (step,) = run_folder.steps(given.folder())
    assert 10 <= step < 60
    assert resume(given.folder(), quiet=True).status == "resumed"
    assert run_folder.steps(given.folder())[-1] == 60


@pytest.mark.parametrize("name", SMALL)
def test_without_a_finite_lane_the_run_ends_and_keeps_its_last_finite_checkpoint(
    name: str, tmp_path: Path
) -> None:
    given = options(name, tmp_path, config={"learning_rate": FAR})
    with pytest.raises(DivergedError, match=r"no longer finite at step .*seed 0: .*no lane is"):
        train(given)
    assert run_folder.steps(given.folder())
    restored = run_folder.restore(given.folder(), "last")
    assert state.nonfinite(restored.agent, 1) == {}


@pytest.mark.parametrize("name", SMALL)
def test_sound_lanes_go_on_as_if_alone(name: str, tmp_path: Path) -> None:
    events: list[Event] = []
    given = options(name, tmp_path, seeds=(0, 1), config={"learning_rate": (1e-3, FAR)})
    with pytest.raises(DivergedError, match=r"diverged \(seed 1 at step") as lost:
        train(given, events.append)  # type: ignore[arg-type]
    assert lost.value.lanes == (1,)
    (told,) = [e for e in events if isinstance(e, Diverged)]
    alone = train(
        options(name, tmp_path, out=str(tmp_path / "alone"), config={"learning_rate": 1e-3})
    )
    folder = given.folder()
    rows, expected = (read_episodes(Path(f) / "episodes.csv") for f in (folder, alone.folder))
    assert (rows[rows["lane"] == 0] == expected).all()
    late = rows[(rows["lane"] == 1) & (rows["step"] >= told.step)]
    assert len(late)
    assert np.isnan(late["return"]).all()
    last = read_progress(folder / "progress.jsonl")[-1]
    losses = [x for key, x in last.items() if "loss" in key]
    assert losses
    assert all(np.isfinite(first) and second is None for first, second in losses)
    before = run_folder.restore(folder, "last", [1])
    assert before.steps[0] < told.step
    assert state.nonfinite(before.agent, 1) == {}
    with pytest.raises(DivergedError, match="seed 1"):  # which a continuation knows
        resume(folder, 80, quiet=True)
    assert read_episodes(folder / "episodes.csv")["step"].max() == 80


def test_the_command_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "train sb3:ppo --env Pendulum-v1 --steps 60 --eval-every 10 --eval-episodes 1 --quiet"
    small = f"--config.n-steps 8 --config.batch-size 8 --config.learning-rate {FAR}"
    assert main([*words.split(), *small.split(), "--out", str(tmp_path / "run")]) == 1
    assert "no longer finite" in capsys.readouterr().err
