"""`train` and `resume`: a whole training as one function call, whose truth is the run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from rlkit.core.errors import DivergedError, FileError, Interrupted, RunError
from rlkit.eval import records
from rlkit.run import loops
from rlkit.run.groups import grouped, resumed
from rlkit.run.halt import Halt, on_signal
from rlkit.run.preparing import rows
from rlkit.run.records import folder as run_folder
from rlkit.run.records import versions
from rlkit.run.records.events import Callback, Event
from rlkit.run.records.lock import lock
from rlkit.run.records.progress import Reporter, reporter
from rlkit.run.records.recorder import Recorder
from rlkit.run.sb3 import loop as sb3_loop
from rlkit.run.session import Session
from rlkit.run.settings import opening
from rlkit.run.settings.options import Options
from rlkit.run.settings.plan import Plan, settle, settle_on

Status = Literal["trained", "resumed", "reused", "stopped"]


class Result(NamedTuple):
    """Outcome of a training."""

    folder: Path
    step: int  # reached
    seeds: tuple[int, ...]
    returns: np.ndarray  # [S] mean return of the last evaluation; NaN without one
    status: Status  # "stopped": by the callback, before its end
    notes: tuple[str, ...] = ()

    def __fspath__(self) -> str:
        """The run folder: a result stands wherever the path of a run does."""
        return str(self.folder)


def train(options: Options, report: Reporter | Callback | None = None) -> Result:
    """The result of one training, which is in `options.folder()` when this returns.

    A run that stands there is continued, or reused when it is finished.

    `report` is where it tells how far it is (a `run.progress.Reporter`; None: a bar on a terminal,
    else lines), or a function that is called with every event of `run.events`, after it has been
    recorded: losses and training returns (`Metrics`), evaluations (`Evaluated`), checkpoints
    (`Saved`), lost lanes (`Diverged`), signs of life (`Progress`) and remarks (`Note`). When it
    returns False, the training stops soon, with a checkpoint to go on from:

        def watch(event):
            if isinstance(event, Metrics):
                print(event.step, {name: x.mean() for name, x in event.values.items()})
            if isinstance(event, Saved):  # an evaluation of one's own
                agent = folder.restore(event.run, event.step).agent
            if isinstance(event, Evaluated):
                return np.mean([e.return_ for e in event.episodes]) < 3000

        train(options, watch)

    Raises UsageError for options that are not valid and ValueError for bad data (no run is left in
    the folder, unless it has a checkpoint), RunError when the folder holds another run,
    DivergedError when lanes did not stay finite, and Interrupted after Ctrl-C or SIGTERM, with a
    checkpoint to go on from.
    """
    plan = settle(options)
    with lock(plan.folder):
        if not plan.begun:
            if (plan.folder / run_folder.CONFIG).exists():
                raise RunError(f"another process has begun a run in {plan.folder}: call again")
            found = versions.collect(plan.options.device)
            run_folder.write_json(plan.folder / run_folder.VERSIONS, found)
        return _train(plan, report)


def resume(
    folder: str | os.PathLike[str],
    steps: int | None = None,
    *,
    quiet: bool = False,
    report: Reporter | Callback | None = None,
) -> Result:
    """The result of continuing the run in `folder` from its last checkpoint, to `steps` in all
    (by default what it was begun with). Raises UsageError for fewer steps than that; `report` and
    the other errors are those of `train`."""
    plan = settle_on(Path(folder), steps, quiet)
    with lock(plan.folder):
        return _train(plan, report)


def _train(plan: Plan, report: Reporter | Callback | None) -> Result:
    """Act on a plan, in its locked folder."""
    options, folder = plan.options, plan.folder
    hear: Callback | None = None
    if report is None or callable(report):
        told, hear = reporter(options.quiet), report
    else:
        told = report
    done = run_folder.steps(folder)[-1:] if plan.begun else []
    if done and done[0] >= options.total_steps:
        note = f"{folder} is finished ({done[0]:,} steps): reused as it stands"
        told.note(note)
        run_folder.clean(folder)
        run_folder.prune(folder, options.keep)
        return _result(plan, done[0], "reused", (note,))
    if plan.begun:
        plan = dataclasses.replace(plan, store=rows(options, plan.task))
    run_folder.write_config(folder, options, plan.task, plan.engine, plan.groups)
    start = _starting_point(folder)
    notes = _remarks(plan, start)
    for line in [*opening.lines(plan), *notes]:
        told.note(line)
    told.start(folder.name, options.total_steps, start)
    halt, tag = Halt(), str(os.getpid())
    recorder = Recorder(plan, start, told, hear, notes, tag)
    if len(plan.groups) > 1:
        events = grouped(folder, options, start, plan.groups, tag, halt)
    elif plan.is_sb3:
        events = sb3_loop.events(folder, options, plan.task, start, halt)
    else:
        events = _alone(plan, start, halt)
    try:
        with (
            contextlib.closing(events),  # type: ignore[type-var]
            contextlib.closing(recorder),
            on_signal(halt, options.quiet),
        ):
            for event in events:
                if not recorder.take(event):
                    halt.ask()
    except ValueError:  # of what was asked for, or of the data
        if not plan.begun and not run_folder.steps(folder):  # there is nothing to go on from
            _forget(folder)
        raise
    finally:
        told.close()
        run_folder.clean(folder)
    if recorder.step >= options.total_steps:
        return _result(plan, recorder.step, "resumed" if plan.begun else "trained", tuple(notes))
    where = f"at step {recorder.step:,} of {options.total_steps:,}, where a checkpoint stands"
    if not run_folder.steps(folder):
        where = "before the first step, of whose preparation nothing is kept"
    stopped = f"stopped {where}; go on with: rlkit resume {folder}"
    if halt.signal:
        raise Interrupted(stopped, halt.signal)
    told.note(stopped)
    return _result(plan, recorder.step, "stopped", (*notes, stopped))


def _forget(folder: Path) -> None:
    """Leave no run that can never be trained, so that a right one may take its folder."""
    for name in (
        run_folder.CONFIG,
        run_folder.VERSIONS,
        run_folder.EPISODES,
        run_folder.TRAINED_LEVELS,
        run_folder.PROGRESS,
    ):
        (folder / name).unlink(missing_ok=True)


def _remarks(plan: Plan, start: int) -> list[str]:
    """What a user should know before the first step."""
    notes = []
    if plan.begun:
        notes = _version_notes(plan.folder, plan.options)
        notes.append(f"{plan.folder} continues after step {start:,}")
        source = plan.options.from_run
        if source is not None and not os.path.isfile(Path(source, run_folder.CONFIG)):
            notes.append(f"the run it started from, {source}, is not there (any more)")
    if plan.task.note and plan.options.eval_episodes:
        notes.append(plan.task.note)
    if not plan.task.has_env and plan.options.eval_episodes:
        notes.append("the dataset names no environment: policies are not evaluated")
    return notes


def _alone(plan: Plan, start: int, halt: Halt) -> Iterator[Event]:
    """Events of all lanes, trained in this process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(plan.options.threads)
    session = Session(plan.options, plan.task, plan.store, engine=plan.engine)
    session.halt = halt
    try:
        yield from resumed(session, plan.folder, start, 0)
        yield from loops.run(session, start)
    finally:
        session.close()
        torch.set_num_threads(threads)


