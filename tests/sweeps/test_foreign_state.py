"""A sweep's folder and file may hold anything: each is named, nothing is written elsewhere."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest

from rlkit.core.errors import RunError, UsageError
from rlkit.reports.results import read
from rlkit.run.records.progress import Silent
from rlkit.sweeps import job as jobs
from rlkit.sweeps import owners, plan
from rlkit.sweeps.engines import Outcome
from rlkit.sweeps.runner import Finished, failures, sweep
from rlkit.sweeps.status import status, table
from rlkit.sweeps.store import Store

from .sweep_files import BANDITS, Inside, records, write


def run(path: Path, folder: Path, engine: Inside | None = None) -> Finished:
    return sweep(plan.read(path), folder, engine=engine or Inside(), report=Silent())


def altered(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "sweep.sqlite") as base:
        base.execute(statement)
    base.close()


# --- sweep.sqlite ---------------------------------------------------------------------------------
BAD = [
    ("folder = '../../out'", "does not lie under runs/"),
    ("folder = 'runs/../../out'", "leads out of the folder"),
    ("folder = '/out'", "does not lie under runs/"),
    ("folder = 'runs/.hidden'", "leads out of the folder, or is hidden"),
    ("folder = x'00ff'", "folder is"),
    ("folder = null", "folder is None"),
    ("kind = '..os'", "kind is '..os'"),
    ("options = '{'", "options is no JSON"),
    ("options = '[]'", "options"),
    ("options = null", "options is no JSON"),
    ("seeds = '[1.5]'", "seeds"),
    ("seeds = '[]'", "seeds []"),
    ("seeds = '[-1]'", "seeds [-1]"),
    ("steps = 'many'", "steps is 'many'"),
    ("steps = -5", "-5 steps"),
    ("system = null", "system is None"),
    ("task = x'ff'", "task is"),
    ("attempts = 'x'", "attempts is 'x'"),
]


@pytest.mark.parametrize(("change", "why"), BAD)
def test_a_bad_row_is_a_failed_run_and_the_others_are_worked_off(
    tmp_path: Path, change: str, why: str
) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out" / "sweep"
    with Store(folder, create=True) as store:
        store.plan(plan.read(path))
    altered(folder, f"update runs set {change} where id = 1")
    listed = status(folder)
    assert why in dict(listed.errors)["run 1"]
    assert "failed: run 1" in table(listed)
    with Store(folder) as store:
        store.become_owner()
        good = store.claim()
        assert good is not None
        assert good.id == 2
        assert store.claim() is None
    assert why in " ".join(error for _, error in status(folder).errors)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "sweep.toml"]


@pytest.mark.parametrize("name", ["../../x", "", None, 7, "a/b", "x" * 400])
def test_an_owner_that_no_process_is_called_holds_nothing(tmp_path: Path, name: object) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    with Store(folder, create=True) as store:
        store.plan(plan.read(path))
        store.base.execute("update runs set status = 'running', owner = ?", (name,))
    assert status(folder).rows[0].waiting == 4
    assert run(path, folder).done == 2


@pytest.mark.parametrize("data", [b"SQLite format 3\0" + b"\7" * 200, b"no database at all" * 99])
def test_a_damaged_state_file_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "sweep.sqlite").write_bytes(data)
    with pytest.raises(RunError, match=r"sweep\.sqlite is damaged, or no sweep's state: "):
        status(tmp_path)


def test_a_damaged_schema_is_told_in_one_line_whatever_its_bytes(tmp_path: Path) -> None:
    with Store(tmp_path, create=True):
        pass
    good = (tmp_path / "sweep.sqlite").read_bytes()
    at = good.index(b"id integer primary key")
    # a text that never ends, which SQLite quotes
    for quote, kind in ((b'"  ', sqlite3.DatabaseError), (b'"\x82 ', UnicodeDecodeError)):
        (tmp_path / "sweep.sqlite").write_bytes(good[:at] + quote + good[at + 3 :])
        with (
            pytest.raises(RunError, match=r"sweep\.sqlite is damaged") as told,
            Store(tmp_path) as s,
        ):
            s.recover()
        assert type(told.value.__cause__) is kind
        assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("SQLITE_FULL", "cannot be written: the disk is full"),
        ("SQLITE_READONLY_DBMOVED", "cannot be written: it is read-only"),
        ("SQLITE_BUSY", "another process has had it locked for too long"),
        ("SQLITE_CANTOPEN", "cannot be opened: permission denied"),
        ("SQLITE_IOERR_WRITE", "cannot be read or written: the disk fails"),
    ],
)
def test_what_the_system_refuses_is_no_damage(tmp_path: Path, code: str, why: str) -> None:
    error = sqlite3.OperationalError("in SQLite's words")
    error.sqlite_errorname = code
    with pytest.raises(RunError) as caught, Store(tmp_path, create=True):
        raise error
    assert str(tmp_path / "sweep.sqlite") in str(caught.value)
    assert why in str(caught.value)
    assert "damaged" not in str(caught.value)


def test_a_locked_state_file_is_told_from_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlkit.sweeps.database._PATIENCE", 0.0)
    path = write(tmp_path, BANDITS)
    Store(tmp_path / "out", create=True).base.close()
    other = sqlite3.connect(tmp_path / "out" / "sweep.sqlite", isolation_level=None)
    other.execute("begin immediate")
    with pytest.raises(RunError, match="another process has had it locked"):
        run(path, tmp_path / "out")
    other.close()


@pytest.mark.parametrize("version", [1, 2])
def test_a_state_file_of_an_older_version_goes_on(tmp_path: Path, version: int) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    run(path, folder)
    altered(folder, "alter table runs drop column records")
    if version == 1:
        altered(folder, "alter table runs drop column source")
        altered(folder, "alter table cells drop column error")
    altered(folder, f"pragma user_version = {version}")
    path.write_text(BANDITS.replace("0:4", "0:5"))
    assert run(path, folder).done == 2


# --- links and leftovers --------------------------------------------------------------------------
def test_links_are_not_followed(tmp_path: Path) -> None:
    path, folder, other = write(tmp_path, BANDITS), tmp_path / "out", tmp_path / "other"
    other.mkdir()
    (other / "kept.toml").write_text("mine")
    folder.mkdir()
    (folder / "sweep.toml").symlink_to(other / "kept.toml")
    with Store(folder, create=True) as store:
        store.plan(plan.read(path))
        (name,) = store.base.execute("select folder from runs where id = 1").fetchone()
    (folder / "runs").mkdir()
    (folder / name).symlink_to(other)
    with pytest.raises(RunError, match="is a link"):
        jobs.work({"folder": str(folder / name), "kind": "bandit", "cell": {}})
    finished = run(path, folder)
    assert finished.done == 1
    assert (other / "kept.toml").read_text() == "mine"
    assert [p.name for p in other.iterdir()] == ["kept.toml"]
    assert (folder / "sweep.toml").read_text() == BANDITS
    for place in ("runs", "owners", "sweep.sqlite"):
        linked = tmp_path / f"linked-{place}"
        linked.mkdir()
        (linked / "sweep.sqlite").touch()
        (linked / place).unlink(missing_ok=True)
        (linked / place).symlink_to(folder / place)
        with pytest.raises(RunError, match=f"{place} is a link"):
            status(linked)


def test_what_a_kill_leaves_is_cleared_and_what_lives_is_kept(tmp_path: Path) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    with Store(folder, create=True) as living:
        living.become_owner()
        (folder / "owners" / "host-1-dead.lock").touch()
        assert run(path, folder).done == 2
        left = [file.name for file in (folder / "owners").iterdir()]
        assert left == [f"{living.owner}.lock"]
        assert not owners.is_dead(folder, living.owner)
    assert not list((folder / "owners").iterdir())


def test_a_run_folder_with_what_a_start_writes_begins_again(tmp_path: Path) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    run(path, folder)
    before = records(folder)
    with Store(folder) as store:
        store.base.execute("update runs set status = 'waiting'")
    for name, kept in zip(sorted(before), ({".lock"}, {".lock", "cell.json"}), strict=True):
        for file in (folder / "runs" / name).iterdir():
            if file.name not in kept:
                file.unlink()
        (folder / "runs" / name / ".config.json.x-999999999-0-0.tmp").touch()
        (folder / "runs" / name / "versions.json").write_text("{}")
    found = read(folder)
    assert not found.damaged
    assert len(found.cells) == len(found.unfinished) == 4, "one has begun, one has not"
    assert run(path, folder).done == 2
    assert records(folder) == before


# --- cells that fail alone ------------------------------------------------------------------------
class Partly(Inside):
    """Works jobs off, and says of each that some lanes have failed."""

    def __init__(self, *lanes: int) -> None:
        super().__init__()
        self.lanes = lanes

    def poll(self, seconds: float) -> list[Outcome]:
        return [
            one._replace(kind="failed", text="DivergedError: q_loss is NaN", lanes=self.lanes)
            for one in super().poll(seconds)
        ]


def test_lanes_that_diverge_fail_their_cells_only(tmp_path: Path) -> None:
    path, folder = write(tmp_path, BANDITS), tmp_path / "out"
    finished = run(path, folder, Partly(1, 2))
    assert len(finished.failed) == 2
    assert "the same numbers would come again" in str(failures(finished))
    for row in status(folder).rows:
        assert (row.done, row.failed, row.share) == (2, 2, 1.0)
    assert len(status(folder).errors) == 2
    again = Inside()
    assert run(path, folder, again).failed == finished.failed, "it is said again"
    assert not again.started, "and not tried again"


def test_a_lane_that_diverges_is_told_by_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Diverged(RunError):
        lanes = (1,)

    def work(job: object) -> None:
        raise Diverged("seed 1: q_loss is NaN")

    monkeypatch.setattr(jobs, "work", work)
    failed = jobs.attempt({})
    assert failed is not None
    assert failed[1] == (1,)
    assert failed[0].startswith("Diverged: seed 1: q_loss is NaN")


# --- the sweep file -------------------------------------------------------------------------------
TASK = 'tasks.easy = { bandit = "armed(means=[0.9, 0.1])" }\n'
PENDULUM = 'tasks.p = { env = "Pendulum-v1" }\n'
SAC = f'{PENDULUM}systems.sac = {{ algo = "sac", config = {{ hidden = [8] }}'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("systems = 3\n" + TASK, "systems is 3"),
        ("systems.a = 3\n" + TASK, "systems.a is 3"),
        ("tasks.easy = [1]\nsystems.a = { policy = 'ucb1' }", "tasks.easy is [1]"),
        ("overrides = 1\n" + TASK, "overrides is 1"),
        ("overrides = [1]\n" + TASK, "overrides[0] is 1"),
        ("budgets = [1]\n" + TASK, "budgets is [1]"),
        ("defaults = 'x'\n" + TASK, "defaults is 'x'"),
        ("search = true\n" + TASK, "search is True"),
        ("name = 7\n" + TASK, "name is 7"),
        ("seeds = [[1]]\n" + TASK, "seeds"),
        ("seeds = [0.5]\n" + TASK, "seeds"),
        (TASK + "systems.a = { policy = 'ucb1', tasks = 3 }", "systems.a.tasks: the whole is 3"),
        (TASK + "systems.a = { policy = 'ucb1', tasks = [['easy']] }", "systems.a.tasks: [0]"),
        (TASK + "systems.a = { policy = 'ucb1', tasks = ['easy', 'easy'] }", "a task twice"),
        (TASK + "systems.a = { policy = 'ucb1', grid = 3 }", "grid must give a list"),
        (TASK + "systems.a = { policy = 7 }", "systems.a on tasks.easy"),
        ("a = " + "[" * 5000, "nested too deeply"),
        (TASK + f"systems.{'a' * 111} = {{ policy = 'ucb1' }}", "111 letters long"),
        (
            f"tasks.{'t' * 100} = {{ bandit = 'armed' }}\n"
            f"systems.{'a' * 100} = {{ policy = 'ucb1' }}",
            "together their names are 200 letters long",
        ),
        (f"name = '{'n' * 111}'\n" + TASK + "systems.a = { policy = 'ucb1' }", "111 letters"),
        (SAC + ", seeds = [1] }", "seeds is not for a cell to say: a sweep gives every system"),
        (SAC + ", out = 'x' }", "out is not for a cell to say"),
        (SAC + ", workers = 4 }", "workers is not for a cell to say"),
        (SAC + ", threads = 4 }", "threads is not for a cell to say"),
        (SAC + ", quiet = true }", "quiet is not for a cell to say"),
        (SAC + ", track = ['tensorboard'] }", "track is not for a cell to say"),
        (SAC + ", env = 'Hopper-v5' }", "env is given by tasks.p"),
        (SAC + " }\ndefaults = { algo = 'td3' }", "defaults: algo belongs into a system's table"),
        (SAC + " }\noverrides = [{ algo = 'td3' }]", "overrides, number 1: algo belongs"),
        (TASK + "systems.a = { policy = 'ucb1', from = 'b' }", "no system 'b'"),
        (SAC + ", from = 'sac' }", "sac from sac goes round in circles"),
        (
            SAC + " }\nsystems.b = { algo = 'sac', from = 'sac', from_run = 'x' }",
            "give from or from_run, not both",
        ),
        (
            PENDULUM + "systems.a = { algo = 'sac', grid = { lr = [1e-3] } }\n"
            "systems.b = { algo = 'sac', from = 'a' }",
            "a has a grid",
        ),
        (
            SAC + ", tasks = ['q'] }\ntasks.q = { env = 'MountainCarContinuous-v0' }\n"
            "systems.b = { algo = 'sac', from = 'sac', tasks = ['p'] }",
            "sac does not run on p",
        ),
    ],
)
def test_a_wrong_sweep_file_is_told_by_file_and_field(tmp_path: Path, text: str, why: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        plan.read(path)
    assert str(path) in str(caught.value)
    assert why in str(caught.value)


def test_the_longest_names_fit(tmp_path: Path) -> None:
    system, task = "s" * 95, "t" * 95
    text = BANDITS.replace("tasks.easy", f"tasks.{task}").replace(
        "systems.ucb1", f"systems.{system}"
    )
    folder = tmp_path / ("n" * 200)
    assert run(write(tmp_path, text), folder).done == 2
    assert max(len(os.fsencode(p.name)) for p in (folder / "runs").iterdir()) <= 215
    card = json.loads(next((folder / "runs").glob("s*/cell.json")).read_text())
    assert (card["system"], card["task"]) == (system, task)
