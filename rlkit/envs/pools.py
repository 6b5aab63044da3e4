"""Pools of levels: what an agent trains on, and others that it is tried on.

A level is what an environment's `reset(seed)` makes of a seed: a maze of MiniGrid, the physics of a
contextual task. A pool of K training levels has the seeds 0 to K - 1; validation and test levels
have seeds of their own, so that none is in two pools, 2^29 of each. What chance does within an
episode is the level's too.

The gap is the mean return on training levels less that on levels never trained on (Cobbe et al.
2019, arXiv 1812.02341; Kirk et al. 2023, arXiv 2111.09794).
"""

from __future__ import annotations

from typing import Literal, get_args

from rlkit.core.errors import UsageError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
MOST = 1 << 29  # levels of a pool
_FIRST = {"train": 0, "validation": MOST, "test": 2 * MOST}


def level(split: Split, number: int, levels: int) -> int:
    """The seed of the level that a random `number` chooses: one of the `levels` training levels, or
    any of another pool."""
    return _FIRST[split] + number % (levels if split == "train" else MOST)


def check(levels: int) -> None:
    """Raises UsageError for a pool that is no pool."""
    if not 1 <= levels <= MOST:
        raise UsageError(f"levels is {levels}; a pool has from 1 to {MOST:,} training levels")
