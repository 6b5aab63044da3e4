"""The difference of scores that rounding explains."""

from typing import Any

import numpy as np

# Of the largest score: what some thousand additions in another order may change.
ROUNDING = 1e-12


def rounding(*tables: np.ndarray[Any, np.dtype[Any]]) -> float:
    """The difference up to which scores of these tables count as equal."""
    return ROUNDING * max(float(np.abs(table).max()) for table in tables)
