"""Records of a run folder: `episodes.csv` (every evaluation episode) and `progress.jsonl`.

Both are appended whole lines at a time and flushed with each append, so a killed run leaves at most
one unfinished last line; readers skip it and the next append cuts it off.  A resumed run first
calls `truncate_after` with the step of its checkpoint.  Floats are written so that they read back
exactly: identical runs write identical bytes.
"""

import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlkit.core.errors import FileError
from rlkit.core.files.replacing import replacing

Array = np.ndarray[Any, np.dtype[Any]]


class Episode(NamedTuple):
    """One evaluation episode; the fields are the columns of `episodes.csv`."""

    lane: int
    seed: int  # of the lane
    step: int  # of training, when the episode was run
    episode: int  # number within this evaluation of this lane
    return_: float  # undiscounted; column "return"
    length: int  # environment steps
    terminated: bool  # by the task, not by a time limit


COLUMNS = ("lane", "seed", "step", "episode", "return", "length", "terminated")
HEADER = ",".join(COLUMNS)
DTYPE = np.dtype(
    [
        ("lane", np.int64),
        ("seed", np.int64),
        ("step", np.int64),
        ("episode", np.int64),
        ("return", np.float64),
        ("length", np.int64),
        ("terminated", np.bool_),
    ]
)
# Parsed as a number first: numpy's text reader takes any word for a true boolean.
PARSED = np.dtype([(name, DTYPE[name]) for name in COLUMNS[:-1]] + [("terminated", np.int8)])
_COUNTS = ("lane", "seed", "step", "episode", "length")


def append_episodes(path: str | Path, episodes: Iterable[Episode]) -> None:
    """Append one row an episode to `episodes.csv`, which is begun with its header if absent."""
    rows = "".join(
        f"{int(e.lane)},{int(e.seed)},{int(e.step)},{int(e.episode)},{float(e.return_)!r},"
        f"{int(e.length)},{int(e.terminated)}\n"
        for e in episodes
    )
    _append(Path(path), rows, header=HEADER + "\n")


def read_episodes(path: str | Path) -> Array:
    """All complete rows of `episodes.csv`, a structured array with the names of `COLUMNS`.

    `rows["return"]` is a column, `rows[rows["lane"] == 0]` a lane.  A missing file has no rows.
    Raises FileError with file, line and reason for anything that is not such a row.
    """
    path = Path(path)
    text = _complete_lines(path)
    if not text:
        return np.empty(0, DTYPE)
    header, _, body = text.partition("\n")
    if header != HEADER:
        raise FileError(f"{path}, line 1: expected the header {HEADER!r}, found {header!r}")
    if not body:
        return np.empty(0, DTYPE)
    try:
        rows = np.loadtxt(io.StringIO(body), PARSED, delimiter=",", comments=None, ndmin=1)
    except ValueError as error:
        raise _bad_row(path, body) or FileError(f"{path}: {error}") from None
    # The text reader passes over empty lines; a record never has one.
    whole = len(rows) == body.count("\n") and np.isin(rows["terminated"], (0, 1)).all()
    if not whole or any((rows[name] < 0).any() for name in _COUNTS):
        raise _bad_row(path, body) or FileError(f"{path}: empty lines between rows")
    return rows.astype(DTYPE)


