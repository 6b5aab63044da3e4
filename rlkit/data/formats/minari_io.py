"""Minari datasets to and from the episode store.

Datasets live under MINARI_DATASETS_PATH, or where Minari keeps them by default. Writing is
atomic: a dataset is built under a hidden name beside its place and moved there when complete.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import minari
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_dataset import parse_dataset_id
from minari.dataset.minari_storage import METADATA_FILE_NAME
from minari.namespace import NAMESPACE_METADATA_FILENAME, namespace_hierarchy

from rlkit.core.errors import FileError, RlkitError, UsageError
from rlkit.core.files.reading import reading
from rlkit.core.files.replacing import (
    clear,
    make_folder,
    refusal,
    remove,
    replacing,
    temporary_name,
)
from rlkit.core.words.nearest import suggestion
from rlkit.data.formats import hdf5
from rlkit.data.formats.meta import Meta, Reference
from rlkit.data.formats.minari_local import (
    ROOT_VARIABLE,
    building,
    data_path,
    free_path,
    local_ids,
    read_raw,
    root,
)
from rlkit.data.spaces import action_bounds, flatten, flatten_action
from rlkit.data.store import EpisodeStore
from rlkit.envs.specs import from_text, to_text, vouch

_ROWS = "main_data.hdf5"
_OVERHEAD = 24_000  # bytes that HDF5 takes for an episode besides its numbers
_STEPWISE = ("action", "reward", "terminated", "truncated")
_root_lock = threading.Lock()  # Minari takes its root from the environment of the process


# --- reading ----------------------------------------------------------------------------------
def read(dataset: str | Path) -> tuple[EpisodeStore, Meta]:
    """The store and the description of a local Minari dataset, given by id or by directory.

    Rows are in environment units; observations flattened and discrete actions counted from 0 by
    the rules of `rlkit.data.spaces`. A column `level_seed` holds the seed each episode was reset
    with, if all have one. Raises ValueError for a dataset that is absent, damaged, or whose rows
    are bad, naming the row.
    """
    source = _open(dataset)
    with _readable(Path(source.spec.data_path)):
        meta = _meta(source)
        episodes = list(_episodes(source, meta))
    try:
        return EpisodeStore.from_episodes(episodes), meta
    except ValueError as error:
        raise FileError(f"dataset {source.spec.dataset_id!r}: {error}") from error


def read_meta(dataset: str | Path) -> Meta:
    """The description alone, without reading any row."""
    return _meta(_open(dataset))


def _open(dataset: str | Path) -> minari.MinariDataset:
    path = data_path(dataset)
    if path is None:
        raise UsageError(
            f"no dataset {str(dataset)!r} under {root()}" + suggestion(str(dataset), local_ids())
        )
    raw = read_raw(path)
    for name in ("eval_env_spec", "env_spec"):
        _spec(raw, name, path)
    if not (raw.get("observation_space") and raw.get("action_space")):
        # Minari would make the environment to learn the spaces
        vouch(from_text(raw.get("env_spec"), f"{path / METADATA_FILE_NAME}: env_spec"))
    with _readable(path):
        if raw["data_format"] == "hdf5":
            with hdf5.opened(path / _ROWS, "the rows of a Minari dataset") as file:
                if len(file) != raw["total_episodes"]:
                    raise ValueError(f"it has {len(file)} episodes, not {raw['total_episodes']}")
        return minari.MinariDataset(path)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What Minari and h5py raise on damage becomes one FileError, with the remedy."""
    rows = path / _ROWS
    try:
        with reading(rows if rows.is_file() else path / METADATA_FILE_NAME, "a Minari dataset"):
            yield
    except FileError as error:
        raise FileError(f"{error}; build or import the dataset again") from error


def _spec(raw: Mapping[str, Any], name: str, path: Path) -> EnvSpec | None:
    """The environment that a dataset names, where code of ours has its present name."""
    text = raw.get(name)
    return None if text is None else from_text(text, f"{path / METADATA_FILE_NAME}: {name}")


def _meta(source: minari.MinariDataset) -> Meta:
    raw, path = source.storage.metadata, Path(source.storage.data_path)
    details = raw.get("rlkit", {})
    low, high = raw.get("ref_min_score"), raw.get("ref_max_score")
    reference = None
    if low is not None and high is not None:
        reference = Reference(
            random=float(low),
            expert=float(high),
            expert_name=details.get("expert_name", "expert"),
            episodes=raw.get("num_episodes_average_score"),
            score_name=details.get("score_name", "Minari score"),
        )
    return Meta(
        dataset_id=source.spec.dataset_id,
        observation_space=source.observation_space,
        action_space=source.action_space,
        env_spec=_spec(raw, "env_spec", path),
        eval_env_spec=_spec(raw, "eval_env_spec", path),
        reference=reference,
        behaviour_return=details.get("behaviour_return"),
        algorithm=raw.get("algorithm_name") or "",
        description=raw.get("description") or "",
        details=details.get("details", {}),
        notes=tuple(details.get("notes", ())),
    )


