"""Numbers on their way in and out of an environment's boxes, in the type the box declares."""

from __future__ import annotations

from typing import Any

import numpy as np


def into_box(values: Any, low: Any, high: Any, dtype: Any) -> np.ndarray:
    """`values` clipped into [low, high] (which `dtype` can represent) and cast to `dtype`; for an
    integer type rounded first.

    Clipped before the cast, and wide: rounding is monotone, so what lies between two numbers of
    `dtype` still does afterwards.
    """
    values, dtype = np.asarray(values), np.dtype(dtype)
    if values.dtype == dtype:
        return np.clip(values, low, high).astype(dtype, copy=False)
    inside = np.clip(values.astype(np.float64), low, high)
    return (np.rint(inside) if dtype.kind in "iub" else inside).astype(dtype)


def as_declared(values: Any, dtype: Any) -> np.ndarray:
    """An observation in the type that its space declares, whatever array the environment returned.

    Raises ValueError where an integer type would cut its fractions off.
    """
    array = np.asarray(values)
    if dtype is None or array.dtype == dtype:
        return array
    cast = array.astype(dtype)
    if cast.dtype.kind in "iub" and array.dtype.kind == "f" and not (cast == array).all():
        raise ValueError(
            f"the environment returned an observation with fractions, and its space declares "
            f"{cast.dtype}; mend its observation_space"
        )
    return cast
