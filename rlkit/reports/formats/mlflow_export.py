"""A sweep in MLflow: one experiment a sweep, one MLflow run a cell.

Written to `MLFLOW_TRACKING_URI` where that is set, else to `mlflow/mlflow.db` (SQLite), which
`mlflow ui --backend-store-uri sqlite:///FILE` shows. A cell that is there already
and has not changed is left alone; one that has changed is replaced.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rlkit.reports.cells import EPISODES, Cell
from rlkit.reports.report import no_link
from rlkit.reports.results import RUNS, Results, scores
from rlkit.reports.sheets import flat
from rlkit.run.trackers import mlflow


def to_mlflow(
    results: Results, out: Path, curves: Iterable[Sequence[tuple[Any, ...]]]
) -> list[Path]:
    """Log every cell, its parameters and curve; `curves` has rows as `exports.curve_rows` says."""
    from mlflow.tracking import MlflowClient

    remote = os.environ.get("MLFLOW_TRACKING_URI")
    store = (out / "mlflow").resolve()
    if not remote:
        no_link(out / "mlflow")
        store.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=remote or f"sqlite:///{store / 'mlflow.db'}")
    number = mlflow.experiment(client, results.name, None if remote else store.as_uri())
    there = {run.data.tags.get("rlkit.cell"): run for run in _all_runs(client, number)}
    cells = {(*cell.run.system, cell.run.task, cell.seed): cell for cell in results.cells}
    for rows in curves:
        of_cell: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
        for row in rows:
            of_cell.setdefault(row[:4], []).append(row)
        for which, own in of_cell.items():
            cell = cells[which]
            digest = hashlib.sha256(repr(own).encode()).hexdigest()[:16]
            name = f"{cell.run.system.label}/{cell.run.task}/{cell.seed}"
            old = there.get(name)
            if old is not None and old.data.tags.get("rlkit.digest") == digest:
                continue
            if old is not None:
                client.delete_run(old.info.run_id)
            _log(client, number, cell, name, digest, own, results.folder)
    return [] if remote else [out / "mlflow"]


def _all_runs(client: Any, experiment: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment], max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _log(
    client: Any,
    experiment: str,
    cell: Cell,
    name: str,
    digest: str,
    rows: Sequence[tuple[Any, ...]],
    folder: Path,
) -> None:
    from mlflow.entities import Metric, Param

    run = cell.run
    time = int((folder / RUNS / run.name / EPISODES).stat().st_mtime * 1000)
    tags = {
        "mlflow.runName": name,
        "rlkit.cell": name,
        "rlkit.digest": digest,
        "rlkit.folder": run.name,
        **{f"rlkit.version.{key}": str(value) for key, value in run.versions.items()},
    }
    made = client.create_run(experiment, start_time=time, tags=tags).info.run_id
    identity = {"system": run.system.name, "task": run.task, "seed": str(cell.seed)}
    params = mlflow.params(flat(run.options) | identity)
    mlflow.log(client, made, params=[Param(*pair) for pair in params.items()])
    metrics = [
        Metric(key, float(value), time, int(row[5]))
        for row in rows
        for key, value in (("return", row[7]), ("length", row[8]), ("terminated", row[9]))
    ]
    if cell.finished:
        metrics.append(Metric("final_return", cell.final, time, int(cell.steps[-1])))
        if run.reference is not None:
            score = float(scores([cell], normalised=True)[0])
            metrics.append(Metric("final_score", score, time, int(cell.steps[-1])))
    mlflow.log(client, made, metrics=metrics)
    client.set_terminated(made, "FINISHED" if cell.finished else "KILLED", end_time=time)
