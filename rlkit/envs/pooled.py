"""Environments stepped together by envpool (Weng et al. 2022): `--envs-backend envpool`.

A step of all rows is one call. The dynamics are envpool's own build of the task, whose records are
the same for the same seeds but not gymnasium's. Each row has a generator of its own, seeded at its
first episode; those that follow are drawn from it, so that a row is the same in any company.
envpool gives no state away: what is resumed begins new episodes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium
import numpy as np

from rlkit.core.errors import UsageError
from rlkit.core.words import extras
from rlkit.core.words.nearest import suggestion
from rlkit.envs.snapshot import SnapshotUnsupported
from rlkit.envs.stepping import closed
from rlkit.envs.worlds import Outcome

_SEEDS = 2**31  # envpool's are of int32


def check_pooled(env: gymnasium.Env) -> None:
    """That envpool has the task of `env`, as it is. Raises UsageError naming what differs."""
    envpool, spec = _envpool(), env.spec
    if spec is None or spec.id not in envpool.list_all_envs():
        name = "without an id" if spec is None else repr(spec.id)
        near = "" if spec is None else suggestion(spec.id, envpool.list_all_envs())
        raise UsageError(f"envs_backend envpool: it has no environment {name}{near}")
    where = f"envs_backend envpool: {spec.id}"
    registered = gymnasium.spec(spec.id)
    if spec.kwargs != registered.kwargs or spec.additional_wrappers:
        raise UsageError(
            f"{where} is wanted with arguments or wrappers, which envpool does not take"
        )
    pool = _pool(env, [0])
    try:
        for name in ("observation_space", "action_space"):
            ours, theirs = getattr(env, name), getattr(pool, name)
            if type(ours) is not type(theirs) or not _alike(ours, theirs):
                raise UsageError(f"{where} has the {name} {theirs} there, {ours} in gymnasium")
    finally:
        pool.close()


class Pooled:
    """Rows of an envpool, as `rlkit.envs.worlds.Worlds` describes them; `env` lends its spaces."""

    def __init__(self, make: Callable[[], gymnasium.Env], n: int) -> None:
        self.env, self.n = make(), n
        check_pooled(self.env)
        self.pool: Any = None

    @property
    def observation_space(self) -> gymnasium.Space:
        return self.env.observation_space

    @property
    def action_space(self) -> gymnasium.Space:
        return self.env.action_space

    def ensure(self, n: int) -> None:
        if n > self.n:
            raise ValueError(f"a pool of {self.n} environments cannot grow to {n}")

    def begin(self, seeds: Sequence[int]) -> Sequence[Any]:
        if len(seeds) != self.n:
            raise ValueError(f"{len(seeds)} seeds for a pool of {self.n} environments")
        self._close()
        self.pool = _pool(self.env, [seed % _SEEDS for seed in seeds])
        return self.pool.reset()[0]

    def reset(self, row: int, seed: int, options: dict[str, Any] | None = None) -> Any:
        """The first observation of a new episode, drawn from the row's own generator."""
        return self.pool.reset(np.array([row]))[0][0]

    def step(self, actions: np.ndarray, rows: np.ndarray) -> Outcome:
        obs, reward, terminated, truncated, info = self.pool.step(actions, rows.astype(np.int32))
        order = np.argsort(info["env_id"])[np.argsort(np.argsort(rows))]  # as they were asked for
        outcome = obs, reward.astype(np.float64), terminated, truncated
        return Outcome(*(part[order] for part in outcome))

    def snapshot(self, row: int) -> dict[str, Any]:
        raise SnapshotUnsupported("envpool gives no state of its environments away")

    def restore(self, row: int, state: dict[str, Any]) -> None:
        raise SnapshotUnsupported("envpool takes no state of its environments")

    def close(self) -> None:
        self._close()
        closed(self.env)

    def _close(self) -> None:
        if self.pool is not None:
            self.pool.close()
            self.pool = None


def _envpool() -> Any:
    try:
        import envpool
    except ImportError as error:
        raise extras.missing("envs_backend envpool", "envpool") from error
    return envpool


def _pool(env: gymnasium.Env, seeds: Sequence[int]) -> Any:
    """One thread: lanes and processes are what rlkit spreads over cores."""
    assert env.spec is not None
    limit = env.spec.max_episode_steps
    given = {} if limit is None else {"max_episode_steps": limit}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        pool = _envpool().make(
            env.spec.id,
            env_type="gymnasium",
            num_envs=len(seeds),
            num_threads=1,
            seed=list(seeds),
            **given,
        )
        _ = pool.observation_space, pool.action_space  # made once, with a warning of precision
    return pool


def _alike(ours: Any, theirs: Any) -> bool:
    """Whether two spaces of one class hold the same, their types of numbers apart."""
    if isinstance(ours, gymnasium.spaces.Discrete):
        return ours.n == theirs.n and ours.start == theirs.start
    if not isinstance(ours, gymnasium.spaces.Box) or ours.shape != theirs.shape:
        return False
    return np.allclose(ours.low, theirs.low) and np.allclose(ours.high, theirs.high)
