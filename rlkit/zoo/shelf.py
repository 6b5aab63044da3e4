"""The policies that ship with rlkit, in `policies/`; `benchmarks/freeze_zoo.py` puts them there."""

from __future__ import annotations

from pathlib import Path

from rlkit.core.errors import UsageError
from rlkit.core.words.nearest import suggestion
from rlkit.zoo.entry import ENDING, INDEX, Entry, check, read_index

SHELF = Path(__file__).parent / "policies"


def shipped() -> dict[str, Entry]:
    """name -> entry of all that ship. Raises FileError for an index that is damaged."""
    return read_index(SHELF / INDEX)


def take(name: str) -> tuple[Path, Entry]:
    """The file of a policy that ships, compared with its entry, and that entry.

    Raises UsageError naming the nearest one, FileError for a file that is not what it was.
    """
    known = shipped()
    if name not in known:
        near = suggestion(name, known)
        raise UsageError(f"the zoo has no policy {name!r}{near} (rlkit zoo list)")
    path = SHELF / f"{name}{ENDING}"
    check(path, name, known[name])
    return path, known[name]
