"""The command line: `rlkit COMMAND ...`. Each command is a plain Python function as well.

Importing this module and printing help costs next to nothing: a command is imported when it runs.
Exit codes: 0, 1 for a failure, 2 for a usage error, 130 when interrupted.
"""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence

from rlkit import __version__
from rlkit.core.errors import Interrupted, RlkitError, UsageError
from rlkit.core.words.nearest import suggestion

COMMANDS = {  # name -> where its function is, and what it does
    "train": ("rlkit.cli.commands:train", "train agents, one lane a seed"),
    "resume": ("rlkit.cli.commands:resume", "continue a run that was stopped, or extend it"),
    "eval": ("rlkit.cli.commands:evaluate", "evaluate the policies of a run or of a file"),
    "video": ("rlkit.cli.watch_commands:video", "show a policy: best, median and worst episode"),
    "export": ("rlkit.cli.commands:export", "write a policy to one file, or to ONNX"),
    "zoo": ("rlkit.cli.zoo_command:zoo", "trained policies: list, get, evaluate, push"),
    "dataset": (
        "rlkit.cli.dataset_commands:dataset",
        "build, record, import, export, check datasets",
    ),
    "bandit": ("rlkit.cli.bandit_command:bandit", "compare policies on a bandit simulator"),
    "solve": ("rlkit.cli.solve_command:solve", "solve a finite MDP exactly, methods side by side"),
    "sweep": ("rlkit.cli.sweep_command:sweep", "work off systems x tasks x seeds, resumable"),
    "status": ("rlkit.cli.sweep_command:show_status", "show where a sweep stands"),
    "report": ("rlkit.cli.report_command:report", "tables and pictures of a sweep or of runs"),
    "watch": ("rlkit.cli.watch_commands:watch", "the page of a run or sweep while it trains"),
    "compare": ("rlkit.cli.report_command:compare", "say what sets two runs, or two sweeps, apart"),
    "plot": ("rlkit.cli.runs_command:plot", "draw learning curves of runs together"),
    "list": ("rlkit.cli.commands:listing", "list algorithms, recipes and local datasets"),
}

Command = Callable[[Sequence[str]], None]


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code of one command; `argv` are the words behind `rlkit`."""
    if argv is None:  # the process is ours; what imports make stays, and looking for garbage
        gc.set_threshold(100_000, 50, 50)  # in it takes a sixth of a training's start
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without Greek gets question marks
            stream.reconfigure(errors="replace")
    try:
        run(words)
    except SystemExit as stop:  # help has been printed
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt as stop:
        if debug:
            raise
        print(str(stop) or "interrupted", file=sys.stderr)
        return stop.code if isinstance(stop, Interrupted) else 130
    except BrokenPipeError:  # the reader of our output has gone (rlkit list | head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if debug:
            raise
        print(f"rlkit: error: {_message(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


def run(words: Sequence[str]) -> None:
    """Run one command. Raises UsageError for an unknown one, whatever the command raises."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return
    if words[0] in ("-V", "--version"):
        print(f"rlkit {__version__}")
        return
    name, *rest = words
    if name not in COMMANDS:
        raise UsageError(f"unknown command {name!r}{suggestion(name, COMMANDS)} (rlkit --help)")
    module, function = COMMANDS[name][0].split(":")
    command: Command = getattr(importlib.import_module(module), function)
    command(rest)


def usage() -> str:
    """What `rlkit --help` prints."""
    rows = [f"  {name:9}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(
        [
            f"rlkit {__version__}: reinforcement learning for control and bandits",
            "",
            "usage: rlkit COMMAND ...     (rlkit COMMAND --help says more)",
            "",
            *rows,
            "",
            "examples:",
            "  rlkit dataset build rlkit/hopper/medium-replay-small-v1",
            "  rlkit train iql --dataset rlkit/hopper/medium-replay-small-v1 --seeds 0:4",
            "  rlkit train sac --env Hopper-v5 --steps 200000",
            "",
            "--debug shows the whole traceback of an error.",
        ]
    )


def _message(error: Exception) -> str:
    """One line; the kind of error too where it is not one of ours."""
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, RlkitError | ValueError):
        return text
    if isinstance(error, MemoryError):
        return f"that needs more memory than there is: {text}"
    if isinstance(error, OSError) and error.strerror:
        place = "" if error.filename is None else f"{error.filename!s:.200}: "
        return f"{place}{error.strerror}"
    return f"{type(error).__name__}: {text} (--debug shows where)"
