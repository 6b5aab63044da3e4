"""numba's `njit`, whose cache on disk is a help and never a need.

Where neither the installation nor the home directory can be written (a container of a stranger's
user), and where the disk is full, kernels are compiled anew in every process; numba's own would
raise at import, or when a kernel is first called.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numba


def njit(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`numba.njit`, as a decorator with or without options."""
    if function is None:
        return lambda decorated: _compiled(decorated, options)
    return _compiled(function, options)


def _compiled(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    try:
        made = numba.njit(**options)(function)
    except RuntimeError as error:
        if "no locator" not in str(error):  # numba's words for: nowhere to write to
            raise
        return numba.njit(**(options | {"cache": False}))(function)
    cache = getattr(made, "_cache", None)
    save = getattr(cache, "save_overload", None)
    if save is not None:

        def saved(*args: Any) -> None:
            with contextlib.suppress(OSError):
                save(*args)

        cache.save_overload = saved  # type: ignore[union-attr]
    return made
