"""What a training loop yields while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlkit.eval.records import Episode


class Progress(NamedTuple):
    """The loop has come to `step`."""

    step: int


class Metrics(NamedTuple):
    """Losses of the latest update, and returns of training episodes since the last record."""

    step: int
    updates: int
    values: dict[str, np.ndarray]  # [S] each
    engine: str  # mode in force


class Evaluated(NamedTuple):
    """Every episode of an evaluation; with a pool of levels on validation levels, and apart those
    on the levels of the training; at the end those of each frequency (`eval.frequency`), if asked.
    """

    step: int
    episodes: Sequence[Episode]
    trained: Sequence[Episode] = ()
    held: Mapping[int, Sequence[Episode]] = {}  # by the steps between decisions


class Save(NamedTuple):
    """A checkpoint is due. Call `write(folder)` before the loop is continued; None where each
    process of the lanes has written its share already."""

    step: int
    write: Callable[[Path], None] | None


class Saved(NamedTuple):
    """The checkpoint of `step` stands in the run folder `run`: `folder.restore(run, step)`."""

    step: int
    run: Path


class Diverged(NamedTuple):
    """Lanes that are no longer finite: what was found, by lane. They are left out from now on."""

    step: int
    lanes: dict[int, str]


class Note(NamedTuple):
    """Something the user should know."""

    text: str


Event = Progress | Metrics | Evaluated | Save | Saved | Diverged | Note
Callback = Callable[[Event], bool | None]  # False stops the training


def merge(events: Sequence[Event]) -> Event:
    """The event that groups of lanes share: the same kind at the same step, lanes joined."""
    first = events[0]
    if any(type(e) is not type(first) or e[0] != first[0] for e in events):
        raise AssertionError(f"groups of lanes are out of step: {[e[:1] for e in events]}")
    if isinstance(first, Metrics):
        parts = [e.values for e in events if isinstance(e, Metrics)]
        values = {name: np.concatenate([p[name] for p in parts]) for name in first.values}
        return first._replace(values=values)
    if isinstance(first, Evaluated):
        played = [e for e in events if isinstance(e, Evaluated)]
        episodes, trained = (
            sorted((x for e in played for x in getattr(e, side)), key=lambda x: (x.lane, x.episode))
            for side in ("episodes", "trained")
        )
        held = {every: [x for e in played for x in e.held[every]] for every in first.held}
        return first._replace(episodes=episodes, trained=trained, held=held)
    return first
