"""An agent that is named by a config: its file, its Config from words, and all that it does."""

from __future__ import annotations

import ast
import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

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


class Named:
    """Of a Config whose fields `agent` and `given` name another algorithm and fields of its Config.

    Whatever is wrong with the two is said when the Config is made, as UsageError.
    """

    if TYPE_CHECKING:  # fields of the Config, declared there with their defaults
        agent: str
        given: str
    needs = frozenset[str]()  # what `agent` must fit, whatever the task

    def __post_init__(self) -> None:
        _ = self.own

    @property
    def module(self) -> ModuleType:
        """The file of `agent`."""
        if self.agent == type(self).__module__.rpartition(".")[2]:
            raise UsageError(f"agent {self.agent!r} is this algorithm itself; name one behind it")
        found = agent_module(self.agent)
        if not self.needs <= set(found.FITS):
            fits, needs = (", ".join(sorted(words)) for words in (found.FITS, self.needs))
            raise UsageError(f"agent {self.agent!r} is for {fits}; one for {needs} is needed")
        return found

    @property
    def own(self) -> Any:
        """The Config of `agent`."""
        return own_config(self.module, self.given)

    def outset(self, rows: int, longest: int, steps: int) -> str:
        """What `agent` says of its work with a dataset, where it says anything."""
        say = getattr(self.own, "outset", None)
        return "" if say is None else say(rows, longest, steps)

    @property
    def gamma(self) -> float | None:
        """Discount of `agent`, where it has one."""
        return getattr(self.own, "gamma", None)

    def check_learns(self, spec: Spec, where: str) -> None:
        """Raises UsageError unless `agent` learns the actions of `spec` where it is to, "offline"
        or "online", and there from rows whose rewards change under it."""
        kind = "discrete" if spec.discrete else "continuous"
        if not {where, kind} <= set(self.module.FITS):
            raise UsageError(f"agent {self.agent!r} does not learn {kind} actions {where}")
        if where == "online" and draws_itself(self.module, self.own):
            raise UsageError(
                f"agent {self.agent!r} draws minibatches of its own, whose rewards cannot be "
                "relabelled as they are collected; name sac, td3, dqn (n_step=1), or give a dataset"
            )


def draws_itself(module: ModuleType, config: Any) -> bool:
    """Whether minibatches come from the algorithm's own `source`: where it has one, unless its
    `draws(config)` says no."""
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
