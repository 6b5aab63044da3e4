"""Stopping a training where it can be continued: after the step under way, with a checkpoint."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FIRST = b"\nstopping after this step, with a checkpoint; Ctrl-C again stops at once\n"


class BrokenOff(BaseException):
    """What was under way has been given up because a stop was asked for; nothing of it is kept."""


class Halt:
    """A wish to stop, looked at between steps. `signal` is the signal that asked, 0 if none did."""

    def __init__(self) -> None:
        self.asked, self.signal = False, 0
        self.heard: Callable[[], None] = lambda: None  # called when it is asked

    def ask(self) -> None:
        """Stop soon."""
        if not self.asked:
            self.asked = True
            self.heard()

    def here(self, step: int) -> bool:
        """Whether to stop after `step`."""
        return self.asked

    @contextlib.contextmanager
    def breaking_off(self) -> Iterator[None]:
        """In this block, which may be long, a wish to stop raises BrokenOff wherever it stands."""
        before, self.heard = self.heard, _break_off
        try:
            if self.asked:
                raise BrokenOff
            yield
        finally:
            self.heard = before


def _break_off() -> None:
    raise BrokenOff


@contextlib.contextmanager
def on_signal(halt: Halt, quiet: bool = False) -> Iterator[None]:
    """In this block Ctrl-C and SIGTERM ask `halt`; a second one raises KeyboardInterrupt.

    Only in the main thread, and only for signals that nobody else has taken.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: Any) -> None:
        if halt.signal:
            raise KeyboardInterrupt
        halt.signal = number
        if not quiet:
            os.write(2, _FIRST)  # printing is not safe in a signal handler
        halt.ask()

    free = (signal.SIG_DFL, signal.default_int_handler)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    taken = {number: old for number, old in before.items() if old in free}
    for number in taken:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, old in taken.items():
            signal.signal(number, old)
