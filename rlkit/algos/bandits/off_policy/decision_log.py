"""Decision logs: context, action, propensity, reward; from any table of columns, and checked.

A log is a `Feedback` table (`rlkit.algos.bandits.interface`) of which every row has the probability
its action was taken with. A target policy is an array of probabilities [n, K], one row a decision,
as `policy.dist(log.observation)` returns them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rlkit.algos.bandits.interface import Feedback, Observation, available, check_feedback
from rlkit.algos.bandits.off_policy.coverage import Overlap, coverage
from rlkit.core.nearest import suggestion
from rlkit.envs.bandits.counts import check_whole
from rlkit.envs.bandits.jit import dense

_SUM = 1e-6  # how far the probabilities of a row may be from one in all


@dataclass(frozen=True, eq=False)
class DecisionLog:
    """Logged decisions over K arms; a bad row raises a ValueError that names it.

    table     action [n], reward [n] and prob [n], with context [n, d] or [n, K, d], mask [n, K],
              position [n] and t [n] where they are known
    arms      K
    labels    what each arm was called in the source
    features  names of the columns of the context
    levels    the levels of every one-hot encoded column, to encode another log alike
    """

    table: Feedback
    arms: int
    labels: tuple[Any, ...] = ()
    features: tuple[str, ...] = ()
    levels: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        t, n = self.table, len(self.table)
        if not n:
            raise ValueError("the log has no rows")
        check_whole(self, "arms")
        for name in ("reward", "context", "mask", "prob", "t", "position"):
            column = getattr(t, name)
            if column is not None and len(column) != n:
                raise ValueError(f"{name} has {len(column)} rows, action has {n}")
        if t.prob is None:
            raise ValueError(
                "the log has no propensities: give every row the probability its action had when "
                "it was taken (prob)"
            )
        missing = np.isnan(np.asarray(t.prob, np.float64))
        if missing.any():
            raise ValueError(f"prob of row {_first(missing)} is missing")
        if t.context is not None:
            if np.ndim(t.context) not in (2, 3) or (
                np.ndim(t.context) == 3 and np.shape(t.context)[1] != self.arms
            ):
                raise ValueError(
                    f"context has shape {np.shape(t.context)}; needed is [{n}, d] or "
                    f"[{n}, {self.arms}, d]"
                )
            bad = ~np.isfinite(np.asarray(t.context, np.float64)).reshape(n, -1).all(1)
            if bad.any():
                raise ValueError(f"context of row {_first(bad)} has NaN or infinite entries")
        available(t.observation, self.arms)
        check_feedback(t, self.arms)
        if self.labels and len(self.labels) != self.arms:
            raise ValueError(f"{len(self.labels)} labels for {self.arms} arms")

    def __len__(self) -> int:
        return len(self.table)

    def __str__(self) -> str:
        return str(self.coverage())

    @property
    def observation(self) -> Observation:
        return self.table.observation

    @property
    def mask(self) -> np.ndarray:
        """Available arms [n, K]; all of them where the log names none."""
        return available(self.observation, self.arms)

    def rows(self, index: Any) -> "DecisionLog":
        """The log of the chosen rows."""
        return replace(self, table=self.table.rows(index))

    def uniform(self) -> np.ndarray:
        """The policy [n, K] that plays every available arm equally often."""
        return self.mask / self.mask.sum(1, keepdims=True)

    def coverage(self) -> Overlap:
        """How well the log covers the policy uniform on available arms."""
        prob = np.asarray(self.table.prob, np.float64)
        return coverage(self.uniform(), self.table.action, prob, self.mask.sum(1))


def _first(bad: Any) -> int:
    return int(np.flatnonzero(bad)[0])


@dense()
def _read_rows(p, action, mask, masked, taken):
    """Write p[i, action[i]] into `taken` [n]; the first row that is no policy, and its fault.

    Faults: 1 negative, NaN or infinite, 2 a sum other than one, 3 an arm that the mask rules out.
    One pass: a target is read from memory once, checks and all.
    """
    for i in range(p.shape[0]):
        total, least = 0.0, 0.0
        for a in range(p.shape[1]):
            x = np.float64(p[i, a])
            total += x
            least = min(least, x)
        if least < 0.0 or not total < np.inf:
            return i, 1
        if abs(total - 1.0) > _SUM:
            return i, 2
        if masked:
            for a in range(p.shape[1]):
                if p[i, a] > 0.0 and not mask[i, a]:
                    return i, 3
        taken[i] = p[i, action[i]]
    return -1, 0


def _at_position(log: DecisionLog, target: np.ndarray) -> np.ndarray:
    """A target of the shape [n, K]; one [n, K, L] over L positions is read at each row's."""
    p, n = np.asarray(target), len(log)
    if p.dtype not in (np.float32, np.float64):
        p = p.astype(np.float64)
    if p.ndim == 3 and p.shape[:2] == (n, log.arms):
        position = log.table.position
        if position is None:
            raise ValueError(f"target has shape {p.shape}, but the log has no positions")
        place = np.asarray(position)
        bad = (place < 0) | (place >= p.shape[2])
        if bad.any():
            row = _first(bad)
            raise ValueError(
                f"position of row {row} is {place[row]}; the target has 0 to {p.shape[2] - 1}"
            )
        p = p[np.arange(n), :, place]
    if p.shape != (n, log.arms):
        raise ValueError(f"target has shape {p.shape}; needed is {(n, log.arms)}")
    return np.ascontiguousarray(p)


