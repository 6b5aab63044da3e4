"""Results in at most five lines, whatever the size of their arrays."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

import numpy as np

WIDTH, LINES, SHOWN = 98, 5, 6
_GLUE = "\0"


def brief(result: Any) -> str:
    """The name and the fields of a dataclass or NamedTuple; of long arrays shape and range."""
    if dataclasses.is_dataclass(result):
        names = [field.name for field in dataclasses.fields(result) if field.repr]
    else:
        names = list(result._fields)
    # The parts of a field stay on one line.
    shown = [f"{name} {_value(getattr(result, name))}".replace(" ", _GLUE) for name in names]
    lines = textwrap.wrap(
        f"{type(result).__name__}: {', '.join(shown)}", WIDTH, subsequent_indent="  ",
        break_long_words=False, break_on_hyphens=False, max_lines=LINES, placeholder=" ...",
    )  # fmt: skip
    return "\n".join(lines).replace(_GLUE, " ")


def _value(x: Any) -> str:
    if isinstance(x, np.ndarray):
        return _array(x)
    if isinstance(x, float | np.floating):
        return f"{x:.6g}"
    if isinstance(x, list | tuple) and len(x) > SHOWN and not hasattr(x, "_fields"):
        return f"{type(x).__name__} of {len(x)}"
    return repr(x)


def _array(x: np.ndarray) -> str:
    if x.ndim <= 1 and x.size <= SHOWN:
        return np.array2string(x, precision=6, max_line_width=10**6)
    shape = f"{x.dtype} {list(x.shape)}"
    if x.size == 0 or x.dtype.kind not in "fiu":
        return shape
    finite = x[np.isfinite(x)]
    ends = f" {finite.min():.6g} to {finite.max():.6g}" if finite.size else ""
    other = x.size - finite.size
    return f"{shape}{ends}" + (f" ({other} not finite)" if other else "")
