"""Finite MDPs by name: the families of this folder, and environments whose model can be read."""

from __future__ import annotations

import ast
import importlib
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlkit.core.errors import UsageError
from rlkit.core.files.reading import described
from rlkit.core.words.nearest import suggestion
from rlkit.theory.mdp import FiniteMDP
from rlkit.theory.validate import INT32_MAX

FAMILIES = {  # name -> module of this folder
    "river_swim": "chains", "deep_sea": "chains", "chain": "chains", "lock": "chains",
    "jao": "chains", "forest": "classics", "inventory": "classics", "ring": "classics",
    "baird": "classics", "boyan_chain": "classics", "garnet": "garnet", "banded_garnet": "garnet",
    "factored_garnet": "garnet", "two_theta": "classics", "frozen_lake": "grids", "maze": "grids",
    "pendulum": "control", "probe": "latent", "random_latent": "latent",
}  # fmt: skip
EXAMPLE = "garnet:states=100,actions=4,successors=5"


def find_model(source: str) -> FiniteMDP:
    """The FiniteMDP of a file, of a family or of an environment.

    `source` is the path of an npz file written by `FiniteMDP.save`; a family with its arguments,
    `garnet:states=100,actions=4,successors=5`; or a gymnasium id with a transition table or of
    MiniGrid, again with arguments (`FrozenLake-v1:map_name=8x8`). Raises UsageError for what is
    not there, naming the nearest name.
    """
    if Path(source).suffix == ".npz" or Path(source).exists():
        if not Path(source).is_file():
            raise UsageError(f"no such file: {source}")
        return FiniteMDP.load(source)
    name, options = split(source)
    if name in FAMILIES:
        module = importlib.import_module(f"rlkit.envs.tabular.{FAMILIES[name]}")
        made = _call(name, getattr(module, name), options)
        return made if isinstance(made, FiniteMDP) else made.mdp
    return _environment_model(name, options)


def split(source: str) -> tuple[str, dict[str, Any]]:
    """Name and arguments of `name:key=value,...`; an id may hold a colon of its own."""
    name, colon, tail = source.rpartition(":")
    if not colon or "=" not in tail:
        return source, {}
    options: dict[str, Any] = {}
    for word in tail.split(","):
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{source!r}: {word!r} should read key=value, as in {EXAMPLE}")
        if key in options:
            raise UsageError(f"{source!r}: {key} is given twice")
        try:
            options[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            options[key] = text  # a word, like 8x8
    return name, options


def _call(name: str, make: Callable[..., Any], options: dict[str, Any]) -> Any:
    parameters = inspect.signature(make).parameters
    for key in options:
        if key not in parameters:
            raise UsageError(
                f"{name} takes {', '.join(parameters)}, not {key!r}{suggestion(key, parameters)}"
            )
    missing = [key for key, p in parameters.items() if p.default is p.empty and key not in options]
    if missing:
        raise UsageError(f"{name} needs {', '.join(missing)}, as in {EXAMPLE}")
    typed = {
        key: _fitting(name, key, value, str(parameters[key].annotation))
        for key, value in options.items()
    }
    try:
        return make(**typed)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: {error}") from error
    except (MemoryError, OverflowError) as error:
        raise UsageError(f"{name}: a model of this size takes more memory than there is") from error


def _fitting(name: str, key: str, value: Any, hint: str) -> Any:
    """The argument `value` as its type wants it, a count written as 1e3 too. Raises UsageError."""
    number = not isinstance(value, bool) and isinstance(value, int | float)
    wanted = ""
    if hint == "int":
        if not number or not math.isfinite(value) or value != int(value):
            wanted = "a whole number"
        elif key != "seed" and abs(value) > INT32_MAX:  # states and actions are counted in 32 bits
            wanted = f"at most {INT32_MAX:,}"
        else:
            return int(value)
    elif hint == "float" and (not number or not math.isfinite(value)):
        wanted = "a finite number"
    elif hint == "bool" and not isinstance(value, bool):
        wanted = "True or False"
    if wanted:
        raise UsageError(f"{name}: {key} is {value!r}; it must be {wanted}")
    return value


def _environment_model(name: str, options: dict[str, Any]) -> FiniteMDP:
    import gymnasium

    grid = name.startswith(("MiniGrid-", "BabyAI-"))
    if grid:
        importlib.import_module("minigrid")  # registers its ids
    module, _, plain = name.rpartition(":")
    if not module and plain not in gymnasium.registry:
        near = suggestion(plain, [*FAMILIES, *gymnasium.registry])
        raise UsageError(f"{name!r} is no file, no family and no environment{near}")
    try:
        env = gymnasium.make(name, disable_env_checker=True, **options)
    except Exception as error:  # whatever its arguments make an environment stumble over
        raise UsageError(f"{name!r} cannot be made: {described(error)}") from error
    try:
        if grid:
            from rlkit.envs.tabular.minigrid import enumerate_minigrid

            return enumerate_minigrid(env).mdp
        if not hasattr(env.unwrapped, "P"):
            raise UsageError(
                f"environment {name!r} has no transition table; solve needs one, a MiniGrid id, "
                f"or a family: {', '.join(FAMILIES)}"
            )
        return FiniteMDP.from_gymnasium(env)
    finally:
        env.close()
