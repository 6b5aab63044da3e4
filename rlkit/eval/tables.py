"""Tables of scores, checked before anything is computed from them."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from rlkit.core.words.ranges import count
from rlkit.eval.rounding import ROUNDING, tied

Array = np.ndarray[Any, np.dtype[Any]]


class TooFewRunsWarning(UserWarning):
    """One run a task says nothing about the spread between runs: there is no interval."""


def warn_one_run(stacklevel: int) -> None:
    text = "one run a task allows no interval; it is reported as NaN (run more seeds)"
    warnings.warn(text, TooFewRunsWarning, stacklevel=stacklevel)


def checked(scores: Array, rank: int, name: str) -> Array:
    """`scores` as float64, or a ValueError that names what is wrong and where."""
    axes = ("run", "task", "time")[:rank]
    table = numbers(scores, name)
    if table.ndim != rank or not table.size:
        hint = "; for one task pass scores[:, None]" if rank == table.ndim + 1 else ""
        raise ValueError(f"{name} must be a non-empty {list(axes)} array, got {table.shape}{hint}")
    bad = np.argwhere(~np.isfinite(table))
    if len(bad):
        where = ", ".join(f"{axis} {i}" for axis, i in zip(axes, bad[0], strict=True))
        raise ValueError(f"{name} has {table[tuple(bad[0])]} at {where} ({len(bad)} such entries)")
    return table


def numbers(scores: Any, name: str) -> Array:
    """`scores` as float64 of any shape; ValueError naming them where they hold something else."""
    try:
        given = np.asarray(scores)
        held = list(given.flat) if given.dtype.kind == "O" else []
        if any(isinstance(one, str | bytes) for one in held) or given.dtype.kind in "US":
            raise TypeError("it holds text")
        if any(one is None for one in held):  # which numpy would take for NaN
            raise TypeError("it holds None")
        return np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is not a table of numbers: {error}") from None


def batched(scores: Any, name: str = "scores") -> Array:
    """`scores` as `[..., runs, tasks]` of float64, or a ValueError that says which they are.

    What is not finite passes: estimates of it are not finite either.
    """
    table = numbers(scores, name)
    if table.ndim < 2 or not table.size:
        hint = "; for one task pass scores[:, None]" if table.ndim == 1 and table.size else ""
        raise ValueError(
            f"{name} must be a non-empty [..., run, task] array, got {table.shape}{hint}"
        )
    return table


def by_name(given: Any, what: str, form: str) -> Mapping[str, Any]:
    """What is to be drawn by name; ValueError unless it is a dict that holds something."""
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} must be a dict, name -> {form}, got {given!r:.80}")
    if not given:
        raise ValueError(f"no {what} to draw")
    return given


def pair(given: Any, name: str, form: str) -> tuple[Any, Any]:
    """The two arrays that are drawn against each other; ValueError unless there are two."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError(f"{name} must be {form}, got {given!r:.80}")
    return given[0], given[1]


def checked_pair(x: Array, y: Array, paired: bool) -> list[Array]:
    """Both tables as float64, or a ValueError. Scores that came as float32 are equal where float32
    cannot tell them apart."""
    a, b = checked(x, 2, "x"), checked(y, 2, "y")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"x has {a.shape[1]} tasks but y has {b.shape[1]}; pass the same tasks")
    if paired and len(a) != len(b):
        raise ValueError(f"paired needs the same seeds: x has {len(a)} runs but y has {len(b)}")
    kinds = [np.asarray(given).dtype for given in (x, y)]
    unit = max(4 * float(np.finfo(kind).eps) if kind.kind == "f" else 0.0 for kind in kinds)
    if unit > ROUNDING:
        columns = [tied(a[:, k], b[:, k], unit=unit) for k in range(a.shape[1])]
        a, b = (np.stack(side, -1) for side in zip(*columns, strict=True))
    return [a, b]


def checked_draws(level: float, reps: int, rng: np.random.Generator | int) -> int:
    """`reps`, resamples of a bootstrap, as an int. Raises ValueError for what is none, and for a
    level or a seed that is none, naming it."""
    checked_level(level)
    if not isinstance(rng, np.random.Generator):
        count("rng", rng, 0)
    return count("reps", reps)


def checked_level(level: float) -> float:
    number = not isinstance(level, bool) and isinstance(level, int | float | np.number)
    if not number or not 0 < level < 1:
        raise ValueError(f"level and power lie strictly between 0 and 1, got {level!r}")
    return level
