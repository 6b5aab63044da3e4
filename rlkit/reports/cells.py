"""One run folder of a sweep as its cells: a lane's mean return at each evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from rlkit.eval import records
from rlkit.eval.records import Array
from rlkit.eval.rounding import differ

CARD, CONFIG, VERSIONS, EPISODES = "cell.json", "config.json", "versions.json", "episodes.csv"
TRAINED_LEVELS = "trained_levels.csv"  # as EPISODES, on the levels of a pool
FREQUENCIES = "frequencies.csv"  # mean returns by steps between decisions (eval.frequency)
FILES = (CARD, CONFIG, VERSIONS, EPISODES)
FORMAT = 1
# Evaluations kept of a cell, so that memory does not grow with their number; more are thinned out
# evenly, the last one stays.
POINTS = 256
# Options that say where and how loudly, not what.
_INCIDENTAL = ("seeds", "out", "quiet", "track", "video_every")
_NOTHING = np.empty(0, np.int64), np.empty(0), 0  # evaluated yet
_WORDS = ("sweep", "budget", "system", "task", "measure", "unit")  # of a card, as text
_MOST = 2**63 - 1  # of a seed or a number of steps


class System(NamedTuple):
    """A system in one of its configurations: what a row of a table is about."""

    name: str
    setting: str = "{}"  # what sets the configuration apart, as JSON with sorted keys

    @property
    def configuration(self) -> dict[str, Any]:
        return json.loads(self.setting)

    @property
    def label(self) -> str:
        return _label(self)


@lru_cache(maxsize=4096)
def _label(system: System) -> str:
    parts = [f"{name}={_word(value)}" for name, value in system.configuration.items()]
    return f"{system.name} ({', '.join(parts)})" if parts else system.name


def _word(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(_word(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Run:
    """What the cells of a run folder with one configuration share.

    Runs that agree share the objects `options` and `versions`.
    """

    name: str  # of the folder, under runs/
    sweep: str
    budget: str
    system: System
    task: str
    measure: str  # what a return is; higher is better
    unit: str  # of steps
    reference: tuple[float, float] | None  # returns that are scores 0 and 1
    steps: int  # wanted
    options: Mapping[str, Any]
    versions: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """One lane of a run: the mean return over the episodes of each evaluation."""

    run: Run
    lane: int
    seed: int
    steps: Array  # [T], ascending
    returns: Array  # [T]
    episodes: int  # of the last evaluation

    @property
    def finished(self) -> bool:
        return bool(len(self.steps)) and int(self.steps[-1]) >= self.run.steps

    @property
    def final(self) -> float:
        """Mean return of the last evaluation."""
        return float(self.returns[-1])


class Shared:
    """Equal mappings become one object, so that 10,000 runs alike cost one configuration."""

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}

    def __call__(self, values: dict[str, Any]) -> dict[str, Any]:
        return self.known.setdefault(json.dumps(values, sort_keys=True), values)


def read_run(folder: Path, shared: Shared) -> list[Cell]:
    """The cells of the run in `folder`, by lane.

    Raises ValueError naming file and field that are wrong, OSError where the system refuses one.
    """
    card = _json(folder / CARD)
    if card is None:
        raise ValueError(f"it has no {CARD}")
    reference = _checked(card)
    config = _json(folder / CONFIG) or {}
    options = config.get("options")
    if not isinstance(options, dict):
        options = {}
    rows = records.read_episodes(folder / EPISODES)
    seeds = _seeds_of_lanes(rows)
    lanes = _lanes(card)
    if len(rows) and rows["lane"].max() >= len(lanes):
        raise ValueError(f"{EPISODES} has more lanes than {CARD}")
    kept = {name: value for name, value in options.items() if name not in _INCIDENTAL}
    kept |= {name: config[name] for name in ("kind", "engine") if name in config}
    versions = shared(_json(folder / VERSIONS) or {})
    runs: dict[str, Run] = {}  # one for each configuration among the lanes
    cells = []
    curves = evaluations(rows)
    for lane, (setting, seed) in enumerate(lanes):
        if seeds.get(lane, seed) != seed:
            raise ValueError(f"{EPISODES} has seed {seeds[lane]} in lane {lane}, {CARD} has {seed}")
        if setting not in runs:
            runs[setting] = Run(
                name=folder.name,
                sweep=card["sweep"],
                budget=card["budget"],
                system=System(card["system"], setting),
                task=card["task"],
                measure=card["measure"],
                unit=card["unit"],
                reference=reference,
                steps=card["steps"],
                options=shared(_of_lane(kept, json.loads(setting))),
                versions=versions,
            )
        cells.append(Cell(runs[setting], lane, seed, *curves.get(lane, _NOTHING)))
    if len({(cell.run.system, cell.seed) for cell in cells}) < len(cells):
        raise ValueError("it has a seed in two lanes")
    return cells


def _lanes(card: dict[str, Any]) -> list[tuple[str, int]]:
    """Configuration (as JSON) and seed of each lane."""
    lanes = card.get("lanes")
    if not isinstance(lanes, list) or not lanes:
        raise ValueError(f"{CARD} has lanes {lanes!r}, which name no cell")
    found = []
    for lane in lanes:
        setting, seed = (
            (lane.get("configuration"), lane.get("seed"))
            if isinstance(lane, dict)
            else (None, None)
        )
        if not isinstance(setting, dict) or not _is_count(seed, 0):
            raise ValueError(f"{CARD} has a lane {lane!r}, without configuration or seed")
        found.append((json.dumps(setting, sort_keys=True), seed))
    return found


def _of_lane(options: dict[str, Any], configuration: dict[str, Any]) -> dict[str, Any]:
    """Options as one lane has them: lanes that differ have a list of values in the config."""
    config = options.get("config")
    if not isinstance(config, dict):
        return options
    own = {name: value for name, value in configuration.items() if name in config}
    return options | {"config": config | own}


def _seeds_of_lanes(rows: Array) -> dict[int, int]:
    lanes, first = np.unique(rows["lane"], return_index=True)
    return dict(zip(lanes.tolist(), rows["seed"][first].tolist(), strict=True))


def evaluations(rows: Array) -> dict[int, tuple[Array, Array, int]]:
    """Of each lane in `rows` of `episodes.csv`: steps `[T]`, mean returns `[T]`, and how many
    episodes the last evaluation has.

    A last evaluation with fewer episodes than the one before was cut short and is left out.
    """
    found: dict[int, tuple[Array, Array, int]] = {}
    if not len(rows):
        return found
    order = np.lexsort((rows["step"], rows["lane"]))
    lane, step, returns = (rows[name][order] for name in ("lane", "step", "return"))
    new_lane = np.flatnonzero(np.diff(lane, prepend=-1))
    for start, end in zip(new_lane, [*new_lane[1:], len(rows)], strict=True):
        first = np.flatnonzero(np.diff(step[start:end], prepend=-1))
        steps = step[start:end][first]
        count = np.diff(first, append=end - start)
        means = np.add.reduceat(returns[start:end], first) / count
        if len(count) > 1 and count[-1] < count[-2]:
            steps, means, count = steps[:-1], means[:-1], count[:-1]
        if len(steps) > POINTS:
            some = np.unique(np.linspace(0, len(steps) - 1, POINTS).round().astype(int))
            steps, means = steps[some], means[some]
        found[int(lane[start])] = steps.copy(), means, int(count[-1])
    return found


def _checked(card: dict[str, Any]) -> tuple[float, float] | None:
    """The reference returns of a card. Raises ValueError for one that does not fit."""
    if card.get("format") != FORMAT:
        raise ValueError(
            f"{CARD} has format {card.get('format')!r}; this rlkit reads format {FORMAT}"
        )
    for name in _WORDS:
        word = card.get(name)
        if not isinstance(word, str) or not word.isprintable():
            raise ValueError(f"{CARD} has {name} {word!r}")
    if not _is_count(card.get("steps"), 1):
        raise ValueError(f"{CARD} has steps {card.get('steps')!r}")
    reference = card.get("reference")
    if reference is None:
        return None
    try:
        low, high = (float(value) for value in reference)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{CARD} has reference {reference!r}, not two returns") from None
    if not (np.isfinite([low, high]).all() and differ(low, high)):
        raise ValueError(f"{CARD} has reference {reference!r}, which spans nothing")
    return low, high


def _is_count(value: Any, least: int) -> TypeGuard[int]:
    return type(value) is int and least <= value <= _MOST


def _json(path: Path) -> dict[str, Any] | None:
    """An object in a file, None where there is no file."""
    try:
        values = json.loads(path.read_bytes())
        json.dumps(values, ensure_ascii=False).encode()  # half a surrogate is JSON, and no text
    except FileNotFoundError:
        return None
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path.name} is not JSON ({error})") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} holds no object")
    return values
