"""Run folders with records of one's choice, as a training would leave them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlkit.eval.records import Episode, append_episodes, append_progress


def run(
    folder: Path,
    returns: Mapping[int, Sequence[float]],
    *,
    every: int = 100,
    episodes: int = 3,
    steps: int | None = None,
    metrics: bool = True,
    data: dict[str, Any] | None = None,
    **options: Any,
) -> Path:
    """A run of sac whose seeds have these mean returns at steps `every`, `2 every`, ...;
    the episodes of an evaluation are 1 apart."""
    folder.mkdir(parents=True)
    length = max(map(len, returns.values()))
    given = {
        "algo": "sac",
        "env": "Pendulum-v1",
        "dataset": None,
        "steps": every * length if steps is None else steps,
        "seeds": list(returns),
        "config": {"gamma": 0.99, "hidden": [256, 256]},
    } | options
    config = {
        "format": 1,
        "hash": "0",
        "options": given,
        "task": {"dataset": data},
        "engine": "eager",
        "groups": [list(range(len(returns)))],
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "versions.json").write_text(json.dumps({"python": "3.11.7", "processor": "a<b"}))
    for k in range(length):
        append_episodes(
            folder / "episodes.csv",
            [
                Episode(
                    lane, seed, every * (k + 1), e, of_seed[k] + e - (episodes - 1) / 2, 9, True
                )
                for lane, (seed, of_seed) in enumerate(returns.items())
                for e in range(episodes)
            ],
        )
        if metrics:
            record = {"step": every * (k + 1), "updates": k, "engine": "eager", "seconds": 61.0 * k}
            losses = [1 / (k + 1) + seed for seed in returns]
            values = {"alpha": losses, "q_loss": losses, "train_return": [None] * len(losses)}
            append_progress(folder / "progress.jsonl", record | values)
    return folder
