"""One way to any policy: by the name of one that ships, or as OWNER/REPO/NAME of the Hub."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rlkit.core.errors import UsageError
from rlkit.core.files.replacing import make_folder, replacing
from rlkit.policy.policy import Policy
from rlkit.zoo import hub
from rlkit.zoo.entry import ENDING, Entry
from rlkit.zoo.shelf import shipped, take


def entries(repo: str | None = None, *, revision: str | None = None) -> dict[str, Entry]:
    """name -> what is known of the policies that ship, or of those in OWNER/REPO on the Hub.

    Raises FileError for an index that is damaged, and for a repository what `get` raises.
    """
    return shipped() if repo is None else hub.entries(repo, revision)


@contextmanager
def found(name: str, revision: str | None = None) -> Iterator[tuple[Path, Entry]]:
    """The file of a policy, compared with its entry, and that entry; that of one of the Hub,
    OWNER/REPO/NAME, is there within the block only. Raises what `get` raises."""
    if "/" in name:
        with hub.pulled(name, revision) as pulled:
            yield pulled
        return
    if revision is not None:
        raise UsageError(f"a revision is for a policy of the Hub, OWNER/REPO/NAME, not for {name}")
    yield take(name)


def get(
    name: str,
    out: str | os.PathLike[str] | None = None,
    *,
    force: bool = False,
    revision: str | None = None,
) -> Path:
    """A copy of a policy's file, at `out` or as NAME.safetensors in the current folder.

    `name` is one that ships, or OWNER/REPO/NAME of the Hugging Face Hub, at a `revision` if wanted.
    Nothing in it is run; its sums are compared first. Raises UsageError for an unknown name and for
    a place that is taken (unless `force`; never for a folder), RlkitError for a file that is not
    what its index says and where the Hub does not answer.
    """
    if not name:
        raise UsageError("which policy? give its name (rlkit zoo list), or OWNER/REPO/NAME")
    place = Path(f"{name.rpartition('/')[2]}{ENDING}" if out is None else out)
    if place.is_dir():
        raise UsageError(f"{place} is a folder; give the file that the policy is to become")
    if place.suffix != ENDING:
        raise UsageError(f"{place} must end in {ENDING}")
    if os.path.lexists(place) and not force:
        raise UsageError(f"{place} stands already; --force (force=True) replaces it")
    with found(name, revision) as (path, _):
        make_folder(place.parent)
        with replacing(place) as temporary:
            shutil.copyfile(path, temporary)
    return place


def load(name: str, *, revision: str | None = None) -> Policy:
    """The policy that ships under this name, or OWNER/REPO/NAME of the Hub; it has `act(obs)`.

    Raises what `get` raises for the name and the file.
    """
    with found(name, revision) as (path, _):
        return Policy.load(path)
