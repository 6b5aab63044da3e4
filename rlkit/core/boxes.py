"""Numbers on their way in and out of an environment's boxes, in the type the box declares."""

from __future__ import annotations

from typing import Any

import numpy as np


def into_box(values: Any, low: Any, high: Any, dtype: Any) -> np.ndarray:
    """`values` clipped into [low, high] (which `dtype` can represent) and cast to `dtype`; for an
    integer type rounded first.

    Clipped before the cast, and wide: rounding is monotone, so what lies between two numbers of
    `dtype` still does afterwards. Bounds that the wide type rounds away are met in `dtype` itself.
    Raises ValueError for a NaN on its way into an integer type.
    """
    values, dtype = np.asarray(values), np.dtype(dtype)
    if values.dtype == dtype:
        return np.clip(values, low, high).astype(dtype, copy=False)
    wide = values.astype(np.float64)
    if dtype.kind not in "iub":
        return np.clip(wide, low, high).astype(dtype)
    if np.isnan(wide).any():
        raise ValueError(f"an action is not a number, and {dtype} has none that is not")
    if values.dtype.kind in "iub":  # whole numbers compare exactly
        return _within(values, np.asarray(low, dtype), np.asarray(high, dtype))
    whole = np.rint(wide)
    least, most = (np.broadcast_to(np.asarray(x, dtype), whole.shape) for x in (low, high))
    below, over = whole <= least.astype(np.float64), whole >= most.astype(np.float64)
    cast = np.where(below | over, 0.0, whole).astype(dtype)  # what is left fits the type
    return np.where(over, most, np.where(below, least, cast))


def _within(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whole numbers of one type clipped into bounds of another, in Python's own arithmetic."""
    clipped = np.clip(values.astype(object), low.astype(object), high.astype(object))
    return np.asarray(clipped, object).astype(low.dtype)


def as_declared(values: Any, dtype: Any) -> np.ndarray:
    """An observation in the type that its space declares, whatever array the environment returned.

    Raises ValueError where the type cannot hold it: fractions and numbers out of range of an
    integer type, finite numbers beyond a float's, complex numbers.
    """
    array = np.asarray(values)
    if dtype is None or array.dtype == dtype:
        return array
    kind = np.dtype(dtype)
    with np.errstate(all="ignore"):
        cast = array.astype(kind)
    if what := _lost(array, cast):
        raise ValueError(
            f"the environment returned an observation with {what}, and its space declares {kind}; "
            "mend its observation_space"
        )
    return cast


def _lost(array: np.ndarray, cast: np.ndarray) -> str:
    """What a cast has changed, in words; empty where nothing but digits."""
    if array.dtype.kind == "c" and cast.dtype.kind != "c":
        return "complex numbers"
    if cast.dtype.kind in "iub" and array.dtype.kind in "iufb":
        if not np.isfinite(array).all():
            return "numbers that are not finite"
        if array.dtype.kind == "f" and (array != np.rint(array)).any():
            return "fractions"
        limits = (
            (0, 1)
            if cast.dtype.kind == "b"
            else (np.iinfo(cast.dtype).min, np.iinfo(cast.dtype).max)
        )
        if array.size and (int(array.min()) < limits[0] or int(array.max()) > limits[1]):
            return f"numbers outside [{limits[0]}, {limits[1]}]"
    if cast.dtype.kind == "f" and array.dtype.kind in "iuf":
        return "numbers that are too large" if (np.isinf(cast) & np.isfinite(array)).any() else ""
    return ""
