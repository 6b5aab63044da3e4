"""Settings by name for tasks: `rlkit/presets/*.toml`, one file a family of tasks.

    [[preset]]
    name = "recommended"        # measured here, or "published": what others print, with the source
    algo = "iql"
    task = "rlkit/hopper/medium-v1"    # a dataset, or an environment to learn in
    config = { beta = 0.3 }     # fields of the algorithm's Config
    run = { normalise_obs = true }     # options of the run
    source = "return 576 after ..."   # what came of it, or who prints it
    record = "benchmarks/results/evidence/recipes-short.json"    # of recommended ones: the run

The files are read when a preset is first asked for, and checked: a preset names an algorithm's own
fields, and no two are for the same algorithm, task and name.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from rlkit.core.errors import FileError
from rlkit.core.files.reading import fit, read_toml


class _Entry(TypedDict):
    name: Literal["recommended", "published"]
    algo: str
    task: str
    config: dict[str, Any]
    run: NotRequired[dict[str, Any]]
    source: str
    record: NotRequired[str]


class TaskPreset(NamedTuple):
    """Settings of an algorithm for a task."""

    config: dict[str, Any]
    run: dict[str, Any]
    source: str  # with the record, where there is one
    record: str  # path in the repository of what was measured; "" without


_NAMES = frozenset(_Entry.__annotations__)


@cache
def every() -> dict[tuple[str, str], dict[str, TaskPreset]]:
    """(task, algorithm) -> name -> preset, of all files. Raises FileError naming file and entry."""
    found: dict[tuple[str, str], dict[str, TaskPreset]] = {}
    folder = resources.files("rlkit") / "presets"
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            with resources.as_file(file) as path:
                read(path, found)
    return found


def read(path: Any, found: dict[tuple[str, str], dict[str, TaskPreset]]) -> None:
    """Adds the presets of one file to those that were `found`."""
    tables = read_toml(path, "a file of presets")
    entries = fit(tables.get("preset", []), list[_Entry], f"{path}: preset")
    if others := tables.keys() - {"preset"}:
        raise FileError(f"{path}: unknown table {min(others)!r}; a file of presets has [[preset]]")
    for number, entry in enumerate(entries, 1):
        where = f"{path}: preset {number} ({entry['algo']} on {entry['task']})"
        if unknown := entry.keys() - _NAMES:
            raise FileError(f"{where}: unknown entry {min(unknown)!r}")
        record = entry.get("record", "")
        if entry["name"] == "recommended" and not record:
            raise FileError(f"{where}: what is recommended names the record that shows it")
        source = ": ".join(text for text in (entry["source"], record) if text)
        preset = TaskPreset(_tuples(entry["config"]), _tuples(entry.get("run", {})), source, record)
        own = found.setdefault((entry["task"], entry["algo"]), {})
        if entry["name"] in own:
            raise FileError(f"{where}: a second one that is called {entry['name']}")
        own[entry["name"]] = preset


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of TOML, whose lists are the tuples of options."""
    return {name: tuple(x) if isinstance(x, list) else x for name, x in values.items()}
