"""Teachers by a text that names them, with their settings: `alp_gmm:fit_rate=100`."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from rlkit.algos.bandits.teachers import mixtures, riac
from rlkit.algos.bandits.teachers.mixtures import Teacher
from rlkit.core.errors import UsageError
from rlkit.core.words.nearest import suggestion

# name -> its class, and its Config where it has one
TEACHERS: dict[str, tuple[Any, Any]] = {
    "alp_gmm": (mixtures.AlpGmm, mixtures.Config),
    "covar_gmm": (mixtures.CovarGmm, mixtures.Config),
    "riac": (riac.Riac, riac.Config),
    "random": (mixtures.RandomTeacher, None),
}
_ENDS = ("worst", "best")  # in place of the field `returns`


class Named(NamedTuple):
    """A teacher that a text names; `returns` where the text says them."""

    name: str
    config: Any
    returns: tuple[float, float] | None

    def make(
        self, low: np.ndarray, high: np.ndarray, returns: tuple[float, float], seed: int
    ) -> Teacher:
        """The teacher over tasks `[D]` in low..high; `returns` of the worst and the best student
        hold where the text says none."""
        kind = TEACHERS[self.name][0]
        if self.config is None:
            return kind(low, high, seed=seed)
        told = self.returns or returns
        return kind(low, high, dataclasses.replace(self.config, returns=told), seed=seed)


def read(text: str) -> Named:
    """The teacher of `name` or `name:setting=value,...`, `worst` and `best` being the returns.

    Raises UsageError for what is unknown, naming the nearest, and for values out of range.
    """
    from rlkit.envs.tabular.families import split

    name, settings = split(text)
    if name not in TEACHERS:
        near = suggestion(name, TEACHERS)
        raise UsageError(f"unknown teacher {name!r}{near} (one of {', '.join(TEACHERS)})")
    kind = TEACHERS[name][1]
    fields = [] if kind is None else [f.name for f in dataclasses.fields(kind)]
    known = [*(f for f in fields if f not in ("returns", "components")), *(_ENDS if fields else ())]
    for key in settings:
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise UsageError(f"teacher {name}: no setting {key!r}{suggestion(key, known)}; {has}")
    ends = {key: settings.pop(key) for key in _ENDS if key in settings}
    if len(ends) == 1:
        raise UsageError(f"teacher {name}: give worst and best together, the range of returns")
    returns = None
    if ends:
        try:
            returns = float(ends["worst"]), float(ends["best"])
        except (TypeError, ValueError) as error:
            raise UsageError(f"teacher {name}: worst and best are numbers: {error}") from error
        if not -np.inf < returns[0] < returns[1] < np.inf:
            raise UsageError(f"teacher {name}: returns run from {returns[0]} to {returns[1]}")
    try:
        config = None if kind is None else kind(**settings)
    except (TypeError, ValueError) as error:
        raise UsageError(f"teacher {name}: {error}") from error
    return Named(name, config, returns)
