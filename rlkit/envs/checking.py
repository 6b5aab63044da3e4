"""Environments of one's own, looked at once before a training begins."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils.passive_env_checker import (
    check_action_space,
    check_observation_space,
    env_reset_passive_checker,
    env_step_passive_checker,
)

from rlkit.core.files import trust
from rlkit.core.pixels import LEAST, layout

_STEPS = 10  # that are tried
# What gymnasium only warns of, and what no training survives.
_FATAL = ("old step API", "was not a tuple", "should be `(obs, info)`", "NaN", "Gymnasium version")


def check_environment(env: gymnasium.Env) -> None:
    """Raises ValueError with the message of gymnasium's own checker for a broken environment.

    A reset and some steps with random actions are tried on the innermost environment. Those of
    `rlkit.core.files.trust.PACKAGES` are taken as they are. Of whole numbers the first ones that
    all wrappers together give are looked at as well: a cast would lose what is between them.
    """
    inner, space = env.unwrapped, env.observation_space
    if not trust.is_ours(type(inner).__module__):
        _check_innermost(inner)
    if env is not inner and isinstance(space, spaces.Box) and np.dtype(space.dtype).kind in "iu":
        _check(env.reset(seed=0)[0], space, "reset")


def _check_innermost(inner: gymnasium.Env) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            check_observation_space(inner.observation_space)
            check_action_space(inner.action_space)
            inner.action_space.seed(0)
            first, _ = env_reset_passive_checker(inner, seed=0)
            _check(first, inner.observation_space, "reset")
            for _ in range(_STEPS):
                _refuse(told)
                found = env_step_passive_checker(inner, inner.action_space.sample())
                _refuse(told)
                _check(found[0], inner.observation_space, "step")
                if not np.isfinite(float(found[1])):
                    raise ValueError(f"step returned the reward {found[1]}")
                if found[2] or found[3]:
                    break
        except Exception as error:
            _refuse(told)  # the checker has often said before what then goes wrong
            kind = "" if isinstance(error, ValueError | AssertionError) else type(error).__name__
            raise ValueError(_line(f"{kind}: {error}" if kind else str(error))) from error
    _refuse(told)


def check_observations(space: spaces.Space, view: bool) -> bool:
    """Whether observations are images of uint8 numbers; MiniGrid's own cells (`view`) are none.

    Raises ValueError for observations that no net of ours takes: images of other types, below
    10 x 10 or beside other things, and grids that are not MiniGrid's.
    """
    if not isinstance(space, spaces.Box) or len(space.shape) < 2:
        for name, part in _parts(space):
            if isinstance(part, spaces.Box) and _is_image(part):
                raise ValueError(
                    f"observations hold an image of shape {part.shape} ({name}) beside other "
                    "things: convolutions see an image that is the whole observation; leave it "
                    "alone in it (gymnasium's FilterObservation and a TransformObservation that "
                    "takes it out), or make one vector of all (FlattenObservation)"
                )
        return False
    if view and len(space.shape) == 3 and space.shape[-1] == 3 and space.dtype == np.uint8:
        return False
    why = (
        f"they are {space.dtype}; brought to 0 ... 255 and uint8 by gymnasium's "
        "TransformObservation they are an image"
    )
    if space.dtype == np.uint8:
        try:
            layout(space.shape)
            return True
        except ValueError as error:
            why = str(error)
    raise ValueError(
        f"observations of shape {space.shape} ({space.dtype}) are an image or a grid: vectors, "
        f"MiniGrid's own view and uint8 images of {LEAST} x {LEAST} and more can be learnt from "
        f"({why}); FlattenObservation of gymnasium makes a vector of a small array"
    )


def _parts(space: spaces.Space, name: str = "") -> Iterator[tuple[str, spaces.Space]]:
    """The spaces within a Dict or a Tuple, however deep, by the path to them."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inside = space.items() if isinstance(space, spaces.Dict) else enumerate(space)
        for key, part in inside:
            yield from _parts(part, f"{name}[{key!r}]")
    elif name:
        yield name, space


def _is_image(space: spaces.Box) -> bool:
    if space.dtype != np.uint8 or len(space.shape) < 2:
        return False
    try:
        layout(space.shape)
    except ValueError:
        return False
    return True


def _check(obs: Any, space: spaces.Space, method: str) -> None:
    """gymnasium warns alike of rounding beyond a bound and of another shape."""
    if not isinstance(space, spaces.Box):
        return
    array = np.asarray(obs)
    if array.shape != space.shape:
        raise ValueError(
            f"the obs returned by the `{method}()` method is not within the observation space: "
            f"its shape is {array.shape}, the space's {space.shape}"
        )
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise ValueError(f"the obs returned by the `{method}()` method is not finite: {array}")
    if np.dtype(space.dtype).kind in "iu":
        _check_whole(array, np.dtype(space.dtype), method)


def _check_whole(array: np.ndarray, kind: np.dtype, method: str) -> None:
    """What a cast to whole numbers of this kind would lose without a word."""
    bounds = np.iinfo(kind)
    wrong = (array != np.floor(array)) | (array < bounds.min) | (array > bounds.max)
    if wrong.any():
        raise ValueError(
            f"the obs returned by the `{method}()` method has {array[wrong][0]:g}, which no {kind} "
            f"is, and the observation space says {kind}: return what it says, images from 0 to "
            "255, or say float32"
        )


def _refuse(told: list[warnings.WarningMessage]) -> None:
    for message in told:
        text = str(message.message)
        if any(words in text for words in _FATAL):
            raise ValueError(_line(text))


def _line(text: str) -> str:
    plain = " ".join(text.replace("\x1b[33m", "").replace("\x1b[0m", "").split())
    return plain.removeprefix("WARN: ")
