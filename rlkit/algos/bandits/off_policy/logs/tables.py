"""Decision logs from any table of named columns: pandas, polars, arrow, numpy or a dict."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rlkit.algos.bandits.interface import Feedback
from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog, first_row
from rlkit.algos.bandits.off_policy.propensities import Classifier, estimate_propensities
from rlkit.core.words.nearest import suggestion


def from_table(
    table: Any,
    *,
    action: str = "action",
    reward: str = "reward",
    prob: str | Classifier = "prob",
    context: Sequence[str] = (),
    categories: Sequence[str] | Mapping[str, Sequence[Any]] = (),
    mask: Sequence[str] = (),
    position: str | None = None,
    t: str | None = None,
    arms: int | Sequence[Any] | None = None,
) -> DecisionLog:
    """The `DecisionLog` of a table with named columns; print it to see how well it covers.

    `table` is a pandas, polars or arrow table, a numpy structured array, or a dict of arrays. The
    arguments name its columns. `context` are numbers (a column may itself be an array [n, d]);
    `categories` are encoded one-hot, with the levels found, or with those given by a mapping (the
    `levels` of another log). `mask` names K columns of true and false, or one array [n, K]. `prob`
    is a column, or, where the log has none, a function that makes a classifier to estimate the
    propensities with (`propensities`). `arms` is K for actions 0 to K - 1, or the K labels of the
    action column; by default the mask's width, else one more than the largest of whole-number
    actions, else the labels found. Arms that were never taken need one of the former. Raises
    ValueError naming column and row.
    """
    columns = _names(table)
    for what, name in (("action", action), ("reward", reward), ("prob", prob)):
        if isinstance(name, str) and name not in columns:
            hint = (
                "; a log without propensities cannot be reweighted: record the probability of "
                "every action when it is taken, or give prob a classifier that estimates it"
            )
            raise ValueError(
                f"the table has no column {name!r} ({what}){suggestion(name, columns)}"
                f"{hint if what == 'prob' else ''}"
            )
    width = None
    masks = None
    if len(mask):
        masks = np.column_stack([_numbers(table, name, columns, nan=False) for name in mask]) != 0
        width = masks.shape[1]
    chosen, labels = _arms(_column(table, action, columns), action, arms, width)
    parts = [_numbers(table, name, columns) for name in context]
    features: list[str] = []
    for name, part in zip(context, parts, strict=True):
        wide = part.ndim == 2
        features += [f"{name}[{j}]" for j in range(part.shape[1])] if wide else [name]
    wanted = categories if isinstance(categories, Mapping) else dict.fromkeys(categories)
    levels: dict[str, tuple[Any, ...]] = {}
    for name, known in wanted.items():
        values = _column(table, name, columns)
        levels[name] = tuple(_levels(values, name)) if known is None else tuple(known)
        parts.append(one_hot(values, levels[name], name))
        features += [f"{name}={level}" for level in levels[name]]
    context_of_rows = np.column_stack(parts) if parts else None
    if isinstance(prob, str):
        taken = _numbers(table, prob, columns)
    else:
        law = estimate_propensities(context_of_rows, chosen, len(labels), prob, mask=masks)
        taken = law[np.arange(len(chosen)), chosen]
    feedback = Feedback(
        action=chosen,
        reward=_numbers(table, reward, columns),
        context=context_of_rows,
        mask=masks,
        prob=taken,
        t=None if t is None else _column(table, t, columns),
        position=None if position is None else _whole(table, position, columns),
    )
    return DecisionLog(feedback, len(labels), labels, tuple(features), levels)


def one_hot(values: Sequence[Any] | np.ndarray, levels: Sequence[Any], name: str) -> np.ndarray:
    """[n, L] with a one at the level of each value; a value that is no level raises."""
    place = {level: j for j, level in enumerate(levels)}
    codes = np.empty(len(values), np.int64)
    for row, value in enumerate(np.asarray(values).tolist()):
        if value not in place:
            raise ValueError(f"{name} of row {row} is {value!r}, none of its {len(levels)} levels")
        codes[row] = place[value]
    return np.eye(len(levels))[codes]


def _names(table: Any) -> list[str]:
    if isinstance(table, np.ndarray):
        if table.dtype.names is None:
            raise ValueError("an array without field names is no table; pass a dict of columns")
        return list(table.dtype.names)
    if isinstance(table, Mapping):
        return [str(name) for name in table]
    for attribute in ("column_names", "columns"):  # arrow; pandas and polars
        found = getattr(table, attribute, None)
        if isinstance(found, Iterable) and all(isinstance(name, str) for name in found):
            return list(found)
    raise ValueError(
        f"{type(table).__name__} is no table with named columns; pass a dict of arrays"
    )


def _column(table: Any, name: str, columns: list[str]) -> np.ndarray:
    if name not in columns:
        raise ValueError(f"the table has no column {name!r}{suggestion(name, columns)}")
    return np.asarray(table[name])


def _numbers(table: Any, name: str, columns: list[str], nan: bool = True) -> np.ndarray:
    """Float64 [n] or [n, d]; missing values become NaN where the checks of the log name them."""
    values = _column(table, name, columns)
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(len(values))
        for row, value in enumerate(values.tolist()):
            try:
                numbers[row] = np.nan if value is None else float(value)
            except (TypeError, ValueError):
                raise ValueError(
                    f"column {name!r} of row {row} is {value!r}, not a number; text columns of a "
                    "context go into categories"
                ) from None
    if not nan and np.isnan(numbers).any():
        bad = np.isnan(numbers).reshape(len(numbers), -1).any(1)
        raise ValueError(f"column {name!r} of row {first_row(bad)} is missing")
    return numbers


def _whole(table: Any, name: str, columns: list[str]) -> np.ndarray:
    numbers = _numbers(table, name, columns, nan=False)
    bad = (numbers != np.floor(numbers)) | (numbers < 0)
    if bad.any():
        row = first_row(bad)
        raise ValueError(f"{name} of row {row} is {numbers[row]:g}, not a whole number from 0 on")
    return numbers.astype(np.int64)


def _levels(values: np.ndarray, name: str) -> list[Any]:
    try:
        return sorted(set(values.tolist()))
    except TypeError:  # None among text, say
        kinds = [type(value) for value in values.tolist()]
        row = next(i for i, kind in enumerate(kinds) if kind is not kinds[0])
        raise ValueError(
            f"{name} of row {row} is {values.tolist()[row]!r}, of another kind than row 0"
        ) from None


def _arms(
    values: np.ndarray, name: str, arms: int | Sequence[Any] | None, width: int | None
) -> tuple[np.ndarray, tuple[Any, ...]]:
    """The actions as numbers [n], and the label of every arm."""
    if np.issubdtype(values.dtype, np.floating):  # whole numbers that went through a NaN column
        bad = ~(np.isfinite(values) & (values == np.floor(values)))
        if bad.any():
            row = first_row(bad)
            raise ValueError(f"{name} of row {row} is {values[row]:g}, which is no arm")
        values = values.astype(np.int64)
    if arms is not None and not isinstance(arms, int):
        labels = tuple(arms)
    elif np.issubdtype(values.dtype, np.integer):
        if arms is None:
            arms = width if width is not None else int(values.max(initial=-1)) + 1
        labels = tuple(range(arms))
    elif arms is None and width is None:
        labels = tuple(_levels(values, name))
    else:
        raise ValueError(
            f"column {name!r} holds no whole numbers; give the labels of the arms as arms=[...]"
        )
    if width is not None and width != len(labels):
        raise ValueError(f"the mask has {width} columns for {len(labels)} arms")
    place = {label: j for j, label in enumerate(labels)}
    if len(place) != len(labels):
        raise ValueError("the labels of the arms are not all different")
    chosen = np.empty(len(values), np.int64)
    for row, value in enumerate(values.tolist()):
        if value not in place:
            shown = labels if len(labels) <= 8 else (*labels[:3], "...", labels[-1])
            raise ValueError(
                f"{name} of row {row} is {value!r}, which is no known arm "
                f"({', '.join(map(str, shown))})"
            )
        chosen[row] = place[value]
    return chosen, labels
