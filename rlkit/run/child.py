"""Processes of our own: a fresh interpreter and a line to it, which ends when its parent does."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from rlkit.core.files import trust

_DEAF = "import signal; [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGINT, signal.SIGTERM)]"


def start(
    entry: str, threads: int, deaf: bool = False
) -> tuple[subprocess.Popen[bytes], Connection]:
    """A process that runs `module:function` with the handle of a line, and our end of the line.

    A `deaf` one leaves signals to its parent: a terminal and a scheduler signal whole groups.
    A fresh interpreter, not a fork: torch does not survive one. Nor a multiprocessing spawn, which
    would import the caller's script again. It knows what `known` says of this one.
    """
    line, theirs = Pipe()
    code = f"from rlkit.run.child import begin; begin({entry!r}, {theirs.fileno()})"
    if deaf:
        code = f"{_DEAF}; {code}"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "OMP_NUM_THREADS": str(threads),
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code, known()], pass_fds=[theirs.fileno()], env=environment
    )
    theirs.close()
    return process, line


def begin(entry: str, handle: int) -> None:
    """First call of such a process."""
    learn(sys.argv[1])
    module, function = entry.split(":")
    getattr(importlib.import_module(module), function)(handle)


def known() -> str:
    """For `learn` in another process: what a person has named and trusted in this one, and the
    environments it has registered."""
    environments = []
    if "gymnasium" in sys.modules:  # else it has registered none
        from rlkit.envs.specs import registered

        environments = registered()
    return json.dumps([trust.trusted(), trust.named(), environments])


def learn(text: str) -> None:
    """Take over what `known` said in the process that asks for the work."""
    trusted, modules, environments = json.loads(text)
    trust.adopt(trusted, modules)
    if environments:
        from rlkit.envs.specs import Registered, register

        register([Registered(*one) for one in environments])


def listen(line: Connection, heard: Callable[[Any], None] = lambda word: None) -> None:
    """In a process so made: calls `heard` with every word of the parent, and exits when it has
    gone, so that no process outlives a killed parent."""

    def loop() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                heard(line.recv())
        os._exit(1)

    threading.Thread(target=loop, daemon=True).start()
