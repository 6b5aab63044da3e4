"""Columns of CSV and Parquet files by name: the tables that logs come as.

Numbers arrive as float64 with NaN where a cell is empty, identities as text. Only the columns asked
for are taken into memory, and what a file declares is held against its bytes before that.
"""

from __future__ import annotations

import contextlib
import csv
import fnmatch
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rlkit.core.errors import FileError, UsageError
from rlkit.core.files.reading import check_size, reading
from rlkit.core.words.extras import missing
from rlkit.core.words.nearest import suggestion

Kind = Literal["csv", "parquet"]
_WHAT = {"csv": "a CSV file", "parquet": "a Parquet file"}
_BLOCK = 1 << 16  # rows that are text at a time
_WORDS = {"true": "1", "false": "0", "none": "nan", "null": "nan", "na": "nan", "": "nan"}
_SEPARATORS = ",;\t|"


def names(path: str | Path, kind: Kind) -> list[str]:
    """The columns of a file in its order. Raises FileError for what is no such file."""
    with reading(path, _WHAT[kind]):
        if kind == "csv":
            with open(path, newline="", encoding="utf-8-sig") as file:
                found = _header(path, file)[0]
        else:
            found = list(_parquet(path).schema_arrow.names)
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise FileError(f"{path}: column {twice[0]!r} stands in it twice")
    return found


def chosen(patterns: str, known: Sequence[str], what: str, where: str | Path) -> list[str]:
    """The columns that a comma list of names and patterns (`o_*`) means: in the order of the list,
    those of one pattern in the order of the file. Raises UsageError naming the nearest."""
    found: list[str] = []
    for pattern in (part.strip() for part in patterns.split(",")):
        hits = [pattern] if pattern in known else fnmatch.filter(known, pattern)
        if not hits:
            near = suggestion(pattern, known)
            few = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
            raise UsageError(f"{where}: no column {pattern!r} for {what}{near} (it has {few})")
        found += [name for name in hits if name not in found]
    return found


def read(
    path: str | Path, kind: Kind, numbers: Sequence[str], words: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The columns `numbers` as float64 `[N]` (`[N, D]` of lists in Parquet), NaN where empty, and
    `words` as text `[N]`.

    Raises FileError naming file, line and column for a cell that is no number, a line of another
    length, and more than memory holds.
    """
    with reading(path, _WHAT[kind]):
        columns = (_read_csv if kind == "csv" else _read_parquet)(path, numbers, words)
    if not len(next(iter(columns.values()))):
        raise FileError(f"{path}: holds no rows")
    return columns


# --- CSV ------------------------------------------------------------------------------------------
def _header(path: str | Path, file: Any) -> tuple[list[str], str]:
    line = file.readline(1 << 20)
    separator = max(_SEPARATORS, key=line.count)
    found = next(csv.reader([line], delimiter=separator), [])
    if not any(name.strip() for name in found):
        raise FileError(f"{path}: its first line must name the columns")
    return [name.strip() for name in found], separator


def _read_csv(path: str | Path, numbers: Sequence[str], words: Sequence[str]) -> dict[str, Any]:
    # a number takes two characters at least, and 8 bytes in memory; text is made one block a time
    check_size(path, 4 * (size := os.path.getsize(path)), size)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in (*numbers, *words)}
    with open(path, newline="", encoding="utf-8-sig") as file:
        header, separator = _header(path, file)
        place = {name: header.index(name) for name in parts}
        rows = csv.reader(file, delimiter=separator, strict=True)
        for line, block in _blocks(path, rows, len(header)):
            cells = list(zip(*block, strict=True))
            for name in numbers:
                parts[name].append(_numbers(path, name, cells[place[name]], line))
            for name in words:
                parts[name].append(np.array([text.strip() for text in cells[place[name]]]))
    return {name: np.concatenate(found) if found else np.empty(0) for name, found in parts.items()}


def _blocks(path: str | Path, rows: Any, width: int) -> Iterator[tuple[int, list[list[str]]]]:
    """Blocks of rows with the number of their first line; lines without anything are left out."""
    line = 2
    while block := list(itertools.islice(rows, _BLOCK)):
        kept = [row for row in block if row]
        for number, row in enumerate(block):
            if row and len(row) != width:
                raise FileError(
                    f"{path}, line {line + number}: {len(row)} cells, not {width} as in the header"
                )
        if kept:
            yield line, kept
        line += len(block)


def _numbers(path: str | Path, name: str, cells: Sequence[str], line: int) -> np.ndarray:
    if _is_plain("".join(cells)):
        with contextlib.suppress(ValueError):
            return np.array(cells).astype(np.float64)
    plain = [_WORDS.get(cell.strip().lower(), cell) for cell in cells]
    for number, cell in enumerate(plain):
        try:
            if not _is_plain(cell):
                raise ValueError
            float(cell)
        except ValueError:
            raise FileError(
                f"{path}, line {line + number}: {cell[:40]!r} in column {name!r} is no number"
            ) from None
    return np.array(plain).astype(np.float64)


def _is_plain(text: str) -> bool:
    """Whether nothing in it is a number to Python alone: 1_000, digits of other alphabets."""
    return "_" not in text and text.isascii()


# --- Parquet --------------------------------------------------------------------------------------
def _parquet(path: str | Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise missing("reading Parquet files", "parquet") from error
    return parquet.ParquetFile(path)


def _read_parquet(path: str | Path, numbers: Sequence[str], words: Sequence[str]) -> dict[str, Any]:
    file = _parquet(path)
    meta, wanted = file.metadata, {*numbers, *words}
    declared = sum(
        8 * column.num_values
        for group in (meta.row_group(k) for k in range(meta.num_row_groups))
        for column in (group.column(k) for k in range(group.num_columns))
        if column.path_in_schema.split(".")[0] in wanted
    )
    check_size(path, declared, os.path.getsize(path))
    table = file.read(columns=[*numbers, *words])
    found = {name: _array(path, name, table[name].combine_chunks()) for name in numbers}
    texts = {name: np.array([str(cell) for cell in table[name].to_pylist()]) for name in words}
    return found | texts


def _array(path: str | Path, name: str, column: Any) -> np.ndarray:
    """float64 of a column of numbers or flags, or of lists of them that are of one length."""
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        lengths = {len(cell) if cell is not None else -1 for cell in column.to_pylist()}
        if len(lengths) != 1 or -1 in lengths:
            raise FileError(f"{path}: the lists in column {name!r} are not of one length")
        return _array(path, name, column.flatten()).reshape(len(column), -1)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise FileError(f"{path}: column {name!r} holds {kind}; numbers are expected")
    return (
        column.cast(pa.float64() if not pa.types.is_boolean(kind) else pa.int8())
        .to_numpy(zero_copy_only=False)
        .astype(np.float64)
    )
