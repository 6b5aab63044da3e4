"""Environments ready for rlkit: one call, observations as one array."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.wrappers import FlattenObservation

from rlkit.core.nearest import suggestion


def make(env: str | EnvSpec, **kwargs: Any) -> gymnasium.Env:
    """The environment of an id (`Hopper-v5`, `package.module:Name-v0`) or of a dataset's spec.

    MiniGrid environments get `SymbolicView`; dictionary, tuple and discrete observations are
    flattened by gymnasium's rule, the one of `rlkit.data.spaces`. `kwargs` go to the environment
    (`render_mode`, `max_episode_steps`, ...). Raises ValueError naming the nearest id.
    """
    name = env.id if isinstance(env, EnvSpec) else env
    if name.startswith(("MiniGrid-", "BabyAI-")):
        importlib.import_module("minigrid")  # registers its ids
    if isinstance(env, str):
        _check_id(name)
    kwargs.setdefault("disable_env_checker", True)
    with _quiet_models(gymnasium.spec(env) if isinstance(env, str) else env):
        made = gymnasium.make(env, **kwargs)
    if name.startswith(("MiniGrid-", "BabyAI-")):
        from rlkit.envs.minigrid import SymbolicView

        if isinstance(made.observation_space, spaces.Dict):
            made = SymbolicView(made)
    elif not isinstance(made.observation_space, spaces.Box):
        made = FlattenObservation(made)
    return made


@contextlib.contextmanager
def _quiet_models(spec: EnvSpec) -> Iterator[None]:
    """Keeps MuJoCo from printing, and from writing MUJOCO_LOG.TXT into the working directory,
    deprecations of gymnasium's own model files; other messages become Python warnings."""
    if "mujoco" not in str(spec.entry_point):
        yield
        return
    import mujoco

    before, messages = mujoco.get_mju_user_warning(), list[str]()
    mujoco.set_mju_user_warning(messages.append)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
    for message in messages:
        if "deprecated" not in message:
            warnings.warn(message, RuntimeWarning, stacklevel=3)


def _check_id(name: str) -> None:
    module, _, plain = name.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ValueError(f"environment {name!r}: cannot import {module!r}: {error}") from error
    if plain in gymnasium.registry:
        return
    if not module:
        # So that a misspelt MiniGrid id finds its neighbours too.
        importlib.import_module("minigrid")
    raise ValueError(f"unknown environment {name!r}{suggestion(plain, gymnasium.registry)}")
