"""Run folders in, cells out: what counts, what is left out and named, what is read again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from rlkit.core.errors import RunError, UsageError
from rlkit.eval.records import HEADER, Episode, append_episodes
from rlkit.reports import cache, results
from rlkit.reports.cells import POINTS, System
from rlkit.reports.results import read, scores

from .run_folders import run_folder


def test_a_run_becomes_one_cell_a_seed(tmp_path: Path) -> None:
    folder = run_folder(
        tmp_path,
        "iql",
        "hopper",
        {3: [1.0, 5.0], 0: [2.0, 7.0]},
        episodes=4,
        spread=0.5,
        configuration={"beta": 0.3},
        reference=[-3.0, 17.0],
    )
    found = read(tmp_path)
    assert [cell.seed for cell in found.cells] == [0, 3]
    first = found.cells[0]
    np.testing.assert_array_equal(first.steps, [10, 20])
    np.testing.assert_allclose(first.returns, [2.0, 7.0])
    assert first.final == pytest.approx(7.0)
    assert first.episodes == 4
    assert first.finished
    assert first.run.name == folder.name
    assert first.run.system == System("iql", '{"beta": 0.3}')
    assert first.run.system.label == "iql (beta=0.3)"
    assert first.run.versions["torch"] == "2.13.0"
    assert first.run.options["config"] == {"gamma": 0.99}
    assert "seeds" not in first.run.options
    np.testing.assert_allclose(scores(found.cells, normalised=True), [0.5, 0.4])
    np.testing.assert_allclose(scores(found.cells, normalised=False), [7.0, 5.0])
    assert found.name == "tried"
    assert not found.damaged
    assert not found.unfinished


def test_lanes_of_several_configurations_are_several_systems(tmp_path: Path) -> None:
    """Laned hyper-parameters share a run: lanes 0 and 2 have the same seed."""
    folder = run_folder(
        tmp_path,
        "iql",
        "hopper",
        {},
        steps=10,
        lanes=[
            {"configuration": {"beta": beta, "tau": 0.7}, "seed": seed}
            for beta in (0.3, 3.0)
            for seed in (0, 1)
        ],
        options={"config": {"gamma": 0.99, "beta": [0.3, 0.3, 3.0, 3.0], "hidden": [4, 4, 4, 4]}},
    )
    rows = [Episode(lane, lane % 2, 10, 0, float(lane), 3, True) for lane in range(3)]
    append_episodes(folder / "episodes.csv", rows)
    for found in (read(tmp_path), read(tmp_path)):  # and from the cache
        assert [s.label for s in found.systems] == [
            "iql (beta=0.3, tau=0.7)",
            "iql (beta=3, tau=0.7)",
        ]
        low, high = found.systems
        assert [(c.seed, c.final) for c in found.finished(low, "hopper")] == [(0, 0.0), (1, 1.0)]
        assert [(c.seed, c.final) for c in found.finished(high, "hopper")] == [(0, 2.0)]
        assert [(c.lane, c.seed) for c in found.unfinished] == [(3, 1)]
        options = found.runs(high)[0].options
        assert options["config"] == {"gamma": 0.99, "beta": 3.0, "hidden": [4, 4, 4, 4]}
        assert found.runs(low)[0].name == found.runs(high)[0].name == folder.name


def test_cells_short_of_their_steps_are_unfinished(tmp_path: Path) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [1.0, 2.0], 1: [1.0], 2: []}, steps=20)
    found = read(tmp_path)
    system = found.systems[0]
    assert [cell.seed for cell in found.finished(system, "hopper")] == [0]
    assert [cell.seed for cell in found.unfinished] == [1, 2]
    assert [cell.seed for cell in found.all(system, "hopper")] == [0, 1, 2]


def test_an_evaluation_cut_short_is_not_one(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "iql", "hopper", {0: [1.0, 2.0]}, episodes=3, steps=30)
    append_episodes(folder / "episodes.csv", [Episode(0, 0, 30, 0, 99.0, 5, True)])
    cell = read(tmp_path, remember=False).cells[0]
    np.testing.assert_array_equal(cell.steps, [10, 20])
    assert not cell.finished
    with (folder / "episodes.csv").open("a") as file:
        file.write("0,0,30,1,9")  # and a line cut short besides
    assert read(tmp_path, remember=False).cells[0].final == 2.0


def test_long_curves_are_thinned_and_keep_both_ends(tmp_path: Path) -> None:
    many = [float(k) for k in range(3 * POINTS)]
    run_folder(tmp_path, "ucb", "arms", {0: many, 1: many}, every=1, episodes=1)
    a, b = read(tmp_path).cells
    assert len(a.steps) == POINTS
    assert a.steps[0] == 1
    assert a.steps[-1] == 3 * POINTS
    assert a.final == 3 * POINTS - 1
    assert a.finished
    np.testing.assert_array_equal(a.steps, b.steps)
    np.testing.assert_array_equal(a.returns, a.steps - 1.0)


def spoil(folder: Path, what: str) -> None:
    card = json.loads((folder / "cell.json").read_text())
    if what == "no card":
        (folder / "cell.json").unlink()
    elif what == "half a card":
        (folder / "cell.json").write_text('{"format": 1, "sys')
    elif what == "card of the future":
        (folder / "cell.json").write_text(json.dumps(card | {"format": 2}))
    elif what == "card without a task":
        (folder / "cell.json").write_text(json.dumps(card | {"task": None}))
    elif what == "flat reference":
        (folder / "cell.json").write_text(json.dumps(card | {"reference": [1.0, 1.0]}))
    elif what == "odd reference":
        (folder / "cell.json").write_text(json.dumps(card | {"reference": "expert"}))
    elif what == "a list":
        (folder / "config.json").write_text("[]")
    elif what == "bad row":
        with (folder / "episodes.csv").open("a") as file:
            file.write("0,0,10,x,1.0,3,1\n")
    elif what == "lane too many":
        append_episodes(folder / "episodes.csv", [Episode(7, 0, 10, 0, 1.0, 3, True)])
    elif what == "no lanes":
        (folder / "cell.json").write_text(json.dumps(card | {"lanes": []}))
    elif what == "no configuration":
        (folder / "cell.json").write_text(json.dumps(card | {"lanes": [{"seed": 0}]}))
    elif what in ("other seed", "seed twice", "odd lane"):
        lane = {"configuration": {}, "seed": 8 if what == "other seed" else 0}
        lanes = {"other seed": [lane], "seed twice": [lane, lane], "odd lane": [3]}[what]
        (folder / "cell.json").write_text(json.dumps(card | {"lanes": lanes}))


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("no card", "it has no cell.json"),
        ("half a card", "cell.json is not JSON"),
        ("card of the future", "cell.json has format 2; this rlkit reads format 1"),
        ("card without a task", "cell.json has task None"),
        ("flat reference", "which spans nothing"),
        ("odd reference", "not two returns"),
        ("a list", "config.json holds no object"),
        ("bad row", "episodes.csv, line 4: episode is 'x', not a number"),
        ("lane too many", "episodes.csv has more lanes than cell.json"),
        ("other seed", "episodes.csv has seed 0 in lane 0, cell.json has 8"),
        ("seed twice", "it has a seed in two lanes"),
        ("odd lane", "cell.json has a lane 3, without configuration or seed"),
        ("no configuration", "without configuration or seed"),
        ("no lanes", "cell.json has lanes [], which name no cell"),
    ],
)
def test_a_damaged_folder_is_named_and_the_others_are_read(
    tmp_path: Path, what: str, why: str
) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [1.0]})
    bad = run_folder(tmp_path, "bc", "hopper", {0: [1.0]})
    spoil(bad, what)
    found = read(tmp_path)
    assert [cell.run.system.name for cell in found.cells] == ["iql"]
    assert [name for name, _ in found.damaged] == [bad.name]
    assert why in found.damaged[0][1]
    assert str(tmp_path) not in found.damaged[0][1]
    assert read(tmp_path) == found  # from the cache


def test_no_versions_and_no_config_are_no_damage(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "iql", "hopper", {0: [1.0]})
    (folder / "versions.json").unlink()
    (folder / "config.json").unlink()
    found = read(tmp_path)
    assert not found.damaged
    assert found.cells[0].run.versions == {}


def test_a_folder_that_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no runs/"):
        read(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(RunError, match="can be reported yet"):
        read(tmp_path)
    (tmp_path / "runs" / "half").mkdir()
    with pytest.raises(RunError, match="can be reported yet"):
        read(tmp_path)
    (tmp_path / "runs" / "half" / "config.json").touch()
    with pytest.raises(RunError, match=r"half: it has no cell\.json"):
        read(tmp_path)


def test_a_cell_in_two_folders_counts_once(tmp_path: Path) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [1.0], 1: [1.0]}, name="a", steps=20)
    run_folder(tmp_path, "iql", "hopper", {1: [2.0, 3.0]}, name="b", steps=20)
    found = read(tmp_path)
    assert [(c.seed, c.run.name) for c in found.cells] == [(0, "a"), (1, "b")]
    assert [c.run.name for c in found.repeated] == ["a"]
    assert [run.name for run in found.runs(found.systems[0])] == ["a", "b"]


def test_systems_and_tasks_come_as_the_sweep_file_lists_them(tmp_path: Path) -> None:
    for system in ("bc", "iql", "zz"):
        for task in ("hopper", "ant"):
            for beta in (10.0, 9.0) if system == "iql" else (None,):
                configuration = {} if beta is None else {"beta": beta}
                run_folder(tmp_path, system, task, {0: [1.0]}, configuration=configuration)
    assert [s.label for s in read(tmp_path).systems] == [
        *("bc", "iql (beta=9)", "iql (beta=10)", "zz"),
    ]
    assert read(tmp_path).tasks == ("ant", "hopper")
    (tmp_path / "sweep.toml").write_text("[tasks.hopper]\n[systems.zz]\n[systems.iql]\n")
    assert [s.name for s in read(tmp_path).systems] == ["zz", "iql", "iql", "bc"]
    assert read(tmp_path).tasks == ("hopper", "ant")


def test_a_system_is_found_by_label_or_by_a_name_of_its_own(tmp_path: Path) -> None:
    run_folder(tmp_path, "bc", "hopper", {0: [1.0]})
    for beta in (1, 3):
        run_folder(tmp_path, "iql", "hopper", {0: [1.0]}, configuration={"beta": beta})
    found = read(tmp_path)
    assert found.find("bc").name == "bc"
    assert found.find("iql (beta=3)").configuration == {"beta": 3}
    with pytest.raises(UsageError, match=r"2 configurations; choose one of 'iql \(beta=1\)'"):
        found.find("iql")
    with pytest.raises(UsageError, match="did you mean 'bc'"):
        found.find("bcc")


# --- what is read again ---------------------------------------------------------------------------
@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the run folders read, in order."""
    names: list[str] = []
    real = results.read_run

    def counted(folder: Path, shared: object) -> object:
        names.append(folder.name)
        return real(folder, shared)  # type: ignore[arg-type]

    monkeypatch.setattr(results, "read_run", counted)
    return names


