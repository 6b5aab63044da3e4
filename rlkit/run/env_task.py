"""The task that an environment is: its spaces, as agents and exported policies know them."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import Env, spaces
from gymnasium.envs.registration import EnvSpec

from rlkit.core.errors import UsageError
from rlkit.core.spec import Box, Discrete
from rlkit.data.spaces import describe, flat_shape
from rlkit.data.transforms import Transforms
from rlkit.envs.checking import check_environment, check_observations
from rlkit.envs.make import make, unflattened
from rlkit.envs.minigrid import is_view
from rlkit.envs.specs import to_text
from rlkit.envs.stepping import closed
from rlkit.run.settings.options import Options
from rlkit.run.task import Task


def of_env(env_id: str) -> Task:
    try:
        env = make(env_id)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return _described(env, env_id)


def of_spec(spec: EnvSpec, options: Options) -> Task:
    try:
        env = make(spec)
    except Exception as error:  # whatever an environment of another package raises
        raise UsageError(
            f"dataset {options.dataset}: its environment {spec.id} cannot be made: {error}; name "
            "another with --env, or train without evaluation (--eval-episodes 0)"
        ) from error
    return _described(env, spec.id)


def _described(env: Env, env_id: str) -> Task:
    """The task of a new environment, which is checked and closed."""
    try:
        check_environment(env)
        space, action = env.observation_space, env.action_space
        image = check_observations(space, is_view(env))
        shape, start = action_layout(action)
        if isinstance(action, spaces.Discrete):
            act: Box | Discrete = Discrete(int(action.n))
            transforms = Transforms()
        else:
            assert isinstance(action, spaces.Box)
            act = Box(int(np.prod(action.shape)))
            low, high = action.low.reshape(-1), action.high.reshape(-1)
            transforms = Transforms(action_low=low, action_high=high)
        return Task(
            flat_shape(space),
            act,
            transforms,
            env_id,
            to_text(env.spec),
            shape,
            start,
            spaces=described_spaces(unflattened(env), action),
            image=image,
        )
    except ValueError as error:
        raise UsageError(f"environment {env_id}: {error}") from error
    finally:
        closed(env)


def described_spaces(observation: spaces.Space, action: spaces.Space) -> dict[str, Any]:
    return {"observation": describe(observation), "action": describe(action)}


def action_layout(space: spaces.Space) -> tuple[tuple[int, ...], int]:
    if isinstance(space, spaces.Discrete):
        return (), int(space.start)
    if isinstance(space, spaces.Box):
        return tuple(space.shape), 0
    raise UsageError(f"actions of {space} are not supported; Box and Discrete are")
