"""What is fuzzed: a file, and a function that reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlkit.core.errors import RlkitError

ERRORS = (RlkitError, ValueError)  # what a user is told in one line


@dataclass(frozen=True)
class Reader:
    """A file as it should be, and what reads it. `sealed`: any change of the content is found."""

    path: Path
    read: Callable[[], Any]
    sealed: bool = False
    cases: int = 30  # in the suite
