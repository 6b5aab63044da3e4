"""Killed before any file operation, a run goes on to the same bytes, and no folder is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

# Everything happens in children of one warm process: torch is imported once. Each is killed before
# its n-th file operation, another one goes on, and what then stands is held against a straight run.
SCRIPT = """
import builtins, hashlib, io, json, os, shutil, signal, sys, traceback
from pathlib import Path

from rlkit.run.settings.options import Options
from rlkit.run.records.progress import Silent
from rlkit.run.train import train

given, root, stride = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
NAMES = ("replace", "rename", "link", "symlink", "unlink", "remove", "mkdir", "rmdir", "fsync")


def kill_before(n, counted):
    count = 0

    def operation():
        nonlocal count
        count += 1
        if count == n:
            os.kill(os.getpid(), signal.SIGKILL)
        counted(count)

    def wrapped(function):
        def call(*args, **kwargs):
            operation()
            return function(*args, **kwargs)
        return call

    for name in NAMES:
        setattr(os, name, wrapped(getattr(os, name)))
    plain = io.open

    def opened(file, mode="r", *args, **kwargs):
        if set(mode) & set("wxa+"):
            operation()
        return plain(file, mode, *args, **kwargs)

    builtins.open = io.open = opened


def child(work):
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            work()
        except BaseException:
            traceback.print_exc()
            code = 1
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def run(folder):
    train(Options.from_json(given | {"out": str(folder)}), Silent())


def digest(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in (".lock", "versions.json"):
            data = path.read_bytes()
            if path.name == "progress.jsonl":
                records = [json.loads(line) for line in data.splitlines()]
                data = repr([{**r, "seconds": None} for r in records]).encode()
            if path.name == "config.json":
                config = {**json.loads(data), "sha256": None}  # the sum is of the path too
                data = json.dumps(config).replace(str(folder), "").encode()
            found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


counter, straight = root / "count", root / "straight"
made = os.open(counter, os.O_CREAT | os.O_WRONLY)
kill = lambda n: kill_before(n, lambda count: os.pwrite(made, b"%d" % count, 0))
assert child(lambda: (kill(0), run(straight))) == 0
total, expected, faults = int(counter.read_text()), digest(straight), []
points = range(1 + total % stride, total + 1, stride)
for n in points:
    folder = root / "broken"
    killed = child(lambda: (kill(n), run(folder)))
    again = child(lambda: run(folder))
    found = digest(folder)
    if killed != -signal.SIGKILL or again or found != expected:
        differing = [k for k in expected.keys() | found if expected.get(k) != found.get(k)]
        faults.append([n, killed, again, sorted(differing)])
    shutil.rmtree(folder)
print(json.dumps([total, len(points), faults]))
"""
TINY = {"hidden": [4], "batch_size": 4}
COMMON = {"engine": "eager", "log_every": 2, "eval_every": 4, "eval_episodes": 1, "keep": 1}
COMMON |= {"checkpoint_every": 2, "quiet": True, "seeds": [0, 3], "workers": 1}
KINDS = {
    "offline": {"algo": "bc", "dataset": "tests/pendulum/random-v0", "steps": 6, "config": TINY},
    "online": {
        **{"algo": "sac", "env": "InvertedPendulum-v5", "steps": 6, "warmup": 2, "capacity": 8},
        "config": TINY | {"hidden_q": [4]},
    },
}


def faults(kind: str, stride: int, root: os.PathLike[str]) -> tuple[int, int, list[object]]:
    """File operations of a run, how many of them it was killed at, and where it went wrong."""
    words = [json.dumps(COMMON | KINDS[kind]), str(root), str(stride)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    total, points, found = json.loads(done.stdout.splitlines()[-1])
    assert found == [], done.stderr
    return total, points, found


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_some_file_operations_costs_nothing(
    kind: str, tmp_path: os.PathLike[str]
) -> None:
    total, points, _ = faults(kind, 7, tmp_path)
    assert total > 50
    assert points >= 7


@pytest.mark.slow
@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_file_operation_costs_nothing(kind: str, tmp_path: os.PathLike[str]) -> None:
    total, points, _ = faults(kind, 1, tmp_path)
    assert points == total
