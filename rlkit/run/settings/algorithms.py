"""The module of an algorithm by its name: rlkit's, stable-baselines3's or one's own."""

from __future__ import annotations

from types import ModuleType

from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.words.nearest import suggestion
from rlkit.run.settings.fits import SB3, algorithms, preset


def algorithm(name: str) -> ModuleType:
    """The module of an algorithm: `rlkit.algos.<name>`, or `package.module` of another project.

    Raises UsageError naming the nearest algorithm, or saying what the module lacks.
    """
    if name.startswith("sb3:"):
        from rlkit.run.sb3 import agents as sb3_agents

        return sb3_agents.module(name)
    path = name if "." in name else f"rlkit.algos.{name}"
    try:
        module = trust.load(path)
    except ImportError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise UsageError(f"algorithm {name!r}: {error}") from error
        if (found := preset(name)) is not None:
            near = f"; it is a preset: {found[0]} --preset {found[1]}"
        else:
            near = suggestion(name, [*algorithms(), *SB3])
        raise UsageError(f"unknown algorithm {name!r}{near}") from None
    for part in ("Config", "Agent"):
        if not hasattr(module, part):
            raise UsageError(f"{path} has no {part}; an algorithm file defines Config and Agent")
    return module
