"""Environments ready for rlkit: one call, observations as one array."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.wrappers import FlattenObservation

from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.files import trust
from rlkit.core.files.reading import described
from rlkit.core.words.extras import how_to_add
from rlkit.core.words.nearest import suggestion
from rlkit.envs.minigrid import SymbolicView, is_grid
from rlkit.envs.specs import from_text, plain, vouch
from rlkit.envs.tasks import ids

_GRIDS = ("MiniGrid-", "BabyAI-")
_OURS = "rlkit/"
_MUJOCO = (
    *("mujoco", "gymnasium_robotics", "rlkit.envs.tasks.maze_env", "rlkit.envs.tasks.distracted"),
)


def make(env: str | EnvSpec, **kwargs: Any) -> gymnasium.Env:
    """The environment of an id (`Hopper-v5`, `package.module:Name-v0`) or of a dataset's spec.

    The module of an id is imported, from the current directory too; the code a spec names must be
    vouched for (`rlkit.envs.specs`). MiniGrid environments get `SymbolicView`; dictionary, tuple
    and discrete observations are flattened by gymnasium's rule, the one of `rlkit.data.spaces`.
    `kwargs` go to the environment (`render_mode`, `max_episode_steps`, ...). Raises ValueError
    naming the nearest id, or saying why a module cannot be imported.
    """
    if not isinstance(env, str | EnvSpec):
        raise UsageError(f"env is {env!r:.60}; give an id such as 'Hopper-v5', or an EnvSpec")
    name = env.id if isinstance(env, EnvSpec) else env
    _register(name)
    if isinstance(env, EnvSpec):
        vouch(env)
    else:
        find(name)
    kwargs.setdefault("disable_env_checker", True)
    spec = gymnasium.spec(env.rpartition(":")[2]) if isinstance(env, str) else env
    with _quiet_models(spec):
        try:
            made = _wrapped(spec, **kwargs)
        except RlkitError:
            raise
        except gymnasium.error.DependencyNotInstalled as error:  # of a wrapper, a renderer
            raise ValueError(f"environment {name!r} cannot be made: {error}") from error
        except Exception as error:  # whatever its constructor stumbles over
            if getattr(error, "name", None) == "gymnasium_robotics":
                more = how_to_add("robotics")
                raise ValueError(
                    f"environment {name!r} needs gymnasium-robotics: {more}"
                ) from error
            if isinstance(env, EnvSpec) or str(error).startswith("environment "):
                raise  # which is said already, or by `make_described`
            said = described(error)
            raise ValueError(f"environment {name!r} cannot be made: {said}") from error
    if not isinstance(made.observation_space, spaces.Box):
        if is_grid(made) and isinstance(made.observation_space, spaces.Dict):
            return SymbolicView(made)
        return FlattenObservation(made)
    return made


def _wrapped(spec: EnvSpec, **kwargs: Any) -> gymnasium.Env:
    """`gymnasium.make` of a spec that may have been JSON.

    An entry point may add wrappers of its own, which the spec of what it makes lists as well.
    gymnasium compares the two by their arguments, of which JSON has made lists where tuples were.
    """
    if not spec.additional_wrappers:
        return gymnasium.make(spec, **kwargs)
    made = gymnasium.make(dataclasses.replace(spec, additional_wrappers=()), **kwargs)
    own = () if made.spec is None else made.spec.additional_wrappers
    for wrapper, theirs in zip(spec.additional_wrappers, own, strict=False):
        if plain(dataclasses.asdict(wrapper)) != plain(dataclasses.asdict(theirs)):
            raise ValueError(
                f"environment {spec.id!r} comes with {theirs.name} of {theirs.kwargs} here, not "
                f"with {wrapper.name} of {wrapper.kwargs}"
            )
    for wrapper in spec.additional_wrappers[len(own) :]:
        if wrapper.kwargs is None:
            raise ValueError(
                f"environment {spec.id!r} comes with {wrapper.name}, which does not record its "
                "arguments (gymnasium.utils.RecordConstructorArgs): it cannot be made again"
            )
        create: Any = load_env_creator(wrapper.entry_point)
        made = create(env=made, **wrapper.kwargs)
    return made


def make_described(text: Any, where: str, **kwargs: Any) -> gymnasium.Env:
    """The environment that a text of `rlkit.envs.specs` describes; `kwargs` as for `make`.

    Raises UsageError that begins with `where` the text stands, whatever goes wrong.
    """
    spec = from_text(text, where)
    try:
        return make(spec, **kwargs)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    except Exception as error:  # whatever the arguments make an environment stumble over
        raise UsageError(
            f"{where}: environment {spec.id!r} cannot be made with its arguments "
            f"{spec.kwargs}: {described(error)}"
        ) from error


def unflattened(env: gymnasium.Env) -> spaces.Space:
    """The observation space of an environment that `make` gave, before it was flattened."""
    return (env.env if isinstance(env, FlattenObservation) else env).observation_space


def find(name: str) -> None:
    """Imports the module of an id that a person has named. Raises ValueError naming the nearest id,
    or saying why the module cannot be imported."""
    module, _, plain = name.rpartition(":")
    if module:
        try:
            trust.load(module)
        except ImportError as error:
            raise UsageError(f"environment {name!r}: {error}") from error
    _register(plain)
    if plain in gymnasium.registry:
        return
    if not module:  # so that misspelt ids of MiniGrid's and ours find their neighbours too
        importlib.import_module("minigrid")
        ids.register()
    where = f"; {module} registers no such id" if module else ""
    raise UsageError(f"unknown environment {name!r}{where}{suggestion(plain, gymnasium.registry)}")


def _register(name: str) -> None:
    """Ids that gymnasium does not know by itself."""
    if name.startswith(_GRIDS):
        importlib.import_module("minigrid")
    elif name.startswith(_OURS):
        ids.register()


@contextlib.contextmanager
def _quiet_models(spec: EnvSpec) -> Iterator[None]:
    """Keeps MuJoCo from printing, and from writing MUJOCO_LOG.TXT into the working directory,
    deprecations of gymnasium's own model files; other messages become Python warnings."""
    if not any(words in str(spec.entry_point) for words in _MUJOCO):
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
