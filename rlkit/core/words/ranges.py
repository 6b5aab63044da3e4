"""What the fields of a Config may be: each range is declared once, as the type of its field.

    @checked("subset <= n_critics")
    @dataclass(frozen=True)
    class Config:
        gamma: Share = 0.99  # γ, discount
        lr: Positive = 3e-4  # learning rate
        n_critics: Count = 2  # ensemble size
        subset: Natural = 0  # critics of a target; 0: all

Whoever makes a Config, by keyword, from JSON or TOML, or from the command line, gets UsageError for
a value outside, and the nearest field for a name that there is not. A float field may hold one
value a lane; the range is that of each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import numbers
import operator
import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from rlkit.core.errors import UsageError
from rlkit.core.words.nearest import suggestion
from rlkit.core.words.synonyms import OURS

Class = TypeVar("Class", bound=type)


class Range(NamedTuple):
    """The numbers from `low` to `high`; `excluded` names ends that do not belong to it."""

    words: str  # behind "it must"
    low: float = -math.inf
    high: float = math.inf
    excluded: Literal["", "low", "high", "both"] = ""
    finite: bool = True  # infinity is outside, NaN always

    def holds(self, x: float) -> bool:
        above = x > self.low if self.excluded in ("low", "both") else x >= self.low
        below = x < self.high if self.excluded in ("high", "both") else x <= self.high
        return above and below and (not self.finite or isinstance(x, int) or math.isfinite(x))


Real = Annotated[float, Range("be a finite number")]
Positive = Annotated[float, Range("be positive", 0, excluded="low")]
NonNegative = Annotated[float, Range("not be negative", 0)]
Share = Annotated[float, Range("lie in [0, 1]", 0, 1)]
OpenShare = Annotated[float, Range("lie between 0 and 1", 0, 1, "both")]
PositiveShare = Annotated[float, Range("be above 0 and at most 1", 0, 1, "low")]
ProperShare = Annotated[float, Range("be at least 0 and below 1", 0, 1, "high")]
HalfShare = Annotated[float, Range("be at least 0 and below 0.5", 0, 0.5, "high")]
Count = Annotated[int, Range("be at least 1", 1)]
Several = Annotated[int, Range("be at least 2", 2)]
Natural = Annotated[int, Range("not be negative", 0)]
Threads = Annotated[int, Range("lie in 1..1024", 1, 1024)]  # more end a process without a word
NonNegatives = tuple[NonNegative, ...]
Naturals = tuple[Natural, ...]
Widths = tuple[Count, ...]  # of hidden layers; of none a net is linear

_ORDERS = {"<": operator.lt, "<=": operator.le}


def checked(
    *orders: str, lanes: bool = True, idle: Mapping[str, str] | None = None
) -> Callable[[Class], Class]:
    """A decorator of a dataclass whose fields are checked whenever one is made.

    `orders` are relations of two fields that must hold, such as "low < high". `idle` names fields
    that nothing reads once another is given: {"preferences": "teacher pairs"}; given all the same
    they are refused. With `lanes` a float field may hold a tuple of values, one a lane. Whole
    numbers written as floats (1e5) become integers, sequences tuples, paths their texts. Raises
    UsageError for values, TypeError for unknown keywords.
    """

    def decorate(kind: Class) -> Class:
        made = kind.__init__  # type: ignore[misc]
        names = [field.name for field in dataclasses.fields(kind)]

        @functools.wraps(made)
        def init(self: Any, *args: Any, **given: Any) -> None:
            for name in given:
                if name not in names:
                    inside = [f"config.{word}" for word in OURS.get(name, []) if "config" in names]
                    near = suggestion(name, [*names, *inside])
                    raise TypeError(f"{kind.__name__} has no {name!r}{near}")
            made(self, *args, **given)
            for name, hint in declared(kind).items():
                value = getattr(self, name)
                fitting = _fitted(name, value, hint, lanes)
                if fitting is not value:
                    object.__setattr__(self, name, fitting)
            for order in orders:
                _check_order(self, *order.split())
            for other, unread in (idle or {}).items():
                if words := idle_beside(self, other, unread):
                    raise UsageError(f"{words}; leave out one or the other")

        kind.__init__ = init  # type: ignore[misc]
        return kind

    return decorate


@functools.cache
def declared(kind: type) -> dict[str, Any]:
    """The type of each field, with its range."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def range_of(hint: Any) -> Range | None:
    """The range that a type declares, itself, for its entries or beside None."""
    for mark in getattr(hint, "__metadata__", ()):
        if isinstance(mark, Range):
            return mark
    inside = (range_of(part) for part in get_args(hint) if part is not Ellipsis)
    return next((found for found in inside if found is not None), None)


