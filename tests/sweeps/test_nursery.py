"""Children of a sweep are forked from one that has imported what they need, and differ in nothing
from fresh interpreters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rlkit.sweeps import nursery
from rlkit.sweeps.engines import Local, Outcome

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks of Linux")
TRAINING = {"algo": "dqn", "env": "CartPole-v1", "warmup": 10, "eval_every": 40, "eval_episodes": 2}


def job(folder: Path, kind: str = "bandit", **options: Any) -> dict[str, Any]:
    bandit = {"bandit": "armed", "policy": "ucb1", "runs": 3, "checkpoints": 2}
    return {
        "folder": str(folder),
        "kind": kind,
        "options": (bandit if kind == "bandit" else TRAINING) | options,
        "seeds": [0],
        "steps": 40,
        "cell": {},
    }


def last(engine: Local) -> Outcome:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if found := engine.poll(0.2):
            return found[0]
    raise AssertionError("no outcome")


@pytest.mark.parametrize("kind", ["bandit", "training"])
def test_a_forked_child_does_what_a_fresh_one_does(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Local(1)
    engine.start(0, job(tmp_path / "forked", kind))
    assert isinstance(engine._children[0].process, nursery.Forked)
    assert last(engine).kind == "done"
    engine.close()

    def declined(self: nursery.Nursery) -> None:
        raise nursery.Declined

    monkeypatch.setattr(nursery.Nursery, "__init__", declined)
    engine.start(0, job(tmp_path / "fresh", kind))
    assert isinstance(engine._children[0].process, subprocess.Popen)
    assert last(engine).kind == "done"
    engine.close()
    one, other = ((tmp_path / name / "episodes.csv").read_bytes() for name in ("forked", "fresh"))
    assert one == other


def test_a_failure_in_a_forked_child_is_told(tmp_path: Path) -> None:
    engine = Local(1)
    engine.start(0, job(tmp_path / "bad", bandit="nosuch"))
    outcome = last(engine)
    assert outcome.kind == "failed"
    assert "nosuch" in outcome.text
    engine.start(1, job(tmp_path / "good"))  # the next is none the worse
    assert last(engine).kind == "done"
    engine.close()


def test_when_it_is_killed_children_go_on_and_the_next_are_fresh(tmp_path: Path) -> None:
    engine = Local(2)
    engine.start(0, job(tmp_path / "first", runs=20_000) | {"steps": 20_000})
    first = engine._children[0].process
    os.kill(int(Path(f"/proc/{first.pid}/stat").read_text().split()[3]), signal.SIGKILL)
    engine.start(1, job(tmp_path / "second"))
    assert isinstance(engine._children[1].process, subprocess.Popen)
    assert {last(engine).kind, last(engine).kind} == {"done"}
    engine.close()


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import json, sys, time\n"
        "from rlkit.sweeps.engines import Local\n"
        "engine = Local(1)\n"
        "engine.start(0, json.loads(sys.argv[1]))\n"
        "print(engine._children[0].process.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    long = job(tmp_path / "long", runs=100_000) | {"steps": 100_000}
    command = [sys.executable, "-c", code, json.dumps(long)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        above = int(Path(f"/proc/{pid}/stat").read_text().split()[3])
        assert above != parent.pid
        parent.kill()
    until = time.monotonic() + 60
    while alive := [one for one in (pid, above) if _runs(one)]:
        assert time.monotonic() < until, alive
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_declines_beside_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")  # the nursery's numpy has threads then
    made = nursery.Nursery()
    with pytest.raises(nursery.Declined):
        made.start("bandit")
    made.close()


def test_numpys_global_numbers_differ_between_children() -> None:
    code = (
        "import os, sys\n"
        "import numpy as np\n"
        "from rlkit.run import child\n"
        "from rlkit.sweeps import nursery\n"
        "np.random.seed(0)\n"
        "for _ in range(2):\n"
        "    if not os.fork():\n"
        "        nursery._be_one_of_many(child.known())\n"
        "        print(np.random.random(), flush=True)\n"
        "        sys.exit()\n"
        "    os.wait()\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    one, other = said.stdout.split()
    assert one != other


def test_a_child_that_is_ended_is_waited_for_once() -> None:
    made = nursery.Nursery()
    one, line = made.start("bandit")
    one.kill()
    assert one.wait() == one.wait() == one.returncode == -signal.SIGKILL
    line.close()
    made.close()
