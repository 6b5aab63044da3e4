"""A sweep's numbers for other tools: JSON, CSV and Parquet for pandas, TensorBoard, MLflow.

`cells` has a row for each cell, `curves` one for each of its evaluations. Curves are read run by
run and written as they come, so that memory does not grow with the sweep.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.errors import UsageError
from rlkit.core.files.replacing import make_folder, replacing
from rlkit.core.words.extras import missing
from rlkit.core.words.nearest import suggestion
from rlkit.eval import records
from rlkit.eval.records import Episode
from rlkit.reports.cells import EPISODES, Cell
from rlkit.reports.formats.tables import CELL_COLUMNS, as_csv, cell_row, write_csv
from rlkit.reports.report import no_link
from rlkit.reports.results import RUNS, Results

CURVE_COLUMNS = (
    *("system", "setting", "task", "seed", "run", "step", "episodes", "return", "length"),
    "terminated",
)
_NEEDS = {  # kind -> module it imports, extra that brings it
    "parquet": ("pyarrow.parquet", "parquet"),
    "tensorboard": ("torch.utils.tensorboard", "tensorboard"),
    "mlflow": ("mlflow", "mlflow"),
}
_NAME_BYTES = 200  # of a component; file systems take 255, with a temporary suffix
_INTEGERS = {"seed", "step", "steps", "episodes"}
_NUMBERS = {"return", "score", "length", "terminated"}  # terminated is a share of the episodes


def export(results: Results, kinds: Sequence[str], out: Path) -> list[Path]:
    """What was written to folder `out`, for the kinds asked for.

    Raises UsageError as `check` does, RunError where the folder is a link.
    """
    check(kinds)
    no_link(out)
    make_folder(out)
    return [path for kind in kinds for path in EXPORTS[kind](results, out)]


def check(kinds: Sequence[str]) -> None:
    """Raises UsageError for a kind that is unknown or whose package is not installed."""
    for kind in kinds:
        if kind not in EXPORTS:
            raise UsageError(
                f"unknown export {kind!r}{suggestion(kind, EXPORTS)} (one of {', '.join(EXPORTS)})"
            )
        module, extra = _NEEDS.get(kind, ("", ""))
        try:
            if module:
                importlib.import_module(module)
        except ImportError as error:
            raise missing(f"--export {kind}", extra) from error


def curve_rows(results: Results) -> Iterator[list[tuple[Any, ...]]]:
    """Every evaluation of a run's cells in the order of `CURVE_COLUMNS`, run by run."""
    for name, cells in _by_run(results).items():
        rows = records.read_episodes(results.folder / RUNS / name / EPISODES)
        rows = rows[np.isin(rows["lane"], list(cells))]
        rows = rows[np.lexsort((rows["step"], rows["lane"]))]
        if not len(rows):
            continue
        new = np.diff(rows["lane"], prepend=-1) != 0
        new |= np.diff(rows["step"], prepend=-1) != 0
        first = np.flatnonzero(new)
        count = np.diff(first, append=len(rows))
        means = (
            np.add.reduceat(rows[name].astype(float), first) / count
            for name in ("return", "length", "terminated")
        )
        columns = (rows["lane"][first], rows["step"][first], count, *means)
        yield [
            (*cells[lane].run.system, cells[lane].run.task, cells[lane].seed, name, *values)
            for lane, *values in zip(*(column.tolist() for column in columns), strict=True)
        ]


def _by_run(results: Results) -> dict[str, dict[int, Cell]]:
    """Run folder -> lane -> cell, of the cells that count."""
    found: dict[str, dict[int, Cell]] = {}
    for cell in results.cells:
        found.setdefault(cell.run.name, {})[cell.lane] = cell
    return found


# --- files for pandas -----------------------------------------------------------------------------
def to_csv(results: Results, out: Path) -> list[Path]:
    """`cells.csv` and `curves.csv`."""
    cells, curves = out / "cells.csv", out / "curves.csv"
    with replacing(cells) as path:
        path.write_text(as_csv(CELL_COLUMNS, map(cell_row, results.cells)), encoding="utf-8")
    with replacing(curves) as path, path.open("w", encoding="utf-8", newline="") as file:
        write_csv(file, [CURVE_COLUMNS])
        for rows in curve_rows(results):
            write_csv(file, rows)
    return [cells, curves]