def test_two_thousand_runs_are_read_once(tmp_path: Path, reads: list[str]) -> None:
    model = run_folder(tmp_path, "iql", "t", {0: [1.0], 1: [2.0]}, episodes=1, name="r0000")
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    for k in range(1, 2000):
        folder = tmp_path / "runs" / f"r{k:04d}"
        folder.mkdir()
        card = files["cell.json"].replace(b'"task": "t"', f'"task": "t{k}"'.encode())
        for name, data in (files | {"cell.json": card}).items():
            (folder / name).write_bytes(data)
    found = read(tmp_path)
    assert len(reads) == 2000
    assert len(found.cells) == 4000
    assert len({id(cell.run.options) for cell in found.cells}) == 1  # told once, kept once
    assert len({id(cell.run.versions) for cell in found.cells}) == 1
    reads.clear()
    again = read(tmp_path)
    assert not reads
    assert [(c.seed, c.final, c.run) for c in again.cells] == [
        (c.seed, c.final, c.run) for c in found.cells
    ]
    assert len({id(cell.run.options) for cell in again.cells}) == 1
    rows = [Episode(lane, lane, 20, 0, 8.0, 7, True) for lane in range(2)]
    append_episodes(tmp_path / "runs" / "r0007" / "episodes.csv", rows)
    shutil.rmtree(tmp_path / "runs" / "r0008")
    grown = read(tmp_path)
    assert reads == ["r0007"]
    assert len(grown.cells) == 3998
    assert max(cell.final for cell in grown.cells) == 8.0


