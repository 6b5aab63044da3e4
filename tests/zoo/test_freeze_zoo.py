"""`benchmarks/freeze_zoo.py`: a run becomes a policy of the shelf, with the command of its run."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

import rlkit
from rlkit.cli import commands
from rlkit.run.settings.options import Options, resolve
from rlkit.zoo import shelf

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "freeze_zoo.py"
TINY = dict(
    steps=8, warmup=4, eval_every=4, eval_episodes=1, engine="eager", quiet=True, keep=5,
    config={"hidden": (8,), "batch_size": 4},
)  # fmt: skip


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, whose shelf is a new folder."""
    spec = importlib.util.spec_from_file_location("freeze_zoo", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    place = tmp_path / "shelf"
    place.mkdir()
    monkeypatch.setattr(shelf, "SHELF", place)
    monkeypatch.setattr(found, "SHELF", place)
    return found


@pytest.mark.filterwarnings("ignore:one run a task")
def test_a_run_becomes_a_policy_and_may_be_put_there_again(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = rlkit.train("sac", env="InvertedPendulum-v5", out=tmp_path / "run", **TINY).folder
    for checkpoint in ("4", "last"):
        words = [str(SCRIPT), str(run), "--checkpoint", checkpoint, "--episodes", "2"]
        monkeypatch.setattr(sys, "argv", words)
        script.main()
        (entry,) = shelf.shipped().values()
        assert entry["step"] == (4 if checkpoint == "4" else 8)
    path, entry = shelf.take("sac-invertedpendulum-v5")
    found = [e.return_ for e in rlkit.evaluate(path, 2)]
    assert entry["returns"]["mean"] == pytest.approx(sum(found) / 2)
    assert {one.name for one in shelf.SHELF.iterdir()} == {path.name, "index.json"}
    assert entry["trained_with"]["rlkit"] == rlkit.__version__


@pytest.mark.parametrize(
    "options",
    [
        Options("sac", env="InvertedPendulum-v5", **TINY),
        Options("sac", env="Hopper-v5", steps=300_000, seeds=(3, 4), config={"alpha": 0.2}),
        Options("dqn", env="CartPole-v1", steps=5_000, config={"dueling": True}),
    ],
)
def test_the_command_trains_with_the_options_of_the_run(
    script: ModuleType, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Options] = []
    monkeypatch.setattr("rlkit.run.train.train", lambda given: asked.append(given))
    monkeypatch.setattr(commands, "_reported", lambda training: training())
    program, command, *words = shlex.split(script.command_of(options))
    assert (program, command) == ("rlkit", "train")
    commands.train(words)
    wanted, given = resolve(options), resolve(asked[0])
    assert given.hash() == wanted.hash()
    assert given.config == wanted.config