def read_whole(text: str) -> int:
    """A whole number as one writes it: 100000, 100_000 or 1e5."""
    with contextlib.suppress(ValueError):
        return int(text)
    with contextlib.suppress(ValueError):
        if (value := float(text)).is_integer():
            return int(value)
    raise ValueError(f"{text!r} is not a whole number")


def read_finite(text: str) -> float:
    """A finite number."""
    with contextlib.suppress(ValueError):
        if math.isfinite(value := float(text)):
            return value
    raise ValueError(f"{text!r} is not a finite number")


def count(name: str, value: Any, least: int = 1) -> int:
    """`value`, a whole number (1e5 too) of at least `least`. Raises UsageError."""
    return _number(name, value, int, Range(f"be at least {least}", least))


def playable(episodes: Any, seed: Any) -> tuple[int, int]:
    """How many episodes are to be played, and the seed of their starts, as whole numbers.

    Raises UsageError for other values, and for more episodes than any machine plays.
    """
    allowed = Range("lie in 1..100,000,000", 1, 10**8)
    return _number("episodes", episodes, int, allowed), count("seed", seed, 0)


def _fitted(name: str, value: Any, hint: Any, lanes: bool) -> Any:
    """`value` as a field of this type holds it. Raises UsageError saying what it must be."""
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (hint,) = [part for part in get_args(kind) if part is not type(None)]
        return _fitted(name, value, hint, lanes)
    if origin is Literal:
        options = get_args(kind)
        if value not in options:
            near = suggestion(value, options) if isinstance(value, str) else ""
            raise UsageError(
                f"unknown {name} {value!r}{near} (one of {', '.join(map(str, options))})"
            )
        return value
    if origin is tuple:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise UsageError(f"{name} is {value!r}; it takes several values, as in ({value!r},)")
        return _entries(name, value, get_args(kind)[0])
    if kind is float and lanes and isinstance(value, tuple | list):
        _entries(name, value, hint)
        return value
    if kind in (int, float):
        return _number(name, value, kind, range_of(hint))
    if kind is str and isinstance(value, os.PathLike):
        return os.fspath(value)
    if kind in (bool, str) and not isinstance(value, kind):
        needed = "True or False" if kind is bool else "a text"
        raise UsageError(f"{name} is {value!r}; it must be {needed}")
    return value


def _entries(name: str, values: Sequence[Any], hint: Any) -> tuple[Any, ...]:
    return tuple(_fitted(f"{name}[{k}]", value, hint, False) for k, value in enumerate(values))


def _number(name: str, value: Any, kind: type, allowed: Range | None) -> Any:
    if kind is float and _is_tensor(value):  # of lanes, checked as a tuple before
        return value
    plain = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if plain and kind is int and (type(value) is int or math.isfinite(value)) and value % 1 == 0:
        value = value if type(value) is int else int(value)
    elif not plain or kind is int:
        what = "a whole number" if kind is int else "a number"
        raise UsageError(f"{name} is {value!r}; it must be {what}")
    elif not isinstance(value, int | float):  # one of numpy's
        value = float(value)
    if kind is int and not -(2**63) <= value < 2**63:
        raise UsageError(f"{name} has {len(str(abs(value)))} digits; it must be below 2**63")
    if not (allowed or get_args(Real)[1]).holds(value):
        words = "be a finite number" if allowed is None else allowed.words
        raise UsageError(f"{name} is {value!r}; it must {words}")
    return value


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # where it is not loaded there is no tensor
    return torch is not None and isinstance(value, torch.Tensor)


def idle_beside(config: Any, other: str, unread: str) -> str:
    """What of the fields `unread` ("teacher pairs") was given although nothing reads it where the
    field `other` is not its default, or is the value of "other=value": a sentence, or ""."""
    name, equals, word = other.partition("=")
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    there = getattr(config, name)
    if (str(there) != word) if equals else there == defaults[name]:
        return ""
    given = {field: getattr(config, field) for field in unread.split()}
    told = [
        f"{field} {value!r}"
        for field, value in given.items()
        if not _is_tensor(value) and value != defaults[field]
    ]
    have = "has" if len(told) == 1 else "have"
    return f"{', '.join(told)} {have} no effect beside {name} {there!r}" if told else ""


def _check_order(config: Any, first: str, sign: str, second: str) -> None:
    sides = [getattr(config, name) for name in (first, second)]
    if any(map(_is_tensor, sides)):
        return
    lists = [side if isinstance(side, tuple | list) else [side] for side in sides]
    most = max(map(len, lists))
    pairs = zip(*(side * most if len(side) == 1 else side for side in lists), strict=False)
    for x, y in pairs:
        if not _ORDERS[sign](x, y):
            words = "be below" if sign == "<" else "not exceed"
            raise UsageError(f"{first} is {x!r}; it must {words} {second}, which is {y!r}")
