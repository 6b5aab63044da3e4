"""An agent that is named by a config: its file, its Config from words, and all that it does."""

from __future__ import annotations

import ast
import importlib
from types import ModuleType
from typing import Any

from torch import Tensor

from rlkit.core.errors import UsageError
from rlkit.core.lanes import float_fields
from rlkit.core.learner import Learner, bare_update
from rlkit.core.spec import Spec


def agent_module(name: str) -> ModuleType:
    """The file of an algorithm of rlkit's. Raises UsageError when there is none."""
    try:
        found = importlib.import_module(f"rlkit.algos.{name}")
        _ = found.FITS, found.Config, found.Agent
    except (ImportError, AttributeError):
        raise UsageError(f"agent {name!r} is no algorithm; see rlkit list") from None
    return found


def own_config(module: ModuleType, given: str) -> Any:
    """The Config of an algorithm with fields `given` as "alpha=1.0 hidden=256,256".

    Raises UsageError for what cannot be read or is no field of it, or would make lanes differ.
    """
    kind = module.Config
    values = dict(_pair(word) for word in given.split())
    for name, value in values.items():
        if isinstance(value, tuple) and name in float_fields(kind):
            raise UsageError(f"given {name}: its lanes cannot differ; give one value")
    try:
        return kind(**values)
    except TypeError as error:
        raise UsageError(f"given {given!r}: {error}") from error


def draws_itself(module: ModuleType, config: Any) -> bool:
    """Whether an algorithm makes its own minibatches, under this config, or takes plain ones."""
    draws = getattr(module, "draws", None)
    return hasattr(module, "source") and (draws is None or draws(config))


class Behind(Learner):
    """The agent that a config names by `module` and `own`: its nets are this one's, and so is all
    that it does. `columns` are wanted of the data besides its own."""

    def __init__(self, spec: Spec, c: Any, columns: tuple[str, ...] = ()) -> None:
        config = c.own
        agent = c.module.Agent(spec, config)
        vars(self).update(vars(agent))
        self.noise, self.periods = dict(agent.noise), dict(getattr(agent, "periods", {}))
        self.act_noise, self.act = getattr(agent, "act_noise", None), agent.act
        self.columns = tuple(dict.fromkeys((*getattr(agent, "columns", ()), *columns)))
        self._own, self._update = config, bare_update(agent)

    @property
    def inner(self) -> Any:
        """The agent itself, whose nets these are."""
        return self._update.__self__  # type: ignore[attr-defined]

    def update(self, b: Any, c: Any, **due: bool) -> dict[str, Tensor]:
        """One update of the agent on its own kind of batch, `[S, B, ...]`; its metrics `[S]`."""
        return self._update(b, self._own, **due)


def _pair(word: str) -> tuple[str, Any]:
    """Name and value of "name=value"."""
    name, equals, text = word.partition("=")
    if not equals:
        raise UsageError(f"given {word!r}: write name=value, with no blank in the value")
    try:
        return name, ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        return name, text
