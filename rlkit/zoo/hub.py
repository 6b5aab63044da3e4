"""Policies in repositories of the Hugging Face Hub: the index and the files of `rlkit.zoo.entry`.

Whatever is pulled is data: the index is JSON of a known shape, a policy file is read as any other,
after its size and its sum were compared with the index. One commit of the repository is read
throughout, and a push is one commit upon the one it has read, so that two pushes lose nothing.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.files.reading import inside
from rlkit.core.words.extras import missing
from rlkit.core.words.nearest import suggestion
from rlkit.zoo.entry import (
    ENDING,
    EPISODES,
    INDEX,
    Entry,
    check,
    check_name,
    index_text,
    measured,
    read_index,
)
from rlkit.zoo.shelf import take

_REPO = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_LARGEST = {INDEX: 1 << 22}  # bytes that are fetched at most
_LARGEST_POLICY = 1 << 28


class Pushed(NamedTuple):
    """What became of a push: where the policy is now, and what the index there says of it."""

    name: str  # OWNER/REPO/NAME, for rlkit zoo get
    commit: str
    entry: Entry


def entries(repo: str, revision: str | None = None) -> dict[str, Entry]:
    """name -> what the index of OWNER/REPO says."""
    with _opened(repo, revision) as there:
        return there.index()


@contextmanager
def pulled(name: str, revision: str | None = None) -> Iterator[tuple[Path, Entry]]:
    """The file of OWNER/REPO/NAME, compared with its entry, within the block; and that entry.

    Raises UsageError for a name that is none or not there (with the nearest one), RlkitError for a
    file that is not what the index says and where the Hub does not answer.
    """
    repo, _, policy = name.rpartition("/")
    with _opened(repo, revision) as there:
        known = there.index()
        if policy not in known:
            raise UsageError(f"{repo} has no policy {policy!r}{suggestion(policy, known)}")
        entry = known[policy]
        path = there.fetch(f"{policy}{ENDING}", entry["bytes"])
        check(path, policy, entry)
        yield path, entry


def push(
    what: str | os.PathLike[str],
    repo: str,
    *,
    name: str | None = None,
    episodes: int = EPISODES,
    private: bool = False,
    force: bool = False,
) -> Pushed:
    """Put a policy into OWNER/REPO on the Hub, which is made if it is not there.

    `what` is a name of the zoo that ships, or a file that `rlkit export` wrote, whose return is
    measured first, over `episodes`; it is called `name`, by default as here. Raises UsageError for
    an unknown name and one that is taken there (unless `force`), RlkitError where the Hub refuses:
    it asks for a token, from `hf auth login` or HF_TOKEN.
    """
    _check_repo(repo)
    api = _api()
    path, own, entry = _offered(what, episodes)
    name = check_name(name or own)
    with _answering(repo):
        api.create_repo(repo, exist_ok=True, private=private)
    with _opened(repo, None) as there:
        known = there.index() if there.size(INDEX) is not None else {}
        if name in known and not force:
            raise UsageError(f"{repo} has a policy {name!r} already; --force (force=True) replaces")
        from huggingface_hub import CommitOperationAdd

        content = index_text(known | {name: entry}).encode()
        with _answering(repo):
            done = api.create_commit(
                repo,
                [
                    CommitOperationAdd(f"{name}{ENDING}", path.read_bytes()),
                    CommitOperationAdd(INDEX, content),
                ],
                commit_message=f"Policy {name}: {entry['algo']} in {entry['env']}",
                parent_commit=there.commit,
            )
    return Pushed(f"{repo}/{name}", str(done.oid), entry)


def _offered(what: str | os.PathLike[str], episodes: int) -> tuple[Path, str, Entry]:
    """File, name and entry of what is to be pushed."""
    text = os.fspath(what)
    if text.endswith(ENDING) or os.sep in text:
        path = Path(text)
        return path, path.stem.lower(), measured(path, episodes=episodes)
    path, entry = take(text)
    return path, text, entry


# --- the Hub ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Repository:
    """A repository at one commit, whose files come into a folder."""

    api: Any
    repo: str
    commit: str
    folder: Path

    def size(self, name: str) -> int | None:
        """Bytes of a file there; None where there is none."""
        with _answering(self.repo):
            infos = self.api.get_paths_info(self.repo, [name], revision=self.commit)
            return next((int(one.size) for one in infos if one.path == name), None)

    def fetch(self, name: str, size: int | None = None) -> Path:
        """The file, which must have so many bytes if they are given."""
        there, most = self.size(name), _LARGEST.get(name, _LARGEST_POLICY)
        if there is None:
            raise RlkitError(f"{self.repo} has no file {name}, which its index names")
        if there > most or size not in (None, there):
            asked = f"at most {most:,}" if size is None or there > most else f"{size:,}"
            raise RlkitError(f"{self.repo}: {name} has {there:,} bytes, not {asked}")
        inside(self.folder, name)
        with _answering(self.repo):
            got = self.api.hf_hub_download(
                self.repo, name, revision=self.commit, local_dir=self.folder
            )
        return Path(got)

    def index(self) -> dict[str, Entry]:
        """name -> entry, of all that are there."""
        if self.size(INDEX) is None:
            raise UsageError(f"{self.repo} has no {INDEX}: rlkit zoo push puts policies there")
        return read_index(self.fetch(INDEX))


@contextmanager
def _opened(repo: str, revision: str | None) -> Iterator[_Repository]:
    _check_repo(repo)
    api = _api()
    with _answering(repo):
        commit = str(api.repo_info(repo, revision=revision).sha)
    with tempfile.TemporaryDirectory(prefix="rlkit-zoo-") as folder:
        yield _Repository(api, repo, commit, Path(folder))


def _check_repo(repo: str) -> None:
    if not _REPO.fullmatch(repo):
        raise UsageError(
            "a repository of the Hub reads OWNER/REPO, and a policy in it OWNER/REPO/NAME; "
            f"the repository here would be {repo!r}"
        )


def _api() -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise missing("the Hugging Face Hub", "hub") from error
    return HfApi()


@contextmanager
def _answering(repo: str) -> Iterator[None]:
    """Whatever the Hub's client raises becomes one error that names the repository."""
    try:
        yield
    except RlkitError:
        raise
    except Exception as error:  # HTTP's, the client's own, the system's
        cause = f"{type(error).__name__}: {error}"
        raise RlkitError(f"{repo} on the Hugging Face Hub: {cause}") from error
