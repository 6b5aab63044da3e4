"""The guards of the speed: what counts as a step back, and that the loops of the GPU bench run."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import rlkit

BENCHMARKS = Path(rlkit.__file__).parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS / "speed"))
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("bench")


def test_a_ratio_that_fell_is_told(bench: ModuleType) -> None:
    recorded = {"a": 2.0, "b": 1.0, "c": 0.5}
    assert bench.fallen({"a": 1.5, "b": 0.85, "c": 0.6, "new": 0.1}, recorded) == ["a"]


def test_a_missing_peer_leaves_its_guards_out(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacking():
        raise ImportError("no module named envpool")
        yield

    monkeypatch.setattr(bench, "GUARDS", {"one": lacking, "two": lambda: iter([("two: x", 3.0)])})
    monkeypatch.setattr(sys, "argv", ["bench.py"])
    assert bench.main() == 0
    said = capsys.readouterr().out
    assert "one left out: no module named envpool" in said
    assert "two: x" in said


def test_the_curve_of_a_behaviour_training(bench: ModuleType, tmp_path: Path) -> None:
    curves = importlib.import_module("behaviour_curves")
    (tmp_path / "config.json").write_text(json.dumps({"options": {"env": "Hopper-v5"}}))
    rows = ["lane,seed,step,episode,return,length,terminated"]
    for step in range(1, 13):
        rows += [f"0,0,{step},{k},{100 * step + k},9,0" for k in range(2)]
        rows.append(f"1,1,{step},0,9999,9,0")  # another lane's
    (tmp_path / "episodes.csv").write_text("\n".join(rows) + "\n")
    env, row = curves.summary(tmp_path)
    assert env == "Hopper-v5"
    assert (row["steps"], row["at step"], row["best evaluation"]) == (12, 12, 1200.5)
    assert row["mean of the last 10 evaluations"] == 750.5
    assert row["lowest of them"] == 300.5


def test_updates_are_drawn(bench: ModuleType, tmp_path: Path) -> None:
    updates = importlib.import_module("updates")

    def row(ratio: float) -> dict:
        return {"ratio": {"median": ratio, "min": 0.9 * ratio, "max": 1.2 * ratio}}

    table = {"compile": row(1.0), "eager": row(1.5), "jax": row(1.1)}
    results = {"iql, 1 threads": table, "sac, 1 threads": table | {"sbx": row(1.3)}}
    results |= {"iql, 2 threads": table}
    updates.draw({"results": results}, tmp_path / "updates.png")
    assert (tmp_path / "updates.png").stat().st_size > 5_000


def test_gpu_bench_runs_its_loops_on_a_processor(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "speed" / "gpu.py"), "--device", "cpu"]
    command += ["--seconds", "0.01", "--lanes", "1", "2", "--algorithms", "iql"]
    path = os.pathsep.join([str(BENCHMARKS.parent), str(BENCHMARKS / "speed")])
    out = tmp_path / "gpu.json"
    subprocess.run([*command, "--out", str(out)], check=True, env=os.environ | {"PYTHONPATH": path})
    table = json.loads(out.read_text())["results"]["iql"]
    assert {"eager of 1, 1 lanes", "eager of 1, 2 lanes", "plain torch"} <= table.keys()
    assert all(row["updates_a_second"] > 0 for row in table.values())
    lanes = table["eager of 1, 2 lanes"]
    assert lanes["times_lanes"] == 2 * lanes["updates_a_second"]


def test_gpu_bench_without_a_device_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "speed" / "gpu.py"), "--out", str(tmp_path / "x.json")],
        capture_output=True,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 1
    assert "no CUDA device" in done.stderr
    assert not (tmp_path / "x.json").exists()


def test_the_arithmetic_of_updates_is_counted(bench: ModuleType) -> None:
    relatives = importlib.import_module("relatives")
    with relatives.Counted() as counter:
        torch.ones(3, 4) @ torch.ones(4, 5)
    assert counter.total == 2 * 3 * 4 * 5
    small = {"hidden": (8, 8), "batch_size": 16}
    sides = [
        side._replace(settings=side.settings | {"batch_size": 4})
        for side in (side for pair in relatives.PAIRS.values() for side in pair)
    ]
    assert all(relatives.Runner(side).arithmetic() > 0 for side in sides)
    one, three = (relatives.Side("sac", small | {"n_critics": n}) for n in (1, 3))
    found = relatives.measured((three, one), rounds=2, wanted=1e-3)
    assert found["arithmetic"] > 1.5
    assert found["excess"] == pytest.approx(found["time"] / found["arithmetic"], rel=0.01)
