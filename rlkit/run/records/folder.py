"""A run folder: the only truth about a training.

    config.json     options, hash, task (spaces, transforms, dataset), engine, groups of lanes
    versions.json   packages, commit, hardware at the start
    progress.jsonl  losses and training returns        episodes.csv   every evaluation episode
    checkpoints/step_000010000/group_0/{agent,replay,envs}.safetensors + checkpoint.json
    trained_levels.csv                  as episodes.csv, on the training levels of a pool
    frequencies.csv                     mean returns by the steps between decisions
    plots/  video/  report.html         made on demand

A step's folder holds one checkpoint for each group of lanes and appears when all are written.
The newest ones are whole; of older ones only policies that are some lane's best are kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlkit.core import state
from rlkit.core.errors import (
    CheckpointError,
    FileError,
    RlkitError,
    RunError,
    UsageError,
    WrongPathError,
)
from rlkit.core.files import checkpoint
from rlkit.core.files.reading import sum_of
from rlkit.core.files.replacing import refusal, replacing, temporary_name
from rlkit.core.spec import Spec
from rlkit.eval import records
from rlkit.run.settings.options import Options
from rlkit.run.task import Task, make_agent

CONFIG, VERSIONS = "config.json", "versions.json"
EPISODES, PROGRESS = "episodes.csv", "progress.jsonl"
TRAINED_LEVELS = "trained_levels.csv"  # as episodes.csv, on the levels of a pool
FREQUENCIES = "frequencies.csv"  # returns by the steps between decisions (eval.frequency)
CELL, STEP = "cell.json", ".step"  # of a sweep: which of its cells these are, how far they are
LOCK = ".lock"
# what we write into, and remove from
FOLDERS = ("checkpoints", "plots", "tensorboard", "wandb", "mlflow", "video")
FILES = (CONFIG, VERSIONS, EPISODES, TRAINED_LEVELS, FREQUENCIES, PROGRESS, CELL, STEP, LOCK)
_TEMPORARY = ".*.tmp"  # what is being written, or what a kill left of it
_FORMAT = 2  # 1 had no sum
_FIELDS: Mapping[str, type] = {
    "hash": str,
    "options": dict,
    "task": dict,
    "engine": str,
    "groups": list,
}
_WRONG = (LookupError, TypeError, AttributeError, ValueError, ArithmeticError)  # values raise
_POLICY = "agent"  # the part of a checkpoint needed to act; the others are needed to continue

Which = Literal["best", "last"] | int


# --- config -----------------------------------------------------------------------------------
class Stored(NamedTuple):
    """What a run folder says of its training."""

    options: Options
    hash: str  # of the options, when the run was begun
    task: Task
    engine: str
    groups: list[list[int]]  # lanes of each process


def read(folder: str | Path) -> Stored:
    """`config.json`, every part checked. Raises RunError naming file and field."""
    path, config = Path(folder) / CONFIG, read_config(folder)
    with _reading(path, "options"):
        given = Options.from_json(config["options"])
    with _reading(path, "task"):
        task = Task.from_json(config["task"])
    with _reading(path, "groups"):
        groups = [[int(lane) for lane in group] for group in config["groups"]]
        if sorted(lane for group in groups for lane in group) != list(range(len(given.seeds))):
            raise ValueError(f"{groups} are not the lanes of {len(given.seeds)} seeds")
    return Stored(given, config["hash"], task, config["engine"], groups)


def read_config(folder: str | Path) -> dict[str, Any]:
    """What `config.json` says, as it stands. Raises RunError when `folder` is not a run folder."""
    path = Path(folder) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise WrongPathError(f"{path.parent} is not a run folder: it has no {CONFIG}") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    if not isinstance(config, dict):
        raise RunError(f"{path} is damaged: it holds no object")
    written = config.get("format")
    if written not in (1, _FORMAT):
        raise RunError(f"{path} has format {written!r}; this rlkit reads {_FORMAT}")
    for name, kind in _FIELDS.items():
        if not isinstance(config.get(name), kind):
            raise RunError(f"{path} is damaged: {name} is {config.get(name)!r:.40}")
    _check_sum(path, config)
    return config


def _check_sum(path: Path, config: dict[str, Any]) -> None:
    """Raises RunError for a config of another sum than it names, or of none."""
    if config["format"] == 1 and "sha256" not in config:
        return
    with _reading(path, "sha256"):
        if config.pop("sha256", None) != sum_of(config):
            raise RunError(
                "it is damaged (its SHA-256 sum differs); if you have edited it, write "
                '"format": 1 and leave "sha256" out'
            )


@contextlib.contextmanager
def _reading(path: Path, field: str) -> Iterator[None]:
    """Turns what a wrong value may raise into an error that names the file and the field."""
    try:
        yield
    except RlkitError as error:
        raise RunError(f"{path}, {field}: {error}") from error
    except (*_WRONG, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"
        raise RunError(f"{path} is damaged: {field}: {what}") from error


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system refuses into an error that names the file and the cause."""
    try:
        yield
    except FileError:  # it says so already
        raise
    except OSError as error:
        raise RunError(f"{path} cannot be written: {refusal(error) or error}") from error


