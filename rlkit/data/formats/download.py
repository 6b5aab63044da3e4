"""Datasets of a Minari remote: D4RL's and others', with a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypedDict

import minari
from minari.dataset.minari_dataset import parse_dataset_id
from minari.namespace import NAMESPACE_METADATA_FILENAME, namespace_hierarchy
from minari.storage.remotes import DEFAULT_REMOTE, get_cloud_storage

from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.files.reading import read_json
from rlkit.core.files.replacing import remove, replacing, temporary_name
from rlkit.core.words.extras import missing
from rlkit.core.words.nearest import suggestion
from rlkit.data.formats.minari_local import free_path, root


def remote_of(given: str | None) -> str:
    """The remote that is asked: `given`, or $MINARI_REMOTE, or Minari's own."""
    return given or os.environ.get("MINARI_REMOTE") or DEFAULT_REMOTE


def download(dataset_id: str, *, remote: str | None = None, overwrite: bool = False) -> Path:
    """The directory of a dataset that was fetched from a remote such as `hf://farama-minari`.

    It appears whole or not at all. Raises UsageError for a malformed, taken or unknown id (naming
    the nearest one there) and for a remote of an unknown kind, RlkitError where the remote does
    not answer or sends something else, or needs a newer Minari.
    """
    final, where = free_path(dataset_id, overwrite), remote_of(remote)
    try:
        storage = get_cloud_storage(remote_path=where)
    except (KeyError, ValueError) as error:
        raise UsageError(f"remote {where!r} must read hf://NAME or gcp://NAME") from error
    except ImportError as error:
        raise missing(f"the remote {where}", "hub") from error
    try:
        raw = _metadata(storage, dataset_id, where)
        if raw.get("minari_version") not in minari.supported_dataset_versions:
            raise RlkitError(
                f"dataset {dataset_id!r} is of Minari {raw.get('minari_version')}, which the "
                f"installed {minari.__version__} does not read"
            )
        final.parent.mkdir(parents=True, exist_ok=True)
        _namespaces(storage, dataset_id)
        scratch = temporary_name(final)
        try:
            with replacing(final) as place:
                storage.download_dataset(dataset_id, scratch)
                _check(scratch / dataset_id, dataset_id)
                os.rename(scratch / dataset_id, place)
        finally:
            remove(scratch)
    except RlkitError:
        raise
    except Exception as error:  # each remote has its own
        cause = f"{type(error).__name__}: {error}"
        raise RlkitError(
            f"dataset {dataset_id!r} cannot be fetched from {where}: {cause}"
        ) from error
    return final


def _metadata(storage: Any, dataset_id: str, where: str) -> dict[str, Any]:
    """What the remote says of a dataset."""
    namespace = parse_dataset_id(dataset_id)[0]
    offered = list(storage.list_datasets(prefix=namespace))
    if dataset_id not in offered:
        near = suggestion(dataset_id, offered)
        raise UsageError(f"{where} has no dataset {dataset_id!r}{near}")
    return storage.get_dataset_metadata(dataset_id)


def _namespaces(storage: Any, dataset_id: str) -> None:
    """Descriptions of the namespaces that a dataset is in, where they are not here yet."""
    for parent in namespace_hierarchy(parse_dataset_id(dataset_id)[0]):
        file = root() / parent / NAMESPACE_METADATA_FILENAME
        if file.is_file() and file.stat().st_size:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        scratch = temporary_name(file)
        try:
            (scratch / parent).mkdir(parents=True)
            storage.download_namespace_metadata(parent, scratch)
            with replacing(file) as place:
                os.rename(scratch / parent / file.name, place)
        finally:
            remove(scratch)


class _Sent(TypedDict):
    dataset_id: str
    total_steps: int


def _check(folder: Path, dataset_id: str) -> None:
    """Whether what came is that dataset, with rows."""
    sent = read_json(folder / "data" / "metadata.json", "the metadata of a Minari dataset", _Sent)
    if sent["dataset_id"] != dataset_id:
        raise RlkitError(f"the remote sent dataset {sent['dataset_id']!r} for {dataset_id!r}")
    if len(list((folder / "data").iterdir())) < 2:
        raise RlkitError(f"the remote sent no rows of {dataset_id!r}")
