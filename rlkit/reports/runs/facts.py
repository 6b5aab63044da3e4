"""What a run folder says of its training, read without importing what it names."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from rlkit.core.errors import FileError, RlkitError, RunError
from rlkit.core.files.reading import fit
from rlkit.eval import records
from rlkit.eval.statistics import Array
from rlkit.reports.cells import System
from rlkit.reports.sheets import flat
from rlkit.run.clips.video import Entry, listed
from rlkit.run.records import folder as run_folder
from rlkit.run.records import versions

_POINTS = 150  # kept of a metric, evenly, with the last
_CLOCK = ("step", "updates", "engine", "seconds")  # of a record, which are no metrics


class _Options(TypedDict):
    algo: str
    dataset: str | None
    env: str | None
    online: NotRequired[bool]
    steps: int
    pretrain: NotRequired[int]
    seeds: list[int]
    config: dict[str, Any]


class _Reference(TypedDict):
    random: float
    expert: float
    score_name: str


class _Data(TypedDict):
    behaviour_return: NotRequired[float | None]
    reference: NotRequired[_Reference | None]


@dataclass(frozen=True, eq=False)
class Facts:
    """One run. `system` is what it is called on a page with others."""

    folder: Path
    system: System
    algo: str
    task: str
    unit: str  # of its steps
    seeds: list[int]
    total: int  # steps wanted
    step: int  # steps recorded
    options: dict[str, str]
    versions: dict[str, str]
    episodes: Array  # rows of episodes.csv
    metrics: dict[str, tuple[Array, Array]]  # steps [T], values [S, T]
    engine: str
    seconds: float  # from the last start on
    behaviour: float | None  # mean return of the data's own policy
    reference: tuple[float, float, str] | None  # returns of scores 0 and 1, and the score's name
    clips: list[Entry]
    diverged: dict[int, int]  # lane -> step
    checkpoints: list[int]
    problems: list[str]  # what of the folder could not be read

    @property
    def finished(self) -> bool:
        return self.step >= self.total

    def returns(self) -> tuple[Array, Array]:
        """Steps `[T]` and mean returns `[S, T]` of the evaluations; of none, empty ones."""
        if not len(self.episodes):
            return np.empty(0, np.int64), np.empty((len(self.seeds), 0))
        _, steps, means = records.mean_returns(self.episodes)
        return steps, means

    def last_returns(self, lane: int) -> Array:
        """Of each episode of a lane's last evaluation."""
        rows = self.episodes[self.episodes["lane"] == lane]
        return rows["return"][rows["step"] == rows["step"].max()] if len(rows) else np.empty(0)


def read(folder: str | os.PathLike[str], name: str | None = None) -> Facts:
    """The facts of a run folder. Raises RunError for a folder that is none, FileError naming the
    line for damaged records; what is only missing is left out and told in `problems`."""
    folder = Path(folder)
    config = run_folder.read_config(folder)
    where = f"{folder / run_folder.CONFIG}, options"
    options: Any = fit(config["options"], _Options, where, RunError)
    data: Any = fit(config["task"].get("dataset") or {}, _Data, f"{where[:-7]}task", RunError)
    offline = options["dataset"] is not None and not options.get("online")
    task = options["dataset"] if offline else options["env"]
    problems: list[str] = []
    rows = _episodes(folder / run_folder.EPISODES, options["seeds"], problems)
    lines = records.read_progress(folder / run_folder.PROGRESS)

    def tried(what: str, get: Any, empty: Any) -> Any:
        try:
            return get()
        except RlkitError as error:
            problems.append(f"{what}: {error}")
            return empty

    reference = data.get("reference")
    pretrain = options.get("pretrain", 0) if options.get("online") else 0
    last = lines[-1] if lines else {}
    reached = max((int(r["step"].max()) for r in (rows,) if len(r)), default=0)
    seconds = last.get("seconds")
    return Facts(
        folder=folder,
        system=System(name or folder.name),
        algo=options["algo"],
        task=str(task or options["env"] or ""),
        unit="Updates" if offline else "Environment steps",
        seeds=list(options["seeds"]),
        total=options["steps"] + pretrain,
        step=max(reached, last.get("step", 0)),
        options=flat(options),
        versions={k: str(v) for k, v in _versions(folder, tried).items() if v is not None},
        episodes=rows,
        metrics=_metrics(lines, len(options["seeds"])),
        engine=str(last.get("engine", "")),
        seconds=float(seconds) if isinstance(seconds, int | float) else math.nan,
        behaviour=data.get("behaviour_return"),
        reference=None
        if reference is None
        else (reference["random"], reference["expert"], reference["score_name"]),
        clips=tried("clips", lambda: listed(folder), []),
        diverged=tried("checkpoints", lambda: run_folder.diverged(folder), {}),
        checkpoints=run_folder.steps(folder),
        problems=problems,
    )


def _episodes(path: Path, seeds: list[int], problems: list[str]) -> Array:
    """The rows of every evaluation that all lanes have had; of another a kill has left a part."""
    rows = records.read_episodes(path)
    strange = rows[rows["lane"] >= len(seeds)]
    if len(strange):
        raise FileError(f"{path}: lane {strange['lane'][0]} is none of {len(seeds)} seeds")
    steps, step = np.unique(rows["step"], return_inverse=True)
    lanes = np.zeros((len(steps), len(seeds)), bool)
    lanes[step, rows["lane"]] = True
    whole = np.asarray(lanes.all(1))
    if not whole.all():
        told = ", ".join(f"{s:,}" for s in steps[~whole][:3])
        problems.append(f"{path.name}: not every seed was evaluated at step {told}: left out")
    return rows[whole[step]] if len(rows) else rows


def _versions(folder: Path, tried: Any) -> dict[str, Any]:
    return tried("versions", lambda: versions.read(folder / run_folder.VERSIONS), {})


def _metrics(lines: list[dict[str, Any]], lanes: int) -> dict[str, tuple[Array, Array]]:
    """Numbers that were recorded for each lane, by name; NaN where a record has none."""
    found: dict[str, tuple[list[int], list[list[float]]]] = {}
    for line in lines:
        for name, values in line.items():
            if name in _CLOCK or not isinstance(values, list) or len(values) != lanes:
                continue
            numbers = [float(v) if isinstance(v, int | float) else math.nan for v in values]
            steps, columns = found.setdefault(name, ([], []))
            steps.append(line["step"])
            columns.append(numbers)
    out = {}
    for name, (steps, columns) in found.items():
        some = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), _POINTS)).round())
        kept = some.astype(int)
        out[name] = np.array(steps)[kept], np.array(columns)[kept].T
    return out
