"""Resets, steps and ends of environments that may be anybody's: what goes wrong names them.

An environment is looked at once before a training (`envs.checking`); what it does later is held
against its spaces at every step, for an array of another shape would be spread over the right one.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.core.errors import RlkitError, RunError

if TYPE_CHECKING:
    import gymnasium


def begun(
    env: gymnasium.Env,
    seed: int | None = None,
    options: dict[str, Any] | None = None,
    *,
    finite: bool = True,
) -> Any:
    """The first observation of a new episode. Raises RunError naming the environment where `reset`
    fails or returns something else, or, where `finite`, numbers that are not."""
    try:
        obs, _ = env.reset(seed=seed) if options is None else env.reset(seed=seed, options=options)
    except RlkitError:
        raise
    except Exception as error:  # of code that is not ours
        raise RunError(_failed(env, "reset", error)) from error
    if finite:
        _check_finite(env, "reset", obs)
    return _fitting(env, "reset", obs)


def stepped(
    env: gymnasium.Env, action: Any, *, finite: bool = True
) -> tuple[Any, float, bool, bool]:
    """Observation, reward, terminated and truncated of one step. Raises RunError naming the
    environment where `step` fails or returns something else, or, where `finite`, numbers that are
    not."""
    try:
        obs, reward, terminated, truncated, _ = env.step(action)
        told = float(reward), bool(terminated), bool(truncated)
    except RlkitError:
        raise
    except Exception as error:  # of code that is not ours
        raise RunError(_failed(env, "step", error)) from error
    if finite:
        _check_finite(env, "step", obs, told[0])
    return _fitting(env, "step", obs), *told


def closed(env: gymnasium.Env) -> None:
    """Closes an environment. One that fails is warned of by name: what was made of it stands, and
    the error for which it may be closed is the one to be told."""
    try:
        env.close()
    except Exception as error:  # of code that is not ours
        warnings.warn(_failed(env, "close", error), RuntimeWarning, stacklevel=2)


def _check_finite(env: gymnasium.Env, method: str, obs: Any, reward: float = 0.0) -> None:
    if not math.isfinite(reward):
        what = f"reward {reward}"
    elif not _finite(obs):
        what = f"observation {' '.join(str(obs).split()):.80}"
    else:
        return
    raise RunError(
        f"environment {named(env)} returned from {method}() the {what}, which is not finite"
    )


def _finite(obs: Any) -> bool:
    if isinstance(obs, dict):
        return all(map(_finite, obs.values()))
    if isinstance(obs, tuple):
        return all(map(_finite, obs))
    if isinstance(obs, np.ndarray):
        return obs.dtype.kind != "f" or bool(np.isfinite(obs).all())
    return not isinstance(obs, float | np.floating) or math.isfinite(obs)


def _fitting(env: gymnasium.Env, method: str, obs: Any) -> Any:
    shape = env.observation_space.shape
    if shape is None or isinstance(obs, dict):  # its encoding looks at these
        return obs
    try:
        found = obs.shape if isinstance(obs, np.ndarray) else np.shape(obs)
    except ValueError as error:  # lists of different lengths
        raise RunError(_failed(env, method, error)) from error
    if found != shape or obs is None or isinstance(obs, str):
        what = f"{type(obs).__name__} of shape {found}" if found else repr(obs)[:60]
        raise RunError(
            f"environment {named(env)} returned from {method}() the observation {what}, and its "
            f"space declares shape {shape}"
        )
    return obs


def _failed(env: gymnasium.Env, method: str, error: Exception) -> str:
    said = " ".join(str(error).split()) or "no message"
    return f"environment {named(env)} failed in {method}(): {type(error).__name__}: {said}"


def named(env: gymnasium.Env) -> str:
    """Its id, or what it says of itself where it was made without one."""
    return str(env.unwrapped) if env.spec is None else env.spec.id
