"""The ids of all tasks of ours."""

from __future__ import annotations

from rlkit.envs.tasks import bit_flip, catch, contextual, distracted, maze, partial, stocked


def register() -> None:
    """Makes them known to gymnasium; a second call changes nothing."""
    for task in (bit_flip, catch, contextual, distracted, maze, partial, stocked):
        task.register()