def mean_returns(rows: Array) -> tuple[Array, Array, Array]:
    """Seeds `[S]`, steps `[T]`, and mean return of each lane at each step `[S, T]`.

    Lanes come in order of lane number.  Raises ValueError if a lane lacks a step another has.
    """
    if not len(rows):
        raise ValueError("no episodes to average")
    lanes, first, lane = np.unique(rows["lane"], return_index=True, return_inverse=True)
    steps, step = np.unique(rows["step"], return_inverse=True)
    shape = (len(lanes), len(steps))
    cell = lane * shape[1] + step
    seen = np.unique(cell)  # not a table yet: a lane and a step for each row would make it rows²
    if len(seen) < shape[0] * shape[1]:
        k = np.flatnonzero(np.bincount(seen // shape[1]) < shape[1])[0]
        t = np.setdiff1d(np.arange(shape[1]), seen[seen // shape[1] == k] % shape[1])[0]
        raise ValueError(f"lane {lanes[k]} has no episode at step {steps[t]}, other lanes have")
    count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    total = np.bincount(cell, rows["return"], shape[0] * shape[1]).reshape(shape)
    return rows["seed"][first], steps, total / count


def append_progress(path: str | Path, record: Mapping[str, Any]) -> None:
    """Append one line to `progress.jsonl`.

    `record` needs an integer `step`; other values may be numbers, text, numpy arrays (a value a
    lane), lists and mappings of these.  A number that is not finite is written as null, because
    JSON has no word for it.
    """
    plain = _plain(record)
    if not isinstance(plain.get("step"), int):
        raise ValueError(f"a progress record needs an integer 'step', got {plain.get('step')!r}")
    _append(Path(path), json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n")


def read_progress(path: str | Path) -> list[dict[str, Any]]:
    """All complete records of `progress.jsonl` in order; a missing file has none.

    Raises FileError with file, line and reason for a line that is not a record.
    """
    path = Path(path)
    return [_record(path, i, line) for i, line in enumerate(_lines(path), 1)]


def truncate_after(path: str | Path, step: int) -> int:
    """Number of records dropped: those of a later training step than `step`.

    Works on `episodes.csv` and `progress.jsonl`, told apart by their suffix.  An unfinished last
    line goes too.  The new file replaces the old one in a single rename.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".jsonl"):
        raise ValueError(f"{path}: expected a .csv of episodes or a .jsonl of progress")
    if not path.exists():
        return 0
    lines = _lines(path)
    if path.suffix == ".csv":
        late = [False, *(read_episodes(path)["step"] > step)][: len(lines)]  # the header stays
    else:
        late = [_record(path, i, line)["step"] > step for i, line in enumerate(lines, 1)]
    kept = [line for line, drop in zip(lines, late, strict=True) if not drop]
    with replacing(path) as temporary:
        temporary.write_bytes("".join(line + "\n" for line in kept).encode())
    return len(lines) - len(kept)


def _append(path: Path, text: str, header: str = "") -> None:
    try:
        with open(path, "a+b", opener=_no_link) as file:
            end = _end_of_complete_lines(file)
            file.truncate(end)
            # One write: a kill cannot come between header and rows.
            file.write(((header if end == 0 else "") + text).encode())
            file.flush()
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from error


def _no_link(path: str, flags: int) -> int:
    """Opens a file, never what a link leads to."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _end_of_complete_lines(file: io.BufferedRandom) -> int:
    """Byte offset behind the last newline."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _complete_lines(path: Path) -> str:
    """Text up to and with the last newline; what follows was cut short by a kill."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return data[: data.rfind(b"\n") + 1].decode()
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not a text file ({error})") from None


def _lines(path: Path) -> list[str]:
    return _complete_lines(path).split("\n")[:-1]


def _bad_row(path: Path, body: str) -> FileError | None:
    """The error that names the first bad row, found with plain Python after numpy refused."""
    for i, line in enumerate(body.split("\n")[:-1], 2):
        cells = line.split(",")
        if len(cells) != len(COLUMNS):
            return FileError(f"{path}, line {i}: {len(cells)} columns instead of {len(COLUMNS)}")
        for name, cell in zip(COLUMNS, cells, strict=True):
            try:
                value = float(cell) if name == "return" else int(cell)
            except ValueError:
                return FileError(f"{path}, line {i}: {name} is {cell!r}, not a number")
            if name in _COUNTS and not 0 <= value < 2**63:
                return FileError(f"{path}, line {i}: {name} is {cell!r}, out of range")
        if cells[-1] not in ("0", "1"):
            return FileError(f"{path}, line {i}: terminated is {cells[-1]!r}, not 0 or 1")
    return None


def _record(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except RecursionError:
        raise FileError(f"{path}, line {number}: nested too deeply") from None
    except ValueError as error:
        raise FileError(f"{path}, line {number}: not JSON ({error})") from None
    if not isinstance(record, dict) or type(record.get("step")) is not int:
        raise FileError(f"{path}, line {number}: not a record with an integer 'step'")
    return record


def _plain(value: Any) -> Any:
    """`value` in types that JSON knows."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    raise ValueError(f"a progress record cannot hold a {type(value).__name__}: {value!r}")
