"""Cells that are trainings of an rlkit algorithm."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.envs.stepping import closed
from rlkit.run.settings import presets
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.fits import check_actions
from rlkit.run.settings.options import NOT_HASHED, Options, algorithm_config, code_of
from rlkit.run.train import train

if TYPE_CHECKING:
    from gymnasium import Space

TASK = ("dataset", "env")
INCIDENTAL = frozenset({"checkpoint_every", "keep", "log_every"})
_LEFT_OUT = NOT_HASHED - INCIDENTAL - {"steps"} | {"seeds"}
KNOWN = {field.name for field in dataclasses.fields(Options)} - _LEFT_OUT | {"preset"}
_SAID = {
    "seeds": "a sweep gives every system the seeds of its file",
    "out": "a sweep gives each run its folder",
    "track": "rlkit report SWEEP --export tensorboard,mlflow writes all runs",
    "video_every": "rlkit video RUN makes clips of one of its runs",
    "workers": "a cell has one process; rlkit sweep --workers says how many run side by side",
    "threads": "a cell has one thread; rlkit sweep --workers says how many run side by side",
}
_WIDE = 128  # hidden units from which lanes of a CPU cost as much as processes


def takes(given: dict[str, Any]) -> tuple[set[str], set[str]]:
    """What `Options` would refuse of a training there, and of its algorithm, is left out."""
    module = algorithm(str(given.get("algo")))
    if given.get("dataset") is None:
        refused = {"reward", "weighting", "pretrain"}
    elif given.get("online"):
        refused = {"hindsight"}
    else:
        refused = {"hindsight", "pretrain", "utd_later", "bonus", "levels", "curriculum"}
    if given.get("env") is None:
        refused.add("online")
    if str(given.get("algo")).startswith("sb3:"):
        refused |= {"normalise_obs", "curriculum", "hindsight"}
    if hasattr(module, "source") and not hasattr(module, "draws"):
        refused.add("weighting")
    return KNOWN - refused, {field.name for field in dataclasses.fields(module.Config)}


def resolve(given: dict[str, Any], seed: int) -> dict[str, Any]:
    """Options of one lane, without its seed; those of a `preset` lie under all the file says."""
    for name in given.keys() & _LEFT_OUT:
        raise UsageError(
            f"{name} is not for a cell to say: {_SAID.get(name, 'a sweep sees to it')}"
        )
    # a sweep file is written by the person who runs it
    trust.name(str(given.get("algo")))
    asked = presets.applied(given)
    for _, _, module in code_of(algorithm_config(str(asked.get("algo")), asked.get("config"))):
        trust.name(module)
    values = Options.from_json({**asked, "seeds": [seed]}).to_json()
    return {name: value for name, value in values.items() if name not in _LEFT_OUT}


def evaluations(options: dict[str, Any], steps: int) -> int:
    """How many a cell of so many steps has, the one at its end among them."""
    steps += options["pretrain"]  # 0 unless it goes online after data
    return -(-steps // options["eval_every"]) if options["eval_every"] else 1


def check_pair(options: dict[str, Any]) -> None:
    check_actions_of(options["algo"], options["dataset"], options["env"], options["online"])
    look = getattr(algorithm(options["algo"]), "check_env", None)
    if look is None or options["env"] is None:
        return
    from rlkit.envs.make import make

    env = make(options["env"])
    try:
        config = algorithm_config(options["algo"], options["config"])
        look(env, config, f"environment {options['env']}")
    finally:
        closed(env)


def check_actions_of(algo: str, dataset: str | None, env: str | None, online: bool = False) -> None:
    """Raises UsageError for an agent that does not take the actions of a dataset or environment;
    one that cannot be looked into here is the cell's affair."""
    from rlkit.data.formats import minari_local
    from rlkit.data.recipes import cards
    from rlkit.envs.make import make

    where = "online" if dataset is None else "then-online" if online else "offline"
    recipe = None if dataset is None else cards.all_recipes().get(dataset)
    local = None if dataset is None else minari_local.data_path(dataset)
    if dataset is not None and local is not None:
        space = _actions(dataset, local, local.stat().st_mtime_ns)
    else:
        if env is not None:
            made = make(env)
        elif recipe is not None:
            made = make(recipe.env_id, **recipe.env_kwargs)
        else:
            return
        space = made.action_space
        closed(made)
    fits = getattr(algorithm(algo), "FITS", ())
    check_actions(algo, fits, where, space, dataset or env or "the task")


@cache
def _actions(dataset: str, folder: Path, changed: int) -> Space[Any]:
    """The actions of a dataset on this machine, read once for all systems of a sweep: `folder` is
    where it stands, `changed` the folder's time."""
    from rlkit.data.formats import minari_io

    return minari_io.read_meta(dataset).action_space


def lanes(options: dict[str, Any]) -> int:
    """Many where a stack of lanes is cheaper than as many processes."""
    if options["algo"].startswith("sb3:"):  # whose lanes take turns
        return 1
    narrow = max(options["config"].get("hidden", (_WIDE,)), default=0) < _WIDE
    if options["utd_later"]:  # lanes may come to make different numbers of updates
        return 1
    return 64 if narrow or options["device"] != "cpu" else 1


def alike(options: dict[str, Any]) -> dict[str, Any]:
    """What cells must have in common to be lanes of one run."""
    laned = _laned(options)
    config = {name: x for name, x in options["config"].items() if name not in laned}
    return options | {"config": config}


def stacked(many: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Options of a run with one lane for each of `many`."""
    first = many[0]
    config = dict(first["config"])
    for name in _laned(first):
        values = [options["config"][name] for options in many]
        if any(value != values[0] for value in values):
            config[name] = values
    return first | {"config": config}


def measured(options: dict[str, Any]) -> tuple[str, str]:
    offline = options["dataset"] is not None and not options["online"]
    return "return", "Gradient updates" if offline else "Environment steps"


def datasets(options: dict[str, Any]) -> list[str]:
    return [] if options["dataset"] is None else [options["dataset"]]


def work(
    folder: Path,
    options: dict[str, Any],
    seeds: Sequence[int],
    steps: int,
    told: Callable[[int], None],
) -> None:
    given = {**options, "seeds": list(seeds), "steps": steps, "out": str(folder), "quiet": True}
    chosen = dataclasses.replace(Options.from_json(given), workers=1, threads=1)
    train(chosen, report=_Told(told))


class _Told:
    """Passes a training's steps on."""

    def __init__(self, told: Callable[[int], None]) -> None:
        self.told = told

    def start(self, title: str, total: int, at: int = 0) -> None:
        self.told(at)

    def update(self, step: int, text: str = "") -> None:
        self.told(step)

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


def _laned(options: dict[str, Any]) -> list[str]:
    """Fields of the algorithm's Config that may differ from lane to lane."""
    hints = get_type_hints(algorithm(options["algo"]).Config)
    return [name for name in options["config"] if hints[name] is float]
