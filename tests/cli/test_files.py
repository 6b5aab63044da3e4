"""Files that commands write: their names, their kinds, and that none is ever half there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from rlkit.cli.main import main
from rlkit.core.spec import Box
from rlkit.data.transforms import Transforms
from rlkit.eval import records
from rlkit.eval.records import Episode, read_episodes
from rlkit.run import train as training
from rlkit.run.settings.options import Options
from rlkit.run.task import Task

Output = pytest.CaptureFixture[str]


@pytest.fixture
def run(offline, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    return training.train(offline()).folder


def test_episodes_of_an_evaluation_appear_when_all_are_written(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    append, out = records.append_episodes, tmp_path / "new" / "episodes.csv"

    def full(path: str | Path, episodes: Iterable[Episode]) -> None:
        append(path, list(episodes)[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records, "append_episodes", full)
    assert main(["eval", str(run), "--episodes=2", f"--out={out}"]) == 1
    assert f"{out} cannot be written: the disk is full" in capsys.readouterr().err
    assert not list(out.parent.iterdir())
    monkeypatch.setattr(records, "append_episodes", append)
    assert main(["eval", str(run), "--episodes=2", f"--out={out}"]) == 0
    assert len(read_episodes(out)) % 2 == 0
    assert [path.name for path in out.parent.iterdir()] == ["episodes.csv"]


def test_the_ending_decides_what_is_exported(run: Path, tmp_path: Path, capsys: Output) -> None:
    pytest.importorskip("onnxruntime")
    onnx = tmp_path / "x.onnx"
    assert main(["export", str(run), "--out", str(onnx)]) == 0
    assert main(["export", str(run), "--out", str(tmp_path / "x.safetensors")]) == 0
    said = []
    for name in ("x.onnx", "x.safetensors"):
        capsys.readouterr()
        assert main(["eval", str(tmp_path / name), "--episodes=3"]) == 0
        said.append(capsys.readouterr().out.split("\n", 1)[1])
    assert said[0] == said[1]  # the same policy on the same starts
    for wrong in (["--out", "x.pt"], ["--out", "x"], ["--onnx", "--out", "x.safetensors"]):
        assert main(["export", str(run), *wrong]) == 2
        assert "must end in" in capsys.readouterr().err


def test_a_file_that_is_no_policy_in_onnx(tmp_path: Path, capsys: Output) -> None:
    pytest.importorskip("onnxruntime")
    (tmp_path / "bad.onnx").write_bytes(b"nothing")
    assert main(["eval", str(tmp_path / "bad.onnx")]) == 1
    assert "bad.onnx is no ONNX model" in capsys.readouterr().err
    assert main(["eval", str(tmp_path / "none.onnx")]) == 2
    assert "there is no file" in capsys.readouterr().err


def test_runs_are_compared_and_drawn(
    offline: Callable[..., Options], tmp_path: Path, capsys: Output
) -> None:
    a = training.train(offline(seeds=(0, 1), out=str(tmp_path / "a"))).folder
    config = {"hidden": (16, 16), "batch_size": 16, "beta": 0.5}
    b = training.train(offline(seeds=(2, 3), out=str(tmp_path / "b"), config=config)).folder
    assert main(["compare", str(a), str(b)]) == 0
    said = capsys.readouterr().out
    for part in (f"run    {a}", f"run    {b}", "difference ", "config.beta: 3.0, 0.5"):
        assert part in said
    assert "set    " in said
    assert "seeds: " not in said
    for name in ("curves.png", "curves.svg"):
        out = tmp_path / "drawn" / name
        assert main(["plot", str(a), str(b), "--out", str(out)]) == 0
        assert out.stat().st_size > 5_000
        assert str(out) in capsys.readouterr().out
    assert main(["plot", str(a), "--out", "x.jpeg"]) == 2
    assert "must end in .png" in capsys.readouterr().err
    assert main(["plot", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err


def test_a_clear_difference_is_told(tmp_path: Path, capsys: Output) -> None:
    for name, level in (("low", 0.0), ("high", 10.0)):
        folder = tmp_path / name
        folder.mkdir()
        options = Options("sac", env="Pendulum-v1", seeds=(0, 1, 2))
        task = Task((3,), Box(1), Transforms(), "Pendulum-v1", None, (1,)).to_json()
        config = {
            "format": 1,
            "hash": "",
            "options": options.to_json(),
            "task": task,
            "groups": [[0, 1, 2]],
        }
        config["engine"] = "eager"
        (folder / "config.json").write_text(json.dumps(config))
        episodes = [Episode(k, k, 100, 0, level + k / 10, 5, False) for k in range(3)]
        records.append_episodes(folder / "episodes.csv", episodes)
    assert main(["compare", str(tmp_path / "low"), str(tmp_path / "high")]) == 0
    said = capsys.readouterr().out
    assert "difference 10.00 [" in said
    assert "the second is higher" in said
    assert "set    nothing but folder and seeds" in said


@pytest.mark.parametrize(
    "line",
    ["solve forest --out {}/x.npz", "bandit --runs 1 --horizon 2 --policies ucb1 --out {}/x"],
)
def test_a_file_in_the_way_of_the_results_is_told_before_the_work(
    line: str, tmp_path: Path, capsys: Output
) -> None:
    (tmp_path / "file").touch()
    assert main(line.format(tmp_path / "file").split()) == 1
    said = capsys.readouterr()
    assert f"the folder {tmp_path / 'file'}" in said.err
    assert "cannot be made" in said.err
    assert said.out == ""
