"""What other tools get: every number, exactly, and a clear word where a package is missing."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from rlkit.core.errors import UsageError
from rlkit.eval.records import Episode, append_episodes, append_progress
from rlkit.reports.cells import POINTS
from rlkit.reports.formats.exports import CURVE_COLUMNS, export
from rlkit.reports.formats.tables import CELL_COLUMNS
from rlkit.reports.results import Results, read
from tests.run.trackers.stand_ins import Store, instead_of_mlflow

from ..run_folders import run_folder

CURVES = {4: [0.1, 1 / 3, 2.0], 7: [5.0, float("inf"), 1e-300]}


@pytest.fixture
def sweep(tmp_path: Path) -> Results:
    root = tmp_path / "sweep"
    run_folder(
        root,
        "iql",
        "hopper",
        CURVES,
        episodes=1,
        configuration={"beta": 0.3},
        reference=[0.0, 4.0],
        progress=True,
        name="one",
    )
    run_folder(root, "bc", "hopper", {4: [1.0]}, spread=0.5, steps=20, name="two")
    return read(root)


def test_csv_reads_back_exactly(sweep: Results, tmp_path: Path) -> None:
    cells, curves = export(sweep, ["csv"], tmp_path / "out")
    with curves.open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CURVE_COLUMNS
    of_seed = [[float(r["return"]) for r in rows if r["seed"] == str(s)] for s in (4, 7)]
    assert of_seed == [[1.0, *CURVES[4]], CURVES[7]]  # bc comes first
    assert {(r["length"], r["terminated"]) for r in rows} == {("7.0", "1.0")}
    assert [r["step"] for r in rows if r["run"] == "one" and r["seed"] == "4"] == ["10", "20", "30"]
    with cells.open() as file:
        found = list(csv.DictReader(file))
    assert tuple(found[0]) == CELL_COLUMNS
    assert [(r["system"], r["seed"], r["finished"]) for r in found] == [
        ("bc", "4", "0"),
        ("iql", "4", "1"),
        ("iql", "7", "1"),
    ]
    assert found[1]["score"] == "0.5"
    assert found[1]["setting"] == '{"beta": 0.3}'


def test_json_is_records_with_null_for_what_is_not_finite(sweep: Results, tmp_path: Path) -> None:
    cells, curves = export(sweep, ["json"], tmp_path / "out")
    found = json.loads(cells.read_text())
    assert [record["return"] for record in found] == [1.0, 2.0, 1e-300]
    assert found[0]["finished"] is False
    assert found[0]["score"] is None
    rows = json.loads(curves.read_text())
    assert [row["return"] for row in rows if row["seed"] == 7] == [5.0, None, 1e-300]
    assert "NaN" not in curves.read_text()


def test_curves_are_not_thinned(tmp_path: Path) -> None:
    many = [float(k) for k in range(2 * POINTS)]
    run_folder(tmp_path, "ucb", "arms", {0: many}, every=1, episodes=1)
    _, curves = export(read(tmp_path), ["json"], tmp_path / "out")
    assert [row["return"] for row in json.loads(curves.read_text())] == many


def test_cells_left_out_are_left_out_of_curves(tmp_path: Path) -> None:
    run_folder(tmp_path, "iql", "x", {0: [1.0], 1: [2.0]}, steps=20, name="a")
    run_folder(tmp_path, "iql", "x", {1: [3.0, 4.0]}, steps=20, name="b")
    _, curves = export(read(tmp_path), ["json"], tmp_path / "out")
    rows = json.loads(curves.read_text())
    assert [(row["run"], row["seed"]) for row in rows] == [("a", 0), ("b", 1), ("b", 1)]


def test_lanes_of_several_configurations_are_told_apart(tmp_path: Path, store: Store) -> None:
    pytest.importorskip("tensorboard")
    lanes = [{"configuration": {"beta": beta}, "seed": 0} for beta in (1, 2)]
    folder = run_folder(tmp_path, "iql", "x", {}, steps=10, lanes=lanes, name="both")
    for lane in range(2):
        rows = [Episode(lane, 0, 10, 0, 5.0 + lane, 7, True)]
        append_episodes(folder / "episodes.csv", rows)
    append_progress(folder / "progress.jsonl", {"step": 5, "q_loss": [0.5, None]})
    kinds = ["json", "tensorboard", "mlflow"]
    _, curves, events, _ = export(read(tmp_path), kinds, tmp_path / "out")
    found = {row["setting"]: row["return"] for row in json.loads(curves.read_text())}
    assert found == {'{"beta": 1}': 5.0, '{"beta": 2}': 6.0}
    assert sorted(path.name for path in (events / "both").iterdir()) == [
        "iql (beta=1)",
        "iql (beta=2)",
    ]
    assert {run.data.tags["rlkit.cell"] for run in store.runs.values()} == {
        "iql (beta=1)/x/0",
        "iql (beta=2)/x/0",
    }


def test_parquet_reads_back_exactly(sweep: Results, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    cells, curves = export(sweep, ["parquet"], tmp_path / "out")
    rows = parquet.read_table(curves).to_pylist()
    assert [row["return"] for row in rows if row["seed"] == 7] == CURVES[7]
    assert all(isinstance(row["step"], int) for row in rows)
    found = parquet.read_table(cells).to_pylist()
    assert [(r["finished"], r["score"]) for r in found] == [
        (False, None),
        (True, 0.5),
        (True, 2.5e-301),
    ]


def test_tensorboard_has_returns_and_losses_of_every_seed(sweep: Results, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # a second export replaces the first
        (root,) = export(sweep, ["tensorboard"], tmp_path / "out")
    assert sorted(path.name for path in root.iterdir()) == ["one", "two"]
    events = EventAccumulator(str(root / "one" / "tensorboard" / "seed_4"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("evaluation_episodes/return_mean")] == [
        (step, pytest.approx(value)) for step, value in zip((10, 20, 30), CURVES[4], strict=True)
    ]
    assert [(e.step, e.value) for e in events.Scalars("latest_update/q_loss")] == [
        (5 * k, pytest.approx(0.5 / k + 4)) for k in (1, 2, 3)
    ]
    assert not list((tmp_path / "out").glob(".*.tmp"))


@pytest.mark.parametrize(
    ("kind", "module", "extra"),
    [
        ("parquet", "pyarrow", "parquet"),
        ("mlflow", "mlflow", "mlflow"),
        ("tensorboard", "torch.utils.tensorboard", "tensorboard"),
    ],
)
def test_a_missing_package_is_named_before_anything_is_written(
    sweep: Results,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    module: str,
    extra: str,
) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"--export {kind} needs .*pip install .*\[{extra}\]"):
        export(sweep, ["csv", kind], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_kind_names_the_nearest(sweep: Results, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown export 'parket'; did you mean 'parquet'"):
        export(sweep, ["parket"], tmp_path / "out")


# --- MLflow ---------------------------------------------------------------------------------------
@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    return instead_of_mlflow(monkeypatch)


def test_mlflow_has_a_run_for_each_cell(sweep: Results, tmp_path: Path, store: Store) -> None:
    assert export(sweep, ["mlflow"], tmp_path / "out") == [tmp_path / "out" / "mlflow"]
    assert store.uri == f"sqlite:///{tmp_path / 'out' / 'mlflow' / 'mlflow.db'}"
    assert set(store.experiments) == {"tried"}
    runs = {run.data.tags["rlkit.cell"]: run for run in store.runs.values()}
    assert set(runs) == {"bc/hopper/4", "iql (beta=0.3)/hopper/4", "iql (beta=0.3)/hopper/7"}
    run = runs["iql (beta=0.3)/hopper/4"]
    assert run.info.status == "FINISHED"
    assert run.data.params["config.gamma"] == "0.99"
    assert run.data.params["seed"] == "4"
    assert run.data.tags["rlkit.version.commit"] == "0123abcd"
    assert run.data.tags["rlkit.folder"] == "one"
    curve = [(step, value) for key, value, step in run.data.metrics if key == "return"]
    assert curve == list(zip((10, 20, 30), CURVES[4], strict=True))
    assert ("final_return", 2.0, 30) in run.data.metrics
    assert ("final_score", 0.5, 30) in run.data.metrics
    unfinished = runs["bc/hopper/4"]
    assert unfinished.info.status == "KILLED"
    assert not any(key.startswith("final") for key, _, _ in unfinished.data.metrics)


def test_mlflow_again_replaces_what_has_changed_only(
    sweep: Results, tmp_path: Path, store: Store
) -> None:
    export(sweep, ["mlflow"], tmp_path / "out")
    export(sweep, ["mlflow"], tmp_path / "out")
    assert store.made == 3
    with (sweep.folder / "runs" / "two" / "episodes.csv").open("a") as file:
        file.write("0,4,20,0,9.0,7,1\n0,4,20,1,9.0,7,1\n")
    export(read(sweep.folder), ["mlflow"], tmp_path / "out")
    assert store.made == 4
    assert len(store.runs) == 3
    assert store.runs["r4"].data.tags["rlkit.cell"] == "bc/hopper/4"


def test_mlflow_goes_where_the_environment_says(
    sweep: Results, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://somewhere:5000")
    assert export(sweep, ["mlflow"], tmp_path / "out") == []
    assert store.uri == "http://somewhere:5000"
    assert not (tmp_path / "out" / "mlflow").exists()
