"""Run folders of a sweep, written as the runner writes them, with returns of one's choice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlkit.eval.records import Episode, append_episodes, append_progress

VERSIONS = {
    "python": "3.11.7",
    "torch": "2.13.0",
    "commit": "0123abcd",
    "processor": "a",
    "cores": 2,
}


def run_folder(
    sweep: Path,
    system: str,
    task: str,
    returns: Mapping[int, Sequence[float]],
    *,
    every: int = 10,
    episodes: int = 2,
    spread: float = 0.0,
    progress: bool = False,
    name: str | None = None,
    **card: Any,
) -> Path:
    """A run whose seeds have these mean returns at steps `every`, `2 every`, ...

    `spread` sets the episodes of an evaluation apart without moving their mean. Whatever else is
    given replaces a field of `cell.json`, `options` and `versions` add to those files.
    """
    options = {"algo": system, "env": task, "seeds": list(returns), "config": {"gamma": 0.99}}
    options |= card.pop("options", {})
    versions = VERSIONS | card.pop("versions", {})
    fields: dict[str, Any] = {
        "format": 1,
        "sweep": "tried",
        "budget": "full",
        "system": system,
        "task": task,
        "measure": "return",
        "unit": "Environment steps",
        "reference": None,
        "steps": every * max((len(of_seed) for of_seed in returns.values()), default=1),
    }
    configuration = card.pop("configuration", {})
    fields["lanes"] = [{"configuration": configuration, "seed": seed} for seed in returns]
    fields |= card
    digits = f"{sum(map(ord, json.dumps([fields, options], sort_keys=True))):08x}"
    folder = sweep / "runs" / (name or f"{system}-{task}-{digits}")
    folder.mkdir(parents=True)
    for file, values in (
        ("cell.json", fields),
        ("config.json", {"format": 1, "hash": digits, "options": options, "engine": "eager"}),
        ("versions.json", versions),
    ):
        (folder / file).write_text(json.dumps(values))
    rows = [
        Episode(lane, seed, every * (k + 1), e, mean + spread * (2 * e - episodes + 1), 7, True)
        for k in range(max(map(len, returns.values()), default=0))
        for lane, (seed, of_seed) in enumerate(returns.items())
        for mean in of_seed[k : k + 1]
        for e in range(episodes)
    ]
    append_episodes(folder / "episodes.csv", rows)
    if progress:
        for k in range(1, 4):
            losses = [0.5 / k + seed for seed in returns]
            append_progress(folder / "progress.jsonl", {"step": 5 * k, "q_loss": losses})
    return folder
