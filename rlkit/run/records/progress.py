"""What a training tells while it runs: a bar with the time left, plain lines, or nothing."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol, TextIO

_LINE_EVERY = 10.0  # seconds between plain lines


class Reporter(Protocol):
    """Where a training reports to."""

    def start(self, title: str, total: int, at: int = 0) -> None:
        """Called once, before the first step: the run's name, its steps in all, where it begins."""

    def update(self, step: int, text: str = "") -> None:
        """It has come to `step`; `text` is the last evaluation in words."""

    def note(self, text: str) -> None:
        """A line for the user; the first ones come before `start`."""

    def close(self) -> None:
        """Called at the end, whatever it is."""


class Silent:
    """Reports nothing."""

    def start(self, title: str, total: int, at: int = 0) -> None: ...

    def update(self, step: int, text: str = "") -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


class Lines:
    """Plain lines, for files and pipes: one whenever there is news, else one every ten seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.title, self.total, self.first = "", 0, 0
        self.began = self.shown_at = time.monotonic()
        self.latest = self.shown = (0, "")

    def start(self, title: str, total: int, at: int = 0) -> None:
        self.title, self.total, self.first = title, total, at
        self.began = self.shown_at = time.monotonic()
        self.latest = self.shown = (at, "")

    def update(self, step: int, text: str = "") -> None:
        self.latest = step, text
        if text != self.shown[1] or time.monotonic() - self.shown_at >= _LINE_EVERY:
            self._show()

    def note(self, text: str) -> None:
        print(text, file=self.stream, flush=True)

    def close(self) -> None:
        if self.latest[0] != self.shown[0]:
            self._show()

    def _show(self) -> None:
        step, text = self.shown = self.latest
        self.shown_at = time.monotonic()
        left = _time_left(self.shown_at - self.began, step - self.first, self.total - step)
        self.note(f"{self.title} {step:,}/{self.total:,}{left}{'  ' if text else ''}{text}")


class Bar:
    """A bar with rate and time left, on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
        )
        self.task: Any = None

    def start(self, title: str, total: int, at: int = 0) -> None:
        self.bar.start()
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.task = self.bar.add_task(title, total=total, completed=at, text="")

    def update(self, step: int, text: str = "") -> None:
        self.bar.update(self.task, completed=step, text=text)

    def note(self, text: str) -> None:
        self.bar.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self.bar.stop()


def reporter(quiet: bool = False) -> Reporter:
    """Nothing when quiet, a bar on a terminal, plain lines otherwise."""
    if quiet:
        return Silent()
    return Bar() if sys.stderr.isatty() else Lines()


def _time_left(elapsed: float, done: int, left: int) -> str:
    if done <= 0 or left <= 0:
        return ""
    seconds = round(elapsed / done * left)
    hours, minutes = seconds // 3600, seconds // 60 % 60
    clock = f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"
    return f"  {clock} left"
