"""When two computed numbers differ by more than the rounding of what they were computed from."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Of the larger size: what some thousand additions in another order may change.
ROUNDING = 1e-12


def rounding(*tables: Array) -> float:
    """The difference up to which scores of these tables count as equal."""
    return ROUNDING * max(float(np.abs(table).max()) for table in tables)


def differ(a: float, b: float, size: float = 0.0) -> bool:
    """Whether two numbers are further apart than rounding explains; a NaN differs from nothing.

    `size` is that of numbers whose difference they are: it leaves their rounding behind.
    """
    if math.isinf(a) or math.isinf(b):
        return a != b and not (math.isnan(a) or math.isnan(b))
    return abs(a - b) > ROUNDING * max(abs(a), abs(b), size)


def alike(values: Iterable[float]) -> bool:
    """Whether no two of the values differ."""
    found = list(values)
    return not found or not differ(min(found), max(found))


def tied(*samples: Array) -> list[Array]:
    """The samples, in which values that do not differ have become equal: ties are ties again."""
    flat = np.concatenate([sample.ravel() for sample in samples])
    order = np.argsort(flat, kind="stable")
    rising = flat[order]
    gap = ROUNDING * np.maximum(np.abs(rising[1:]), np.abs(rising[:-1]))
    starts = np.r_[True, np.diff(rising) > gap]
    snapped = np.empty_like(flat)
    snapped[order] = rising[np.maximum.accumulate(np.where(starts, np.arange(len(flat)), 0))]
    ends = np.cumsum([sample.size for sample in samples])[:-1]
    parts = np.split(snapped, ends)
    return [part.reshape(sample.shape) for part, sample in zip(parts, samples, strict=True)]
