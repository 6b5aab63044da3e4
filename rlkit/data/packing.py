"""Writing one step of every environment into packed replay rows: by numpy, or by a kernel.

The kernel takes 1 µs where numpy takes 7, but loading numba takes as long as 100,000 such steps: a
run is given it when it has come some way, or when something else has loaded numba.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

PATIENCE = 50_000  # steps written by numpy
Write = Callable[..., bool]


def writer(steps: int) -> Write:
    """What writes a step, for a ring that has seen so many of them. Both give the same rows.

    Returns a function of `ring [S, slots, E, W]`, `slot`, `stage [S, E, W]` (scratch), `s`, `a`,
    `r`, `terminated`, `truncated`, `s2`, `extra`: `s`, `a`, `s2`, `extra` are `[S, E, ...]`
    flattened to three axes, `r` and the flags `[S, E]`. It says whether all numbers are finite;
    only then `ring[:, slot]` becomes the packed step.
    """
    return _kernel() if steps >= PATIENCE or "numba" in sys.modules else by_numpy


def by_numpy(
    ring: np.ndarray,
    slot: int,
    stage: np.ndarray,
    s: np.ndarray,
    a: np.ndarray,
    r: np.ndarray,
    terminated: np.ndarray,
    truncated: np.ndarray,
    s2: np.ndarray,
    extra: np.ndarray,
) -> bool:
    cont = np.logical_not(terminated)[..., None]
    last = np.logical_or(terminated, truncated)[..., None]
    parts = (s, a, r[..., None], cont, last, s2, extra)
    with np.errstate(over="ignore"):  # of the cast: it is found below
        np.concatenate(parts, -1, out=stage, casting="unsafe")
    if not np.isfinite(stage).all():
        return False
    ring[:, slot] = stage
    return True


@functools.cache
def _kernel() -> Any:
    from rlkit.core.jit import njit

    return njit(cache=True, nogil=True)(_loops)


def _loops(ring, slot, stage, s, a, r, terminated, truncated, s2, extra):
    lanes, envs, width = stage.shape
    obs, act = s.shape[2], a.shape[2]
    finite = True
    for lane in range(lanes):
        for env in range(envs):
            row = stage[lane, env]
            for k in range(act):
                row[obs + k] = a[lane, env, k]
            at = obs + act
            row[at] = r[lane, env]
            row[at + 1] = 0.0 if terminated[lane, env] else 1.0
            row[at + 2] = 1.0 if terminated[lane, env] or truncated[lane, env] else 0.0
            for k in range(obs):
                row[k] = s[lane, env, k]
                row[at + 3 + k] = s2[lane, env, k]
            for k in range(extra.shape[2]):
                row[at + 3 + obs + k] = extra[lane, env, k]
            for k in range(width):  # after the cast: a float32 overflow is caught too
                finite &= np.isfinite(row[k])
    if finite:
        for lane in range(lanes):
            ring[lane, slot] = stage[lane]
    return finite
