"""A sweep file, read and checked whole: systems x tasks x configurations x seeds.

name = "online-mujoco"
seeds = "0:5"                       # or [0, 3, 7]
retries = 1                         # of a run that failed

[defaults]                          # options of every cell that takes them
steps = 100_000

[tasks.hopper]
env = "Hopper-v5"
reference = [18.0, 3234.0]          # returns of a random and of an expert policy

[systems.sac]
algo = "sac"                        # or "sb3:ppo", or learner = "q", solver = "vi", policy = "ucb1"
config = { lr = 3e-4 }
grid = { alpha = [0.1, 0.2] }       # one configuration for each, of all combinations
tasks = ["hopper"]                  # all by default

[systems.wsrl]                      # starts from the agent of the same task and seed
algo = "wsrl"
from = "sac"

[[overrides]]
system = "sac"
task = "hopper"
utd = 2.0

[budgets.smoke]                     # what `--budget smoke` changes, laid over all of the above
seeds = "0:2"
defaults = { steps = 2_000 }
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.files.reading import FOREIGN, described, fit
from rlkit.core.words.nearest import suggestion
from rlkit.core.words.ranges import count
from rlkit.sweeps import sweep_file
from rlkit.sweeps.defaults import check_defaults, merged, over_defaults
from rlkit.sweeps.kinds.by_name import KINDS, kind_of
from rlkit.sweeps.sweep_file import FULL, START


class _Search(TypedDict, total=False):
    system: str
    trials: Any  # a count, which ranges.count reads
    sampler_seed: Any
    last: Any
    space: dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """A system in one configuration on one task; with a seed it is a cell."""

    system: str
    task: str
    configuration: dict[str, Any]  # what sets it apart from the system's others
    kind: str
    options: dict[str, Any]  # all but seed and steps
    steps: int
    reference: tuple[float, float] | None
    given: dict[str, Any]  # options as the file says them
    start: str | None = None  # system whose agent it goes on from

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits of all that decides the result but seed and steps."""
        incidental = kind_of(self.kind).INCIDENTAL
        deciding = {name: x for name, x in self.options.items() if name not in incidental}
        text = json.dumps([self.kind, deciding], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @property
    def label(self) -> str:
        """`system`, or `system(field=value)`."""
        inner = ", ".join(f"{name}={value}" for name, value in self.configuration.items())
        return f"{self.system}({inner})" if inner else self.system


@dataclass(frozen=True)
class Search:
    """What [search] asks for, see `rlkit.sweeps.search`."""

    system: str
    trials: Any  # a count, which ranges.count reads
    sampler_seed: Any
    last: Any  # evaluations whose mean is a seed's score, the last ones
    space: dict[str, Any]


@dataclass(frozen=True)
class Sweep:
    """What a sweep file asks for."""

    name: str
    budget: str
    seeds: tuple[int, ...]
    retries: int
    variants: tuple[Variant, ...]
    text: str  # of the file
    search: Search | None = None

    @property
    def cells(self) -> int:
        return len(self.variants) * len(self.seeds)

    @property
    def datasets(self) -> list[str]:
        """Those its cells learn from."""
        found = (kind_of(v.kind).datasets(v.options) for v in self.variants)
        return sorted(set(itertools.chain.from_iterable(found)))


def folder_of(
    path: str | os.PathLike[str],
    budget: str | None = None,
    out: str | os.PathLike[str] | None = None,
) -> Path:
    """The sweep's folder: `out`, or `runs/sweeps/<name>`, or `<name>-<budget>` for another budget
    than full."""
    if out is not None:
        return Path(out)
    values = sweep_file.parse(Path(path))
    name = sweep_file.name_of(values, Path(path))
    if budget is not None:
        sweep_file.check_budget(values, budget, Path(path))
    return Path("runs", "sweeps", name if budget in (None, FULL) else f"{name}-{budget}")


def read(path: str | os.PathLike[str], budget: str | None = None) -> Sweep:
    """The sweep in a file. Raises UsageError that says which table of it is wrong, and how."""
    path = Path(path)
    values = sweep_file.parse(path)
    name, chosen = sweep_file.name_of(values, path), budget or FULL
    sweep_file.check_budget(values, chosen, path)
    values = merged(values, values.pop("budgets", {}).get(chosen, {}))
    sweep_file.known(values, sweep_file.TOP - {"budgets"}, f"{path}, budget {chosen}")
    fit(values, sweep_file.Tables, f"{path}, budget {chosen}", UsageError)
    for table in ("tasks", "systems"):
        if not values.get(table):
            raise UsageError(f"{path}: no [{table}.NAME] is given")
        for key in values[table]:
            sweep_file.check_name(key, f"{path}: {table}.{key!r}")
    seeds = sweep_file.seeds_of(values.get("seeds", "0:5"), path)
    retries = count(f"{path}: retries", values.get("retries", 1), least=0)
    _check_selectors(values, path)
    _check_overrides(values, path)
    variants = _with_starts(tuple(_variants(values, path, seeds[0])))
    if not variants:
        raise UsageError(f"{path}: no system runs on any task")
    systems = [(v.kind, v.given) for v in variants]
    check_defaults(values.get("defaults", {}), systems, f"{path}: defaults")
    _check_pairs(variants, path)
    search = _search(values["search"], variants, seeds, path) if "search" in values else None
    return Sweep(name, chosen, seeds, retries, variants, sweep_file.text(path), search)


def only(asked: Sweep, systems: Collection[str] = (), tasks: Collection[str] = ()) -> Sweep:
    """The cells of these systems and of those they start from, on these tasks; none named: all.

    Raises UsageError for a name that the sweep does not have.
    """
    for what, names, known in (
        ("system", systems, {v.system for v in asked.variants}),
        ("task", tasks, {v.task for v in asked.variants}),
    ):
        for name in names:
            if name not in known:
                raise UsageError(f"the sweep has no {what} {name!r}{suggestion(name, known)}")
    starts = {v.system: v.start for v in asked.variants if v.start is not None}
    wanted = set(systems) or {v.system for v in asked.variants}
    for name in list(wanted):
        while name in starts:
            wanted.add(name := starts[name])
    kept = (v for v in asked.variants if v.system in wanted and (not tasks or v.task in tasks))
    return dataclasses.replace(asked, variants=tuple(kept))


def _variants(values: dict[str, Any], path: Path, seed: int) -> Iterator[Variant]:
    for system, of_system in values["systems"].items():
        where = f"{path}: systems.{system}"
        if len(keys := KINDS.keys() & of_system.keys()) != 1:
            theirs = (
                f' (algo = "sb3:{str(of_system["sb3"]).lower()}")' if "sb3" in of_system else ""
            )
            raise UsageError(f"{where} must say one of {', '.join(KINDS)}{theirs}")
        kind, selector = KINDS[next(iter(keys))], next(iter(keys))
        of_system = dict(of_system)
        grid, tasks = of_system.pop("grid", {}), of_system.pop("tasks", list(values["tasks"]))
        start = of_system.pop(START, None)
        fit(tasks, list[str], f"{where}.tasks", UsageError)
        if len(set(tasks)) < len(tasks):
            raise UsageError(f"{where}.tasks names a task twice: {', '.join(tasks)}")
        for task in tasks:
            if task not in values["tasks"]:
                near = suggestion(task, values["tasks"])
                raise UsageError(f"{where}: no task {task!r}{near}")
            if len(system) + len(task) > sweep_file.PAIR_BYTES:
                raise UsageError(
                    f"{where} on tasks.{task}: together their names are {len(system) + len(task)} "
                    f"letters long; a folder's name has room for {sweep_file.PAIR_BYTES}"
                )
            of_task = dict(values["tasks"][task])
            for name in of_task.keys() & of_system.keys() & set(kind_of(kind).TASK):
                raise UsageError(f"{where}: {name} is given by tasks.{task}; leave it out here")
            reference = _reference(of_task.pop("reference", None), f"{path}: tasks.{task}")
            needed = kind_of(kind).TASK
            if not set(needed) & of_task.keys():
                raise UsageError(
                    f"{where}: a system with {selector!r} needs a task with {' or '.join(needed)}; "
                    f"tasks.{task} has none (tasks = [...] of a system names those it runs on)"
                )
            given = merged(of_task, of_system)
            for override in values.get("overrides", []):
                if _applies(override, system, task):
                    only = {k: v for k, v in override.items() if k not in ("system", "task")}
                    given = merged(given, only)
            given = over_defaults(values.get("defaults", {}), kind, given)
            for configuration in _grid(grid, where):
                whole = merged(given, {"config": configuration}) if configuration else given
                if start is not None:
                    if "from_run" in whole:
                        raise UsageError(f"{where}: give {START} or from_run, not both")
                    whole = whole | {"from_run": _source(values, system, start, task, kind, path)}
                try:
                    options = kind_of(kind).resolve(whole, seed)
                except (RlkitError, *FOREIGN) as error:
                    why = str(error) if isinstance(error, RlkitError) else described(error)
                    raise UsageError(f"{where} on tasks.{task}: {why}") from None
                steps = options.pop("steps")
                yield Variant(
                    system, task, configuration, kind, options, steps, reference, whole, start
                )


def _with_starts(variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    """What decides the result of a system decides that of one which starts from it, too."""
    alone = {(v.system, v.task): v for v in variants if not v.configuration}

    def told(variant: Variant) -> Variant:
        if variant.start is None:
            return variant
        source = told(alone[variant.start, variant.task])
        text = f"{source.system} {source.hash} after {source.steps} steps"
        return dataclasses.replace(variant, options=variant.options | {"from_run": text})

    return tuple(told(variant) for variant in variants)


def _source(
    values: dict[str, Any], system: str, start: Any, task: str, kind: str, path: Path
) -> str:
    """What stands for the run a cell starts from until there is one. Raises UsageError."""
    where, systems = f"{path}: systems.{system}.{START}", values["systems"]
    if start not in systems:
        raise UsageError(f"{where}: no system {start!r}{suggestion(str(start), systems)}")
    chain = [system]
    while start is not None:  # in circles, it would never come to an end
        if start in chain:
            raise UsageError(f"{where}: {' from '.join([*chain, start])} goes round in circles")
        chain.append(start)
        start = systems.get(start, {}).get(START)
    other = systems[chain[1]]
    if kind != "training" or "algo" not in other:
        raise UsageError(f"{where}: only systems with algo start from each other")
    if other.get("grid"):
        raise UsageError(f"{where}: {chain[1]} has a grid; name a system of one configuration")
    if task not in other.get("tasks", [task]):
        raise UsageError(f"{where}: {chain[1]} does not run on {task}")
    return chain[1]


def _check_pairs(variants: tuple[Variant, ...], path: Path) -> None:
    """Each system fits each of its tasks: one look at a pair, whatever its configurations."""
    for variant in {(v.system, v.task): v for v in variants}.values():
        try:
            kind_of(variant.kind).check_pair(variant.options)
        except (RlkitError, *FOREIGN) as error:
            why = str(error) if isinstance(error, RlkitError) else described(error)
            where = f"{path}: systems.{variant.system} on tasks.{variant.task}"
            raise UsageError(f"{where}: {why}") from None


def _check_overrides(values: dict[str, Any], path: Path) -> None:
    for number, override in enumerate(values.get("overrides", []), 1):
        for key, table in (("system", "systems"), ("task", "tasks")):
            name = override.get(key)
            if name is not None and name not in values[table]:
                near = suggestion(str(name), values[table])
                raise UsageError(f"{path}: overrides, number {number}: no {key} {name!r}{near}")


def _applies(override: dict[str, Any], system: str, task: str) -> bool:
    return override.get("system", system) == system and override.get("task", task) == task


def _check_selectors(values: dict[str, Any], path: Path) -> None:
    """Only a system says what it is, and what it starts from."""
    tables = [(f"tasks.{name}", one) for name, one in values["tasks"].items()]
    tables += [("defaults", values.get("defaults", {}))]
    tables += [(f"overrides, number {k}", o) for k, o in enumerate(values.get("overrides", []), 1)]
    for where, table in tables:
        for name in table.keys() & {*KINDS, START, "grid"}:
            raise UsageError(f"{path}: {where}: {name} belongs into a system's table")


def _grid(grid: Any, where: str) -> Iterator[dict[str, Any]]:
    """Every combination of a grid's values; one empty configuration without a grid."""
    if not isinstance(grid, dict) or not all(isinstance(x, list) and x for x in grid.values()):
        raise UsageError(f"{where}: grid must give a list of values for each config field")
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def _search(
    given: Any, variants: tuple[Variant, ...], seeds: tuple[int, ...], path: Path
) -> Search:
    where = f"{path}: search"
    sweep_file.known(given, set(_Search.__annotations__), where)
    fit(given, _Search, where, UsageError)
    own = [variant for variant in variants if variant.system == given.get("system")]
    if not own or any(variant.configuration for variant in own):
        raise UsageError(f"{where}: system must name a system of the file that has no grid")
    trials = count(f"{where}: trials", given.get("trials", 20))
    sampler_seed = count(f"{where}: sampler_seed", given.get("sampler_seed", 0), least=0)
    last = count(f"{where}: last", given.get("last", 1))
    if any(variant.start for variant in own):
        raise UsageError(f"{where}: {given['system']} starts from another system")
    if len(seeds) < 2:
        raise UsageError(f"{where}: one seed gives no interval to search by; give two or more")
    if not (space := given.get("space")):
        raise UsageError(f"{where}: [search.space] names no config field")
    for name, values in space.items():
        if isinstance(values, list) and values:
            tried = values
        elif isinstance(values, dict) and {"low", "high"} <= values.keys():
            sweep_file.known(values, {"low", "high", "log", "step"}, f"{where}.space.{name}")
            tried = [values["low"], values["high"]]
        else:
            raise UsageError(f"{where}.space.{name}: give a list, or {{ low = .., high = .. }}")
        for value in tried:  # refused now rather than in the middle of a search
            try:
                kind_of(own[0].kind).resolve(
                    merged(own[0].given, {"config": {name: value}}), seeds[0]
                )
            except (RlkitError, *FOREIGN) as error:
                why = str(error) if isinstance(error, RlkitError) else described(error)
                raise UsageError(f"{where}.space.{name} = {value!r}: {why}") from None
    return Search(given["system"], trials, sampler_seed, last, space)


def _reference(given: Any, where: str) -> tuple[float, float] | None:
    if given is None:
        return None
    try:
        low, high = (float(x) for x in given)
    except (TypeError, ValueError):
        low = high = 0.0
    if not high > low:
        raise UsageError(f"{where}: reference is {given!r}; it must be [low, high] with low < high")
    return low, high
