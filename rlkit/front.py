"""The functions behind `rlkit.train`, `rlkit.load` and their like: plain words in, results out."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlkit.core.errors import UsageError
from rlkit.core.words.nearest import meant, suggestion

if TYPE_CHECKING:
    from rlkit.data.store import EpisodeStore
    from rlkit.eval.comparison import Comparison
    from rlkit.eval.records import Episode
    from rlkit.policy.onnx_file import OnnxPolicy
    from rlkit.policy.policy import Policy
    from rlkit.reports.report import Written
    from rlkit.reports.runs.page import Written as RunsWritten
    from rlkit.run.records.events import Callback
    from rlkit.run.records.progress import Reporter
    from rlkit.run.settings.options import Options
    from rlkit.run.train import Result
    from rlkit.sweeps.runner import Finished


def train(
    algo: str | Options,
    report: Reporter | Callback | None = None,
    *,
    preset: str | None = None,
    **options: Any,
) -> Result:
    """The `Result` of one training: its run folder, the step reached, the last returns `[S]`.

        rlkit.train("sac", env="Hopper-v5", steps=200_000, seeds=(0, 1))
        rlkit.train("iql", dataset="rlkit/hopper/medium-replay-small-v1", config={"tau": 0.9})
        rlkit.train("iql", dataset="rlkit/hopper/medium-replay-small-v1", preset="recommended")

    `options` are the fields of `rlkit.Options`, which may be given instead; with a `preset` they
    begin from settings by name (`rlkit.run.settings.presets`), and `config` is a dict of what to
    change. `report` may be a function: it is called with every event (`rlkit.run.records.events`)
    and stops the training with False, see `rlkit.run.train.train`. A run that stands in the folder
    is continued, or reused when it is finished. Raises UsageError for options that are not valid,
    ValueError for bad data (both before anything is written), RunError where the folder holds
    another run.
    """
    from rlkit.run import train as training
    from rlkit.run.settings import presets
    from rlkit.run.settings.options import Options

    if isinstance(algo, Options):
        if options or preset:
            given = [*options, *(["preset"] if preset else [])]
            raise UsageError(f"give Options or keywords, not both ({', '.join(given)})")
        return training.train(algo, report)
    _check_words(algo, options)
    if preset is not None:
        return training.train(presets.options(preset, algo, **options), report)
    return training.train(Options(algo, **options), report)


def evaluate(path: str | os.PathLike[str], episodes: int = 100, **options: Any) -> list[Episode]:
    """Episodes of a run folder's lanes or of an exported policy, on start states of their own.

    Each has `lane`, `seed`, `step`, `return_`, `length` and `terminated`. `options`: `env` (an id;
    by default the one trained on), `seed` (of the start states) and `guide`
    (`rlkit.run.policies.critics.Guide`: a run whose critic chooses among drawn actions); of a run
    folder also `checkpoint` ("best", "last" or a step) and `lanes`. Raises UsageError for an
    environment that does not fit.
    """
    from rlkit.run.policies.evaluation import evaluate_file, evaluate_run

    place = Path(path)
    of_run = ("checkpoint", "lanes")
    known = ["env", "seed", "guide", *(of_run if place.is_dir() else ())]
    for name in options:
        if name in of_run and name not in known:
            raise UsageError(f"{place} holds one lane at one step: {name} is for a run folder")
        if name not in known:
            near = suggestion(name, ["episodes", *known])
            raise TypeError(f"evaluate has no argument {name!r}{near}")
    if place.is_dir():
        return evaluate_run(place, episodes, **options)[0]
    return evaluate_file(place, episodes, **options)


def _check_words(algo: Any, given: dict[str, Any]) -> None:
    """Raises TypeError for a field of the config among the options, and UsageError for an object
    in place of a name."""
    from rlkit.run.settings.algorithms import algorithm
    from rlkit.run.settings.options import Options

    env = given.get("env")
    if hasattr(env, "step"):
        raise UsageError(
            f"env is {env}; give its id, of which rlkit makes its own copies (one of your own: "
            "gymnasium.register it in a module and name it module:Name-v0)"
        )
    known = {field.name for field in dataclasses.fields(Options)}
    for name in given.keys() - known if isinstance(algo, str) else ():
        fields = [field.name for field in dataclasses.fields(algorithm(algo).Config)]
        ours = meant(name, [*known, *fields])
        if ours in fields:
            raise TypeError(f"train has no {name!r}; did you mean config={{{ours!r}: ...}}?")


def load(
    path: str | os.PathLike[str], *, lane: int | None = None, checkpoint: str | int = "best"
) -> Policy | OnnxPolicy:
    """The policy of a run folder, or of a file that `rlkit.export` wrote; it has `act(obs)`.

    Of a run folder, `checkpoint` is "best", "last" or a step, and `lane` counts from 0 (the lane
    with the best evaluation when None); both are fixed in a file, which needs numpy and
    safetensors only (one that ends in .onnx: onnxruntime). Raises RlkitError for a path that is
    neither.
    """
    from rlkit.policy import onnx_file
    from rlkit.policy.policy import Policy

    place = Path(path)
    if place.is_dir():
        from rlkit.run.policies.export import from_run

        return from_run(place, lane=lane, checkpoint=checkpoint)
    return onnx_file.load(place) if place.suffix == ".onnx" else Policy.load(place)


def dataset(name: str | os.PathLike[str], *, build: bool = True) -> EpisodeStore:
    """The `EpisodeStore` of a Minari id, a D4RL file or a recipe of rlkit's.

    A recipe that has not been rolled out yet is, unless `build` is False. Raises ValueError naming
    the nearest id.
    """
    from rlkit.data import datasets
    from rlkit.data.recipes import cards

    known = os.fspath(name)
    if build and known in cards.all_recipes():
        datasets.build(known)
    return datasets.read(known)[0]


def sweep(
    file: str | os.PathLike[str],
    budget: str | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Finished:
    """What came of working off a sweep file (TOML) with a budget, on from whatever stands there.

    Datasets of recipes are built first. `Finished.failed` says which runs failed and why. Raises
    UsageError for a file that is not valid, before anything starts.
    """
    from rlkit.data import datasets
    from rlkit.data.recipes import cards
    from rlkit.sweeps import plan, runner
    from rlkit.sweeps.engines import Local

    asked = plan.read(file, budget)
    for name in asked.datasets:
        if name in cards.all_recipes():
            datasets.build(name)
    folder = plan.folder_of(file, budget, out)
    return runner.sweep(asked, folder, engine=Local(workers), quiet=quiet)


def report(
    *folders: str | os.PathLike[str], out: str | os.PathLike[str] | None = None
) -> Written | RunsWritten:
    """Page, Markdown and tables of a sweep's folder, written to `out` (by default its `report/`);
    or the page of one or more run folders side by side (by default `report.html` in the first, of
    several beside it). Its `page` says where, its `notices` what to know before reading it.

    Raises UsageError or RunError where there is neither.
    """
    from rlkit.reports import results
    from rlkit.reports.report import write_report
    from rlkit.reports.runs.page import write_page
    from rlkit.run.records.folder import CONFIG

    if len(folders) != 1 or (Path(folders[0]) / CONFIG).is_file():
        return write_page(folders, out)
    (folder,) = folders
    return write_report(results.read(Path(folder)), Path(out or Path(folder) / "report"))


def compare(a: Any, b: Any, *, paired: bool = False) -> Comparison:
    """Whether the mean scores of two systems differ, with an interval, else how many seeds would
    tell.

    `a` and `b` are scores `[N]` or `[N, tasks]`, one row a seed, or run folders, whose last
    evaluations are taken. `print` it: it says in words what can be told. Raises UsageError for a
    folder without any.
    """
    import numpy as np

    from rlkit.eval import records
    from rlkit.eval.comparison import compare_means

    def scores(given: Any) -> np.ndarray:
        if isinstance(given, str | os.PathLike):
            rows = records.read_episodes(Path(given) / "episodes.csv")
            if not len(rows):
                raise UsageError(f"{os.fspath(given)} is no run folder, or was never evaluated")
            return records.mean_returns(rows)[2][:, -1:]
        array = np.asarray(given)  # as it came: what is no number is said below
        return array[:, None] if array.ndim == 1 else array

    return compare_means(scores(a), scores(b), paired=paired)
