"""A run that has ended and was deleted or damaged since is seen without reading, and made again."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from rlkit.run.records.progress import Silent
from rlkit.sweeps import plan
from rlkit.sweeps.runner import Finished, sweep
from rlkit.sweeps.status import status, table

from .sweep_files import BANDITS, Inside, records, write


def run(path: Path, folder: Path) -> Finished:
    return sweep(plan.read(path), folder, engine=Inside(), report=Silent())


def test_a_run_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    run(path, folder)
    before = records(folder)
    gone = folder / "runs" / sorted(before)[0]
    for file in gone.iterdir():
        file.unlink()
    gone.rmdir()
    finished = run(path, folder)
    assert (finished.done, finished.planned.again) == (1, 1)
    assert records(folder) == before


@pytest.mark.parametrize("instead", ["nothing", "a file", "an empty folder", "a folder as record"])
def test_what_is_gone_is_not_said_to_be_there(tmp_path: Path, instead: str) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    run(path, folder)
    before = records(folder)
    assert (status(folder).deleted, sum(row.done for row in status(folder).rows)) == (0, 8)
    gone = folder / "runs" / sorted(before)[0]
    if instead == "a folder as record":
        (gone / "episodes.csv").unlink()
        (gone / "episodes.csv").mkdir()
    else:
        shutil.rmtree(gone)
    if instead == "a file":
        gone.write_text("no run")
    if instead == "an empty folder":
        gone.mkdir()
    found = status(folder)
    row = next(row for row in found.rows if row.waiting)
    assert (row.waiting, row.done, row.share) == (4, 0, 0.0)
    assert "deleted or damaged since: 1, which rlkit sweep makes again" in table(found)
    assert run(path, folder).planned.again == 1
    assert records(folder) == before
    assert (status(folder).deleted, sum(row.done for row in status(folder).rows)) == (0, 8)


@pytest.mark.parametrize("name", ["cell.json", "config.json", "episodes.csv"])
def test_a_run_of_which_a_file_was_deleted_is_made_again(tmp_path: Path, name: str) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    run(path, folder)
    before = records(folder)
    (folder / "runs" / sorted(before)[0] / name).unlink()
    finished = run(path, folder)
    assert (finished.done, finished.planned.again) == (1, 1)
    assert records(folder) == before


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[: len(data) // 2],
    "cut after a line": lambda data: data[: data[:-1].rindex(b"\n") + 1],
    "emptied": lambda data: b"",
    "garbage": lambda data: b"\x93\xff" * (len(data) // 2),
    "another file": lambda data: b"<html>\n",
}


@pytest.mark.parametrize("name", ["cell.json", "config.json", "episodes.csv"])
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("noted", [True, False])
def test_a_run_of_which_a_file_was_damaged_is_made_again(
    tmp_path: Path, name: str, damage: str, noted: bool
) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    run(path, folder)
    before = records(folder)
    if not noted:  # by an older version
        with sqlite3.connect(folder / "sweep.sqlite") as base:
            base.execute("update runs set records = ''")
        base.close()
        run(path, folder)  # notes them
        assert status(folder).deleted == 0
    file = folder / "runs" / sorted(before)[0] / name
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    assert status(folder).deleted == 1
    assert run(path, folder).planned.again == 1
    assert records(folder) == before
    assert status(folder).deleted == 0


def test_a_run_that_was_copied_is_not_made_again(tmp_path: Path) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    run(path, folder)
    for file in (folder / "runs").glob("*/*"):
        os.utime(file, (1, 1))
    assert status(folder).deleted == 0
    assert run(path, folder).planned.again == 0
