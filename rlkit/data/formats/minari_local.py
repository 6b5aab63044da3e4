"""Where local Minari datasets stand, and what their metadata say; no rows are read here.

Datasets live under MINARI_DATASETS_PATH, or where Minari keeps them by default.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from rlkit.core.errors import FileError, UsageError
from rlkit.core.files.reading import read_json
from rlkit.core.files.replacing import clear

ROOT_VARIABLE = "MINARI_DATASETS_PATH"
_METADATA = "metadata.json"


class _Ours(TypedDict):
    """What this package adds to Minari's metadata."""

    behaviour_return: NotRequired[float | None]
    columns: NotRequired[list[str]]
    details: NotRequired[dict[str, Any]]
    notes: NotRequired[list[str]]
    score_name: NotRequired[str]
    expert_name: NotRequired[str]


class Raw(TypedDict):
    """Minari's metadata, as far as they are read."""

    dataset_id: str
    data_format: str
    minari_version: str
    total_episodes: int
    total_steps: int
    dataset_size: NotRequired[float | None]
    observation_space: NotRequired[str | None]
    action_space: NotRequired[str | None]
    env_spec: NotRequired[str | None]
    eval_env_spec: NotRequired[str | None]
    ref_min_score: NotRequired[float | None]
    ref_max_score: NotRequired[float | None]
    num_episodes_average_score: NotRequired[int | None]
    algorithm_name: NotRequired[str | None]
    description: NotRequired[str | None]
    rlkit: NotRequired[_Ours]


def dataset_path(dataset_id: str) -> Path:
    """The directory of a dataset id, existing or not. Raises ValueError for a malformed id."""
    check_id(dataset_id)
    return root() / dataset_id


def root() -> Path:
    """The folder of all datasets, which need not be there: Minari's own function would make it.

    Raises UsageError where $MINARI_DATASETS_PATH is empty or no folder.
    """
    named = os.environ.get(ROOT_VARIABLE)
    if named is None:
        return Path("~/.minari/datasets").expanduser()
    if not named or (os.path.lexists(named) and not Path(named).is_dir()):
        raise UsageError(
            f"${ROOT_VARIABLE} is {named!r}, which is no folder; name one that datasets lie in"
        )
    return Path(named)


def free_path(dataset_id: str, overwrite: bool) -> Path:
    """Where a dataset is to be written, what killed processes left there cleared away.

    Raises UsageError for a malformed id, and for one that is taken (unless `overwrite`).
    """
    final = cleared(dataset_id)
    if final.exists() and not overwrite:
        raise UsageError(
            f"dataset {dataset_id!r} already stands at {final}; --force (overwrite=True) replaces "
            "it"
        )
    return final


def cleared(dataset_id: str) -> Path:
    """`dataset_path`, what killed processes left there and in `building()` cleared away."""
    final = dataset_path(dataset_id)
    with contextlib.suppress(OSError):  # what refuses that is told where something is written
        for path in (building(), final):
            clear(path)
    return final


def building() -> Path:
    """What datasets are built beside, under hidden names which Minari skips."""
    return root() / "building"


def local_ids() -> dict[str, dict[str, Any]]:
    """Minari's metadata of every local dataset by id; damaged ones are left out."""
    return {name: raw for name, raw in look().items() if isinstance(raw, dict)}


def look() -> dict[str, dict[str, Any] | FileError]:
    """Minari's metadata of every local dataset by id, or what is wrong with it."""
    top = root()
    found: dict[str, dict[str, Any] | FileError] = {}
    waiting, known = [top] if top.is_dir() else [], set()
    while waiting:
        folder = waiting.pop()
        if folder.resolve() in known:  # links may go round
            continue
        known.add(folder.resolve())
        if folder == top or not (folder / "data").is_dir():
            inner = [path for path in folder.iterdir() if not path.name.startswith(".")]
            waiting += [path for path in inner if path.is_dir()]
            continue
        name = folder.relative_to(top).as_posix()
        if not _is_id(name):  # a folder of something else
            continue
        try:
            raw = read_raw(folder / "data")
            if raw["dataset_id"] != name:
                raise FileError(f"{folder}: its metadata say it is {raw['dataset_id']!r}")
            found[name] = dict(raw)
        except FileError as error:
            found[name] = error
    return dict(sorted(found.items()))


def exists(dataset: str | Path) -> bool:
    """Whether a dataset stands there, whole or damaged."""
    return data_path(dataset) is not None


def data_path(dataset: str | Path) -> Path | None:
    """The folder of the metadata and rows of a dataset, given by id or by directory; None where
    there is none."""
    candidates = [Path(dataset), Path(dataset) / "data"]
    with contextlib.suppress(ValueError):
        candidates.append(dataset_path(str(dataset)) / "data")
    return next((path for path in candidates if (path / _METADATA).is_file()), None)


def read_raw(path: Path) -> Raw:
    """Minari's metadata of the dataset in a folder. Raises FileError naming what is wrong."""
    file = path / _METADATA
    raw = read_json(file, "the metadata of a Minari dataset", Raw)
    try:
        check_id(raw["dataset_id"])
    except ValueError as error:
        raise FileError(f"{file}: {error}") from error
    return raw


def _is_id(name: str) -> bool:
    try:
        check_id(name)
    except ValueError:
        return False
    return True


def check_id(dataset_id: str) -> None:
    """Raises UsageError for a malformed id."""
    from minari.dataset.minari_dataset import parse_dataset_id  # with all of Minari behind it

    try:
        parse_dataset_id(dataset_id)
    except (ValueError, TypeError) as error:  # TypeError: Minari's own slip on a missing version
        namespace = dataset_id.rpartition("/")[0] if isinstance(dataset_id, str) else ""
        why = f": Minari's namespaces have two letters or more, not {namespace!r}"
        raise UsageError(
            f"dataset id {dataset_id!r} must read (namespace/)name-v<number>, "
            f"like rlkit/hopper/medium-replay-small-v1{why if len(namespace) == 1 else ''}"
        ) from error