def _episodes(source: minari.MinariDataset, meta: Meta) -> Iterator[dict[str, np.ndarray]]:
    columns = source.storage.metadata.get("rlkit", {}).get("columns", [])
    seeds = [m.get("seed") for m in source.storage.get_episode_metadata(source.episode_indices)]
    seeded = all(seed is not None for seed in seeds)
    for seed, episode in zip(seeds, source.iterate_episodes(), strict=True):
        part = {
            "obs": flatten(meta.observation_space, episode.observations),
            "action": flatten_action(meta.action_space, episode.actions),
            "reward": np.asarray(episode.rewards).reshape(-1),
            "terminated": episode.terminations,
            "truncated": episode.truncations,
        }
        for column in columns:
            part[column] = episode.infos[column]
        if seeded:
            part["level_seed"] = np.full(len(part["reward"]), seed, np.int64)
        yield part


# --- writing ----------------------------------------------------------------------------------
def write(
    episodes: EpisodeStore | Iterable[Mapping[str, Any]],
    dataset_id: str,
    *,
    observation_space: spaces.Space,
    action_space: spaces.Space,
    env_spec: EnvSpec | None = None,
    reference: Reference | None = None,
    algorithm: str = "unknown",
    description: str = "",
    details: Mapping[str, Any] | None = None,
    notes: Iterable[str] = (),
    overwrite: bool = False,
) -> Path:
    """The directory of the Minari dataset written from `episodes`, complete or not there at all.

    An episode is a mapping with `obs` (T+1, the last one included), `action`, `reward`,
    `terminated`, `truncated` (T), nested as the spaces are; `level_seed` becomes Minari's episode
    seed, further columns its infos. The mean return of the episodes is stored as the behaviour
    policy's own. Raises ValueError when the id is malformed or taken (unless `overwrite`), and
    for rows that do not fit the spaces or that a store refuses, for a store whose `next_obs`
    is not the following row's `obs`, which Minari cannot hold, and for an environment that only
    this process can make.
    """
    final = free_path(dataset_id, overwrite)
    if isinstance(episodes, EpisodeStore):
        episodes = _store_episodes(episodes, action_space)
    episodes = list(episodes)
    store = _checked(episodes, dataset_id, observation_space, action_space)
    buffers = [_buffer(number, episode) for number, episode in enumerate(episodes)]
    extra: dict[str, Any] = {
        "rlkit": {
            "behaviour_return": float(np.mean([np.sum(b.rewards) for b in buffers])),
            "columns": sorted(store.extra.keys() - {"level_seed"}),
            "details": dict(details or {}),
            "notes": list(notes),
        }
    }
    if reference is not None:
        extra |= {"ref_min_score": reference.random, "ref_max_score": reference.expert}
        extra["rlkit"] |= {
            "score_name": reference.score_name,
            "expert_name": reference.expert_name,
        }
        if reference.episodes is not None:
            extra["num_episodes_average_score"] = reference.episodes
    if env_spec is not None:  # handed over here, or Minari would make the environment
        if (text := to_text(env_spec)) is None:
            raise ValueError(
                f"dataset {dataset_id!r} is not written: env_spec {env_spec.id!r} holds code or "
                "objects that no other process would find (a class of the running script?); "
                "register the environment in a module with plain arguments, or leave env_spec out"
            )
        extra["env_spec"] = text
    json.dumps(extra)  # refuses what cannot be stored before any file is made
    with _writing(dataset_id, final), _building() as workplace:
        _check_room(workplace, store.nbytes + len(buffers) * _OVERHEAD)
        with _minari_root(workplace), warnings.catch_warnings():
            # Minari warns of every field left empty and of a missing evaluation environment.
            warnings.simplefilter("ignore", UserWarning)
            made = minari.create_dataset_from_buffers(
                dataset_id,
                buffers,
                algorithm_name=algorithm,
                author="rlkit",
                description=description,
                observation_space=observation_space,
                action_space=action_space,
                jpeg_encoding=False,  # the default is lossy for large uint8 grids
            )
            made.storage.update_metadata(extra)
        _make_namespace(dataset_id)
        final.parent.mkdir(parents=True, exist_ok=True)
        with replacing(final) as complete:
            os.rename(workplace / dataset_id, complete)
    return final


