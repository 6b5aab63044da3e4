"""The table `[defaults]` of a sweep file: its options reach every system that takes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Any

from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.files.reading import FOREIGN
from rlkit.core.words.nearest import suggestion
from rlkit.sweeps.kinds.by_name import kind_of


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, table by table."""
    out = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = merged(out[key], value) if both else value
    return out


def over_defaults(defaults: dict[str, Any], kind: str, own: dict[str, Any]) -> dict[str, Any]:
    """What a system says itself, `own`, over the defaults that it takes."""
    try:
        options, fields = kind_of(kind).takes(merged(defaults, own))
    except (RlkitError, *FOREIGN):
        return own  # when it is resolved, what is wrong with it is said
    below = {name: x for name, x in defaults.items() if name in options}
    if isinstance(config := below.get("config"), dict):
        below["config"] = {name: x for name, x in config.items() if name in fields}
    return merged(below, own)


def check_defaults(
    defaults: Mapping[str, Any], systems: Iterable[tuple[str, dict[str, Any]]], where: str
) -> None:
    """Raises UsageError for a default that none of the systems, each a kind and what it is given,
    takes."""
    known, options, fields = set[str](), set[str](), set[str]()
    for kind, given in systems:
        taken = kind_of(kind).takes(given)
        known, options, fields = known | kind_of(kind).KNOWN, options | taken[0], fields | taken[1]
    _check(defaults, options, known, f"{where}: ", "option")
    config = defaults.get("config")
    _check(config if isinstance(config, dict) else {}, fields, fields, f"{where}: ", "config field")


def _check(given: Iterable[str], taken: Set[str], known: Set[str], where: str, what: str) -> None:
    for name in given:
        if name not in known:
            raise UsageError(f"{where}unknown {what} {name!r}{suggestion(name, known)}")
        if name not in taken:
            raise UsageError(f"{where}no system takes the {what} {name!r}: leave it out")
