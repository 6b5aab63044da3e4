"""Commands killed before their file operations, one after another, and given again.

    python kill_points.py WORLD COMMANDS STRIDE

`COMMANDS` is JSON: name -> words behind `rlkit`. Each is worked off in copies of the folder
`WORLD`: once straight, then killed before every `STRIDE`-th operation and given again. A line of
JSON for each says how many operations it has, at how many it was killed, and where it went wrong.
All of it happens in children of one warm process, so that torch is imported once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

from rlkit.cli.main import main
from rlkit.core.files import replacing
from rlkit.data.recipes import cards

_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_find = cards.find
WARM = (  # what commands import, once for all
    *("gymnasium.envs.classic_control.pendulum", "matplotlib.backends.backend_svg", "minari"),
    *("rlkit.data.exchange", "rlkit.eval.plots", "rlkit.reports.formats.exports"),
    *("rlkit.reports.report", "rlkit.reports.runs.page", "rlkit.run.clips.video"),
    *("rlkit.run.policies.export", "rlkit.run.policies.recording", "rlkit.run.train"),
    "rlkit.zoo.finding",
)


def short(name: str) -> cards.Recipe:
    """A recipe with few steps."""
    return dataclasses.replace(_find(name), size=200)


class Counted:
    """Counts operations on files from now on, and ends the process before the `fatal`-th."""

    def __init__(self, fatal: int, counter: Path) -> None:
        self.count, self.fatal = 0, fatal
        self.counter = os.open(counter, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        self.busy = False
        sys.addaudithook(self.heard)
        os.fsync = self.before(os.fsync)
        replacing._exchange = self.before(replacing._exchange)
        for name in ("create_dataset", "create_group"):
            setattr(h5py.Group, name, self.before(getattr(h5py.Group, name)))
        h5py.File.close = self.before(h5py.File.close)  # type: ignore[method-assign]

    def heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            if flags & _WRITING and path != os.devnull:
                self.operation()
        elif event in _EVENTS:
            self.operation()

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.operation()
            return function(*args, **kwargs)

        return call

    def operation(self) -> None:
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        os.pwrite(self.counter, b"%d" % self.count, 0)


def child(words: list[str], fatal: int | None, counter: Path) -> tuple[int, str]:
    """Exit code (negative: the signal) of one command in a process of its own, and what it said."""
    said = counter.with_name("said")
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            cards.find = short
            if fatal is not None:
                Counted(fatal, counter)
            text = io.StringIO()
            with contextlib.redirect_stderr(text), contextlib.redirect_stdout(io.StringIO()):
                code = main(words)
            said.write_text(text.getvalue())
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code, said.read_text() if code >= 0 and said.exists() else ""


def tree(folder: Path) -> dict[str, str]:
    """Every file and folder with the sum of its contents."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir():
            found[name + "/"] = ""
        elif path.name == ".report-cache":  # which knows files by when they were changed
            found[name] = ""
        elif name.endswith(".hdf5"):  # which notes times
            found[name] = rows(path)
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def rows(path: Path) -> str:
    """The sum of what an HDF5 file holds."""
    digest = hashlib.sha256()
    try:
        file = h5py.File(path)
    except OSError:
        return "half a file"
    with file:

        def add(name: str, item: Any) -> None:
            digest.update(name.encode())
            if isinstance(item, h5py.Dataset):
                digest.update(str(item[()]).encode() + str(item.shape).encode())

        file.visititems(add)
    return digest.hexdigest()


def visible(found: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in found.items() if not any(p.startswith(".") for p in Path(k).parts)}


def tried(world: Path, words: list[str], stride: int, work: Path) -> dict[str, Any]:
    """Operations, kills and faults of one command. A fault: the number of the operation, how the
    process ended, what is half-written, what is lost, exit code and words of the second call, and
    what then differs from a straight one."""
    counter, place = work / "count", work / "place"

    def fresh() -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(world, place, symlinks=True)
        os.chdir(place)

    fresh()
    before = tree(place)
    child(words, None, counter)  # what is written once a machine, as compiled kernels are
    fresh()
    code, said = child(words, 0, counter)
    total, after = int(counter.read_text()), tree(place)
    faults: list[Any] = [] if code == 0 else [["straight", code, said]]
    points = range((total - 1) % stride + 1, total + 1, stride)  # the last one always
    for n in points:
        fresh()
        killed, _ = child(words, n, counter)
        found = visible(tree(place))
        half = [k for k, v in found.items() if v not in (before.get(k), after.get(k))]
        lost = [k for k in before if k in after and k not in found and k in visible(before)]
        code, said = child(words, None, counter)
        stands = code == 2 and ("stands" in said or "exists" in said)
        again = tree(place)
        litter = sorted(k for k in again.keys() | after.keys() if again.get(k) != after.get(k))
        if killed != -signal.SIGKILL or half or lost or litter or not (code == 0 or stands):
            faults.append([n, killed, half, lost, code, said, litter])
    os.chdir(work)
    return {"operations": total, "killed": len(points), "faults": faults}


if __name__ == "__main__":
    for name in WARM:
        importlib.import_module(name)
    given, stride = json.loads(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as room:
        for name, words in given.items():
            found = tried(Path(sys.argv[1]), words, stride, Path(room))
            print(json.dumps({"name": name, **found}), flush=True)
