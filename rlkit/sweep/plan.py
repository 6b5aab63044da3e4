"""A sweep file, read and checked whole: systems x tasks x configurations x seeds.

name = "online-mujoco"
seeds = "0:5"                       # or [0, 3, 7]
retries = 1                         # of a run that failed

[defaults]                          # options of every cell whose kind knows them
steps = 100_000

[tasks.hopper]
env = "Hopper-v5"
reference = [18.0, 3234.0]          # returns of a random and of an expert policy

[systems.sac]
algo = "sac"                        # or sb3 = "SAC", learner = "q", solver = "vi", policy = "ucb1"
config = { lr = 3e-4 }
grid = { alpha = [0.1, 0.2] }       # one configuration for each, of all combinations
tasks = ["hopper"]                  # all by default

[[overrides]]
system = "sac"
task = "hopper"
utd = 2.0

[budgets.smoke]                     # what `--budget smoke` changes, laid over all of the above
seeds = "0:2"
defaults = { steps = 2_000 }
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlkit.core.errors import UsageError
from rlkit.core.lanes import read_seeds
from rlkit.core.nearest import suggestion
from rlkit.core.ranges import count
from rlkit.sweep.kinds.by_name import KINDS, kind_of

FULL = "full"
_TOP = {
    *("name", "seeds", "retries", "defaults", "tasks", "systems", "overrides", "budgets", "search")
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


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
    """What [search] asks for, see `rlkit.sweep.search`."""

    system: str
    trials: int
    sampler_seed: int
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


def folder_of(path: str | Path, budget: str | None = None, out: str | Path | None = None) -> Path:
    """The sweep's folder: `out`, or `runs/sweeps/<name>`, or `<name>-<budget>` for another budget
    than full."""
    if out is not None:
        return Path(out)
    name = _name(_parse(Path(path)), Path(path))
    return Path("runs", "sweeps", name if budget in (None, FULL) else f"{name}-{budget}")


def read(path: str | Path, budget: str | None = None) -> Sweep:
    """The sweep in a file. Raises UsageError that says which table of it is wrong, and how."""
    path = Path(path)
    values = _parse(path)
    name, chosen = _name(values, path), budget or FULL
    budgets = values.pop("budgets", {})
    if chosen != FULL and chosen not in budgets:
        known = [FULL, *budgets]
        raise UsageError(f"{path} has no budget {chosen!r}{suggestion(chosen, known)}")
    values = merged(values, budgets.get(chosen, {}))
    _known(values, _TOP - {"budgets"}, f"{path}, budget {chosen}")
    for table in ("tasks", "systems"):
        if not values.get(table):
            raise UsageError(f"{path}: no [{table}.NAME] is given")
        for key in values[table]:
            if not _NAME.fullmatch(key):
                raise UsageError(f"{path}: {table}.{key!r} must be letters, digits and . _ + -")
    seeds = _seeds(values.get("seeds", "0:5"), path)
    retries = count(f"{path}: retries", values.get("retries", 1), least=0)
    _check_overrides(values, path)
    variants = tuple(_variants(values, path, seeds[0]))
    if not variants:
        raise UsageError(f"{path}: no system runs on any task")
    _check_defaults(values.get("defaults", {}), variants, path)
    search = _search(values["search"], variants, seeds, path) if "search" in values else None
    return Sweep(name, chosen, seeds, retries, variants, path.read_text(), search)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, table by table."""
    out = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


def _variants(values: dict[str, Any], path: Path, seed: int) -> Iterator[Variant]:
    for system, of_system in values["systems"].items():
        where = f"{path}: systems.{system}"
        if not isinstance(of_system, dict) or len(keys := KINDS.keys() & of_system.keys()) != 1:
            raise UsageError(f"{where} must say one of {', '.join(KINDS)}")
        kind, selector = KINDS[next(iter(keys))], next(iter(keys))
        of_system = dict(of_system)
        grid, tasks = of_system.pop("grid", {}), of_system.pop("tasks", list(values["tasks"]))
        for task in tasks:
            if task not in values["tasks"]:
                near = suggestion(task, values["tasks"])
                raise UsageError(f"{where}: no task {task!r}{near}")
            of_task = dict(values["tasks"][task])
            reference = _reference(of_task.pop("reference", None), f"{path}: tasks.{task}")
            needed = kind_of(kind).TASK
            if not set(needed) & of_task.keys():
                raise UsageError(
                    f"{where}: a system with {selector!r} needs a task with {' or '.join(needed)}; "
                    f"tasks.{task} has none (tasks = [...] of a system names those it runs on)"
                )
            given = merged(merged(_defaults(values, kind), of_task), of_system)
            for override in values.get("overrides", []):
                if _applies(override, system, task):
                    only = {k: v for k, v in override.items() if k not in ("system", "task")}
                    given = merged(given, only)
            for configuration in _grid(grid, where):
                whole = merged(given, {"config": configuration}) if configuration else given
                try:
                    options = kind_of(kind).resolve(whole, seed)
                except (UsageError, ValueError, TypeError) as error:
                    raise UsageError(f"{where} on tasks.{task}: {error}") from None
                steps = options.pop("steps")
                yield Variant(system, task, configuration, kind, options, steps, reference, whole)


