"""The run folder of cells that are computed whole, without checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rlkit.core import checkpoint
from rlkit.eval.records import Episode, append_episodes
from rlkit.run import folder as run_folder
from rlkit.run import versions


def begin(folder: Path, kind: str, options: dict[str, Any], seeds: Sequence[int]) -> None:
    """`config.json` and `versions.json`; records of an earlier attempt are dropped."""
    (folder / run_folder.EPISODES).unlink(missing_ok=True)
    config = {"format": 1, "kind": kind, "options": options | {"seeds": list(seeds)}}
    run_folder.write_json(folder / run_folder.CONFIG, config)
    run_folder.write_json(folder / run_folder.VERSIONS, versions.collect("cpu"))


def finish(folder: Path, episodes: Iterable[Episode]) -> None:
    """`episodes.csv`, whole or not at all, ordered by step."""
    temporary = checkpoint.temporary_name(folder / run_folder.EPISODES)
    append_episodes(temporary, sorted(episodes, key=lambda e: (e.step, e.lane, e.episode)))
    temporary.rename(folder / run_folder.EPISODES)
