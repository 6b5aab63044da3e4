"""Which algorithm is for what: where it learns, and which actions it takes.

An algorithm file says so in `FITS`: "offline" (from a dataset), "online" (in an environment),
"then-online" (in an environment after, or beside, a dataset), "continuous", "discrete" (actions),
"pixels" (images, besides vectors and MiniGrid's views).
One that says nothing may be given anything.
"""

from __future__ import annotations

import ast
import pkgutil
import re
from functools import cache
from pathlib import Path
from typing import Any

from rlkit.core.errors import UsageError
from rlkit.core.pixels import layout
from rlkit.envs.stepping import closed

WHERE = {  # as FITS has it -> in words
    "offline": "a dataset",
    "online": "an environment alone",
    "then-online": "a dataset and then an environment",
}
ACTIONS = ("continuous", "discrete")
SB3 = {  # agents of stable-baselines3 -> FITS
    "sb3:a2c": ("online", "then-online", "continuous", "discrete"),
    "sb3:ddpg": ("online", "continuous"),
    "sb3:dqn": ("online", "discrete"),
    "sb3:ppo": ("online", "then-online", "continuous", "discrete"),
    "sb3:sac": ("online", "continuous"),
    "sb3:td3": ("online", "continuous"),
}


def algorithms() -> list[str]:
    """Names of the algorithms that ship with rlkit, found without importing them."""
    import rlkit.algos

    found = pkgutil.iter_modules(rlkit.algos.__path__)
    return sorted(m.name for m in found if not m.ispkg and m.name != "common")


@cache
def shipped(name: str) -> tuple[str, ...]:
    """`FITS` of an algorithm of rlkit's or of stable-baselines3, without importing it."""
    if name in SB3:
        return SB3[name]
    for node in _tree(name).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FITS":
            return ast.literal_eval(node.value)
    return ()


def preset(word: str) -> tuple[str, str] | None:
    """(algorithm, preset) of a preset's name, whatever its case and dashes; None for another."""
    plain = word.casefold().replace("-", "_")
    for name in algorithms():
        for node in _tree(name).body:
            if not isinstance(node, ast.Assign | ast.AnnAssign):
                continue
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if ast.unparse(target) == "PRESETS" and isinstance(node.value, ast.Dict):
                keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
                if plain in keys:
                    return name, plain
    return None


def title(name: str) -> str:
    """Name and paper from an algorithm's docstring, or its first sentence; without importing it."""
    if name in SB3:
        return f"{name.partition(':')[2].upper()} of stable-baselines3"
    text = " ".join((ast.get_docstring(_tree(name)) or "").partition("\n\n")[0].split())
    found = re.match(r".*?\d{4}\.\d{5}\)", text) or re.match(r".*?(?<! al)\.(?= |$)", text)
    return found.group() if found else text


def check_where(name: str, fits: tuple[str, ...], where: str) -> None:
    """Raises UsageError when an algorithm does not learn `where` it is asked to."""
    if fits and where not in fits:
        own = " or ".join(text for word, text in WHERE.items() if word in fits)
        raise UsageError(
            f"{name} learns from {own}, not from {WHERE[where]}; {_others(where, None, name)}"
        )


def check_actions(name: str, fits: tuple[str, ...], where: str, act: Any, task: str) -> None:
    """Raises UsageError when an algorithm does not take the actions `act` of a task."""
    kind = "discrete" if hasattr(act, "n") else "continuous"
    if fits and kind not in fits:
        other = "continuous" if kind == "discrete" else "discrete"
        raise UsageError(
            f"{name} is for {other} actions, those of {task} are {kind}; "
            f"{_others(where, kind, name)}"
        )


def check_pixels(
    options: Any, fits: tuple[str, ...], image: bool, task: str, shape: tuple[int, ...]
) -> None:
    """Raises UsageError where an algorithm takes no images, or a shift has none to shift, or leaves
    nothing of those of observations of this `shape`."""
    if image and fits and "pixels" not in fits:
        others = ", ".join(name for name in algorithms() if "pixels" in shipped(name))
        raise UsageError(
            f"{options.algo} takes no images, which the observations of {task} are; "
            f"those that do: {others}"
        )
    if options.shift and not image:
        raise UsageError(f"shift moves images; the observations of {task} are none")
    if options.shift:
        _, _, height, width = layout(shape)
        if options.shift >= min(height, width):
            raise UsageError(
                f"shift {options.shift} would move the images of {task}, {height} x {width}, out "
                "of sight; DrQ's is 4 of 84"
            )


def _others(where: str, actions: str | None, name: str) -> str:
    """Which algorithms would do."""
    found = [
        other
        for other in [*algorithms(), *SB3]
        if other != name
        and where in shipped(other)
        and (actions is None or actions in shipped(other))
    ]
    return f"those that do: {', '.join(found)}"


@cache
def _tree(name: str) -> ast.Module:
    import rlkit.algos

    source = Path(rlkit.algos.__path__[0], f"{name}.py").read_text(encoding="utf-8")
    return ast.parse(source)


def check_goals(env_id: str) -> None:
    """Raises UsageError for an environment that is not there, or has no goals."""
    from rlkit.data.goals import goals
    from rlkit.envs.make import make

    env = make(env_id)
    try:
        goals(env, env_id)
    finally:
        closed(env)