def write_config(
    folder: Path, options: Options, task: Task, engine: str, groups: Sequence[Sequence[int]]
) -> None:
    """Write `config.json`, in one rename."""
    config = {
        "format": _FORMAT,
        "hash": options.hash(),
        "options": options.to_json(),
        "task": task.to_json(),
        "engine": engine,
        "groups": [list(group) for group in groups],
    }
    write_json(folder / CONFIG, config | {"sha256": sum_of(config)})


def write_json(path: Path, values: Any) -> None:
    """Write or replace a JSON file in one rename. Raises FileError when the system refuses."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n")


def is_free(folder: Path) -> bool:
    """Whether a run may be begun there: the folder holds nothing but what a start writes before
    its `config.json`, and a sweep's notes."""
    known = (LOCK, VERSIONS, CELL, STEP)
    return all(path.name in known or path.match(_TEMPORARY) for path in folder.iterdir())


def options(folder: str | Path) -> Options:
    """The options of a run."""
    return read(folder).options


# --- checkpoints ------------------------------------------------------------------------------
def step_folder(folder: str | Path, step: int) -> Path:
    return Path(folder) / "checkpoints" / f"step_{step:09d}"


def group_folder(folder: Path, group: int) -> Path:
    """Share of a group of lanes in the folder of a step."""
    return folder / f"group_{group}"


def steps(folder: str | Path, whole: bool = False) -> list[int]:
    """Steps that have a checkpoint, ascending; with `whole` those that training can resume."""
    found = sorted(
        int(path.name.removeprefix("step_"))
        for path in (Path(folder) / "checkpoints").glob("step_*")
        if path.name.removeprefix("step_").isdigit()
    )
    return [step for step in found if not whole or _is_whole(step_folder(folder, step))]


def choose(folder: str | Path, which: Which | str, lane: int = 0) -> int:
    """Step of a lane's checkpoint: the last, the best evaluated one, or a given step.

    Raises UsageError naming the steps there are.
    """
    there = steps(folder)
    if not there:
        raise RunError(f"{folder} has no checkpoint yet")
    if which in ("last", "best"):
        end = diverged(folder).get(lane)
        sound = there if end is None else [step for step in there if step < end]
        if not sound:
            raise RunError(f"lane {lane} of {folder} diverged at step {end}, before a checkpoint")
        best = sound[-1] if which == "last" else best_steps(folder).get(lane, sound[-1])
        return best if best in sound else sound[-1]
    with contextlib.suppress(ValueError):
        if int(which) in there:
            return int(which)
    raise UsageError(
        f"no checkpoint {which!r} in {folder}; use best, last, or one of "
        f"{', '.join(map(str, there))}"
    )


def best_steps(folder: str | Path) -> dict[int, int]:
    """For each lane, the checkpointed step of its highest mean return in `episodes.csv`."""
    rows = records.read_episodes(Path(folder) / EPISODES)
    rows = rows[np.isin(rows["step"], steps(folder))]
    if not len(rows):
        return {}
    with _reading(Path(folder) / EPISODES, "rows"):
        _, at, returns = records.mean_returns(rows)
    returns = np.where(np.isfinite(returns), returns, -np.inf)
    lanes = np.unique(rows["lane"])
    return {
        int(k): int(at[t])
        for k, t, best in zip(lanes, returns.argmax(1), returns.max(1), strict=True)
        if best > -np.inf
    }


def diverged(folder: str | Path) -> dict[int, int]:
    """Lanes that are no longer finite, by the newest checkpoint, and the steps that were found so;
    every checkpoint of an earlier step is sound."""
    there = steps(folder)
    found: dict[int, int] = {}
    for group in sorted(step_folder(folder, there[-1]).iterdir()) if there else ():
        path = group / checkpoint.INDEX
        with _reading(path, "diverged"), remedied(group.parent):
            of_group = checkpoint.read_index(group)["meta"].get("diverged", {})
            found |= {int(lane): int(step) for lane, step in of_group.items()}
    return found


@contextlib.contextmanager
def remedied(path: Path) -> Iterator[None]:
    """Adds to what is said of a damaged checkpoint, `path` its step's folder, what can be done."""
    try:
        yield
    except CheckpointError as error:
        older = [step for step in steps(path.parents[1]) if step_folder("", step).name < path.name]
        back = f"step {older[-1]:,}" if older else "the beginning"
        advice = f"remove {path}, which goes back to {back}"
        raise CheckpointError(f"{error}; {advice}") from error


