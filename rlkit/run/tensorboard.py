"""TensorBoard events beside a run's records; one writer a lane, so that lanes overlay.

Needs the extra `tensorboard`. The records stay the truth: after a resume TensorBoard may
show a step twice, the records never do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.extras import missing
from rlkit.eval.records import Episode


class Board:
    """Writes scalars to `tensorboard/seed_<seed>/` of a run folder."""

    def __init__(self, folder: Path, seeds: tuple[int, ...]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing("--tensorboard", "tensorboard") from error
        self.writers: list[Any] = [
            SummaryWriter(folder / "tensorboard" / f"seed_{seed}") for seed in seeds
        ]

    def metrics(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Losses and the like, each `[S]`."""
        for name, of_lanes in values.items():
            for writer, value in zip(self.writers, of_lanes, strict=True):
                if np.isfinite(value):
                    writer.add_scalar(f"train/{name}", float(value), step)

    def episodes(self, step: int, episodes: Iterable[Episode]) -> None:
        """Mean return and length of an evaluation, for each lane."""
        found = list(episodes)
        for lane, writer in enumerate(self.writers):
            own = [e for e in found if e.lane == lane]
            if own:
                writer.add_scalar("eval/return", float(np.mean([e.return_ for e in own])), step)
                writer.add_scalar("eval/length", float(np.mean([e.length for e in own])), step)
            writer.flush()
