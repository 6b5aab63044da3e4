"""`train` and `resume`: a whole training as one function call, whose truth is the run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from rlkit.core import checkpoint
from rlkit.core.engine import choose
from rlkit.core.errors import CheckpointError, RunError, UsageError
from rlkit.data.store import EpisodeStore
from rlkit.eval import records
from rlkit.run import folder as run_folder
from rlkit.run import loops, sb3_loop, versions
from rlkit.run.events import Evaluated, Event, Metrics, Note, Progress, Save
from rlkit.run.groups import grouped, resumed, share, split
from rlkit.run.options import NOT_HASHED, Options, resolve
from rlkit.run.progress import Reporter, reporter
from rlkit.run.session import Session
from rlkit.run.task import Task, make_agent, prepare, rows
from rlkit.run.tensorboard import Board
from rlkit.run.transfer import adapted, inherited


class Result(NamedTuple):
    """Outcome of a training."""

    folder: Path
    step: int  # reached
    seeds: tuple[int, ...]
    returns: np.ndarray  # [S] mean return of the last evaluation; NaN without one
    status: Literal["trained", "resumed", "reused"]
    notes: tuple[str, ...] = ()


def train(options: Options, report: Reporter | None = None) -> Result:
    """The result of one training, which is in `options.folder()` when this returns.

    A run that stands there is continued, or reused when it is finished. Raises UsageError for
    options that are not valid, ValueError for bad data (before anything is written), RunError
    when the folder holds another run.
    """
    options = inherited(resolve(options))
    folder = options.folder()
    if folder.exists() and not (folder / run_folder.CONFIG).exists():
        if not run_folder.is_free(folder):
            raise RunError(f"{folder} exists and is not a run folder; choose another with --out")
    elif folder.exists():
        _check_same(folder, options)
        return _continue(folder, options, report)
    task, store = prepare(options)
    task = adapted(task, options)
    make_agent(options, task, [0])  # so that it complains before anything is written
    if options.algo.startswith("sb3:"):
        groups, engine = [list(range(len(options.seeds)))], "eager"
    else:
        groups = split(options)
        engine = choose(options.engine, options.device, options.updates_ahead)
    with run_folder.lock(folder):
        run_folder.write_json(folder / run_folder.VERSIONS, versions.collect(options.device))
        run_folder.write_config(folder, options, task, engine, groups)
        return _run(folder, options, task, store, report, "trained")


def resume(
    folder: str | Path,
    steps: int | None = None,
    *,
    quiet: bool = False,
    report: Reporter | None = None,
) -> Result:
    """The result of continuing the run in `folder` from its last checkpoint, to `steps` in all
    (by default what it was begun with)."""
    folder = Path(folder)
    options = dataclasses.replace(run_folder.options(folder), quiet=quiet)
    if steps is not None:
        options = resolve(dataclasses.replace(options, steps=steps))
    return _continue(folder, options, report)


def _continue(folder: Path, options: Options, report: Reporter | None) -> Result:
    config = run_folder.read_config(folder)
    task = Task.from_json(config["task"])
    with run_folder.lock(folder):
        done = run_folder.steps(folder)
        if done and done[-1] >= options.total_steps:
            note = f"{folder} is finished ({done[-1]:,} steps): reused as it stands"
            (report or reporter(options.quiet)).note(note)
            return _result(folder, options, done[-1], "reused", (note,))
        store = rows(options, task)
        run_folder.write_config(folder, options, task, config["engine"], config["groups"])
        return _run(folder, options, task, store, report, "resumed")


def _run(
    folder: Path,
    options: Options,
    task: Task,
    store: EpisodeStore | None,
    report: Reporter | None,
    status: Literal["trained", "resumed"],
) -> Result:
    config = run_folder.read_config(folder)
    start = _starting_point(folder)
    notes = [*(_version_notes(folder, options) if status == "resumed" else ())]
    if status == "resumed":
        notes.append(f"{folder} continues after step {start:,}")
    if task.note and options.eval_episodes:
        notes.append(task.note)
    if not task.has_env and options.eval_episodes:
        notes.append("the dataset names no environment: policies are not evaluated")
    told = report or reporter(options.quiet)
    told.start(Path(folder).name, options.total_steps, start)
    for note in notes:
        told.note(note)
    tag = str(os.getpid())
    if len(config["groups"]) > 1:
        events = grouped(folder, start, config["groups"], tag)
    else:
        alone = sb3_loop.events if options.algo.startswith("sb3:") else _alone
        events = alone(folder, options, task, store, start, config["engine"])
    try:
        with contextlib.closing(events):  # type: ignore[type-var]
            step = _record(events, folder, options, told, notes, tag)
    finally:
        told.close()
        run_folder.clean(folder)
    return _result(folder, options, max(step, start), status, tuple(notes))


def _alone(
    folder: Path,
    options: Options,
    task: Task,
    store: EpisodeStore | None,
    start: int,
    engine: str,
) -> Iterator[Event]:
    """Events of all lanes, trained in this process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(options.threads)
    session = Session(options, task, store, engine=engine)
    try:
        yield from resumed(session, folder, start, 0)
        yield from loops.run(session, start)
    finally:
        session.close()
        torch.set_num_threads(threads)


