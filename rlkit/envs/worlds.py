"""Several environments of one kind behind one step: separate ones, or grids stepped by a kernel.

`worlds(make, n)` chooses; `rlkit.envs.pooled` has those of envpool. Grids of `rlkit.envs.grid` take
the place of MiniGrid environments that they equal bit for bit; which of the two it was shows in no
record, only in the time it took.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from rlkit.envs.minigrid import is_grid
from rlkit.envs.snapshot import SnapshotUnsupported, restore, snapshot
from rlkit.envs.stepping import begun, closed, stepped

if TYPE_CHECKING:
    import gymnasium

    from rlkit.envs.grid.batch import Grids

# Wrappers that a grid has by itself, or needs not.
_WITHOUT = {"SymbolicView", "ImgObsWrapper", "OrderEnforcing"}


class Outcome(NamedTuple):
    """What one step of some environments led to."""

    observations: Sequence[Any] | np.ndarray  # [k] as the environments return them
    reward: np.ndarray  # [k] float64
    terminated: np.ndarray  # [k]
    truncated: np.ndarray  # [k]


class Worlds(Protocol):
    """`n` environments by row. None resets itself."""

    @property
    def observation_space(self) -> gymnasium.Space: ...

    @property
    def action_space(self) -> gymnasium.Space: ...

    def ensure(self, n: int) -> None:
        """At least `n` rows from now on; those there are stay as they are."""
        ...

    def begin(self, seeds: Sequence[int]) -> Sequence[Any] | np.ndarray:
        """The first observations of new episodes in all rows."""
        ...

    def reset(self, row: int, seed: int, options: dict[str, Any] | None = None) -> Any:
        """The first observation of a new episode; `options` as gymnasium has them, where what is
        stepped takes any."""
        ...

    def step(self, actions: np.ndarray, rows: np.ndarray) -> Outcome:
        """One action `[k, ...]`, in the units and the type of the action space, in each of the
        rows `[k]`, in their order; the others are left alone, or are at their episode's end."""
        ...

    def snapshot(self, row: int) -> dict[str, Any]:
        """The state of one, as `rlkit.envs.snapshot.snapshot` gives it and with its errors."""
        ...

    def restore(self, row: int, state: dict[str, Any]) -> None:
        """Continue from `snapshot`. Raises SnapshotUnsupported for one of the other kind."""
        ...

    def close(self) -> None: ...


def worlds(make: Callable[[], gymnasium.Env], n: int, *, finite: bool = True) -> Worlds:
    """`n` environments like the one that `make` makes; with `finite` one that returns what is not
    is refused, else it is the caller who does."""
    first = make()
    if is_grid(first) and _bare(first):
        from rlkit.envs.grid.batch import Grids
        from rlkit.envs.grid.families import family_of

        family = family_of(first.unwrapped)
        if family is not None:
            return Gridded(first, Grids(family, n))
    separate = Separate(make, [first], finite)
    separate.ensure(n)
    return separate


class Separate:
    """Environments of gymnasium, one after the other."""

    def __init__(
        self, make: Callable[[], gymnasium.Env], envs: list[gymnasium.Env], finite: bool = True
    ) -> None:
        self.make, self.envs, self.finite = make, envs, finite

    @property
    def observation_space(self) -> gymnasium.Space:
        return self.envs[0].observation_space

    @property
    def action_space(self) -> gymnasium.Space:
        return self.envs[0].action_space

    def ensure(self, n: int) -> None:
        while len(self.envs) < n:
            self.envs.append(self.make())

    def begin(self, seeds: Sequence[int]) -> Sequence[Any]:
        return [self.reset(row, seed) for row, seed in enumerate(seeds)]

    def reset(self, row: int, seed: int, options: dict[str, Any] | None = None) -> Any:
        return begun(self.envs[row], seed, options, finite=self.finite)

    def step(self, actions: np.ndarray, rows: np.ndarray) -> Outcome:
        observations, reward = [], np.empty(len(rows))
        terminated, truncated = np.empty(len(rows), bool), np.empty(len(rows), bool)
        for i, (row, action) in enumerate(zip(rows, actions, strict=True)):
            taken = action if action.ndim else action.item()
            raw, reward[i], terminated[i], truncated[i] = stepped(
                self.envs[row], taken, finite=self.finite
            )
            observations.append(raw)
        return Outcome(observations, reward, terminated, truncated)

    def snapshot(self, row: int) -> dict[str, Any]:
        return snapshot(self.envs[row])

    def restore(self, row: int, state: dict[str, Any]) -> None:
        if _GRID in state["meta"]:
            raise SnapshotUnsupported("it was saved of a grid stepped by a kernel")
        restore(self.envs[row], state)

    def close(self) -> None:
        while self.envs:
            closed(self.envs.pop())


_GRID = "grid"  # in the meta of a snapshot: its format


class Gridded:
    """Grids stepped by a kernel, in place of `env`, which lends its spaces."""

    def __init__(self, env: gymnasium.Env, grids: Grids) -> None:
        self.env, self.grids = env, grids

    @property
    def observation_space(self) -> gymnasium.Space:
        return self.env.observation_space

    @property
    def action_space(self) -> gymnasium.Space:
        return self.env.action_space

    def ensure(self, n: int) -> None:
        if n > self.grids.n:
            self.grids = self.grids.grown(n)

    def begin(self, seeds: Sequence[int]) -> np.ndarray:
        self.grids.reset(seeds, range(len(seeds)))
        return self.grids.image

    def reset(self, row: int, seed: int, options: dict[str, Any] | None = None) -> Any:
        self.grids.reset([seed], [row])
        return self.grids.image[row]

    def step(self, actions: np.ndarray, rows: np.ndarray) -> Outcome:
        every = np.zeros(self.grids.n, np.int64)
        every[rows] = actions
        reward, terminated, truncated = self.grids.step(every, rows)
        return Outcome(self.grids.image[rows], reward[rows], terminated[rows], truncated[rows])

    def snapshot(self, row: int) -> dict[str, Any]:
        state = self.grids.state()
        # in signed types, which every reader of checkpoints knows
        arrays = {name: np.array(array[row]).astype(np.int64) for name, array in state.items()}
        return {"arrays": arrays, "meta": {_GRID: 1}}

    def restore(self, row: int, state: dict[str, Any]) -> None:
        if _GRID not in state["meta"]:
            raise SnapshotUnsupported("it was saved of the package's own environment")
        found = {}
        for name, array in self.grids.state().items():
            if name not in state["arrays"] or state["arrays"][name].shape != array[row].shape:
                raise ValueError(f"the snapshot of grid {row} is damaged: {name}")
            found[name] = state["arrays"][name].astype(array.dtype)[None]
        try:
            self.grids.load(found, np.array([row]))
        except ValueError as error:
            raise ValueError(f"the snapshot of grid {row} is damaged: {error}") from error

    def close(self) -> None:
        closed(self.env)


def _bare(env: gymnasium.Env) -> bool:
    """Whether nothing around a MiniGrid environment changes what it does or draws it."""
    while env is not env.unwrapped:
        if type(env).__name__ not in _WITHOUT:
            return False
        env = env.env  # type: ignore[attr-defined]  # of every wrapper
    return env.render_mode is None
