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
from typing import Any, Literal, NotRequired, TypedDict

from rlkit.core.errors import FileError
from rlkit.core.files.reading import inside, read_json
from rlkit.core.words.nearest import suggestion
from rlkit.data.formats.meta import RLKIT_SCORE, Reference


class _Reference(TypedDict):
    random: float
    expert: float
    expert_policy: str
    episodes: NotRequired[int | None]
    score_name: NotRequired[str]


class _Entry(TypedDict):
    steps: NotRequired[int]
    episodes: NotRequired[int]
    seed: int
    policies: list[str]
    description: str


class _Card(TypedDict):
    env: str
    env_kwargs: NotRequired[dict[str, Any]]  # arguments of the environment, its time limit too
    algorithm: str
    reference: _Reference
    weights: NotRequired[str]
    policies: dict[str, dict[str, Any]]
    datasets: dict[str, _Entry]


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
    def env_kwargs(self) -> dict[str, Any]:
        """Arguments that its environment is made with."""
        return self.card.get("env_kwargs", {})

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
        rows += [self.env_kwargs] if self.env_kwargs else []
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
            card = _card(file)
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


def _card(file: Traversable) -> dict[str, Any]:
    """A card, of the shape that is read."""
    with resources.as_file(file) as path:
        card = read_json(path, "a recipe's card", _Card)
        for name, entry in card["datasets"].items():
            where = f"{path}: datasets.{name}"
            if ("steps" in entry) == ("episodes" in entry):
                raise FileError(f"{where} needs either steps or episodes")
            for policy in entry["policies"]:
                if policy not in card["policies"]:
                    raise FileError(f"{where}.policies: there is no policy {policy!r}")
        if "weights" in card:
            inside(path.parent, card["weights"])
    return dict(card)


def _folder() -> Traversable:
    return resources.files("rlkit.data.recipes")
