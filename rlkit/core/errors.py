"""Errors a user can act on; each message is one line that names what, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class RlkitError(Exception):
    """Something failed that is not a defect of the program; a command ends with exit code 1."""

    def __str__(self) -> str:  # what it quotes of SQLite, torch or an environment may have lines
        text = super().__str__()
        return text if len(text.splitlines()) < 2 else " ".join(text.split())


class UsageError(RlkitError, ValueError):
    """A name or a value that was asked for is not valid; a command ends with exit code 2."""


class FileError(RlkitError, OSError, ValueError):
    """The system refuses a file, or the file does not hold what it should: the message names it."""


class MissingFileError(FileError, UsageError, FileNotFoundError):
    """There is no such file; a command ends with exit code 2."""


class CheckpointError(RlkitError):
    """A checkpoint could not be written, or what was read is not what was written."""


class RunError(RlkitError):
    """A run folder does not fit what was asked of it, or a training broke off."""


class WrongPathError(RunError, UsageError):
    """The path that was given is not there, or holds something else; a command ends with 2."""


class DivergedError(RunError):
    """Some lanes of a training are no longer finite. The others are trained to the end; if there
    are none, the training has stopped. `lanes` are the lost ones, `folder` is the run folder."""

    def __init__(self, message: str, folder: str | Path = "", lanes: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.folder, self.lanes = Path(folder), tuple(lanes)


class Interrupted(KeyboardInterrupt):
    """A signal stopped a training, whose checkpoint is written; the message says how to go on."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.code = 128 + signal  # exit code of a command
