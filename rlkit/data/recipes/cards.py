"""Cards: what a recipe rolls out, from which policies, and what those returned when frozen.

A card is one JSON file for one environment. Its `policies` are frozen checkpoints (weights in the
safetensors file beside it) or planners with noise; its `datasets` name the policies they mix.
To add a recipe, add a card.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal

from rlkit.core.nearest import suggestion
from rlkit.data.meta import RLKIT_SCORE, Reference


@dataclass(frozen=True)
class Recipe:
    """One dataset that can be built."""

    name: str
    env_id: str
    size: int  # shared equally by the policies; in whole episodes, so a little more in steps
    unit: Literal["steps", "episodes"]
    seed: int
    policies: tuple[str, ...]
    description: str
    card: dict[str, Any]

    @property
    def reference(self) -> Reference:
        """Returns that are 0 and 1 of a score: of a random policy and the card's expert as measured
        here, or those that the card names."""
        given = self.card["reference"]
        return Reference(
            given["random"],
            given["expert"],
            given["expert_policy"],
            given.get("episodes"),
            given.get("score_name", RLKIT_SCORE),
        )

    @property
    def algorithm(self) -> str:
        return self.card["algorithm"]

    def weights(self) -> bytes:
        """Content of the card's safetensors file; empty where policies need none."""
        name = self.card.get("weights")
        return (_folder() / name).read_bytes() if name else b""

    def fingerprint(self) -> str:
        """Hash of all that decides the rows, versions of packages apart."""
        chosen = {name: self.card["policies"][name] for name in self.policies}
        rows = [self.name, self.env_id, self.size, self.unit, self.seed, self.policies, chosen]
        text = json.dumps(rows, sort_keys=True).encode() + self.weights()
        return hashlib.sha256(text).hexdigest()[:16]


def find(name: str) -> Recipe:
    """The recipe of a dataset name. Raises ValueError naming the nearest one."""
    recipes = all_recipes()
    if name not in recipes:
        raise ValueError(f"no recipe for dataset {name!r}{suggestion(name, recipes)}")
    return recipes[name]


@cache
def all_recipes() -> dict[str, Recipe]:
    """Every shipped recipe by its dataset name, sorted."""
    found = {}
    for file in _folder().iterdir():
        if file.name.endswith(".json"):
            card = json.loads(file.read_text())
            for name, entry in card["datasets"].items():
                found[name] = Recipe(
                    name=name,
                    env_id=card["env"],
                    size=entry["steps"] if "steps" in entry else entry["episodes"],
                    unit="steps" if "steps" in entry else "episodes",
                    seed=entry["seed"],
                    policies=tuple(entry["policies"]),
                    description=entry["description"],
                    card=card,
                )
    return dict(sorted(found.items()))


def _folder() -> Traversable:
    return resources.files("rlkit.data.recipes")
