"""TensorBoard events beside a run's records: a folder for each lane, so that lanes overlay.

Needs the extra `tensorboard`. The records stay the truth; what a kill left behind a checkpoint is
hidden when the run goes on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.lanes import select
from rlkit.core.words.extras import missing
from rlkit.eval.records import Episode
from rlkit.run.records.folder import writing
from rlkit.run.settings.options import Options

# Names state the scope before the slash, and the unit where there is one.
_TRAINING = {
    "train_return": "finished_training_episodes/return_mean",
    "train_length": "finished_training_episodes/length_mean_steps",
    "train_episodes": "finished_training_episodes/count",
}
_EVALUATION = {
    "evaluation_episodes/return_mean": lambda found: np.mean([e.return_ for e in found]),
    "evaluation_episodes/return_std": lambda found: np.std([e.return_ for e in found]),
    "evaluation_episodes/length_mean_steps": lambda found: np.mean([e.length for e in found]),
}


def check() -> None:
    """Raises UsageError when the packages it needs are not there, saying how to add them."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise missing("--tensorboard", "tensorboard") from error


class Board:
    """Writes scalars of each lane to a folder of its own under `tensorboard/` of `folder`.

    It is `seed_<seed>`, or `lane_<k>_seed_<seed>` where lanes share a seed. The x axis is the
    training's step: updates offline, environment steps of the lane online. With `options` the
    hyper-parameters are written too; what stands there of steps after `start` is hidden.
    """

    def __init__(
        self,
        folder: Path,
        seeds: Sequence[int],
        options: Options | None = None,
        start: int | None = None,
    ) -> None:
        check()
        from torch.utils.tensorboard import SummaryWriter

        shared = len(set(seeds)) < len(seeds)
        names = [f"lane_{k}_seed_{s}" if shared else f"seed_{s}" for k, s in enumerate(seeds)]
        purge = None if start is None else start + 1
        self.folder = folder / "tensorboard"
        with writing(self.folder):
            self.writers: list[Any] = [
                SummaryWriter(self.folder / name, purge_step=purge) for name in names
            ]
            for lane, writer in enumerate(self.writers):
                if options is not None:
                    _describe(writer, options, lane)

    def metrics(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Losses of the latest update and the like, each `[S]`."""
        with writing(self.folder):
            for lane, writer in enumerate(self.writers):
                for name, of_lanes in values.items():
                    if np.isfinite(of_lanes[lane]):
                        tag = _TRAINING.get(name, f"latest_update/{name}")
                        writer.add_scalar(tag, float(of_lanes[lane]), step)

    def episodes(self, step: int, episodes: Iterable[Episode]) -> None:
        """Return and length of an evaluation, for each lane."""
        found = list(episodes)
        with writing(self.folder):
            for lane, writer in enumerate(self.writers):
                if own := [e for e in found if e.lane == lane]:
                    with np.errstate(invalid="ignore"):  # what is not finite has no spread
                        numbers = {tag: float(number(own)) for tag, number in _EVALUATION.items()}
                    for tag, value in numbers.items():
                        writer.add_scalar(tag, value, step)
                writer.flush()

    def close(self) -> None:
        with writing(self.folder):
            for writer in self.writers:
                writer.close()


def _describe(writer: Any, options: Options, lane: int) -> None:
    """The lane's hyper-parameters, for TensorBoard's table of them: in the lane's own folder, which
    `SummaryWriter.add_hparams` would not do."""
    from torch.utils.tensorboard.summary import hparams

    config = dataclasses.asdict(select(options.config, [lane]))
    values = {f"config.{name}": _plain(value) for name, value in config.items()}
    names = ("algo", "dataset", "env", "steps", "utd", "warmup", "envs", "reward", "weighting")
    values |= {name: _plain(getattr(options, name)) for name in names}
    values |= {"seed": options.seeds[lane], "lane": lane}
    for summary in hparams(values, dict.fromkeys(_EVALUATION)):
        writer.file_writer.add_summary(summary)


def _plain(value: Any) -> bool | int | float | str:
    if isinstance(value, tuple | list) and len(value) == 1 and isinstance(value[0], float):
        return value[0]  # a field of one value a lane
    return value if isinstance(value, bool | int | float | str) else str(value)
