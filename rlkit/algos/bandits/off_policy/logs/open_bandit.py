"""Files of the Open Bandit Dataset: Saito, Aihara, Matsutani & Narita 2020 (arXiv 2008.07146).

A file `<policy>/<campaign>/<campaign>.csv` has a row an impression:
  (index), timestamp, item_id, position (1 to 3), click, propensity_score, user_feature_0..3
  (hashed categories), user-item_affinity_0..K-1
The description calls the propensity `action_prob`; the files say `propensity_score`; both are read.
Positions become 0 to 2. User features are encoded one-hot with the levels of all files that are
read together: encoded one by one, logs of two policies differ in width where one lacks a level.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rlkit.algos.bandits.interface import Feedback
from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog
from rlkit.algos.bandits.off_policy.logs.tables import one_hot
from rlkit.core.files.reading import reading
from rlkit.core.words.nearest import suggestion

_NEEDED = ("item_id", "position", "click")
_AFFINITY = "user-item_affinity_"


def read_open_bandit(
    *paths: str | Path, items: int | None = None, affinity: bool = False
) -> list[DecisionLog]:
    """One `DecisionLog` for each file, their user features encoded alike.

    K is the number of affinity columns, or `items`. With `affinity` the K affinities of the user
    follow the encoded features in the context. Raises ValueError naming file, column and row (the
    first row of data is 0).
    """
    if not paths:
        raise ValueError("give the path of at least one file")
    tables = [_read(Path(path)) for path in paths]
    first = tables[0]
    names = [name for name in first if name.startswith("user_feature_")]
    for path, table in zip(paths, tables, strict=True):
        for name in names:
            if name not in table:
                raise ValueError(f"{path}: no column {name!r}, which {paths[0]} has")
    levels = {name: tuple(sorted({v for t in tables for v in t[name]})) for name in names}
    return [
        _log(Path(path), table, levels, items, affinity)
        for path, table in zip(paths, tables, strict=True)
    ]


def read_items(path: str | Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Item features [K, d] of an `item_context.csv`, by item, and their names.

    Columns of numbers are kept, the others encoded one-hot.
    """
    table = _read(Path(path), ("item_id",))
    ids = _numbers(Path(path), table, "item_id", whole=True).astype(np.int64)
    if sorted(ids.tolist()) != list(range(len(ids))):
        raise ValueError(f"{path}: item_id does not run from 0 to {len(ids) - 1} once each")
    parts, features = [], []
    for name in (name for name in table if name not in ("", "item_id")):
        try:
            parts.append(np.asarray(table[name], np.float64)[:, None])
            features.append(name)
        except ValueError:
            own = tuple(sorted(set(table[name])))
            parts.append(one_hot(table[name], own, name))
            features += [f"{name}={level}" for level in own]
    return np.concatenate(parts, axis=1)[np.argsort(ids)], tuple(features)


def _read(path: Path, needed: Sequence[str] = _NEEDED) -> dict[str, list[str]]:
    """The columns of a CSV file as text."""
    with reading(path, "a CSV file"), path.open(newline="", encoding="utf-8") as file:
        header, *body = [*csv.reader(file)] or [[]]
    for name in needed:
        if name not in header:
            raise ValueError(f"{path}: no column {name!r}{suggestion(name, header)}")
    for number, row in enumerate(body):
        if len(row) != len(header):
            raise ValueError(f"{path}: row {number} has {len(row)} fields, not {len(header)}")
    if not body:
        raise ValueError(f"{path}: no rows")
    return dict(zip(header, map(list, zip(*body, strict=True)), strict=True))


def _numbers(path: Path, table: dict[str, list[str]], name: str, whole: bool) -> np.ndarray:
    numbers = np.empty(len(table[name]))
    for row, text in enumerate(table[name]):
        try:
            numbers[row] = int(text) if whole else float(text)
        except ValueError:
            kind = "whole number" if whole else "number"
            raise ValueError(f"{path}: {name} of row {row} is {text!r}, not a {kind}") from None
    return numbers


def _log(
    path: Path,
    table: dict[str, list[str]],
    levels: dict[str, tuple[str, ...]],
    items: int | None,
    affinity: bool,
) -> DecisionLog:
    likings = [name for name in table if name.startswith(_AFFINITY)]
    arms = items or len(likings)
    if not arms:
        raise ValueError(f"{path}: no {_AFFINITY}* columns; give the number of items")
    prob = next((name for name in ("propensity_score", "action_prob") if name in table), None)
    if prob is None:
        raise ValueError(f"{path}: the log has no propensities (propensity_score or action_prob)")
    position = _numbers(path, table, "position", whole=True).astype(np.int64)
    if position.min() < 1:
        row = int(position.argmin())
        raise ValueError(f"{path}: position of row {row} is {position[row]}; they count from 1")
    try:
        parts = [one_hot(table[name], own, name) for name, own in levels.items()]
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    features = [f"{name}={level}" for name, own in levels.items() for level in own]
    if affinity:
        columns = [f"{_AFFINITY}{k}" for k in range(len(likings))]
        parts += [_numbers(path, table, name, whole=False)[:, None] for name in columns]
        features += columns
    feedback = Feedback(
        action=_numbers(path, table, "item_id", whole=True).astype(np.int64),
        reward=_numbers(path, table, "click", whole=False),
        context=np.concatenate(parts, axis=1) if parts else None,
        prob=_numbers(path, table, prob, whole=False),
        t=_times(path, table.get("timestamp")),
        position=position - 1,
    )
    try:
        return DecisionLog(feedback, arms, tuple(range(arms)), tuple(features), dict(levels))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _times(path: Path, texts: list[str] | None) -> np.ndarray | None:
    """Microseconds in UTC as datetime64 [n]."""
    if texts is None:
        return None
    times = np.empty(len(texts), "datetime64[us]")
    for row, text in enumerate(texts):
        try:
            times[row] = np.datetime64(text.removesuffix("+00:00"), "us")
        except ValueError:
            raise ValueError(f"{path}: timestamp of row {row} is {text!r}, not a time") from None
    return times
