"""When two computed numbers differ by more than the rounding of what they were computed from."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# Of the larger size: what some thousand additions in another order may change.
ROUNDING = 1e-12


_SUM = 4 * np.finfo(np.float64).eps  # of the largest number in a sum


def settled(difference: Array, first: Array, second: Array, largest: Array) -> Array:
    """`difference` of two averages, 0 where rounding explains it.

    `largest` is the size of the largest number that was averaged: one far outlier rounds the others
    away only as far as the sum itself does.
    """
    size = np.maximum(np.abs(first), np.abs(second))
    return np.where(np.abs(difference) <= ROUNDING * size + _SUM * largest, 0.0, difference)


def above(scores: Array, thresholds: Array) -> Array:
    """Whether scores exceed thresholds by more than rounding, each pair at its own scale."""
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.maximum(np.abs(scores), np.abs(thresholds))
        clear = scores - thresholds > ROUNDING * size
    return np.where(np.isfinite(thresholds), clear, scores > thresholds)


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


def tied(*samples: Array, unit: float = ROUNDING) -> list[Array]:
    """The samples, in which values that do not differ have become equal: ties are ties again.
    `unit` is the rounding of a number of size 1."""
    flat = np.concatenate([sample.ravel() for sample in samples])
    order = np.argsort(flat, kind="stable")
    rising = flat[order]
    gap = unit * np.maximum(np.abs(rising[1:]), np.abs(rising[:-1]))
    starts = np.r_[True, np.diff(rising) > gap]
    snapped = np.empty_like(flat)
    snapped[order] = rising[np.maximum.accumulate(np.where(starts, np.arange(len(flat)), 0))]
    ends = np.cumsum([sample.size for sample in samples])[:-1]
    parts = np.split(snapped, ends)
    return [part.reshape(sample.shape) for part, sample in zip(parts, samples, strict=True)]