@contextlib.contextmanager
def saving(folder: Path, step: int) -> Iterator[None]:
    """Turns what the system refuses while the checkpoint of `step` is written into an error that
    names it, the cause, and what stands."""
    try:
        yield
    except (OSError, CheckpointError) as error:
        fault = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(fault, OSError):
            raise
        path, cause = step_folder(folder, step), refusal(fault) or fault
        raise CheckpointError(
            f"{path} could not be written: {cause}; {going_on(folder)}"
        ) from error


def standing(folder: Path) -> str:
    """The newest checkpoint, in words."""
    there = steps(folder)
    return f"the checkpoint of step {there[-1]:,} stands" if there else "no checkpoint stands yet"


def going_on(folder: Path) -> str:
    """From where a training that broke off goes on, and how."""
    return f"{standing(folder)}; go on with: rlkit resume {folder}"


def prune(folder: Path, keep: int) -> None:
    """Keep the newest `keep` checkpoints whole; of older ones the policies that are a lane's
    best so far, or the last before it diverged."""
    there = steps(folder)
    wanted = set(best_steps(folder).values())
    for end in diverged(folder).values():
        wanted.update([step for step in there if step < end][-1:])
    for step in there[:-keep]:
        path = step_folder(folder, step)
        if step in wanted:
            for group in path.iterdir():
                names = checkpoint.read_index(group)["files"]
                checkpoint.drop(group, [name for name in names if name != _POLICY])
        else:
            hidden = temporary_name(path)
            path.rename(hidden)
            shutil.rmtree(hidden)


def clean(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for place in (folder, folder / "checkpoints"):
        for path in place.glob(_TEMPORARY):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_whole(folder: Path) -> bool:
    with remedied(folder):
        return not any("dropped" in checkpoint.read_index(g)["meta"] for g in folder.iterdir())


# --- agents -----------------------------------------------------------------------------------
class Restored(NamedTuple):
    """An agent as a run left it, ready to act; its optimisers are fresh."""

    agent: Any
    config: Any  # resolved for `spec`
    spec: Spec
    task: Task
    options: Options
    seeds: tuple[int, ...]
    steps: tuple[int, ...]  # one a lane: the best checkpoint is a lane's own


def restore(
    folder: str | Path,
    which: Which | str = "last",
    lanes: Sequence[int] | None = None,
    device: str = "cpu",
) -> Restored:
    """The agent of a run with the wanted lanes (all by default), whatever groups trained them.

    Raises CheckpointError for a damaged checkpoint, naming file and remedy.
    """
    folder, stored = Path(folder), read(folder)
    run_options = dataclasses.replace(stored.options, device=device)
    count = len(run_options.seeds)
    wanted = list(range(count)) if lanes is None else list(lanes)
    for lane in wanted:
        if not 0 <= lane < count:
            raise UsageError(f"no lane {lane}; {folder} has lanes 0 to {count - 1}")
    seeds = tuple(run_options.seeds[k] for k in wanted)
    agent, resolved, spec = make_agent(run_options, stored.task, wanted)
    at = tuple(choose(folder, which, lane) for lane in wanted)
    pieces = [
        lane_tensors(folder, stored.groups, lane, step)
        for lane, step in zip(wanted, at, strict=True)
    ]
    nets = _parts_with_lanes(agent, spec.lanes)
    names = [name for name in pieces[0] if name.partition(".")[0] in nets]
    try:
        joined = {name: torch.cat([piece[name] for piece in pieces]) for name in names}
        state.load(agent, joined, only=nets)
    except (ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{step_folder(folder, at[0])} does not fit this agent: {error}"
        ) from error
    return Restored(agent, resolved, spec, stored.task, run_options, seeds, at)


def lane_tensors(folder: Path, groups: list[list[int]], lane: int, step: int) -> dict[str, Tensor]:
    """The agent's tensors of one lane `[1, ...]`; those without a lane axis as they are."""
    number = next(g for g, group in enumerate(groups) if lane in group)
    path = group_folder(step_folder(folder, step), number)
    with remedied(path.parent):
        tensors = checkpoint.load(path, ["agent"])[0]["agent"]
    place, size = groups[number].index(lane), len(groups[number])
    return {
        name: t[place : place + 1] if t.shape[:1] == (size,) else t for name, t in tensors.items()
    }


def _parts_with_lanes(agent: Any, lanes: int) -> tuple[str, ...]:
    """Nets and targets. An optimiser is none of them: its count of steps has no lane."""
    parts: dict[str, bool] = {}
    for name, tensor in state.tensors(agent).items():
        part = name.partition(".")[0]
        parts[part] = parts.get(part, True) and tensor.shape[:1] == (lanes,)
    return tuple(part for part, whole in parts.items() if whole)
