"""A sweep file as text and as tables: what may stand in it, and what names may be."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, TypedDict

from rlkit.core.errors import UsageError
from rlkit.core.files.reading import described, fit
from rlkit.core.lanes import read_seeds
from rlkit.core.words.nearest import suggestion

FULL = "full"  # the budget without a name
START = "from"  # key of a system
TOP = {
    *("name", "seeds", "retries", "defaults", "tasks", "systems", "overrides", "budgets", "search")
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
# File systems take 255 bytes a component; what is put behind and around a name needs the rest.
_NAME_BYTES, PAIR_BYTES = 110, 190


class Tables(TypedDict, total=False):
    name: str
    seeds: str | list[int]
    retries: Any  # a count, which ranges.count reads
    defaults: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    systems: dict[str, dict[str, Any]]
    overrides: list[dict[str, Any]]
    budgets: dict[str, dict[str, Any]]
    search: dict[str, Any]


def seeds_of(given: str | list[int], path: Path) -> tuple[int, ...]:
    """The seeds of a file; UsageError for none, repeated or negative ones."""
    try:
        found = read_seeds(given) if isinstance(given, str) else tuple(given)
    except ValueError as error:
        raise UsageError(
            f"{path}: seeds {given!r} must read '0:5' or [0, 3, 7] ({error})"
        ) from None
    if not found or len(set(found)) != len(found) or min(found) < 0:
        raise UsageError(f"{path}: seeds {given!r} must be distinct, not negative, at least one")
    return found


def name_of(values: dict[str, Any], path: Path) -> str:
    """The sweep's name: what the file says, or the file's own."""
    name = values.get("name", path.stem)
    check_name(name, f"{path}: name {name!r}")
    return name


def check_name(name: str, where: str) -> None:
    """Raises UsageError for what can be no part of a folder's name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where} must be letters, digits and . _ + -")
    if len(name) > _NAME_BYTES:
        raise UsageError(f"{where} is {len(name)} letters long; at most {_NAME_BYTES} are allowed")


def check_budget(values: dict[str, Any], name: str, path: Path) -> None:
    """Raises UsageError for a budget that the file does not have."""
    budgets = values.get("budgets", {})
    if name != FULL and name not in budgets:
        known = [FULL, *budgets]
        raise UsageError(f"{path} has no budget {name!r}{suggestion(name, known)}")
    check_name(name, f"{path}: budgets.{name!r}")


def text(path: Path) -> str:
    """The file as it stands; UsageError with the cause where the system refuses it."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no sweep file {path}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read: it is no text ({error})") from None


def parse(path: Path) -> dict[str, Any]:
    """The file's tables, each of the kind it must be. Raises UsageError naming file and field."""
    try:
        values = tomllib.loads(text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {described(error)}") from None
    known(values, TOP, str(path))
    fit(values, Tables, str(path), UsageError)
    return values


def known(values: dict[str, Any], names: set[str], where: str) -> None:
    """Raises UsageError for a key that is none of `names`."""
    for name in values:
        if name not in names:
            raise UsageError(f"{where}: unknown table or key {name!r}{suggestion(name, names)}")
