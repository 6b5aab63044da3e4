"""What is asked of a training, settled before anything is done about it."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlkit.core.engine import choose
from rlkit.core.errors import RlkitError, UsageError, WrongPathError
from rlkit.data.store import EpisodeStore
from rlkit.envs.specs import is_shared
from rlkit.run.preparing import prepare
from rlkit.run.records import folder as run_folder
from rlkit.run.replay_ratio import updates_in_all
from rlkit.run.settings.machine import check_device, check_memory
from rlkit.run.settings.options import NOT_HASHED, Options, resolve
from rlkit.run.task import Task, make_agent
from rlkit.run.trackers import by_name
from rlkit.run.transfer import adapted, check_start, inherited

_WIDE = 128  # hidden units from which a CPU is bound by arithmetic


@dataclass(frozen=True)
class Plan:
    """A training whose options are resolved and checked, with all that follows from them."""

    options: Options
    folder: Path
    task: Task
    store: EpisodeStore | None  # rows to learn from; None online, and where they are yet to be read
    engine: str  # mode asked of the engine
    groups: list[list[int]]  # lanes of each process
    begun: bool  # the folder holds this run already

    @property
    def is_sb3(self) -> bool:
        """Whether the agents are stable-baselines3's, which train themselves."""
        return is_sb3(self.options)


def settle(options: Options) -> Plan:
    """The plan of a training; of the one that stands in its folder, if it is the same.

    Raises UsageError for options that are not valid and for another run in the folder, RunError
    for a folder that holds something else, ValueError for bad data. Nothing is written.
    """
    options = resolve(options)
    by_name.check(options.track, typed=True)
    if options.from_run is not None:
        options = inherited(options)
    check_device(options.device)
    folder = options.folder()
    if (folder / run_folder.CONFIG).exists():
        stored = run_folder.read(folder)
        _check_same(folder, stored, options)
        return _going_on(folder, stored, options)
    if folder.exists() and not (folder.is_dir() and run_folder.is_free(folder)):
        raise WrongPathError(f"{folder} exists and is not a run folder; choose another with --out")
    _check_updates(options)
    task, store = _prepared(options)
    _check_clips(options, task)
    check_memory(options, task)
    agent = _agent(options, task)  # so that it complains before anything is written
    check_start(agent, options)
    if is_sb3(options):
        groups, engine = [list(range(len(options.seeds)))], "eager"
    else:
        groups = split(options)
        engine = choose(options.engine, options.device, options.updates_ahead)
    return Plan(options, folder, task, store, engine, groups, begun=False)


def _agent(options: Options, task: Task) -> Any:
    """One lane's agent. Raises UsageError where settings do not fit each other or the task."""
    try:
        return make_agent(options, task, [0])[0]
    except RlkitError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from error


def is_sb3(options: Options) -> bool:
    return options.algo.startswith("sb3:")


def settle_on(folder: Path, steps: int | None, quiet: bool) -> Plan:
    """The plan of going on with the run in `folder`, to `steps` if they are given."""
    stored = run_folder.read(folder)
    options = dataclasses.replace(stored.options, quiet=quiet)
    by_name.check(options.track, typed=False)
    check_device(options.device)
    if steps is not None:
        asked, done = options.steps, (run_folder.steps(folder) or [0])[-1]
        if steps < asked:
            raise UsageError(
                f"{folder} was asked for {asked:,} steps and has done {done:,} of "
                f"{options.total_steps:,}: --steps {steps} cannot take any back; give {asked} or "
                "more"
            )
        options = resolve(dataclasses.replace(options, steps=steps))
    if options.from_run is not None and not run_folder.steps(folder, whole=True):
        inherited(options)  # it has yet to be started from: complains where it cannot
    return _going_on(folder, stored, options)


def settled(options: Options) -> tuple[Options, Task, EpisodeStore | None]:
    """Resolved options, task and rows of a training without a run folder."""
    options = inherited(resolve(options))
    return options, *_prepared(options)


def split(options: Options) -> list[list[int]]:
    """Lanes of each process: one group unless several cores can be used well.

    Raises UsageError for processes that were asked for and could not make the environment.
    """
    lanes = list(range(len(options.seeds)))
    workers = options.workers
    if workers == 0:
        widest = max(getattr(options.config, "hidden", (_WIDE,)), default=0)
        worthwhile = options.device == "cpu" and widest >= _WIDE
        workers = max(1, _cores() // options.threads) if worthwhile else 1
    if options.utd_later:  # lanes may come to make different numbers of updates
        workers = len(lanes)
    workers = min(workers, len(lanes))
    if workers > 1 and options.env is not None and not is_shared(options.env):
        if options.workers > 1 or options.utd_later:
            raise UsageError(
                f"environment {options.env!r} is registered by the running script, where no other "
                "process can find it: register it in a module and name it module:Name-v0, or train "
                "in one process (one seed, or workers=1 without utd_later)"
            )
        workers = 1
    size, larger = divmod(len(lanes), workers)
    ends = [size * (i + 1) + min(i + 1, larger) for i in range(workers)]
    return [lanes[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _prepared(options: Options) -> tuple[Task, EpisodeStore | None]:
    task, store = prepare(options)
    return adapted(task, options), store


def _going_on(folder: Path, stored: run_folder.Stored, options: Options) -> Plan:
    _check_clips(options, stored.task)
    return Plan(options, folder, stored.task, None, stored.engine, stored.groups, begun=True)


def _check_clips(options: Options, task: Task) -> None:
    if options.video_every:
        from rlkit.run.clips import training

        training.check(options, task)


def _check_updates(options: Options) -> None:
    """Raises UsageError for an online training that would never update, unless that is asked."""
    if options.kind == "offline" or is_sb3(options) or options.utd == 0:
        return
    if updates_in_all(options):
        return
    raise UsageError(
        f"no update would happen: {options.steps:,} steps with a warm-up of {options.warmup:,}, "
        f"{options.utd:g} updates a step in rounds of {options.update_every}; give more --steps or "
        "a shorter --warmup, or --utd 0 to collect and evaluate without updates"
    )


def _check_same(folder: Path, stored: run_folder.Stored, options: Options) -> None:
    if stored.hash == options.hash():
        return
    theirs, ours = _flat(stored.options.to_json()), _flat(options.to_json())
    differing = [
        f"{name} {theirs.get(name)!r} there, {ours.get(name)!r} here"
        for name in sorted(theirs.keys() | ours.keys())
        if theirs.get(name) != ours.get(name) and name not in NOT_HASHED
    ]
    raise UsageError(
        f"{folder} holds another run ({'; '.join(differing[:3])}); choose another folder with --out"
    )


def _flat(options: dict[str, Any]) -> dict[str, Any]:
    config = {f"config.{name}": value for name, value in options["config"].items()}
    return {name: value for name, value in options.items() if name != "config"} | config


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
