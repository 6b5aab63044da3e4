"""Many MiniGrid environments stepped as one: the levels and episodes of the package, bit for bit.

    grids = Grids.of("MiniGrid-DoorKey-8x8-v0", 1024)
    grids.reset(range(1024))                       # views [1024, 7, 7, 3] in grids.image
    reward, terminated, truncated = grids.step(actions)

Reset with seed s, a grid holds the level that `env.reset(seed=s)` of the package has, and every
step after it is the same. An ended grid stays as it ended until it is reset.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rlkit.core.errors import UsageError
from rlkit.envs.grid import rng, stepping
from rlkit.envs.grid.cells import EMPTY, GREY, LAVA, LOCKED, NOTES
from rlkit.envs.grid.families import Family, family_of

_STATE = ("cells", "agent", "carrying", "steps", "notes", "rng")


class Grids:
    """`n` grids of one family.

    Attributes (read them; `step` and `reset` write in place):
        image `[n, V, V, 3]` uint8: what each agent sees, as MiniGrid's `image`.
        cells `[n, H, W]` uint16: the whole grids (`rlkit.envs.grid.cells`).
        agent `[n, 3]` int64: column, row, direction. carrying `[n]`, steps `[n]`.
    """

    def __init__(self, family: Family, n: int) -> None:
        if n < 1:
            raise UsageError(f"the number of grids must be at least 1, got {n}")
        self.family, self.n = family, n
        self.cells = np.full((n, family.height, family.width), EMPTY, np.uint16)
        self.agent = np.zeros((n, 3), np.int64)
        self.carrying = np.full(n, EMPTY, np.uint16)
        self.steps = np.zeros(n, np.int64)
        self.notes = np.zeros((n, NOTES), np.int64)
        self.rng = np.zeros((n, rng.SIZE), np.uint64)
        self.image = np.zeros((n, family.view, family.view, 3), np.uint8)
        self._every = np.arange(n)
        self.seeded = np.zeros(n, bool)

    @staticmethod
    def of(env: Any, n: int, **kwargs: Any) -> Grids:
        """`n` grids like a MiniGrid environment, wrapped or not, or like that of an id.

        Raises UsageError for one that the kernels do not know (`families`).
        """
        if isinstance(env, str):
            from rlkit.envs.make import make

            env = make(env, **kwargs)
        family = family_of(env.unwrapped)
        if family is None:
            raise UsageError(f"{env.unwrapped} is not one of the grids that can be batched")
        return Grids(family, n)

    def reset(self, seeds: Iterable[int | None], which: Iterable[int] | None = None) -> None:
        """New episodes of the grids `which` (all), each with its seed from 0 to 2**64 - 1; with
        None it draws on from the generator it has.

        Raises UsageError for a grid that was never seeded, RuntimeError where a level could not be
        drawn (the package raises RecursionError there).
        """
        rows = self._every if which is None else np.asarray(list(which), np.int64)
        for row, seed in zip(rows, seeds, strict=True):
            self._begin(int(row), seed)
        stepping.look(self.cells, self.agent, self.carrying, rows, self.family.through, self.image)

    def step(
        self, actions: np.ndarray, rows: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One action `[n]` in every grid, or only in those of `rows`: rewards float64, terminated
        and truncated `[n]` (0 and False where none was stepped).

        Raises ValueError for an action that the environment does not have, UsageError where there
        is no level yet.
        """
        family = self.family
        given = np.asarray(actions)
        if given.shape != (self.n,):
            raise ValueError(f"actions must have shape {(self.n,)}, got {given.shape}")
        if given.dtype.kind not in "iu":  # a float would be cut to another action
            raise ValueError(f"actions must be integers, got {given.dtype}")
        actions = given.astype(np.int64)
        if self.n and not (actions.min() >= 0 and actions.max() < family.actions):
            raise ValueError(f"actions must lie from 0 to {family.actions - 1}, got {actions}")
        rows = self._every if rows is None else rows
        if not self.seeded[rows].all():
            raise UsageError("the first step comes after reset: these grids hold no level yet")
        reward = np.zeros(self.n)
        terminated, truncated = np.zeros(self.n, bool), np.zeros(self.n, bool)
        stepping.step(
            actions,
            rows,
            self.cells,
            self.agent,
            self.carrying,
            self.steps,
            self.rng,
            self.notes,
            family.rule,
            family.balls,
            family.max_steps,
            reward,
            terminated,
            truncated,
        )
        stepping.look(self.cells, self.agent, self.carrying, rows, family.through, self.image)
        return reward, terminated, truncated

    def state(self) -> dict[str, np.ndarray]:
        """Copies of all that determines what follows."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def load(self, state: Mapping[str, np.ndarray], rows: np.ndarray | None = None) -> None:
        """Continue from `state`, all grids or those of `rows` [k]. Raises ValueError for one of
        another shape or type, and for what no grid holds: the kernels do not look where they step.
        Nothing is changed then."""
        rows = self._every if rows is None else rows
        found = {name: np.asarray(state[name]) for name in _STATE}
        for name, new in found.items():
            old = getattr(self, name)[rows]
            if new.shape != old.shape or new.dtype != old.dtype:
                raise ValueError(f"{name} has {new.dtype} {new.shape}, not {old.dtype} {old.shape}")
        self._check(found)
        for name, new in found.items():
            getattr(self, name)[rows] = new
        self.seeded[rows] = True
        stepping.look(self.cells, self.agent, self.carrying, rows, self.family.through, self.image)

    def grown(self, n: int) -> Grids:
        """These grids and more, `n` in all; the new ones wait for their first reset."""
        more = Grids(self.family, n)
        for name in (*_STATE, "image", "seeded"):
            getattr(more, name)[: self.n] = getattr(self, name)
        return more

    def _check(self, state: Mapping[str, np.ndarray]) -> None:
        """Raises ValueError for agents, balls or doors outside the grid, and for cells that are
        nothing."""
        cells, family = state["cells"], self.family
        kind, colour, kept = cells & 15, cells >> 4 & 7, cells >> 7 & 3
        if ((kind < EMPTY) | (kind > LAVA) | (colour > GREY) | (kept > LOCKED)).any():
            raise ValueError("cells hold what MiniGrid has no number for")
        size = np.array([family.width, family.height])
        agent, notes = state["agent"], state["notes"]
        places = [("agent", agent[:, :2])]
        if family.rule == stepping.AVOID:
            places.append(("a ball", notes[:, 4 : 4 + 2 * family.balls].reshape(-1, 2)))
        if family.rule == stepping.UNLOCK:
            places.append(("the door", notes[:, 2:4]))
        for what, place in places:
            if ((place < 0) | (place >= size)).any():
                raise ValueError(f"{what} is outside the grid")
        if ((agent[:, 2] < 0) | (agent[:, 2] > 3)).any():
            raise ValueError("a direction of an agent is none of 0 to 3")

    def _begin(self, k: int, seed: int | None) -> None:
        if seed is None and not self.seeded[k]:
            raise UsageError(f"grid {k} has no generator yet: give its first episode a seed")
        if seed is not None:
            if not 0 <= seed < 1 << 64:
                raise UsageError(f"a seed lies from 0 to 2**64 - 1, got {seed}")
            rng.seed(self.rng[k], np.uint64(seed))
            self.seeded[k] = True
        self.carrying[k], self.steps[k] = EMPTY, 0
        family = self.family
        given = self.cells[k], self.agent[k], self.rng[k], self.notes[k], family.settings
        if not family.level(*given):
            raise RuntimeError(f"no level could be drawn with seed {seed}")