def to_json(results: Results, out: Path) -> list[Path]:
    """`cells.json` and `curves.json`: lists of records; null for what is not finite."""
    tables = _tables(results, out, "json")
    for final, columns, groups in tables:
        with replacing(final) as path, path.open("w", encoding="utf-8") as file:
            separator = "[\n"
            for rows in groups:
                for row in rows:
                    record = {name: _finite(v) for name, v in zip(columns, row, strict=True)}
                    file.write(separator + json.dumps(record, allow_nan=False))
                    separator = ",\n"
            file.write("\n]\n" if separator == ",\n" else "[]\n")
    return [final for final, _, _ in tables]


def to_parquet(results: Results, out: Path) -> list[Path]:
    """`cells.parquet` and `curves.parquet`."""
    import pyarrow
    import pyarrow.parquet

    tables = _tables(results, out, "parquet")
    for final, columns, groups in tables:
        schema = pyarrow.schema([(name, _arrow_type(name, pyarrow)) for name in columns])
        with replacing(final) as path, pyarrow.parquet.ParquetWriter(path, schema) as writer:
            for rows in groups:
                by_column = {
                    n: list(c) for n, c in zip(columns, zip(*rows, strict=True), strict=True)
                }
                writer.write_table(pyarrow.table(by_column, schema))
    return [final for final, _, _ in tables]


def _tables(
    results: Results, out: Path, ending: str
) -> list[tuple[Path, Sequence[str], Iterator[list[tuple[Any, ...]]]]]:
    """File, columns and rows, in groups, of both tables."""
    cells = iter([[cell_row(cell) for cell in results.cells]])
    return [
        (out / f"cells.{ending}", CELL_COLUMNS, cells),
        (out / f"curves.{ending}", CURVE_COLUMNS, curve_rows(results)),
    ]


def _arrow_type(name: str, arrow: Any) -> Any:
    if name in _INTEGERS:
        return arrow.int64()
    if name == "finished":
        return arrow.bool_()
    return arrow.float64() if name in _NUMBERS else arrow.string()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


# --- trackers -------------------------------------------------------------------------------------
def to_tensorboard(results: Results, out: Path) -> list[Path]:
    """Event files under `tensorboard/`: a folder for each run, in it one for each seed, between
    them one for each configuration where a run has several."""
    root = out / "tensorboard"
    with replacing(root) as fresh:
        for name, cells in _by_run(results).items():
            systems = list(dict.fromkeys(cell.run.system for cell in cells.values()))
            for system in systems:
                lanes = [lane for lane, cell in cells.items() if cell.run.system == system]
                inner = "" if len(systems) == 1 else folder_name(system.label)
                seeds = tuple(cells[lane].seed for lane in lanes)
                _write_events(results.folder / RUNS / name, fresh / name / inner, lanes, seeds)
    return [root]


def folder_name(label: str) -> str:
    """One component of a path, whatever a file says a system is called; other labels, other
    names."""
    plain = "".join(c if c.isalnum() or c in " ._+=,()-" else "_" for c in label).strip(" .")
    if plain and plain == label and len(plain.encode()) <= _NAME_BYTES:
        return plain
    digest = hashlib.sha256(label.encode()).hexdigest()[:8]
    room = _NAME_BYTES - len(digest) - 1
    return f"{plain.encode()[:room].decode(errors='ignore')}-{digest}"


def _write_events(run: Path, to: Path, lanes: list[int], seeds: tuple[int, ...]) -> None:
    """Returns and losses of some lanes of a run."""
    from rlkit.run.trackers.tensorboard import Board

    rows = records.read_episodes(run / EPISODES)
    if not np.isin(rows["lane"], lanes).any():
        return
    board = Board(to, seeds)
    for record in records.read_progress(run / "progress.jsonl"):
        of_lanes = {
            name: np.array([values[lane] for lane in lanes], float)  # None becomes NaN
            for name, values in record.items()
            if isinstance(values, list) and len(values) > max(lanes)
        }
        board.metrics(record["step"], of_lanes)
    rows = rows[np.isin(rows["lane"], lanes)]
    rows = rows[np.argsort(rows["step"], kind="stable")]
    for same in np.split(rows, np.flatnonzero(np.diff(rows["step"])) + 1):
        episodes = [Episode(*row)._replace(lane=lanes.index(row[0])) for row in same.tolist()]
        board.episodes(int(same["step"][0]), episodes)
    board.close()


def to_mlflow(results: Results, out: Path) -> list[Path]:
    from rlkit.reports.formats.mlflow_export import to_mlflow as log

    return log(results, out, curve_rows(results))


EXPORTS: dict[str, Callable[[Results, Path], list[Path]]] = {
    "csv": to_csv,
    "json": to_json,
    "parquet": to_parquet,
    "tensorboard": to_tensorboard,
    "mlflow": to_mlflow,
}
