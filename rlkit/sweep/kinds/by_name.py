"""Kinds of systems by their names."""

from __future__ import annotations

import importlib
from types import ModuleType

# what a system says of itself -> the module that runs it
KINDS = {
    "algo": "training",
    "sb3": "sb3",
    "learner": "tabular",
    "solver": "tabular",
    "policy": "bandit",
}


def kind_of(name: str) -> ModuleType:
    """The module of a kind."""
    return importlib.import_module(f"rlkit.sweep.kinds.{name}")
