from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlkit.core.errors import UsageError
from rlkit.eval.records import read_episodes
from rlkit.run.records.progress import Silent
from rlkit.sweeps import plan
from rlkit.sweeps.engines import Engine, Local
from rlkit.sweeps.kinds.by_name import kind_of
from rlkit.sweeps.runner import Finished, failures, sweep
from rlkit.sweeps.store import Store

from .sweep_files import BANDITS, MIXED, TRAININGS, Inside, records, write


def run(path: Path, folder: Path, engine: Engine | None = None, **options: Any) -> Finished:
    told = Silent()
    return sweep(plan.read(path), folder, engine=engine or Inside(), report=told, **options)


def test_cells_of_every_kind(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    finished = run(write(tmp_path, MIXED), folder)
    assert (finished.done, finished.failed) == (7, {})  # SB3 takes a run for each seed
    measures = {}
    for path in folder.glob("runs/*/cell.json"):
        cell = json.loads(path.read_text())
        rows = read_episodes(path.with_name("episodes.csv"))
        assert np.isfinite(rows["return"]).all()
        assert rows["step"].max() == cell["steps"]
        assert set(rows["lane"]) == set(range(len(cell["lanes"])))
        assert path.with_name("versions.json").exists()
        config = json.loads(path.with_name("config.json").read_text())
        kind = kind_of(config.get("kind", "training"))
        told = kind.evaluations(config["options"], cell["steps"])
        assert len(set(rows["step"])) == told
        measures[cell["system"]] = cell["measure"], cell["unit"], len(cell["lanes"])
    assert measures == {
        "ucb1": ("-regret", "Rounds", 2),
        "q": ("value", "Environment steps", 2),
        "ucbvi": ("-regret", "Episodes", 2),
        "vi": ("-backups", "Solutions", 2),
        "ppo": ("return", "Environment steps", 1),
        "sac": ("return", "Environment steps", 4),
    }


def test_lanes_change_no_result(tmp_path: Path) -> None:
    path = write(tmp_path, MIXED.replace('tasks = ["river"]', 'tasks = ["river"]'))
    packed, single = tmp_path / "packed", tmp_path / "single"
    run(path, packed)
    run(path, single, lanes=1)
    assert cells(packed) == cells(single)
    assert len(records(single)) > len(records(packed))


def cells(folder: Path) -> dict[str, list[tuple[float, ...]]]:
    """Records of every cell, wherever its lane is; the last digits of a stack of lanes may
    differ."""
    found = {}
    for path in folder.glob("runs/*/cell.json"):
        cell, rows = json.loads(path.read_text()), read_episodes(path.with_name("episodes.csv"))
        for lane, one in enumerate(cell["lanes"]):
            mine = rows[rows["lane"] == lane]
            name = f"{cell['system']} {cell['task']} {one}"
            found[name] = [(int(r["step"]), float(f"{r['return']:.5g}")) for r in mine]
    return found


def test_a_finished_sweep_is_left_alone_and_extended_by_seeds_and_steps(tmp_path: Path) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    assert run(path, folder).done == 2
    before = records(folder)
    again = Inside()
    assert run(path, folder, again).done == 0
    assert not again.started
    path.write_text(BANDITS.replace("0:4", "0:5"))
    assert run(path, folder).done == 2
    after = records(folder)
    assert len(after) == 4
    assert before.items() <= after.items()
    path.write_text(BANDITS.replace("0:4", "0:5").replace("500", "600"))
    assert run(path, folder).done == 4
    assert all(b",600," in text for text in records(folder).values())


def test_an_extended_training_is_what_a_longer_one_is(tmp_path: Path) -> None:
    text = TRAININGS.replace('car = { env = "MountainCarContinuous-v0" }', "")
    short = text.replace("steps = 120", "steps = 60")
    path, folder = write(tmp_path, short), tmp_path / "out"
    run(path, folder)
    path.write_text(text)
    assert run(path, folder).planned.extended == 2
    run(path, tmp_path / "straight")
    got, wanted = records(folder), records(tmp_path / "straight")
    for name, rows in wanted.items():
        kept = [line for line in got[name].splitlines() if b",60," not in line]
        assert kept == rows.splitlines()


def test_changed_options_are_refused(tmp_path: Path) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    run(path, folder)
    path.write_text(BANDITS.replace("runs = 2", "runs = 3"))
    with pytest.raises(UsageError, match="runs 2 there, 3 now"):
        run(path, folder)


def test_a_failed_run_is_tried_again_so_often_and_its_error_kept(tmp_path: Path) -> None:
    path, folder = write(tmp_path, BANDITS.replace("seeds", "retries = 1\nseeds")), tmp_path / "out"
    finished = run(path, folder, Inside("failed", "done", "failed"))
    assert finished.done == 1
    assert list(finished.failed.values()) == ["it failed"]
    assert "it failed; the same command tries again" in str(failures(finished))
    assert run(path, folder).done == 1


def test_fail_fast_ends_the_sweep_at_the_first_failure(tmp_path: Path) -> None:
    path = write(tmp_path, BANDITS.replace("seeds", "retries = 0\nseeds"))
    engine = Inside("failed")
    run(path, tmp_path / "fast", engine, fail_fast=True)
    assert len(engine.started) == 1
    engine = Inside("failed")
    run(path, tmp_path / "going", engine)
    assert len(engine.started) == 2


def test_a_lost_run_is_no_failure_until_it_is_lost_too_often(tmp_path: Path) -> None:
    path = write(tmp_path, BANDITS.replace("seeds", "retries = 0\nseeds"))
    assert run(path, tmp_path / "some", Inside(*["lost"] * 5)).done == 2
    finished = run(path, tmp_path / "many", Inside(*["lost"] * 11))
    assert (finished.done, len(finished.failed)) == (1, 1)


def test_what_a_training_raises_is_its_error(tmp_path: Path) -> None:
    path = write(tmp_path, BANDITS.replace("seeds", "retries = 0\nseeds"))
    folder = tmp_path / "out"
    with Store(folder, create=True) as store:
        store.plan(plan.read(path))
        blocked = folder / store.claim().folder  # type: ignore[union-attr]
    blocked.parent.mkdir()
    blocked.write_text("a file where the run folder should be")
    finished = run(path, folder, Local(2))
    assert finished.done == 1
    (text,) = finished.failed.values()
    assert text.startswith("FileExistsError: ")
    assert "job.py" in text, "and where it came from"


def start(path: Path, folder: Path) -> subprocess.Popen[bytes]:
    words = ["sweep", str(path), "--out", str(folder), "--quiet", "--workers", "2"]
    code = f"import sys; from rlkit.cli.main import main; sys.exit(main({words!r}))"
    return subprocess.Popen([sys.executable, "-c", code], start_new_session=True)


def rows(folder: Path) -> int:
    """Evaluated episodes in the records of a sweep."""
    files = (folder / "runs").glob("*/episodes.csv")
    return sum(max(0, file.read_bytes().count(b"\n") - 1) for file in files)


def killed_now_and_then(path: Path, folder: Path, kills: int, all_rows: int) -> int:
    """Run the sweep, killing it soon after so many shares of its rows stand; how often it was
    killed under way."""
    rng, done = random.Random(0), 0
    for kill in range(kills):
        process = start(path, folder)
        while process.poll() is None and rows(folder) <= kill * all_rows // (kills + 1):
            time.sleep(0.01)
        time.sleep(rng.uniform(0.0, 0.3))
        if process.poll() is None:
            done += 1
            whole = rng.random() < 0.5  # children too, or the parent alone
            os.killpg(process.pid, signal.SIGKILL) if whole else process.kill()
        process.wait()
    assert start(path, folder).wait() == 0
    return done


def test_a_killed_sweep_ends_as_one_that_was_not(tmp_path: Path) -> None:
    path = write(tmp_path, TRAININGS)
    run(path, tmp_path / "straight")
    all_rows = rows(tmp_path / "straight")
    assert killed_now_and_then(path, tmp_path / "killed", 2, all_rows) > 0
    assert records(tmp_path / "killed") == records(tmp_path / "straight")


@pytest.mark.slow
def test_twenty_kills(tmp_path: Path) -> None:
    path = write(tmp_path, TRAININGS.replace("steps = 120", "steps = 1500"))
    run(path, tmp_path / "straight")
    all_rows = rows(tmp_path / "straight")
    assert killed_now_and_then(path, tmp_path / "killed", 20, all_rows) == 20
    assert records(tmp_path / "killed") == records(tmp_path / "straight")


def test_two_processes_share_a_sweep(tmp_path: Path) -> None:
    path, folder = write(tmp_path, BANDITS.replace("0:4", "0:3")), tmp_path / "out"
    with Store(folder, create=True) as store:
        store.plan(plan.read(path), lanes=1)
    both = [start(path, folder) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    with Store(folder) as store:
        assert store.counts() == {"done": 6}
        (most,) = store.base.execute("select max(attempts) from runs").fetchone()
        assert most == 1, "no run was begun twice"
    run(path, tmp_path / "alone", lanes=1)
    assert records(folder) == records(tmp_path / "alone")