def read_target(log: DecisionLog, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `check_target` returns, in the target's own precision, and its probability of the
    logged action [n]."""
    p = _at_position(log, target)
    taken = np.empty(len(p))
    masked = log.table.mask is not None
    mask = log.mask if masked else np.ones((1, 1), bool)
    action = np.ascontiguousarray(log.table.action, np.int64)
    row, fault = _read_rows(p, action, np.ascontiguousarray(mask), masked, taken)
    if fault == 1:
        raise ValueError(f"target of row {row} has negative or NaN probabilities")
    if fault == 2:
        raise ValueError(f"target of row {row} sums to {p[row].sum():.6g}, not to one")
    if fault == 3:
        raise ValueError(f"target of row {row} plays an arm that its mask rules out")
    return p, taken


def check_target(log: DecisionLog, target: np.ndarray) -> np.ndarray:
    """A target policy as float64 [n, K]; one that is no policy on these rows raises with the row.

    A target [n, K, L] over L positions is read at the position of each row. Rows that do not sum
    to one are refused, never rescaled.
    """
    return read_target(log, target)[0].astype(np.float64, copy=False)


def importance_weights(log: DecisionLog, target: np.ndarray) -> np.ndarray:
    """w [n]: the target's probability of the logged action over the one it was taken with."""
    return read_target(log, target)[1] / np.asarray(log.table.prob, np.float64)


def from_table(
    table: Any,
    *,
    action: str = "action",
    reward: str = "reward",
    prob: str = "prob",
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
    `levels` of another log). `mask` names K columns of true and false, or one array [n, K].
    `arms` is K for actions 0 to K - 1, or the K labels of the action column; by default the mask's
    width, else one more than the largest of whole-number actions, else the labels found. Arms that
    were never taken need one of the former. Raises ValueError naming column and row.
    """
    columns = _names(table)
    for what, name in (("action", action), ("reward", reward), ("prob", prob)):
        if name not in columns:
            hint = (
                "; a log without propensities cannot be reweighted: record the probability of "
                "every action when it is taken"
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
    feedback = Feedback(
        action=chosen,
        reward=_numbers(table, reward, columns),
        context=np.column_stack(parts) if parts else None,
        mask=masks,
        prob=_numbers(table, prob, columns),
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
        raise ValueError(f"column {name!r} of row {_first(bad)} is missing")
    return numbers


def _whole(table: Any, name: str, columns: list[str]) -> np.ndarray:
    numbers = _numbers(table, name, columns, nan=False)
    bad = (numbers != np.floor(numbers)) | (numbers < 0)
    if bad.any():
        row = _first(bad)
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
            row = _first(bad)
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
