"""Search over configurations with Optuna (the extra `search`), on repeated seeds.

    [search]
    system = "sac"                 # whose config is searched
    trials = 20
    sampler_seed = 0
    last = 1                       # evaluations that a score is the mean of, the last ones

    [search.space]
    lr = { low = 1e-4, high = 1e-2, log = true }
    batch_size = { low = 64, high = 512, step = 64 }
    alpha = [0.1, 0.2, 0.5]        # one of these

A trial is a configuration of that system on all its tasks with all seeds. It is told to Optuna as
the LOWER end of the interval of its mean score, so that a configuration which was lucky on few
seeds does not win; scores are those between a task's reference returns where it has them.

No trial repeats another where the space is of choices alone: what Optuna asks again is replaced by
one drawn from those that are left, and the search ends when there are none.

Trials are cells of the same sweep, so a search that was killed goes on: finished runs are reused,
and the trial that was under way is taken up again with the same configuration.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import math
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlkit.core.errors import RunError, UsageError
from rlkit.core.files.reading import inside, reading
from rlkit.core.words.extras import missing
from rlkit.eval.records import mean_returns, read_episodes
from rlkit.eval.statistics import Interval, bootstrap_interval, mean
from rlkit.eval.tables import TooFewRunsWarning
from rlkit.run.records import folder as run_folder
from rlkit.sweeps.defaults import merged
from rlkit.sweeps.engines import Engine
from rlkit.sweeps.kinds.by_name import kind_of
from rlkit.sweeps.plan import Sweep, Variant
from rlkit.sweeps.runner import failures, sweep
from rlkit.sweeps.store import Store

JOURNAL = "search.journal"
_LISTED = 10_000  # configurations; of more, repetitions are rare


class Trial(NamedTuple):
    """A configuration that was tried."""

    number: int
    configuration: dict[str, Any]
    score: Interval


def search(
    asked: Sweep, folder: Path, engine: Engine | None = None, *, quiet: bool = False
) -> list[Trial]:
    """All trials of the search, best lower bound first, after running those that are missing."""
    if importlib.util.find_spec("optuna") is None:
        raise missing("a search with Optuna", "search")
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    plan = asked.search
    if plan is None:
        raise UsageError(f"sweep {asked.name} has no [search]")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    journal = inside(folder, JOURNAL, RunError)
    journal.touch()
    with reading(journal, "the journal of a search", RunError):
        study = optuna.create_study(
            study_name=asked.name,
            storage=JournalStorage(JournalFileBackend(str(journal))),
            sampler=optuna.samplers.TPESampler(seed=plan.sampler_seed),
            direction="maximize",
            load_if_exists=True,
        )
        _take_up_again(study, optuna.trial.TrialState)
    found = []
    most = min(plan.trials, _configurations(plan.space))
    while len(done := _finished(study, optuna.trial.TrialState)) < most:
        # Each suggestion depends on the trials before it alone, not on how often we were killed.
        study.sampler = optuna.samplers.TPESampler(seed=plan.sampler_seed + len(done))
        trial, configuration = _asked(study, plan.space)
        tried = [one.params for one in done]
        if configuration in tried and (left := _left(plan.space, tried)):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            other = np.random.default_rng(plan.sampler_seed + len(done)).integers(len(left))
            study.enqueue_trial(left[other])
            trial, configuration = _asked(study, plan.space)
        part = of_trial(asked, configuration)
        finished = sweep(part, folder, engine=engine, quiet=quiet)
        if error := failures(finished):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            raise error
        study.tell(trial, scored(part, folder).low)
    for trial in _finished(study, optuna.trial.TrialState):
        part = of_trial(asked, trial.params)
        found.append(Trial(trial.number, trial.params, scored(part, folder)))
    return sorted(found, key=lambda one: -one.score.low)


def of_trial(asked: Sweep, configuration: dict[str, Any]) -> Sweep:
    """The sweep of one trial: the searched system alone, in one configuration."""
    variants: list[Variant] = []
    for variant in asked.variants:
        if asked.search is None or variant.system != asked.search.system:
            continue
        given = merged(variant.given, {"config": configuration})
        options = kind_of(variant.kind).resolve(given, asked.seeds[0])
        steps = options.pop("steps")
        own = variant.configuration | configuration
        variants.append(
            dataclasses.replace(variant, configuration=own, options=options, steps=steps)
        )
    return dataclasses.replace(asked, variants=tuple(variants))


def scored(part: Sweep, folder: Path) -> Interval:
    """Mean score of a trial over seeds and tasks, with its interval."""
    columns = []
    last = 1 if part.search is None else part.search.last
    with Store(folder) as store:
        for variant in part.variants:
            columns.append([_final(store, variant, seed, last) for seed in part.seeds])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooFewRunsWarning)  # refused when the file is read
        return bootstrap_interval(np.array(columns).T, mean)


def shortage(asked: Sweep) -> str:
    """A sentence where a score is to be the mean of more evaluations than a cell has, or ""."""
    if asked.search is None:
        return ""
    for variant in asked.variants:
        if variant.system == asked.search.system:
            there = kind_of(variant.kind).evaluations(variant.options, variant.steps)
            if there < asked.search.last:
                return (
                    f"search: last is {asked.search.last}, and {variant.system} on {variant.task} "
                    f"is evaluated {there} times (eval_every, checkpoints): all of them count"
                )
    return ""


def last_return(store: Store, variant: Variant, seed: int, last: int) -> float:
    """Mean return of the last evaluations of a finished cell, or of all where there are fewer."""
    folder, lane = store.place(variant, seed)
    rows = read_episodes(store.folder / folder / run_folder.EPISODES)
    _, _, returns = mean_returns(rows[rows["lane"] == lane])
    return float(returns[0, -last:].mean())


def _final(store: Store, variant: Variant, seed: int, last: int) -> float:
    score = last_return(store, variant, seed, last)
    if variant.reference is None:
        return score
    low, high = variant.reference
    return (score - low) / (high - low)


def _asked(study: Any, space: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The study's next trial and its configuration."""
    trial = study.ask()
    return trial, {name: _suggest(trial, name, values) for name, values in space.items()}


def _configurations(space: dict[str, Any]) -> float:
    """How many there are: of choices alone their product."""
    choices = [x for x in space.values() if isinstance(x, list)]
    return math.prod(map(len, choices)) if len(choices) == len(space) else math.inf


def _left(space: dict[str, Any], tried: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Configurations that were not tried; none where there are too many to list."""
    if _configurations(space) > _LISTED:
        return []
    every = (dict(zip(space, values, strict=True)) for values in itertools.product(*space.values()))
    return [configuration for configuration in every if configuration not in tried]


def _suggest(trial: Any, name: str, space: Any) -> Any:
    if isinstance(space, list):
        return trial.suggest_categorical(name, space)
    low, high, log = space["low"], space["high"], space.get("log", False)
    if isinstance(low, int) and isinstance(high, int):
        return trial.suggest_int(name, low, high, step=space.get("step", 1), log=log)
    return trial.suggest_float(name, low, high, step=space.get("step"), log=log)


def _finished(study: Any, states: Any) -> list[Any]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state == states.COMPLETE]


def _take_up_again(study: Any, states: Any) -> None:
    """Trials that a killed process left running are asked for first, as they were."""
    for trial in study.get_trials(deepcopy=False):
        if trial.state == states.RUNNING:
            study.tell(trial.number, state=states.FAIL)
            study.enqueue_trial(trial.params, skip_if_exists=False)
