"""The command line: what it prints, how it refuses, and that it starts fast."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rlkit.algos import iql
from rlkit.cli import commands
from rlkit.cli.main import COMMANDS, main, usage
from rlkit.core.errors import CheckpointError
from rlkit.data.recipes import cards
from rlkit.eval.records import read_episodes
from rlkit.run import train as training
from rlkit.run.records.recorder import Recorder
from rlkit.run.settings.fits import algorithms
from rlkit.run.settings.options import Options

Output = pytest.CaptureFixture[str]
SHORT = [
    "--steps=10",
    "--eval-every=5",
    "--eval-episodes=2",
    "--quiet",
    "--engine=eager",
    "--config.hidden=8,8",
]


def error_of(argv: list[str], code: int, capsys: Output) -> str:
    """The one line that a failing command prints."""
    assert main(argv) == code
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("rlkit: error: ")
    return lines[0]


# --- start ----------------------------------------------------------------------------------------
def test_help_is_light() -> None:
    """`rlkit --help` loads nothing of weight, whatever the machine's speed."""
    code = """
import sys
from rlkit.cli.main import main
assert main(["--help"]) == 0
print(sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[1:])))
"""
    heavy = ["torch", "numpy", "scipy", "gymnasium", "minari", "matplotlib", "tyro", "rich"]
    done = subprocess.run(
        [sys.executable, "-c", code, *heavy], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"], ["help"]])
def test_usage(argv: list[str], capsys: Output) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out.strip() == usage()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: Output) -> None:
    assert main([name, "--help"]) == 0
    assert f"usage: rlkit {name}" in capsys.readouterr().out


def test_python_m_rlkit() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rlkit", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("rlkit 0.")


