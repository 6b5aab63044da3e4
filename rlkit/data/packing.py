"""The kernel that writes one step of every environment into packed replay rows."""

from __future__ import annotations

import numpy as np

from rlkit.core.jit import njit


@njit(cache=True, nogil=True)
def write_step(ring, slot, stage, s, a, r, terminated, truncated, s2, extra):
    """Whether all numbers are finite; only then `ring[:, slot]` becomes the packed step.

    `ring [S, slots, E, W]`, `stage [S, E, W]` (scratch), `s`, `a`, `s2`, `extra` `[S, E, ...]`
    flattened to three axes, `r` and the flags `[S, E]`. One call, because a handful of numpy
    assignments of a few numbers each cost five times as much.
    """
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
