"""Tutorials run, small where they are long, and their recorded outputs are of the same cells."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import record_tutorials
import tutorial_pages

import rlkit

from . import pages

SMALL = ("shop", "spreadsheet")  # run as they stand


@pytest.mark.parametrize("name", tutorial_pages.names())
def test_each_cell_of_code_has_its_recorded_output(name: str) -> None:
    cells = tutorial_pages.cells(name)
    assert not cells[0].code
    assert len(tutorial_pages.outputs(name)) == sum(cell.code for cell in cells)
    assert f"]({name}.md)" in pages.written()["tutorials/index.md"]


def run(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(folder / "datasets"))
    monkeypatch.setattr(sys, "argv", [name])
    return record_tutorials.run(name)


@pytest.mark.parametrize("name", SMALL)
def test_a_short_tutorial_prints_what_is_recorded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word for word where it prints words; numbers may round otherwise elsewhere."""
    printed = run(name, tmp_path, monkeypatch)
    assert [len(text.split()) for text in printed] == [
        len(text.split()) for text in tutorial_pages.outputs(name)
    ]


@pytest.mark.parametrize("name", ["offline_logs", "preferences"])
def test_a_tutorial_with_trainings_runs_with_short_ones(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = rlkit.train

    def short(algo: str, **options: Any) -> Any:
        config = options["config"] | ({"bc_steps": 5} if algo == "cpl" else {})
        return train(algo, **options | {"steps": 20, "seeds": (0, 1, 2), "config": config})

    monkeypatch.setattr(rlkit, "train", short)
    assert all(run(name, tmp_path, monkeypatch)[-1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*tutorial_pages.names()} - {*SMALL}))
def test_a_long_tutorial_runs_as_it_stands(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(run(name, tmp_path, monkeypatch)) == len(tutorial_pages.outputs(name))
