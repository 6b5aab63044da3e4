"""Weights & Biases: a run for each lane, those of one training in a group of its name.

Needs the extra `wandb`. Project, entity, mode and the like are Weights & Biases' own environment
variables; the project is `rlkit` where `WANDB_PROJECT` says nothing. Its files lie in `wandb/` of
the run folder: with `WANDB_MODE=offline` nothing leaves the machine, and
`wandb sync RUN/wandb/offline-run-*` sends them later.

The x axis is the metric `step`. Weights & Biases appends only: a run that goes on from a
checkpoint is the same run there, and tells the steps after that checkpoint again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.eval.records import Episode
from rlkit.run.records.folder import writing
from rlkit.run.settings.options import Options
from rlkit.run.trackers import sink

_NAME = 64  # letters Weights & Biases takes of a run's id, and 128 of a group's


class Runs:
    """The sink of `--track wandb`."""

    def __init__(self, folder: Path, options: Options, start: int) -> None:
        import wandb

        place = folder / "wandb"
        with writing(place):
            place.mkdir(parents=True, exist_ok=True)
        self.runs: list[Any] = []
        for lane, name in enumerate(sink.lane_names(options.seeds)):
            run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "rlkit"),
                dir=str(folder),
                id=_id(folder, options, name),
                name=f"{folder.name}/{name}"[:_NAME],
                group=folder.name[: 2 * _NAME],
                config=sink.hyperparameters(options, lane),
                resume="allow" if start else None,
                reinit="create_new",  # lanes are told side by side
                settings={"silent": options.quiet},
            )
            run.define_metric("*", step_metric=sink.STEP)
            self.runs.append(run)

    def metrics(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        for lane, run in enumerate(self.runs):
            run.log({sink.STEP: step} | sink.latest(values, lane))

    def episodes(self, step: int, episodes: Sequence[Episode]) -> None:
        for lane, run in enumerate(self.runs):
            if numbers := sink.evaluation(episodes, lane):
                run.log({sink.STEP: step} | numbers)

    def close(self, finished: bool) -> None:
        for run in self.runs:
            run.finish(exit_code=0 if finished else 1)


def _id(folder: Path, options: Options, name: str) -> str:
    """The same whenever this training goes on in this folder, and no other's."""
    born = (folder / "versions.json").stat().st_mtime_ns
    words = f"{folder.resolve()} {born} {options.hash()} {name}"
    return hashlib.sha256(words.encode()).hexdigest()[:16]