@pytest.mark.parametrize("data", [b"", b"PK no archive", None])
def test_a_cache_of_no_use_is_read_past(
    tmp_path: Path, reads: list[str], data: bytes | None
) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [1.0]})
    first = read(tmp_path)
    path = tmp_path / cache.NAME
    path.write_bytes(path.read_bytes()[:-40] if data is None else data)
    assert read(tmp_path).cells[0].final == first.cells[0].final
    assert len(reads) == 2
    read(tmp_path)
    assert len(reads) == 2


def test_a_file_changed_to_equal_size_is_read_again(tmp_path: Path, reads: list[str]) -> None:
    folder = run_folder(tmp_path, "iql", "hopper", {0: [1.0]}, episodes=1)
    read(tmp_path)
    path = folder / "episodes.csv"
    before = path.stat()
    path.write_text(f"{HEADER}\n0,0,10,0,6.0,7,1\n")
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert read(tmp_path).cells[0].final == 6.0
    assert len(reads) == 2


def test_a_sweep_that_cannot_be_written_to_is_read(tmp_path: Path) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [1.0]})
    (tmp_path / cache.NAME).mkdir()  # a rename onto it fails
    assert len(read(tmp_path).cells) == 1
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_run_that_has_only_just_begun_is_unfinished_not_damaged(tmp_path: Path) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [1.0]})
    begun = run_folder(tmp_path, "bc", "hopper", {0: [1.0], 1: [1.0]})
    (begun / "episodes.csv").unlink()
    (begun / "config.json").unlink()
    found = read(tmp_path)
    assert not found.damaged
    assert [(cell.run.system.name, cell.seed) for cell in found.unfinished] == [
        ("bc", 0),
        ("bc", 1),
    ]
