"""A shortest-path expert for MiniGrid goal tasks, planning on the true grid.

It knows walls, lava, doors (open, closed, locked) and things to carry, so it recovers from
whatever random actions did before: a dropped key, a door shut again.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np
from minigrid.core.constants import DIR_TO_VEC
from minigrid.core.grid import Grid
from minigrid.core.world_object import Door
from minigrid.minigrid_env import MiniGridEnv

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE = range(6)
ACTIONS = 7  # with "done", which does nothing
_OPEN, _CLOSED, _LOCKED = range(3)
_STEPS = tuple((int(x), int(y)) for x, y in DIR_TO_VEC)

Cell = tuple[int, int]
Thing = tuple[str, str]  # kind and colour


class _State(NamedTuple):
    position: Cell
    direction: int
    carrying: Thing | None
    things: frozenset[tuple[Cell, Thing]]
    doors: tuple[int, ...]


class _Map(NamedTuple):
    """What no action changes."""

    free: frozenset[Cell]  # floor, goals and doors; not walls or lava
    goals: frozenset[Cell]
    doors: tuple[tuple[Cell, str], ...]  # cell and colour


class Planner:
    """The first action of a shortest plan to a goal cell; remembers what it has planned."""

    def __init__(self) -> None:
        self._known: dict[tuple[_Map, _State], int] = {}

    def action(self, env: Any) -> int:
        """Best action in the environment's present state (wrapped or not). Of equally short plans
        the one with the lower action number. Raises ValueError where no goal can be reached."""
        layout, state = _survey(env.unwrapped)
        if (layout, state) not in self._known:
            for visited, action in _shortest_plan(layout, state):
                self._known.setdefault((layout, visited), action)
        return self._known[layout, state]

    def noisy_action(self, env: Any, noise: float, rng: np.random.Generator) -> int:
        """The best action, or with probability `noise` one of the seven drawn uniformly."""
        swerve, drawn = rng.random(), int(rng.integers(ACTIONS))
        return drawn if swerve < noise else self.action(env)


def plan_length(env: Any) -> int:
    """Steps of a shortest plan from the environment's present state."""
    return len(_shortest_plan(*_survey(env.unwrapped)))


def _survey(env: MiniGridEnv) -> tuple[_Map, _State]:
    grid: Grid = env.grid
    free, goals, doors, door_states, things = set(), set(), [], [], set()
    for y in range(grid.height):
        for x in range(grid.width):
            thing = grid.get(x, y)
            kind = None if thing is None else thing.type
            if thing is None or kind in ("floor", "goal"):
                free.add((x, y))
            elif isinstance(thing, Door):
                free.add((x, y))
                doors.append(((x, y), thing.color))
                door_states.append(
                    _OPEN if thing.is_open else _LOCKED if thing.is_locked else _CLOSED
                )
            elif kind in ("key", "ball", "box"):
                free.add((x, y))
                things.add(((x, y), (kind, thing.color)))
            if kind == "goal":
                goals.add((x, y))
    carried = env.carrying
    state = _State(
        position=(int(env.agent_pos[0]), int(env.agent_pos[1])),
        direction=int(env.agent_dir),
        carrying=None if carried is None else (carried.type, carried.color),
        things=frozenset(things),
        doors=tuple(door_states),
    )
    return _Map(frozenset(free), frozenset(goals), tuple(doors)), state


def _shortest_plan(layout: _Map, start: _State) -> list[tuple[_State, int]]:
    """States and actions of a shortest plan, by breadth-first search."""
    came: dict[_State, tuple[_State, int] | None] = {start: None}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        if state.position in layout.goals and state is not start:
            plan = []
            step = came[state]
            while step is not None:
                plan.append(step)
                step = came[step[0]]
            return plan[::-1]
        for action in (LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE):
            following = _after(layout, state, action)
            if following is not None and following not in came:
                came[following] = (state, action)
                queue.append(following)
    raise ValueError(
        f"no goal cell can be reached from {start.position}; the planner solves goal tasks only"
    )


def _after(layout: _Map, state: _State, action: int) -> _State | None:
    """The state that an action leads to; None where it changes nothing."""
    if action == LEFT:
        return state._replace(direction=(state.direction + 3) % 4)
    if action == RIGHT:
        return state._replace(direction=(state.direction + 1) % 4)
    step = _STEPS[state.direction]
    ahead = (state.position[0] + step[0], state.position[1] + step[1])
    if ahead not in layout.free:
        return None
    thing = next((t for cell, t in state.things if cell == ahead), None)
    door = next((k for k, (cell, _) in enumerate(layout.doors) if cell == ahead), None)
    blocked = thing is not None or (door is not None and state.doors[door] != _OPEN)
    if action == FORWARD:
        return None if blocked else state._replace(position=ahead)
    if action == PICKUP:
        if thing is None or state.carrying is not None:
            return None
        return state._replace(carrying=thing, things=state.things - {(ahead, thing)})
    if action == DROP:
        taken = thing is not None or door is not None or ahead in layout.goals
        if state.carrying is None or taken:
            return None
        things = state.things | {(ahead, state.carrying)}
        return state._replace(carrying=None, things=things)
    if door is None:
        return None
    if state.doors[door] == _LOCKED and state.carrying != ("key", layout.doors[door][1]):
        return None
    opened = _CLOSED if state.doors[door] == _OPEN else _OPEN
    doors = state.doors[:door] + (opened,) + state.doors[door + 1 :]
    return state._replace(doors=doors)
