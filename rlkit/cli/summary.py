"""What a run has come to: scores with intervals, set against the data, and a learning curve."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.errors import RlkitError
from rlkit.data.formats.meta import Reference
from rlkit.eval import records
from rlkit.eval.statistics import Interval, bootstrap_interval, mean
from rlkit.eval.tables import TooFewRunsWarning
from rlkit.run.settings.options import Options

_REPS = 10_000  # bootstrap replicates


@dataclass(frozen=True)
class Lane:
    """Returns of one lane's last evaluation, with an interval over its episodes, and the highest
    mean return of all its evaluations; `best` is None where there was one alone, or none finite."""

    lane: int
    seed: int
    step: int
    episodes: int
    returns: Interval
    best: float | None = None
    best_step: int = 0


@dataclass(frozen=True)
class Summary:
    """Returns of every lane, their mean over lanes, and what the data's own policy returned."""

    title: str
    lanes: tuple[Lane, ...]
    mean: Interval | None  # over lanes; None for a single one
    behaviour: float | None
    reference: Reference | None

    def __str__(self) -> str:
        rows = [
            (f"seed {one.seed}", one.returns, _episodes(one) + self._verdict(one) + _best(one))
            for one in self.lanes
        ]
        if self.mean is not None:
            rows.append(("mean", self.mean, f"{len(self.lanes)} seeds"))
        if self.behaviour is not None:
            alone = Interval(self.behaviour, np.nan, np.nan)
            rows.append(("data", alone, "mean return of the episodes learnt from"))
        width = max(len(name) for name, _, _ in rows)
        wide = max(len(_show(interval)) for _, interval, _ in rows)
        lines = [self.title]
        for name, interval, note in rows:
            line = f"  {name:{width}}  return {_show(interval):{wide}}"
            if self.reference is not None:
                score = _scaled(interval, self.reference)
                line += f"  {self.reference.score_name} {_show(score):18}"
            lines.append(f"{line}  {note}")
        if self.mean is not None or any(not np.isnan(one.returns.low) for one in self.lanes):
            lines.append(f"  [{self._what_intervals_are()}]")
        return "\n".join(lines)

    def _what_intervals_are(self) -> str:
        if self.mean is None:
            return "95% bootstrap interval over episodes"
        of_mean = "the two seeds' range" if len(self.lanes) == 2 else "over seeds"
        return f"95% bootstrap intervals: of a seed over its episodes, of the mean {of_mean}"

    def _verdict(self, one: Lane) -> str:
        if self.behaviour is None or np.isnan(one.returns.low):
            return ""
        if one.returns.low > self.behaviour:
            return ", above the data"
        return ", below the data" if one.returns.high < self.behaviour else ", about the data"


def summarise(rows: records.Array, title: str, dataset: dict[str, Any] | None = None) -> Summary:
    """The summary of the last evaluation in `rows` of `episodes.csv`.

    `dataset` is what a run's task says of its data. Raises RlkitError when there are no rows.
    """
    if not len(rows):
        raise RlkitError("nothing was evaluated: there are no episodes to summarise")
    lanes = []
    for lane in np.unique(rows["lane"]):
        of_lane = rows[rows["lane"] == lane]
        last = of_lane[of_lane["step"] == of_lane["step"].max()]
        best, best_step = _highest(of_lane)
        lanes.append(
            Lane(
                int(lane),
                int(last["seed"][0]),
                int(last["step"][0]),
                len(last),
                _interval(last["return"]),
                best,
                best_step,
            )
        )
    dataset = dataset or {}
    reference = dataset.get("reference")
    return Summary(
        title=title,
        lanes=tuple(lanes),
        mean=_interval(np.array([one.returns.point for one in lanes])) if len(lanes) > 1 else None,
        behaviour=dataset.get("behaviour_return"),
        reference=None if reference is None else Reference(**reference),
    )


def _highest(of_lane: records.Array) -> tuple[float | None, int]:
    """The highest mean return of a lane's evaluations and its step, the first of equals."""
    _, steps, means = records.mean_returns(of_lane)
    finite = np.where(np.isfinite(means[0]), means[0], -np.inf)
    at = int(finite.argmax())
    if len(steps) == 1 or finite[at] == -np.inf:
        return None, 0
    return float(finite[at]), int(steps[at])


def _episodes(one: Lane) -> str:
    return f"{one.episodes} episodes at step {one.step:,}"


def _best(one: Lane) -> str:
    if one.best is None:
        return ""
    return f"; best {_show(Interval(one.best, np.nan, np.nan))} at step {one.best_step:,}"


def learning_curve(
    folder: Path, rows: records.Array, options: Options, behaviour: float | None
) -> Path:
    """The picture of every evaluation, drawn into the run folder."""
    _, steps, returns = records.mean_returns(rows)
    from rlkit.eval import plots

    task = options.env if options.env is not None else options.dataset
    references = (
        {} if behaviour is None else {"data": Interval(behaviour, float("nan"), float("nan"))}
    )
    figure = plots.learning_curve(
        {options.algo.rpartition(".")[2]: (steps, returns)},
        references=references,
        x_label="Updates" if options.kind == "offline" else "Environment steps",
        title=f"{options.algo} on {task}",
    )
    return plots.save(figure, folder / "plots" / "learning_curve")[0]


def _interval(values: records.Array) -> Interval:
    """Of a mean; without bounds for one value, or where a policy has diverged."""
    if not np.isfinite(values).all():
        return Interval(float("nan"), float("nan"), float("nan"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooFewRunsWarning)  # the line says so itself
        return bootstrap_interval(values[:, None], mean, reps=_REPS)


def _scaled(interval: Interval, reference: Reference) -> Interval:
    low, point, high = (
        float(reference.score(value)) for value in (interval.low, interval.point, interval.high)
    )
    return Interval(point, low, high, interval.level)


def _show(interval: Interval) -> str:
    """Four digits, or two behind the point for a score."""

    def number(value: float) -> str:
        return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"

    if np.isnan(interval.point):
        return "not finite"
    text = number(interval.point)
    if np.isnan(interval.low):
        return text
    return f"{text} [{number(interval.low)}, {number(interval.high)}]"
