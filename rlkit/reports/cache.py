"""What was read of run folders, kept in one file, so that unchanged ones are not read again.

A run is known by place, size and times of change of each of its files; the time of a change of the
file's entry cannot be set back by a program that sets the other one. The cache is a convenience: it
begins with the SHA-256 sum of its contents, one that does not agree or is missing is read past, and
one that cannot be written is done without.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlkit.core.files.replacing import replacing
from rlkit.reports.cells import FILES, Cell, Run, System

NAME = ".report-cache"
_FORMAT = 2
_ENTRIES = 4  # of a key for each file
_SUM = 64  # bytes of the sum at the beginning
Key = tuple[int, ...]


class Known(NamedTuple):
    """A run folder as it was read: its cells, or what was wrong with it."""

    key: Key
    damage: str | None
    cells: list[Cell]


def key(folder: Path) -> Key:
    """Inode, size, and times of change of contents and entry of every file that is read; -1 for
    one that is not there."""
    found: list[int] = []
    for name in FILES:
        try:
            stat = os.stat(os.path.join(folder, name))
            found += [stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        except OSError:
            found += [-1] * _ENTRIES
    return tuple(found)


def load(path: Path) -> dict[str, Known]:
    """Run folder's name -> what is known of it; empty when the cache is of no use."""
    try:
        data = path.read_bytes()
        if hashlib.sha256(data[_SUM:]).hexdigest().encode() != data[:_SUM]:
            return {}
        with np.load(io.BytesIO(data[_SUM:]), allow_pickle=False) as arrays:
            return _unpack({name: arrays[name] for name in arrays.files})
    except (OSError, ValueError, KeyError, TypeError, IndexError, zipfile.BadZipFile, EOFError):
        return {}


def save(path: Path, known: Mapping[str, Known]) -> None:
    """Replace the cache in one rename."""
    contents = io.BytesIO()
    np.savez(contents, **_pack(known))  # type: ignore[arg-type]
    data = contents.getvalue()
    with contextlib.suppress(OSError), replacing(path) as temporary:
        temporary.write_bytes(hashlib.sha256(data).hexdigest().encode() + data)


def _pack(known: Mapping[str, Known]) -> dict[str, np.ndarray]:
    values = _Numbered()
    runs = _Numbered()
    cells = [cell for one in known.values() for cell in one.cells]
    of_cells = [runs(cell.run) for cell in cells]
    text = {
        "format": _FORMAT,
        "names": list(known),
        "damage": [one.damage for one in known.values()],
        "runs": [
            [
                *(run.name, run.sweep, run.budget, *run.system, run.task, run.measure, run.unit),
                *(run.reference, run.steps, values(run.options), values(run.versions)),
            ]
            for run in runs.found
        ],
        "shared": values.found,
    }
    return {
        "text": np.frombuffer(json.dumps(text).encode(), np.uint8),
        "keys": np.array([one.key for one in known.values()], np.int64).reshape(
            -1, _ENTRIES * len(FILES)
        ),
        "counts": np.array([len(one.cells) for one in known.values()], np.int64),
        "cells": np.array(
            [
                (run, cell.lane, cell.seed, cell.episodes, len(cell.steps))
                for run, cell in zip(of_cells, cells, strict=True)
            ],
            np.int64,
        ).reshape(-1, 5),
        "steps": _joined((cell.steps for cell in cells), np.int64),
        "returns": _joined((cell.returns for cell in cells), np.float64),
    }


class _Numbered:
    """Objects, each once, by their identity."""

    def __init__(self) -> None:
        self.places: dict[int, int] = {}
        self.found: list[Any] = []

    def __call__(self, one: Any) -> int:
        if id(one) not in self.places:
            self.places[id(one)] = len(self.found)
            self.found.append(one)
        return self.places[id(one)]


def _joined(parts: Iterable[np.ndarray], dtype: type) -> np.ndarray:
    found = list(parts)
    return np.concatenate(found).astype(dtype) if found else np.empty(0, dtype)


def _unpack(arrays: dict[str, np.ndarray]) -> dict[str, Known]:
    text = json.loads(arrays["text"].tobytes())
    if text["format"] != _FORMAT:
        return {}
    runs = [_run(fields, text["shared"]) for fields in text["runs"]]
    ends = np.cumsum(arrays["cells"][:, 4])
    curves = zip(
        np.split(arrays["steps"], ends[:-1]), np.split(arrays["returns"], ends[:-1]), strict=True
    )
    rows = zip(arrays["cells"].tolist(), curves, strict=True) if len(ends) else iter(())
    cells = [
        Cell(runs[run], lane, seed, steps, returns, episodes)
        for (run, lane, seed, episodes, _), (steps, returns) in rows
    ]
    known: dict[str, Known] = {}
    start = 0
    for name, damage, stats, count in zip(
        text["names"],
        text["damage"],
        arrays["keys"].tolist(),
        arrays["counts"].tolist(),
        strict=True,
    ):
        known[name] = Known(tuple(stats), damage, cells[start : start + count])
        start += count
    return known


def _run(fields: list[Any], shared: list[dict[str, Any]]) -> Run:
    *words, reference, steps, options, versions = fields
    name, sweep, budget, system, setting, task, measure, unit = words
    return Run(
        name=name,
        sweep=sweep,
        budget=budget,
        system=System(system, setting),
        task=task,
        measure=measure,
        unit=unit,
        reference=None if reference is None else (reference[0], reference[1]),
        steps=steps,
        options=shared[options],
        versions=shared[versions],
    )
