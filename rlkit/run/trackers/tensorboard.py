"""TensorBoard events beside a run's records: a folder for each lane, so that lanes overlay.

Needs the extra `tensorboard`. What a kill left behind a checkpoint is hidden when the run goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.eval.records import Episode
from rlkit.run.records.folder import writing
from rlkit.run.settings.options import Options
from rlkit.run.trackers import sink


def track(folder: Path, options: Options, start: int) -> Board:
    """The sink of `--track tensorboard`."""
    return Board(folder, options.seeds, options, start)


class Board:
    """Writes scalars of each lane to a folder of its own (`sink.lane_names`) under `tensorboard/`
    of `folder`.

    The x axis is the training's step. With `options` the hyper-parameters are written too; what
    stands there of steps after `start` is hidden.
    """

    def __init__(
        self,
        folder: Path,
        seeds: Sequence[int],
        options: Options | None = None,
        start: int | None = None,
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        _spare_tracebacks()
        purge = None if start is None else start + 1
        self.folder = folder / "tensorboard"
        with writing(self.folder):
            self.writers: list[Any] = [
                SummaryWriter(self.folder / name, purge_step=purge)
                for name in sink.lane_names(seeds)
            ]
            for lane, writer in enumerate(self.writers):
                if options is not None:
                    _describe(writer, options, lane)

    def metrics(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        with writing(self.folder):
            for lane, writer in enumerate(self.writers):
                for name, value in sink.latest(values, lane).items():
                    writer.add_scalar(name, value, step)

    def episodes(self, step: int, episodes: Sequence[Episode]) -> None:
        with writing(self.folder):
            for lane, writer in enumerate(self.writers):
                for name, value in sink.evaluation(episodes, lane).items():
                    writer.add_scalar(name, value, step)
                writer.flush()

    def close(self, finished: bool = True) -> None:
        with writing(self.folder):
            for writer in self.writers:
                writer.close()


def _spare_tracebacks() -> None:
    """From now on TensorBoard's threads print none: what goes wrong in one (a full disk) is raised
    by the next call of its writer, and told there."""
    before = threading.excepthook
    if isinstance(before, _Hook):
        return
    threading.excepthook = _Hook(before)


class _Hook:
    def __init__(self, before: Callable[[threading.ExceptHookArgs], Any]) -> None:
        self.before = before

    def __call__(self, args: threading.ExceptHookArgs) -> None:
        if not type(args.thread).__module__.startswith("tensorboard."):
            self.before(args)


def _describe(writer: Any, options: Options, lane: int) -> None:
    """The lane's hyper-parameters, for TensorBoard's table of them: in the lane's own folder, which
    `SummaryWriter.add_hparams` would not do."""
    from torch.utils.tensorboard.summary import hparams

    values = sink.hyperparameters(options, lane)
    for summary in hparams(values, dict.fromkeys(sink.EVALUATION)):
        writer.file_writer.add_summary(summary)
