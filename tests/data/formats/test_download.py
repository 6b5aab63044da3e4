"""Fetching datasets, from a remote that is a folder: Minari's own interface, without a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from minari.storage import remotes

from rlkit.cli.dataset_commands import dataset as command
from rlkit.core.errors import RlkitError, UsageError
from rlkit.data.formats import minari_io, minari_local
from rlkit.data.formats.download import download


class Folder:
    """What `CloudStorage` of Minari asks of a remote."""

    def __init__(self, name: str, token: str | None = None) -> None:
        self.root = Path(name)

    def list_datasets(self, prefix: str | None = None) -> Iterable[str]:
        for path in self.root.rglob("data/metadata.json"):
            name = path.parents[1].relative_to(self.root).as_posix()
            if name.startswith(prefix or ""):
                yield name

    def get_dataset_metadata(self, dataset_id: str) -> dict[str, Any]:
        return json.loads((self.root / dataset_id / "data" / "metadata.json").read_text())

    def download_dataset(self, dataset_id: str, path: Path) -> None:
        shutil.copytree(self.root / dataset_id, path / dataset_id)

    def download_namespace_metadata(self, namespace: str, path: Path) -> None:
        shutil.copy(
            self.root / namespace / "namespace_metadata.json",
            path / namespace / "namespace_metadata.json",
        )


@pytest.fixture
def remote(
    dataset: str, minari_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """Address of a remote, and the one dataset there; nothing is here."""
    shutil.copytree(minari_root, tmp_path / "remote")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "here"))
    (tmp_path / "here").mkdir()
    monkeypatch.setitem(remotes._registry, "folder", lambda: Folder)
    return f"folder://{tmp_path / 'remote'}", dataset


def test_what_is_fetched_is_what_was_there(remote, minari_root: Path, monkeypatch) -> None:
    where, name = remote
    command(["download", name, "--remote", where])
    ours, meta = minari_io.read(name)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(minari_root))
    theirs, theirs_meta = minari_io.read(name)
    np.testing.assert_array_equal(ours.obs, theirs.obs)
    np.testing.assert_array_equal(ours.action, theirs.action)
    assert meta.env_id == theirs_meta.env_id


def test_the_remote_may_come_from_minaris_own_variable(remote, monkeypatch) -> None:
    where, name = remote
    monkeypatch.setenv("MINARI_REMOTE", where)
    path = download(name)
    assert path == minari_local.dataset_path(name)
    with pytest.raises(UsageError, match="already stands"):
        download(name)
    (path / "old").write_text("")
    assert not (download(name, overwrite=True) / "old").exists()


def test_an_unknown_name_finds_its_neighbour(remote) -> None:
    where, name = remote
    with pytest.raises(UsageError, match=f"did you mean '{name}'"):
        download(name.replace("-v", "s-v"), remote=where)


def test_a_remote_that_fails_leaves_nothing(remote, monkeypatch, tmp_path: Path) -> None:
    where, name = remote

    def breaks(self: Folder, dataset_id: str, path: Path) -> None:
        (path / dataset_id / "data").mkdir(parents=True)
        raise ConnectionError("gone")

    monkeypatch.setattr(Folder, "download_dataset", breaks)
    with pytest.raises(RlkitError, match=r"cannot be fetched from .*ConnectionError: gone"):
        download(name, remote=where)
    final = minari_local.dataset_path(name)
    assert not any(path.name != "namespace_metadata.json" for path in final.parent.iterdir())


def test_half_a_namespace_is_none(remote, monkeypatch, tmp_path: Path) -> None:
    where, name = remote
    whole = Folder.download_namespace_metadata

    def breaks(self: Folder, namespace: str, path: Path) -> None:
        (path / namespace / "namespace_metadata.json").write_text("")
        raise ConnectionError("gone")

    monkeypatch.setattr(Folder, "download_namespace_metadata", breaks)
    with pytest.raises(RlkitError, match="gone"):
        download(name, remote=where)
    above = minari_local.dataset_path(name).parent
    assert list(above.iterdir()) == []
    (above / "namespace_metadata.json").write_text("")  # as a kill within Minari's own leaves it
    monkeypatch.setattr(Folder, "download_namespace_metadata", whole)
    download(name, remote=where)
    assert json.loads((above / "namespace_metadata.json").read_text()) == {}


def test_something_else_than_was_asked_for_is_refused(remote, tmp_path: Path) -> None:
    where, name = remote
    path = tmp_path / "remote" / name / "data" / "metadata.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"dataset_id": "other/set-v0"}))
    with pytest.raises(RlkitError, match="sent dataset 'other/set-v0'"):
        download(name, remote=where)
    path.write_text(json.dumps(values | {"minari_version": "9.0"}))
    with pytest.raises(RlkitError, match=r"is of Minari 9\.0"):
        download(name, remote=where)
    assert not minari_local.dataset_path(name).exists()


def test_remotes_of_unknown_kind_and_missing_packages(remote, monkeypatch) -> None:
    _, name = remote
    for wrong in ("ftp://somewhere", "somewhere"):
        with pytest.raises(UsageError, match="must read hf://NAME"):
            download(name, remote=wrong)

    def absent() -> None:
        raise ImportError("no hub")

    monkeypatch.setitem(remotes._registry, "hf", absent)
    with pytest.raises(UsageError, match=r"pip install .*\[hub\]"):
        download(name)
