"""Which of MiniGrid's environments the kernels know, read off an environment that was made."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rlkit.envs.grid import rooms, single
from rlkit.envs.grid.cells import BALL, BOX, GREY, KEY, LAVA, NOTES, RED, WALL, thing
from rlkit.envs.grid.stepping import AVOID, PICK, REACH, UNLOCK

Level = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], bool]
_KINDS = {"key": KEY, "ball": BALL, "box": BOX}


class Family(NamedTuple):
    """What a batch of grids of one kind needs to know."""

    level: Level
    settings: np.ndarray  # of the level
    rule: int  # of `stepping`: what ends an episode
    balls: int  # that move
    actions: int
    width: int
    height: int
    max_steps: int
    view: int  # side of the view
    through: bool  # whether walls hide nothing


def family_of(env: Any) -> Family | None:
    """The family of an unwrapped MiniGrid environment, None where the kernels do not know it: other
    classes (one's own subclass too), and arguments that some class draws levels of no other way."""
    known = _KNOWN.get(f"{type(env).__module__}:{type(env).__name__}")
    least = 3 if hasattr(env, "room_size") else 5  # rooms of 3 in one row, else what draws need
    large = min(env.width, env.height) >= least
    found = None if known is None or not large else known(env)
    if found is None:
        return None
    level, settings, rule, balls = found
    return Family(
        level,
        np.array(settings, np.int64),
        rule,
        balls,
        int(env.action_space.n),
        env.width,
        env.height,
        env.max_steps,
        env.agent_view_size,
        bool(env.see_through_walls),
    )


_Found = tuple[Level, list[int], int, int] | None


def _start(env: Any) -> list[int] | None:
    """Where the agent starts; None for what is no place or direction (the package says so)."""
    at, direction = env.agent_start_pos, env.agent_start_dir
    if at is None:
        return [-1, -1, 0]
    whole = all(isinstance(n, int | np.integer) for n in (*at, direction))
    if not whole or len(at) != 2 or direction not in range(4):
        return None
    inside = at[0] in range(1, env.width - 1) and at[1] in range(1, env.height - 1)
    return [int(at[0]), int(at[1]), int(direction)] if inside else None


def _empty(env: Any) -> _Found:
    start = _start(env)
    return None if start is None else (single.empty, start, REACH, 0)


def _obstacles(env: Any) -> _Found:
    count, start = int(env.n_obstacles), _start(env)
    if start is None or not 0 <= count <= (NOTES - 4) // 2:
        return None
    return single.obstacles, [*start, count], AVOID, count


def _dist_shift(env: Any) -> _Found:
    start, row = _start(env), env.strip2_row
    if start is None or row not in range(1, env.height - 1):
        return None
    return single.dist_shift, [*start, int(row)], REACH, 0


def _four_rooms(env: Any) -> _Found:
    if env._agent_default_pos is not None or env._goal_default_pos is not None:
        return None
    return single.four_rooms, [0], REACH, 0


def _door_key(env: Any) -> _Found:
    return (single.door_key, [0], REACH, 0) if env.width >= 5 else None


def _gap(env: Any) -> _Found:
    barrier = _barrier(env.obstacle_type)
    return None if barrier is None else (single.gap, [barrier], REACH, 0)


def _crossing(env: Any) -> _Found:
    barrier = _barrier(env.obstacle_type)
    if barrier is None:
        return None
    return single.crossing, [barrier, int(env.num_crossings)], REACH, 0


def _barrier(kind: type) -> int | None:
    return {"Lava": thing(LAVA, RED), "Wall": thing(WALL, GREY)}.get(kind.__name__)


def _multi_room(env: Any) -> _Found:
    settings = [env.minNumRooms, env.maxNumRooms, env.maxRoomSize]
    return rooms.multi_room, settings, REACH, 0


def _key_corridor(env: Any) -> _Found:
    if env.num_cols != 3 or env.obj_type not in _KINDS:
        return None
    settings = [env.room_size, env.num_rows, _KINDS[env.obj_type]]
    return rooms.key_corridor, settings, PICK, 0


def _unlock(env: Any) -> _Found:
    return rooms.unlock, [env.room_size, False, False], UNLOCK, 0


def _unlock_pickup(env: Any) -> _Found:
    return rooms.unlock, [env.room_size, True, False], PICK, 0


def _blocked(env: Any) -> _Found:
    return rooms.unlock, [env.room_size, True, True], PICK, 0


def _obstructed_two(env: Any) -> _Found:
    settings = [env.room_size, 0, 0, 0, env.key_in_box, env.blocked, False]
    return rooms.obstructed, settings, PICK, 0


def _obstructed(env: Any, keys_last: bool = False) -> _Found:
    at = env.agent_room
    if not 1 <= env.num_quarters <= 4 or not all(k in range(3) for k in at):
        return None
    settings = [env.room_size, env.num_quarters, *at, env.key_in_box, env.blocked, keys_last]
    return rooms.obstructed, settings, PICK, 0


_KNOWN: dict[str, Callable[[Any], _Found]] = {
    "minigrid.envs.blockedunlockpickup:BlockedUnlockPickupEnv": _blocked,
    "minigrid.envs.crossing:CrossingEnv": _crossing,
    "minigrid.envs.distshift:DistShiftEnv": _dist_shift,
    "minigrid.envs.doorkey:DoorKeyEnv": _door_key,
    "minigrid.envs.dynamicobstacles:DynamicObstaclesEnv": _obstacles,
    "minigrid.envs.empty:EmptyEnv": _empty,
    "minigrid.envs.fourrooms:FourRoomsEnv": _four_rooms,
    "minigrid.envs.keycorridor:KeyCorridorEnv": _key_corridor,
    "minigrid.envs.lavagap:LavaGapEnv": _gap,
    "minigrid.envs.multiroom:MultiRoomEnv": _multi_room,
    "minigrid.envs.obstructedmaze:ObstructedMaze_1Dlhb": _obstructed_two,
    "minigrid.envs.obstructedmaze:ObstructedMaze_2Dl": _obstructed,
    "minigrid.envs.obstructedmaze:ObstructedMaze_2Dlh": _obstructed,
    "minigrid.envs.obstructedmaze:ObstructedMaze_2Dlhb": _obstructed,
    "minigrid.envs.obstructedmaze:ObstructedMaze_Full": _obstructed,
    "minigrid.envs.obstructedmaze_v1:ObstructedMaze_Full_V1": lambda env: _obstructed(env, True),
    "minigrid.envs.unlock:UnlockEnv": _unlock,
    "minigrid.envs.unlockpickup:UnlockPickupEnv": _unlock_pickup,
}
