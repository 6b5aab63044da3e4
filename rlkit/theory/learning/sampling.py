"""What a step of a learner's world pays and where it leads, rewards by outcome included.

A `FiniteMDP` keeps the mean reward of a row, which values need; along a trajectory the rewards of a
model may depend on the successor, or be drawn: `returns.laws.Outcomes` keeps every one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlkit.core.jit import njit
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.returns.laws import Outcomes
from rlkit.theory.streams import categorical, uniform


class World(NamedTuple):
    """Arrays of `draw`: successors of the model, and outcomes [M] of the rows, if it has any."""

    row_ptr: Array
    col: Array
    val: Array
    r: Array
    out_ptr: Array
    out_p: Array
    out_r: Array
    out_s2: Array


def world_of(model: FiniteMDP | Outcomes) -> tuple[FiniteMDP, World]:
    """The expanded model, and what its steps are drawn from."""
    if isinstance(model, Outcomes):
        m = model.mdp
        counts = np.bincount(model.row, minlength=m.num_rows)
        outcomes = (np.concatenate([[0], np.cumsum(counts)]), model.p, model.r, model.s2)
    else:
        m = model.expanded()
        outcomes = (np.zeros(1, np.int64), np.empty(0), np.empty(0), np.empty(0, np.int64))
    return m, World(m.row_ptr, m.col, m.val, m.r, *outcomes)


@njit(cache=True, nogil=True)
def draw(rng, world, i):
    """Successor (-1: the end) and reward of a step from row i."""
    if world.out_ptr.size == 1:
        start, end = world.row_ptr[i], world.row_ptr[i + 1]
        return categorical(rng, world.col, world.val, start, end), world.r[i]
    start, end = world.out_ptr[i], world.out_ptr[i + 1]
    u, total = uniform(rng), 0.0
    for k in range(start, end):
        total += world.out_p[k]
        if u < total:
            return world.out_s2[k], world.out_r[k]
    return world.out_s2[end - 1], world.out_r[end - 1]
