"""Killed before any file operation, a command given again does its work: nothing half-written ever
has a final name, nothing that stood is lost, nothing is left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rlkit.cli.main import main
from rlkit.run.settings.options import Options
from rlkit.run.train import train

from ..sweeps.sweep_files import BANDITS, write

TRIAL = Path(__file__).with_name("kill_points.py")
TABLE = ["--observation", "o", "--action", "a", "--reward", "r", "--terminal", "end"]
FEW = {
    "build": "dataset build rlkit/pendulum/medium-v0 --quiet",
    "export": "export run",
    "to a file": "dataset export mine/stands-v0 new.hdf5",
}
MANY = {
    **FEW,
    "import": "dataset import-d4rl stands.hdf5 new/one-v0",
    "import anew": "dataset import-d4rl other.hdf5 mine/stands-v0 --force",
    "record": "dataset record --policy run --out new/one-v0 --episodes 1 --quiet",
    "to a file anew": "dataset export mine/stands-v0 stands.hdf5 --force",
    "from a table": "dataset from-csv log.csv new/log-v0 " + " ".join(TABLE),
    "from parquet": "dataset from-parquet log.parquet new/log-v0 " + " ".join(TABLE),
    "page of a run": "report run",
    "report": "report sweep --export csv,json",
    "video": "video run --out new.gif --episodes 1 --size 64 --quiet",
    "episodes": "eval run --episodes 1 --out new.csv",
    "curves": "plot run --out new.png",
    "of the zoo": "zoo get sac-hopper-v5",
    "of the zoo anew": "zoo get sac-hopper-v5 --out stands.safetensors --force",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, a dataset, files of both kinds and a finished sweep."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MINARI_DATASETS_PATH", "minari")
        options = {"engine": "eager", "eval_episodes": 1, "quiet": True, "out": "run"}
        config = {"hidden": (4,), "hidden_q": (4,), "batch_size": 4}
        train(Options("sac", env="Pendulum-v1", steps=20, warmup=10, config=config, **options))  # type: ignore[arg-type]
        rows = [f"{t},{t % 3 - 1},1,{int(t % 5 == 4)}" for t in range(10)]
        (folder / "log.csv").write_text("\n".join(["o,a,r,end", *rows]))
        write(folder, BANDITS)
        for line in (
            "dataset from-csv log.csv mine/stands-v0 " + " ".join(TABLE),
            "dataset export mine/stands-v0 stands.hdf5",
            "dataset record --policy run --out mine/other-v0 --episodes 1 --quiet",
            "dataset export mine/other-v0 other.hdf5",
            "export run --out stands.safetensors",
            "sweep sweep.toml --out sweep --workers 1 --quiet",
        ):
            assert main(line.split()) == 0, line
        parquet = pytest.importorskip("pyarrow.parquet")
        csv = pytest.importorskip("pyarrow.csv")
        parquet.write_table(csv.read_csv("log.csv"), "log.parquet")
    return folder


def outcome(world: Path, lines: dict[str, str], stride: int) -> list[dict[str, Any]]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(os.path.abspath(p or ".") for p in sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MINARI_DATASETS_PATH": "minari",
        "MPLCONFIGDIR": str(world.parent),
    }
    given = json.dumps({name: line.split() for name, line in lines.items()})
    done = subprocess.run(
        [sys.executable, str(TRIAL), str(world), given, str(stride)],
        env=environment, capture_output=True, text=True, cwd=world,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["name"] for one in found] == list(lines)
    assert [one for one in found if one["faults"]] == [], done.stderr
    return found


def test_a_kill_at_some_file_operations_costs_nothing(world: Path) -> None:
    for one in outcome(world, FEW, 9):
        assert one["killed"] >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", MANY)
def test_a_kill_at_any_file_operation_costs_nothing(world: Path, name: str) -> None:
    (one,) = outcome(world, {name: MANY[name]}, 1)
    assert one["killed"] == one["operations"] >= 2