def _store_episodes(store: EpisodeStore, action_space: spaces.Space) -> Iterator[dict[str, Any]]:
    offset = int(action_space.start) if isinstance(action_space, spaces.Discrete) else 0
    inner = np.ones(len(store), bool)
    inner[store.ends] = False
    rows = np.flatnonzero(inner)
    differs = (store.next_obs[rows] != store.obs[rows + 1]).reshape(len(rows), -1).any(1)
    if differs.any():
        row = rows[np.flatnonzero(differs)[0]]
        raise ValueError(
            f"row {row}: next_obs is not obs of row {row + 1} of the same episode; "
            "a Minari episode stores one sequence of observations, so cut the episode there"
        )
    for start, end in zip(store.starts, store.ends, strict=True):
        span = slice(start, end + 1)
        yield {
            "obs": np.concatenate([store.obs[span], store.next_obs[end : end + 1]]),
            "action": store.action[span] + offset if offset else store.action[span],
            "reward": store.reward[span],
            "terminated": store.terminated[span],
            "truncated": store.truncated[span],
        } | {name: column[span] for name, column in store.extra.items()}


def _checked(
    episodes: list[Mapping[str, Any]],
    dataset_id: str,
    observation_space: spaces.Space,
    action_space: spaces.Space,
) -> EpisodeStore:
    """The store that a reader of these episodes will get: it refuses what must not be written."""

    def flat() -> Iterator[dict[str, Any]]:
        for number, episode in enumerate(episodes):
            missing = [name for name in ("obs", *_STEPWISE) if name not in episode]
            if missing:
                raise ValueError(f"episode {number} lacks {', '.join(missing)}")
            obs = flatten(observation_space, episode["obs"])
            yield {**episode, "obs": obs, "action": flatten_action(action_space, episode["action"])}

    try:
        store = EpisodeStore.from_episodes(flat())
        if isinstance(action_space, spaces.Discrete):
            store.check_action_bounds(0, int(action_space.n) - 1)
        else:
            store.check_action_bounds(*action_bounds(action_space))
    except ValueError as error:
        raise ValueError(f"dataset {dataset_id!r} is not written: {error}") from error
    return store


def _buffer(number: int, episode: Mapping[str, Any]) -> EpisodeBuffer:
    extra = {k: np.asarray(v) for k, v in episode.items() if k not in ("obs", *_STEPWISE)}
    seed = extra.pop("level_seed", None)
    if seed is not None and (seed != seed[0]).any():
        raise ValueError(f"episode {number}: level_seed changes within the episode")
    truncated = np.array(episode["truncated"], bool)
    truncated[-1] |= not np.asarray(episode["terminated"])[-1]  # no flag: the recording ended
    return EpisodeBuffer(
        id=number,
        seed=None if seed is None else int(seed[0]),
        observations=episode["obs"],
        actions=episode["action"],
        rewards=np.asarray(episode["reward"], np.float64),  # type: ignore[arg-type]  # no jax
        terminations=np.asarray(episode["terminated"], bool),  # type: ignore[arg-type]
        truncations=truncated,  # type: ignore[arg-type]
        infos=extra or None,
    )


@contextlib.contextmanager
def _writing(dataset_id: str, final: Path) -> Iterator[None]:
    """The system's refusals name the dataset."""
    try:
        yield
    except Exception as error:  # HDF5 has its own beside OSError
        cause = refusal(error) or (str(error) if isinstance(error, OSError) else "")
        if isinstance(error, RlkitError) or not cause:
            raise
        raise FileError(f"dataset {dataset_id!r} cannot be written to {final}: {cause}") from error


def _check_room(folder: Path, size: int) -> None:
    """Raises OSError where the disk has no room for `size` bytes: HDF5 may take the process down
    when it runs full."""
    if not hasattr(os, "posix_fallocate"):
        return
    room = folder / "room"
    try:
        with room.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
    finally:
        room.unlink(missing_ok=True)


@contextlib.contextmanager
def _building() -> Iterator[Path]:
    """A hidden directory on the same disk as the final place."""
    make_folder(root())
    clear(building())
    workplace = temporary_name(building())
    workplace.mkdir()
    try:
        yield workplace
    finally:
        remove(workplace)


@contextlib.contextmanager
def _minari_root(path: Path) -> Iterator[None]:
    with _root_lock:
        before = os.environ.get(ROOT_VARIABLE)
        os.environ[ROOT_VARIABLE] = str(path.absolute())  # Minari loses files of a relative one
        try:
            yield
        finally:
            if before is None:
                del os.environ[ROOT_VARIABLE]
            else:
                os.environ[ROOT_VARIABLE] = before


def _make_namespace(dataset_id: str) -> None:
    """Minari's file of every namespace above a dataset, outermost first. Its own `create_namespace`
    leaves an empty file, or no parents, where it is killed."""
    for namespace in namespace_hierarchy(parse_dataset_id(dataset_id)[0]):
        file = root() / namespace / NAMESPACE_METADATA_FILENAME
        if file.is_file() and file.stat().st_size:
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_text("{}")
