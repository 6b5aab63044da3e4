"""Where files that were written before say that code of ours is, and where it is now."""

from __future__ import annotations

# Modules of `rlkit.envs.tasks` that were in `rlkit.envs` and hold what specs and snapshots name.
_TASKS = (
    *("bit_flip", "catch", "contextual", "distracted", "edge_of_reach", "maze_env", "partial"),
    "stocked",
)
_MOVED = {f"rlkit.envs.{name}": f"rlkit.envs.tasks.{name}" for name in _TASKS}


def current(path: str) -> str:
    """`module:name` as it is now; what never was elsewhere stays as it is."""
    module, colon, name = path.partition(":")
    return _MOVED.get(module, module) + colon + name