def _starting_point(folder: Path) -> int:
    """Step of the newest whole checkpoint, 0 without one; whatever is newer is dropped."""
    run_folder.clean(folder)
    whole = run_folder.steps(folder, whole=True)
    start = whole[-1] if whole else 0
    for step in run_folder.steps(folder):
        if step > start:  # a policy alone, kept because it was the best
            shutil.rmtree(run_folder.step_folder(folder, step))
    for name in (run_folder.EPISODES, run_folder.TRAINED_LEVELS, run_folder.PROGRESS):
        with run_folder.writing(folder / name):
            records.truncate_after(folder / name, start)
    return start


def _version_notes(folder: Path, options: Options) -> list[str]:
    try:
        stored = versions.read(folder / run_folder.VERSIONS)
    except FileError as error:
        return [f"{error}: whether packages have changed since cannot be told"]
    changed = versions.differences(stored, versions.collect(options.device))
    if not changed:
        return []
    return [f"begun with {', '.join(changed)}: the continuation may differ in the last digits"]


def _result(plan: Plan, step: int, status: Status, notes: tuple[str, ...]) -> Result:
    """The outcome. Raises DivergedError at the end of a training that lost lanes."""
    seeds = plan.options.seeds
    lost = run_folder.diverged(plan.folder)
    if lost and status != "stopped":
        which = ", ".join(f"seed {seeds[lane]} at step {at:,}" for lane, at in lost.items())
        raise DivergedError(
            f"{plan.folder}: training diverged ({which}), the other lanes are trained; of a "
            "lost one the last finite policy is kept. Lower its learning rate, or leave it out",
            plan.folder,
            tuple(lost),
        )
    found = records.read_episodes(plan.folder / run_folder.EPISODES)
    returns = np.full(len(seeds), np.nan)
    if len(found):
        _, _, means = records.mean_returns(found[found["step"] == found["step"].max()])
        returns = means[:, -1]
    return Result(plan.folder, step, seeds, returns, status, notes)