def _defaults(values: dict[str, Any], kind: str) -> dict[str, Any]:
    """The defaults that a kind knows; `_check_defaults` sees to it that some kind does."""
    known = kind_of(kind).KNOWN
    return {name: x for name, x in values.get("defaults", {}).items() if name in known}


def _check_defaults(given: dict[str, Any], variants: tuple[Variant, ...], path: Path) -> None:
    known = set().union(*(kind_of(variant.kind).KNOWN for variant in variants))
    for name in given:
        if name not in known:
            raise UsageError(f"{path}: defaults: unknown option {name!r}{suggestion(name, known)}")


def _check_overrides(values: dict[str, Any], path: Path) -> None:
    for number, override in enumerate(values.get("overrides", []), 1):
        for key, table in (("system", "systems"), ("task", "tasks")):
            name = override.get(key)
            if name is not None and name not in values[table]:
                near = suggestion(name, values[table])
                raise UsageError(f"{path}: overrides, number {number}: no {key} {name!r}{near}")


def _applies(override: dict[str, Any], system: str, task: str) -> bool:
    return override.get("system", system) == system and override.get("task", task) == task


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
    _known(given, {"system", "trials", "sampler_seed", "space"}, where)
    own = [variant for variant in variants if variant.system == given.get("system")]
    if not own or any(variant.configuration for variant in own):
        raise UsageError(f"{where}: system must name a system of the file that has no grid")
    trials = count(f"{where}: trials", given.get("trials", 20))
    sampler_seed = count(f"{where}: sampler_seed", given.get("sampler_seed", 0), least=0)
    if len(seeds) < 2:
        raise UsageError(f"{where}: one seed gives no interval to search by; give two or more")
    if not (space := given.get("space")):
        raise UsageError(f"{where}: [search.space] names no config field")
    for name, values in space.items():
        if isinstance(values, list) and values:
            tried = values
        elif isinstance(values, dict) and {"low", "high"} <= values.keys():
            _known(values, {"low", "high", "log", "step"}, f"{where}.space.{name}")
            tried = [values["low"], values["high"]]
        else:
            raise UsageError(f"{where}.space.{name}: give a list, or {{ low = .., high = .. }}")
        for value in tried:  # refused now rather than in the middle of a search
            try:
                kind_of(own[0].kind).resolve(
                    merged(own[0].given, {"config": {name: value}}), seeds[0]
                )
            except (UsageError, ValueError, TypeError) as error:
                raise UsageError(f"{where}.space.{name} = {value!r}: {error}") from None
    return Search(given["system"], trials, sampler_seed, space)


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


def _seeds(given: Any, path: Path) -> tuple[int, ...]:
    try:
        found = read_seeds(given) if isinstance(given, str) else tuple(int(x) for x in given)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{path}: seeds {given!r} must read '0:5' or [0, 3, 7] ({error})"
        ) from None
    if not found or len(set(found)) != len(found) or min(found) < 0:
        raise UsageError(f"{path}: seeds {given!r} must be distinct, not negative, at least one")
    return found


def _name(values: dict[str, Any], path: Path) -> str:
    name = values.get("name", path.stem)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(f"{path}: name {name!r} must be letters, digits and . _ + -")
    return name


def _parse(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"there is no sweep file {path}") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    _known(values, _TOP, str(path))
    return values


def _known(values: dict[str, Any], known: set[str], where: str) -> None:
    for name in values:
        if name not in known:
            raise UsageError(f"{where}: unknown table or key {name!r}{suggestion(name, known)}")
