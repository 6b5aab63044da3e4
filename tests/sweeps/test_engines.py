from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from rlkit.sweeps.engines import Local, Outcome, free_memory


def job(folder: Path, **options: Any) -> dict[str, Any]:
    """A simulation of many rounds: some seconds of work."""
    given = {"bandit": "armed", "policy": "ucb1", "runs": 100_000, "checkpoints": 2}
    return {
        "folder": str(folder),
        "kind": "bandit",
        "options": given | options,
        "seeds": [0],
        "steps": 10_000,
        "cell": {},
    }


def ended(engine: Local, count: int) -> list[Outcome]:
    found: list[Outcome] = []
    while len(found) < count:
        found += engine.poll(0.2)
    return found


def test_a_killed_child_is_a_failure_that_says_so(tmp_path: Path) -> None:
    engine = Local(2)
    engine.start(1, job(tmp_path / "one"))
    engine.start(2, job(tmp_path / "two", runs=1))
    assert not engine.room()
    os.kill(engine._children[1].process.pid, signal.SIGKILL)
    outcomes = {outcome.id: outcome for outcome in ended(engine, 2)}
    assert outcomes[1][1:] == ("failed", outcomes[1].seconds, "killed by signal 9", ())
    assert outcomes[2].kind == "done"
    assert (tmp_path / "two" / "episodes.csv").exists()
    assert not (tmp_path / "one" / "episodes.csv").exists()
    assert engine.room()


def test_closing_ends_what_still_runs(tmp_path: Path) -> None:
    engine = Local(1)
    engine.start(1, job(tmp_path / "one"))
    child = engine._children[1].process
    engine.close()
    assert child.returncode == -signal.SIGKILL


def test_no_run_is_started_into_short_memory(tmp_path: Path) -> None:
    engine = Local(3, free=lambda: 0.5)
    engine.start(1, job(tmp_path / "one"))
    assert engine.room()
    engine._largest = 10**15  # more than any machine has
    assert not engine.room()
    engine.close()
    assert engine.room(), "a first run is always tried"


def test_the_youngest_run_gives_way_when_memory_is_short(tmp_path: Path) -> None:
    free = 0.5
    engine = Local(2, free=lambda: free)
    engine.start(1, job(tmp_path / "one"))
    time.sleep(0.01)
    engine.start(2, job(tmp_path / "two"))
    assert not engine.poll(0.0)
    free = 0.01
    (outcome,) = engine.poll(0.0)
    assert (outcome.id, outcome.kind, engine.slots) == (2, "lost", 1)
    assert engine.notes == ["memory is short: 1 runs side by side from now on"]
    assert not engine.poll(0.0), "the last one is never ended"
    engine.close()


def test_the_share_of_free_memory_is_one() -> None:
    assert 0 < free_memory() <= 1


@pytest.mark.parametrize("slots", [1, 3])
def test_room_is_for_so_many(tmp_path: Path, slots: int) -> None:
    engine = Local(slots, free=lambda: 1.0)
    for id in range(slots):
        assert engine.room()
        engine.start(id, job(tmp_path / str(id)))
    assert not engine.room()
    engine.close()
