"""Numbers that count something: runs, rounds, arms, steps; what is none is refused by name."""

from typing import Any

import numpy as np


def whole(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int; a ValueError names one that is not whole, or is below `least`.

    A float counts where it is whole, so that 1e4 may be a horizon; True and False do not.
    """
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(
        value, bool
    )
    if not number or not value >= least or value == np.inf or value != int(value):
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {least}")
    return int(value)


def check_whole(options: Any, *names: str, least: int = 1) -> None:
    """Raise a ValueError for the first of these attributes that is no int of at least `least`."""
    for name in names:
        value = getattr(options, name)
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
            raise ValueError(f"{name} is {value!r}; it must be a whole number of at least {least}")


def check_at_least(options: Any, *names: str, least: float = 0.0) -> None:
    """Raise a ValueError for the first of these attributes that is below `least`, or NaN."""
    for name in names:
        value = np.asarray(getattr(options, name), float)
        if not (value >= least).all():
            raise ValueError(f"{name} is {getattr(options, name)}; it must be at least {least:g}")
