"""Kinds of systems by their names."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

from rlkit.sweeps.kinds import whole

_NEEDED = ("TASK", "KNOWN", "resolve", "lanes", "measured", "takes", "work", "evaluations")
_OWN_OR_WHOLE = ("WARM", "INCIDENTAL", "alike", "stacked", "datasets", "check_pair")
# what a system says of itself -> the module that runs it
KINDS = {
    "algo": "training",
    "learner": "tabular",
    "solver": "tabular",
    "policy": "bandit",
}


def kind_of(name: str) -> SimpleNamespace:
    """What the module of a kind says, and for what it leaves out, `whole`."""
    module = importlib.import_module(f"rlkit.sweeps.kinds.{name}")
    said = {part: getattr(module, part) for part in _NEEDED}
    return SimpleNamespace(
        **said, **{part: getattr(module, part, getattr(whole, part)) for part in _OWN_OR_WHOLE}
    )
