"""What kinds share whose cells are computed whole, without checkpoints or lanes of their own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from pathlib import Path
from typing import Any

from rlkit.core.errors import UsageError
from rlkit.core.files.replacing import replacing
from rlkit.core.words.nearest import suggestion
from rlkit.core.words.ranges import count
from rlkit.eval.records import Episode, append_episodes
from rlkit.run.records import folder as run_folder
from rlkit.run.records import versions


def check_known(given: Iterable[str], known: Set[str], what: str = "option") -> None:
    """Raises UsageError for a name that is not among the known ones."""
    for name in given:
        if name not in known:
            raise UsageError(f"unknown {what} {name!r}{suggestion(name, known)}")


def check_counts(options: dict[str, Any], names: Iterable[str]) -> None:
    """Make those options integers (1e5 is one); UsageError where one is none, or below 1."""
    for name in names:
        if name in options:
            options[name] = count(name, options[name])


WARM: tuple[str, ...] = ()
INCIDENTAL: frozenset[str] = frozenset()  # every option decides the result


def alike(options: dict[str, Any]) -> dict[str, Any]:
    return options


def stacked(many: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return many[0]


def check_pair(options: dict[str, Any]) -> None:
    """Raises UsageError for a system that does not take the actions of its task."""


def datasets(options: dict[str, Any]) -> list[str]:
    return []


def begin(folder: Path, kind: str, options: dict[str, Any], seeds: Sequence[int]) -> None:
    """`config.json` and `versions.json`; records of an earlier attempt are dropped."""
    (folder / run_folder.EPISODES).unlink(missing_ok=True)
    config = {"format": 1, "kind": kind, "options": options | {"seeds": list(seeds)}}
    run_folder.write_json(folder / run_folder.CONFIG, config)
    run_folder.write_json(folder / run_folder.VERSIONS, versions.collect("cpu"))


def finish(folder: Path, episodes: Iterable[Episode]) -> None:
    """`episodes.csv`, whole or not at all, ordered by step."""
    with replacing(folder / run_folder.EPISODES) as temporary:
        append_episodes(temporary, sorted(episodes, key=lambda e: (e.step, e.lane, e.episode)))
