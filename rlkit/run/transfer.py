"""Starting from the agent of another run (`--from`): its nets, optimisers and normalisers.

What is taken over: every part (net, target, optimiser) whose name both agents know, from the last
checkpoint, lane by lane for equal seeds; the transforms of observations and rewards; and what the
algorithm's own `inherit(config, theirs)` takes from the configuration, the shapes of the nets as a
rule. An algorithm whose parts differ in form has `adopt(tensors)`, which translates them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.core import state
from rlkit.core.errors import UsageError
from rlkit.core.spec import Discrete
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.options import Options
from rlkit.run.task import Task


def inherited(options: Options) -> Options:
    """`options` with what its algorithm takes from the configuration of the run it starts from.

    Raises RunError or UsageError when there is no such run, or none with these seeds.
    """
    if options.from_run is None:
        return options
    start, theirs = options.from_run, run_folder.options(options.from_run)
    for seed in options.seeds:
        _lane(theirs, seed, start)
    if not run_folder.steps(start):
        raise UsageError(f"{start} has no checkpoint yet; let it train first")
    inherit = getattr(algorithm(options.algo), "inherit", None)
    if inherit is None:
        return options
    return dataclasses.replace(options, config=inherit(options.config, theirs.config))


def adapted(task: Task, options: Options) -> Task:
    """`task` in the units of the run that `options` start from."""
    if options.from_run is None:
        return task
    theirs = run_folder.read(options.from_run).task
    if (theirs.obs, theirs.act) != (task.obs, task.act):
        raise UsageError(
            f"the agent of {options.from_run} knows observations {theirs.obs} and {theirs.act}, "
            f"this task has {task.obs} and {task.act}"
        )
    for name, ours in _actions(task).items():
        if (known := _actions(theirs)[name]) != ours:
            raise UsageError(f"{options.from_run} acts with {name} {known}, this task has {ours}")
    for name in ("normalise_obs", "reward"):
        if getattr(options, name) != getattr(Options, name):
            raise UsageError(f"{name} is given by the run this one starts from; leave it out")
    return dataclasses.replace(task, transforms=theirs.transforms)


def _actions(task: Task) -> dict[str, Any]:
    """What the numbers of an action mean in a task's environment."""
    if isinstance(task.act, Discrete):
        return {"a first action of": task.action_start}
    found: dict[str, Any] = {"actions of shape": task.action_shape or (task.act.size,)}
    for name, unit in (("action_low", -1.0), ("action_high", 1.0)):
        bound = getattr(task.transforms, name)
        numbers = np.full(task.act.size, unit) if bound is None else np.ravel(bound)
        found[name.replace("_", " ")] = numbers.astype(np.float32).tolist()
    return found


def transfer(agent: Any, options: Options, seeds: tuple[int, ...]) -> str:
    """Copy the parts of the run's agent into `agent`; what was taken and what was not, in words.

    Raises UsageError naming the first tensor that does not fit.
    """
    assert options.from_run is not None
    start, stored = Path(options.from_run), run_folder.read(options.from_run)
    theirs = stored.options
    numbers = [_lane(theirs, seed, options.from_run) for seed in seeds]
    steps = [run_folder.choose(start, "last", lane) for lane in numbers]
    lanes = [
        run_folder.lane_tensors(start, stored.groups, lane, step)
        for lane, step in zip(numbers, steps, strict=True)
    ]
    saved = {name: _joined([lane[name] for lane in lanes]) for name in lanes[0]}
    adopt = getattr(algorithm(options.algo), "adopt", None)
    if adopt is not None:
        saved = adopt(saved)
    there = {name.partition(".")[0] for name in saved}
    common = tuple(name for name in state.parts(agent) if name in there)
    if not common:
        raise UsageError(f"{options.from_run} ({theirs.algo}) has no part that {options.algo} has")
    try:
        state.load(agent, saved, only=common)
    except ValueError as error:
        raise UsageError(
            f"the agent of {options.from_run} does not fit: {error}; give {options.algo} the "
            f"config it has there (--config.FIELD), or start from a run of {options.algo} itself"
        ) from error
    fresh = [name for name in state.parts(agent) if name not in there]
    own = f"; begun afresh: {', '.join(fresh)}" if fresh else ""
    return f"starts from step {max(steps):,} of {options.from_run}: {', '.join(common)}{own}"


def _lane(theirs: Options, seed: int, folder: str) -> int:
    """The lane of a run for `seed`: its own, or the only one there is."""
    if len(theirs.seeds) == 1:
        return 0
    if seed not in theirs.seeds:
        raise UsageError(f"{folder} has seeds {theirs.seeds}, none for seed {seed}")
    if theirs.seeds.count(seed) > 1:
        raise UsageError(f"{folder} has several lanes of seed {seed}: {theirs.seeds}")
    return theirs.seeds.index(seed)


def _joined(pieces: list[Tensor]) -> Tensor:
    return torch.cat(pieces) if pieces[0].dim() else pieces[0]