def _record(
    events: Iterator[Event],
    folder: Path,
    options: Options,
    told: Reporter,
    notes: list[str],
    tag: str,
) -> int:
    """Write what the events tell; the last step."""
    began, text, step = time.monotonic(), "", 0
    board = Board(folder, options.seeds) if options.tensorboard else None
    for event in events:
        if isinstance(event, Note):
            if event.text in notes:  # every group of lanes tells it
                continue
            notes.append(event.text)
            told.note(event.text)
            continue
        step = event.step
        if isinstance(event, Progress):
            told.update(step, text)
        elif isinstance(event, Metrics):
            record = {"step": step, "updates": event.updates, "engine": event.engine}
            record |= {"seconds": round(time.monotonic() - began, 3)}
            records.append_progress(folder / run_folder.PROGRESS, record | event.values)
            if board is not None:
                board.metrics(step, event.values)
        elif isinstance(event, Evaluated):
            records.append_episodes(folder / run_folder.EPISODES, event.episodes)
            if board is not None:
                board.episodes(step, event.episodes)
            text = _summary(event, len(options.seeds))
            told.update(step, text)
        elif isinstance(event, Save):
            _save(event, folder, options.keep, tag)
    return step


def _save(event: Save, folder: Path, keep: int, tag: str) -> None:
    final, written = run_folder.step_folder(folder, event.step), share(folder, event.step, 0, tag)
    try:
        if event.write is not None:
            event.write(written)
        checkpoint.publish(written.parent, final)
    except OSError as error:
        raise CheckpointError(f"{final} could not be written: {error}") from error
    finally:
        shutil.rmtree(written.parent, ignore_errors=True)
    run_folder.prune(folder, keep)


def _starting_point(folder: Path) -> int:
    """Step of the newest whole checkpoint, 0 without one; whatever is newer is dropped."""
    run_folder.clean(folder)
    whole = run_folder.steps(folder, whole=True)
    start = whole[-1] if whole else 0
    for step in run_folder.steps(folder):
        if step > start:  # a policy alone, kept because it was the best
            shutil.rmtree(run_folder.step_folder(folder, step))
    for name in (run_folder.EPISODES, run_folder.PROGRESS):
        records.truncate_after(folder / name, start)
    return start


def _check_same(folder: Path, options: Options) -> None:
    stored = run_folder.read_config(folder)
    if stored["hash"] == options.hash():
        return
    theirs, ours = _flat(stored["options"]), _flat(options.to_json())
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


def _version_notes(folder: Path, options: Options) -> list[str]:
    stored = versions.read(folder / run_folder.VERSIONS)
    changed = versions.differences(stored, versions.collect(options.device))
    if not changed:
        return []
    return [f"begun with {', '.join(changed)}: the continuation may differ in the last digits"]


def _summary(event: Evaluated, lanes: int) -> str:
    returns = [
        np.mean([e.return_ for e in event.episodes if e.lane == lane]) for lane in range(lanes)
    ]
    shown = " ".join(f"{value:.1f}" for value in returns[:4])
    return f"return {shown}{' ...' if lanes > 4 else ''}"


def _result(
    folder: Path,
    options: Options,
    step: int,
    status: Literal["trained", "resumed", "reused"],
    notes: tuple[str, ...],
) -> Result:
    found = records.read_episodes(folder / run_folder.EPISODES)
    returns = np.full(len(options.seeds), np.nan)
    if len(found):
        _, _, means = records.mean_returns(found[found["step"] == found["step"].max()])
        returns = means[:, -1]
    return Result(folder, step, options.seeds, returns, status, notes)
