"""What a tracker is: three methods that get the numbers as they are recorded.

    class Mine:
        def __init__(self, folder, options, start): ...
        def metrics(self, step, values): ...
        def episodes(self, step, episodes): ...
        def close(self, finished): ...

`--track package.module:Mine` has a training tell it. The records of the run folder are the truth:
what a killed training told of steps after its checkpoint, it tells again when it goes on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rlkit.core.lanes import select
from rlkit.eval.records import Episode
from rlkit.run.settings.options import Options

# Names state the scope before the slash, and the unit where there is one.
_TRAINING = {
    "train_return": "finished_training_episodes/return_mean",
    "train_length": "finished_training_episodes/length_mean_steps",
    "train_episodes": "finished_training_episodes/count",
}
_EVALUATION: dict[str, Callable[[list[Episode]], Any]] = {
    "evaluation_episodes/return_mean": lambda found: np.mean([e.return_ for e in found]),
    "evaluation_episodes/return_std": lambda found: np.std([e.return_ for e in found]),
    "evaluation_episodes/length_mean_steps": lambda found: np.mean([e.length for e in found]),
}
EVALUATION = tuple(_EVALUATION)  # names of `evaluation`
STEP = "step"


class Sink(Protocol):
    """Made once a training, by `Sink(folder, options, start)`: the run folder, the resolved
    options, and the step it goes on after (0 at the beginning). The process that writes the
    records calls it.

    An error of a sink leaves it out from then on, with a note; only a RlkitError ends the training.
    """

    def metrics(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Losses of the latest update, returns of training episodes and the like, each `[S]`; NaN
        where a lane has none. `step` is as the records count: updates offline, environment steps
        of a lane online."""
        ...

    def episodes(self, step: int, episodes: Sequence[Episode]) -> None:
        """Every episode of an evaluation; `lane` says whose it is."""
        ...

    def close(self, finished: bool) -> None:
        """Nothing more comes; `finished` when the training has come to its last step."""
        ...


MakeSink = Callable[[Path, Options, int], Sink]


def lane_names(seeds: Sequence[int]) -> list[str]:
    """A name for each lane: `seed_<seed>`, or `lane_<k>_seed_<seed>` where lanes share a seed."""
    shared = len(set(seeds)) < len(seeds)
    return [f"lane_{k}_seed_{s}" if shared else f"seed_{s}" for k, s in enumerate(seeds)]


def latest(values: Mapping[str, np.ndarray], lane: int) -> dict[str, float]:
    """A lane's numbers of `Sink.metrics` under names with scope and unit; finite ones only."""
    return {
        _TRAINING.get(name, f"latest_update/{name}"): float(of_lanes[lane])
        for name, of_lanes in values.items()
        if np.isfinite(of_lanes[lane])
    }


def evaluation(episodes: Sequence[Episode], lane: int) -> dict[str, float]:
    """Return and length of a lane's episodes, under names with scope and unit; {} without any."""
    own = [e for e in episodes if e.lane == lane]
    if not own:
        return {}
    with np.errstate(invalid="ignore"):  # what is not finite has no spread
        return {name: float(number(own)) for name, number in _EVALUATION.items()}


def hyperparameters(options: Options, lane: int) -> dict[str, bool | int | float | str]:
    """What decides a lane's result, flat: `config.<field>`, the options that differ between
    experiments, the seed."""
    config = dataclasses.asdict(select(options.config, [lane]))
    values = {f"config.{name}": _plain(value) for name, value in config.items()}
    names = ("algo", "dataset", "env", "steps", "utd", "warmup", "envs", "reward", "weighting")
    values |= {name: _plain(getattr(options, name)) for name in names}
    return values | {"seed": options.seeds[lane], "lane": lane}


def _plain(value: Any) -> bool | int | float | str:
    if isinstance(value, tuple | list) and len(value) == 1 and isinstance(value[0], float):
        return value[0]  # a field of one value a lane
    return value if isinstance(value, bool | int | float | str) else str(value)