# --- usage errors -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("trian", "unknown command 'trian'; did you mean 'train'?"),
        ("dataset biuld", "did you mean 'build'?"),
        ("dataset build rlkit/hoper/medium-v1", "did you mean 'rlkit/hopper/medium-v1'?"),
        ("dataset build", "NAME"),
        ("train", "which algorithm?"),
        ("train --env Hopper-v5", "which algorithm?"),
        ("train iqk --env Hopper-v5", "unknown algorithm 'iqk'; did you mean 'iql'?"),
        ("train no.such.module --env Hopper-v5", "unknown algorithm 'no.such.module'"),
        ("train rlkit.core.spec --env Hopper-v5", "rlkit.core.spec has no Config"),
        ("train sac --enw Hopper-v5", "unknown option '--enw'; did you mean '--env'?"),
        ("train sac --config.alpa 1", "did you mean '--config.alpha'?"),
        ("train sac --config.alpha high", "--config.alpha"),
        ("train sac --env Hoper-v5", "unknown environment 'Hoper-v5'; did you mean 'Hopper-v5'?"),
        ("train sac --env Hopper-v5 --engine eagr", "did you mean 'eager'?"),
        ("train sac --env Hopper-v5 --steps 0", "steps is 0; it must be at least 1"),
        ("train sac --env Hopper-v5 --steps", "Missing value"),
        ("train sac --env Hopper-v5 --seeds 0-4", "seeds '0-4' must read 0:4"),
        ("train sac --env Hopper-v5 --seeds 1,1", "must be distinct"),
        ("train sac --env Hopper-v5 --pretrain 10", "pretrain needs a dataset"),
        ("train sac --env Hopper-v5 extra", "extra"),
        ("train sac", "give a dataset (offline), an environment (online), or both"),
        ("train iql --dataset rlkit/hopper/mediun-v1", "did you mean 'rlkit/hopper/medium-v1'?"),
        ("train iql --dataset rlkit/hopper/medium-v1", "not built yet: rlkit dataset build"),
        ("eval here --episodes 0", "episodes is 0; it must lie in 1.."),
    ],
)
def test_usage_errors(
    line: str, says: str, capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert says in error_of(line.split(), 2, capsys)
    assert not (tmp_path / "runs").exists()


def test_a_wrong_number_of_values_for_the_lanes(
    dataset: str, capsys: Output, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    line = ["train", "iql", "--dataset", dataset, "--seeds=0:3", "--config.tau=0.5,0.9"]
    said = error_of([*line, f"--out={out}"], 2, capsys)
    assert "'tau' has 2 values for 3 seeds" in said
    assert not (out / "config.json").exists()


# --- failures -----------------------------------------------------------------------------------
def test_failures_end_with_one_line_and_code_1(
    capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for argv in (["resume", str(tmp_path)], ["export", str(tmp_path)], ["eval", str(tmp_path)]):
        assert "is not a run folder" in error_of(argv, 2, capsys)
    file = tmp_path / "bad.hdf5"
    file.write_bytes(b"nothing like HDF5")
    assert "bad.hdf5" in error_of(["dataset", "import-d4rl", str(file), "own/bad-v0"], 1, capsys)
    assert main(["dataset", "check", str(file)]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("problem: ")
    assert "1 problem" in said.err

    def broken(argv: object) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(commands, "listing", broken)
    said_line = error_of(["list"], 1, capsys)
    assert "ZeroDivisionError: two lines (--debug shows where)" in said_line
    with pytest.raises(ZeroDivisionError):
        main(["list", "--debug"])


def test_a_failing_training_keeps_its_cause(
    dataset: str, capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise CheckpointError("the disk is full; free some space and resume")

    monkeypatch.setattr(Recorder, "_save", full)
    line = ["train", "iql", "--dataset", dataset, f"--out={tmp_path / 'run'}", *SHORT]
    assert "the disk is full" in error_of(line, 1, capsys)


def test_interrupted(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(argv: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "listing", stop)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


# --- whole trainings ------------------------------------------------------------------------------
def test_train_resume_eval_export(dataset: str, capsys: Output, tmp_path: Path) -> None:
    out = tmp_path / "run"
    line = ["train", "iql", "--dataset", dataset, "--seeds=0,7", f"--out={out}", *SHORT]
    line += ["--config.tau", "0.6,0.9", "--normalise-obs"]
    assert main(line) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"run    {out}  (10 updates of iql)")
    for part in ("seed 0 ", "seed 7 ", "mean ", "data ", f"curve  {out}/plots/learning_curve.png"):
        assert part in said
    assert (out / "plots" / "learning_curve.png").stat().st_size > 5_000
    config = json.loads((out / "config.json").read_text())["options"]
    assert config["config"]["tau"] == [0.6, 0.9]
    assert config["config"]["hidden"] == [8, 8]
    assert config["seeds"] == [0, 7]

    files = {p: p.read_bytes() for p in (out / "checkpoints").rglob("*") if p.is_file()}
    assert main(line) == 0  # again: what stands is reused
    assert capsys.readouterr().out == said
    assert {p: p.read_bytes() for p in (out / "checkpoints").rglob("*") if p.is_file()} == files

    assert main(["resume", str(out), "--steps", "15", "--quiet"]) == 0
    assert "(15 updates of iql)" in capsys.readouterr().out

    episodes = tmp_path / "episodes.csv"
    assert main(["eval", str(out), "--episodes=3", f"--out={episodes}"]) == 0
    assert "3 episodes" in capsys.readouterr().out
    assert len(read_episodes(episodes)) == 6
    assert "must be a new file" in error_of(["eval", str(out), f"--out={episodes}"], 2, capsys)

    assert main(["export", str(out), "--lane", "1", "--checkpoint", "15"]) == 0
    assert "(iql, seed 7, step 15; actions " in capsys.readouterr().out
    assert main(["export", str(out), "--onnx", "--out", str(tmp_path / "p.onnx")]) == 0
    capsys.readouterr()
    assert main(["eval", str(out / "policy.safetensors"), "--episodes=2"]) == 0
    assert "seed 7" in capsys.readouterr().out
    said = error_of(["export", str(out), "--checkpoint", "12"], 2, capsys)
    assert "no checkpoint '12'" in said
    assert "15" in said


def test_the_command_and_the_function_do_the_same(
    dataset: str, tmp_path: Path, capsys: Output
) -> None:
    by_command, by_call = tmp_path / "command", tmp_path / "call"
    line = ["train", "iql", "--dataset", dataset, "--seeds=2:4", f"--out={by_command}", *SHORT]
    assert main([*line, "--config.beta=1"]) == 0
    given = Options(
        "iql",
        dataset=dataset,
        seeds=(2, 3),
        out=str(by_call),
        steps=10,
        eval_every=5,
        eval_episodes=2,
        quiet=True,
        engine="eager",
        config=iql.Config(hidden=(8, 8), beta=1.0),
    )
    training.train(given)
    for name in ("episodes.csv",):
        assert (by_command / name).read_bytes() == (by_call / name).read_bytes()
    first, second = (json.loads((p / "config.json").read_text()) for p in (by_command, by_call))
    assert first["hash"] == second["hash"]


def test_lists(dataset: str, capsys: Output, tmp_path: Path) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for name in algorithms():
        assert f"\n{name} " in said
    assert dataset in said
    assert "Implicit Q-Learning" in said
    assert main(["dataset", "show", dataset]) == 0
    assert "60 episodes" in capsys.readouterr().out
    assert main(["dataset", "show", dataset, "--plot", str(tmp_path / "d.svg")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split() == ["picture", str(tmp_path / "d.svg")]
    assert "Return of an episode" in (tmp_path / "d.svg").read_text()
    assert main(["dataset", "show", dataset, "--plot", "d"]) == 2
    assert "--plot d must end in .png or .svg" in capsys.readouterr().err
    assert main(["dataset", "check", dataset]) == 0
    assert "no problems" in capsys.readouterr().out


def test_building_a_recipe(capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    name, recipe = next(
        (n, r) for n, r in cards.all_recipes().items() if r.env_id.startswith("MiniGrid-Empty")
    )
    small = {name: dataclasses.replace(recipe, size=20)}
    monkeypatch.setattr(cards, "all_recipes", lambda: small)
    assert main(["dataset", "build", name, "--quiet"]) == 0
    assert capsys.readouterr().out.startswith(f"dataset {name} built: ")
    assert main(["dataset", "build", name]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"dataset {name} stands already: ")
    assert said.err == ""
