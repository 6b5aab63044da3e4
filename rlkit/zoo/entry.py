"""What is known of the policies of a zoo: `index.json`, with the policy files beside it.

A file NAME.safetensors is what `rlkit export` writes. Its entry has its SHA-256 sum and its size,
so that a file is compared before it is read, and the file has a sum of its own besides.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from rlkit.core.errors import FileError, RlkitError, UsageError
from rlkit.core.files.reading import inside, read_json, reading
from rlkit.core.words.ranges import playable
from rlkit.policy.policy import Card, Policy

INDEX, ENDING = "index.json", ".safetensors"
FORMAT = 1  # of the index; raised when older versions of rlkit cannot read it
EPISODES = 20  # that a return is measured with
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SUM = re.compile(r"[0-9a-f]{64}")


class Returns(TypedDict):
    """Undiscounted returns of the most likely actions, as `rlkit eval` measures them."""

    mean: float
    std: float  # over episodes
    lowest: float
    highest: float
    episodes: int
    seed: int  # of the start states


class Entry(TypedDict):
    """One policy: what it is, what it returns, where it comes from, and its sum."""

    algo: str
    env: str
    env_kwargs: dict[str, Any]
    seed: int  # of its training
    step: int  # of its training
    returns: Returns
    command: str | None  # that trained it; None where nobody said
    trained_with: dict[str, str | None]  # versions; empty where nobody said
    measured_with: dict[str, str | None]
    bytes: int
    sha256: str


class _Index(TypedDict):
    format: int
    policies: dict[str, Entry]


def read_index(path: str | Path) -> dict[str, Entry]:
    """name -> entry of an index. Raises FileError naming the field that is wrong."""
    index = read_json(path, "an index of policies", _Index)
    if index["format"] > FORMAT:
        raise FileError(
            f"{path} was written by a later rlkit, in format {index['format']}; this version reads "
            f"up to {FORMAT}"
        )
    for name, entry in index["policies"].items():
        inside(Path(path).parent, name)
        if not _NAME.fullmatch(name):
            raise FileError(f"{path}: {name!r} is not a name of lower-case letters, digits and .-_")
        if not _SUM.fullmatch(entry["sha256"]) or entry["bytes"] < 1:
            raise FileError(f"{path}: policies.{name} has no SHA-256 sum or no size")
    return index["policies"]


def index_text(entries: dict[str, Entry]) -> str:
    """The JSON of an index, names in order."""
    index = {"format": FORMAT, "policies": dict(sorted(entries.items()))}
    return json.dumps(index, indent=1) + "\n"


def check_name(name: str) -> str:
    """`name`, if a policy may have it. Raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a policy's name has lower-case letters, digits and .-_, at most 64; not {name!r}"
        )
    return name


def check(path: Path, name: str, entry: Entry) -> Policy:
    """The policy of a file that is what its entry says, to the bit, and has acted once.

    Raises FileError for another size or sum, RlkitError for what is no policy or another one.
    """
    with reading(path, "a policy file"):
        content = path.read_bytes()
    if (len(content), hashlib.sha256(content).hexdigest()) != (entry["bytes"], entry["sha256"]):
        raise FileError(
            f"{path} is not the file that the index has as {name!r}: its size or its SHA-256 sum "
            "differs"
        )
    policy = Policy.load(path)
    found = _of_card(policy.card)
    for field in found:
        if found[field] != entry[field]:  # type: ignore[literal-required]
            raise RlkitError(
                f"the index has {field} {entry[field]!r} for {name!r}, "  # type: ignore[literal-required]
                f"and its file has {found[field]!r}"
            )
    return policy


def measured(
    path: str | Path,
    *,
    episodes: int = EPISODES,
    seed: int = 1,
    command: str | None = None,
    trained_with: dict[str, str | None] | None = None,
) -> Entry:
    """The entry of a policy file, whose returns are measured now in its own environment.

    Raises UsageError where the file names no environment, RlkitError for returns that are not
    finite, and for what is no policy file.
    """
    from rlkit.run.policies.evaluation import evaluate_file
    from rlkit.run.records import versions

    episodes, seed = playable(episodes, seed)
    path = Path(path)
    card = Policy.load(path).card
    if card.env is None:
        raise UsageError(f"{path} names no environment, in which its return could be measured")
    found = np.array([e.return_ for e in evaluate_file(path, episodes, seed=seed)])
    if not np.isfinite(found).all():
        raise RlkitError(f"{path}: its returns in {card.env} are not finite")
    content = path.read_bytes()
    return Entry(
        **_of_card(card),  # type: ignore[typeddict-item]
        returns=Returns(
            mean=float(found.mean()),
            std=float(found.std()),
            lowest=float(found.min()),
            highest=float(found.max()),
            episodes=episodes,
            seed=seed,
        ),
        command=command,
        trained_with=trained_with or {},
        measured_with=told(versions.collect()),
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def told(versions: dict[str, Any]) -> dict[str, str | None]:
    """What decides the digits, of the versions in a run folder."""
    names = ("rlkit", "commit", "python", "torch", "numpy", "gymnasium", "mujoco")
    return {name: versions.get(name) for name in names}


def _of_card(card: Card) -> dict[str, Any]:
    """The fields of an entry that its file has too."""
    spec = {} if card.env_spec is None else json.loads(card.env_spec)
    return {
        "algo": card.algo,
        "env": card.env,
        "env_kwargs": spec.get("kwargs", {}),
        "seed": card.seed,
        "step": card.step,
    }
