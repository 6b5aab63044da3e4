"""Evaluation of finished policies on start states of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from rlkit.core.errors import RlkitError, UsageError
from rlkit.envs.make import make
from rlkit.eval.records import Array, Episode
from rlkit.eval.rollout import Slots, rollout
from rlkit.policy.policy import Policy

_SPACING = 1_000_003  # between the seeds of evaluations, so that lanes never share one
_LONGEST = 10_000  # steps of an episode where the environment sets no limit


def evaluate_run(
    folder: str | Path,
    episodes: int = 100,
    checkpoint: str | int = "best",
    lanes: Sequence[int] | None = None,
    env: str | None = None,
    seed: int = 1,
) -> tuple[list[Episode], dict[str, Any] | None]:
    """Episodes of the lanes (all by default) of a run, and what its task says of its dataset.

    Start states depend on the lane's seed and on `seed`; with 0 they are those the training
    itself was evaluated on, among which the best checkpoint was chosen. Raises UsageError for an
    environment whose spaces do not fit.
    """
    from rlkit.run import folder as run_folder
    from rlkit.run.task import actor

    restored = run_folder.restore(folder, checkpoint, lanes)
    task = restored.task
    numbers = list(range(len(restored.seeds))) if lanes is None else list(lanes)
    if env is None and not task.has_env:
        raise UsageError(f"{folder} names no environment; give one with --env")

    def env_fn() -> gymnasium.Env:
        return task.make_env() if env is None else _made(env)

    _check_fit(env_fn, task.obs, task.action_shape)
    found = rollout(
        actor(restored.agent, restored.spec, task),
        env_fn,
        episodes,
        [lane_seed + _SPACING * seed for lane_seed in restored.seeds],
        max_steps=_limit(env_fn),
        encode=task.encode,
    )
    return [
        e._replace(lane=numbers[e.lane], seed=restored.seeds[e.lane], step=restored.steps[e.lane])
        for e in found
    ], task.dataset


def evaluate_file(
    path: str | Path, episodes: int = 100, env: str | None = None, seed: int = 1
) -> list[Episode]:
    """Episodes of an exported policy in the environment it was trained for, or in `env`."""
    policy = Policy.load(path)
    card, name = policy.card, env or policy.card.env
    if name is None:
        raise UsageError(f"{path} names no environment; give one with --env")

    def env_fn() -> gymnasium.Env:
        return _made(name)

    _check_fit(env_fn, card.obs_shape, card.action_shape)

    def act(obs: Array, slots: Slots) -> Array:
        return policy.act(obs[0])[None]

    found = rollout(
        act,
        env_fn,
        episodes,
        [card.seed + _SPACING * seed],
        max_steps=_limit(env_fn),
        encode=lambda observation: np.asarray(observation).reshape(card.obs_shape),
    )
    return [e._replace(lane=card.lane, seed=card.seed, step=card.step) for e in found]


def _made(name: str) -> gymnasium.Env:
    try:
        return make(name)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _check_fit(env_fn: Any, obs: tuple[int, ...], action: tuple[int, ...]) -> None:
    env = env_fn()
    found = env.observation_space.shape, env.action_space.shape
    env.close()
    if found[0] is None or int(np.prod(found[0])) != int(np.prod(obs)) or found[1] != action:
        raise RlkitError(
            f"the environment has observations of shape {found[0]} and actions of shape "
            f"{found[1]}; the policy takes {obs} and gives {action}"
        )


def _limit(env_fn: Any) -> int | None:
    """None where the environment ends its episodes itself."""
    env = env_fn()
    limited = env.spec is not None and env.spec.max_episode_steps is not None
    env.close()
    return None if limited else _LONGEST
