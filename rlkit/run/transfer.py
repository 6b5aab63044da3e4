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

from rlkit.core import lanes, state
from rlkit.core.errors import UsageError
from rlkit.core.spec import Box, Discrete, Spec
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.fits import algorithms, shipped
from rlkit.run.settings.options import Options
from rlkit.run.task import Task


def inherited(options: Options) -> Options:
    """`options` with what its algorithm takes from the configuration of the run it starts from.

    Raises RunError or UsageError when there is no such run, or none with these seeds.
    """
    if options.from_run is None:
        return options
    start, stored = options.from_run, run_folder.read(options.from_run)
    theirs = stored.options
    for seed in options.seeds:
        _lane(theirs, seed, start)
    if not run_folder.steps(start):
        raise UsageError(f"{start} has no checkpoint yet; let it train first")
    inherit = getattr(algorithm(options.algo), "inherit", None)
    if inherit is None:
        return options
    try:
        return dataclasses.replace(options, config=inherit(options.config, theirs.config))
    except (AttributeError, TypeError, ValueError) as error:
        raise _misfit(options, stored, str(error)) from error


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
    return dataclasses.replace(task, transforms=theirs.transforms, normaliser=theirs.normaliser)


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


def check_start(agent: Any, options: Options) -> None:
    """Raises UsageError where `agent`, one lane that has yet to begin, cannot take over the run."""
    if options.from_run is not None:
        _fitting(agent, options, options.seeds[:1])


def transfer(agent: Any, options: Options, seeds: tuple[int, ...]) -> str:
    """Copy the parts of the run's agent into `agent`; what was taken and what was not, in words.

    Raises UsageError naming the first tensor that does not fit, and the agents that would.
    """
    saved, common, step = _fitting(agent, options, seeds)
    state.load(agent, saved, only=common)
    fresh = [name for name in state.parts(agent) if name not in common]
    own = f"; begun afresh: {', '.join(fresh)}" if fresh else ""
    return f"starts from step {step:,} of {options.from_run}: {', '.join(common)}{own}"


def starts(algo: str, act: Box | Discrete) -> list[str]:
    """The algorithms of rlkit whose agents one of `algo` can take over: their nets have its form
    where both are given the same widths. `act` is what both act with."""
    kind = "discrete" if isinstance(act, Discrete) else "continuous"
    names = [name for name in algorithms() if kind in shipped(name)]
    return [name for name in names if _can_begin(algo, name, act)]


def _can_begin(algo: str, name: str, act: Box | Discrete) -> bool:
    """Whether an agent of `algo` takes over one of `name`, tried with their default nets."""
    ours, theirs = algorithm(algo), algorithm(name)
    spec, start = Spec((3,), act, (0,)), theirs.Config()
    try:
        start = dataclasses.replace(start, **_given(theirs.Config, {"hidden": (8, 8)}))
        config = dataclasses.replace(ours.Config(), **_given(ours.Config, vars(start)))
        if hasattr(ours, "inherit"):
            config = ours.inherit(config, start)
        agent = ours.Agent(spec, lanes.resolve(config, spec))
        saved = state.tensors(theirs.Agent(spec, lanes.resolve(start, spec)))
        saved = getattr(ours, "adopt", dict)(saved)
        common = _common(agent, saved)
        if common:
            state.check(agent, saved, only=common)
    except (ValueError, LookupError, TypeError, AttributeError):
        return False  # it needs another task, or what it has is of another form
    return bool(common)


def _given(config: type, values: dict[str, Any]) -> dict[str, Any]:
    """Of `values` those that fields of `config` give the nets their form."""
    forms = ("hidden", "hidden_q", "hidden_v", "n_critics", "norm", "subset")
    known = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in values.items() if name in known.intersection(forms)}


def _fitting(
    agent: Any, options: Options, seeds: tuple[int, ...]
) -> tuple[dict[str, Tensor], tuple[str, ...], int]:
    """The run's tensors for `agent`, the parts of it they fill, and the step they are of."""
    assert options.from_run is not None
    start, stored = Path(options.from_run), run_folder.read(options.from_run)
    numbers = [_lane(stored.options, seed, options.from_run) for seed in seeds]
    steps = [run_folder.choose(start, "last", lane) for lane in numbers]
    laned = [
        run_folder.lane_tensors(start, stored.groups, lane, step)
        for lane, step in zip(numbers, steps, strict=True)
    ]
    saved = {name: _joined([lane[name] for lane in laned]) for name in laned[0]}
    wrong = ""
    try:
        saved = getattr(algorithm(options.algo), "adopt", dict)(saved)
        common = _common(agent, saved)
        if common:
            state.check(agent, saved, only=common)
            return saved, common, max(steps)
        wrong = f"it has no part that {options.algo} has"
    except LookupError as error:
        wrong = f"it has no {error}"
    except ValueError as error:
        wrong = str(error)
    raise _misfit(options, stored, wrong)


def _misfit(options: Options, stored: run_folder.Stored, wrong: str) -> UsageError:
    """What to say of a start that an agent cannot take over, `wrong` being why."""
    theirs, able = stored.options.algo, starts(options.algo, stored.task.act)
    said = f"the agent of {options.from_run}, {theirs}, does not fit {options.algo}"
    if theirs in able:
        return UsageError(
            f"{said}: {wrong}; give {options.algo} the config it has there (--config.FIELD)"
        )
    return UsageError(
        f"{said}, which can begin from runs of: {', '.join(able) or 'none'} ({wrong})"
    )


def _common(agent: Any, saved: dict[str, Tensor]) -> tuple[str, ...]:
    there = {name.partition(".")[0] for name in saved}
    return tuple(name for name in state.parts(agent) if name in there)


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
