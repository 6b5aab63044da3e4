"""Datasets out of other people's files, and into them: logs, and D4RL's HDF5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from rlkit.core.errors import FileError, UsageError
from rlkit.core.words.ranges import count
from rlkit.data.datasets import Built, read
from rlkit.data.fitting import check_fit
from rlkit.data.formats import d4rl_file, logs, minari_io, minari_local
from rlkit.data.formats.logs import Columns, Missing
from rlkit.data.formats.tables import Kind
from rlkit.data.store import EpisodeStore
from rlkit.envs.make import make
from rlkit.envs.stepping import closed


def import_log(
    file: str | Path,
    dataset_id: str,
    columns: Columns,
    *,
    kind: Kind | None = None,
    env_id: str | None = None,
    actions: int | None = None,
    low: tuple[float, ...] | None = None,
    high: tuple[float, ...] | None = None,
    missing_actions: Missing = "refuse",
    description: str = "",
    overwrite: bool = False,
) -> Built:
    """The Minari dataset made of a CSV or Parquet file (`kind`, by default as its name ends);
    `notes` say what had to be settled.

    `env_id` names the environment the rows are of, whose spaces they must fit. Without one,
    `actions` is the number of discrete actions, and `low` and `high` (one number, or one a
    dimension) bound continuous ones, by default as the data do. Raises UsageError and ValueError
    as `rlkit.data.formats.logs.read` does, and where spaces do not fit.
    """
    file = Path(file)
    minari_local.free_path(dataset_id, overwrite)  # told before any reading
    actions = actions if actions is None else count("actions", actions)
    if env_id is not None and (actions is not None or low is not None or high is not None):
        raise UsageError(f"the bounds of actions are those of {env_id}; leave yours out")
    if actions is not None and (low is not None or high is not None):
        raise UsageError("--actions counts discrete actions, which have no bounds")
    spec: EnvSpec | None = None
    observation_space: spaces.Space | None = None
    action_space: spaces.Space | None = None
    if env_id is not None:
        env = make(env_id)
        observation_space, action_space, spec = env.observation_space, env.action_space, env.spec
        closed(env)
        if not isinstance(observation_space, spaces.Box):
            raise UsageError(
                f"{env_id} has observations of {observation_space}, which no row holds"
            )
    discrete = actions is not None or isinstance(action_space, spaces.Discrete)
    kind = kind or ("parquet" if file.suffix.lower() in (".parquet", ".pq") else "csv")
    log = logs.read(file, kind, columns, discrete=discrete, missing_actions=missing_actions)
    notes = log.notes
    if observation_space is None:
        size = log.episodes[0]["obs"].shape[1:]
        observation_space = spaces.Box(-np.inf, np.inf, size, np.float32)
    if action_space is None:
        action_space = _actions(file, log, actions, low, high)
    for episode in log.episodes:
        shape = (-1, *observation_space.shape)  # type: ignore[misc]  # a Box has one
        if episode["obs"].shape[1] != np.prod(shape[1:]):
            raise UsageError(
                f"{file}: {episode['obs'].shape[1]} columns of observations, but {env_id} has "
                f"observations of shape {observation_space.shape}"
            )
        episode["obs"] = episode["obs"].reshape(shape).astype(observation_space.dtype)
    if env_id is not None:
        offset = int(action_space.start) if isinstance(action_space, spaces.Discrete) else 0
        flat = [{**episode, "action": episode["action"] - offset} for episode in log.episodes]
        store = EpisodeStore.from_episodes(flat)
        check_fit(store, observation_space, action_space, f"{file} and {env_id}")
    path = minari_io.write(
        log.episodes,
        dataset_id,
        observation_space=observation_space,
        action_space=action_space,
        env_spec=spec,
        description=description or f"logs of {file.name}",
        details={"file": file.name},
        notes=notes,
        overwrite=overwrite,
    )
    return Built(dataset_id, path, made=True, notes=tuple(notes))


def _actions(
    file: Path,
    log: logs.Log,
    number: int | None,
    low: tuple[float, ...] | None,
    high: tuple[float, ...] | None,
) -> spaces.Space:
    """The space of actions that no environment tells of."""
    if number is not None:
        return spaces.Discrete(number)
    if (low is None) != (high is None):
        raise UsageError("give both bounds of the actions, --action-low and --action-high")
    given = np.concatenate([episode["action"] for episode in log.episodes])
    size = given.shape[1]
    if low is not None and high is not None:
        if len(low) not in (1, size) or len(high) not in (1, size):
            raise UsageError(
                f"{file}: actions have {size} dimensions; give one bound, or one for each"
            )
        bounds = np.broadcast_to(low, (size,)), np.broadcast_to(high, (size,))
        if np.abs(bounds).max() > np.finfo(np.float32).max:
            raise UsageError("--action-low and --action-high must be numbers that float32 holds")
        if (bounds[0] >= bounds[1]).any():
            raise UsageError("--action-low must lie below --action-high")
        below, above = (bound.astype(np.float32) for bound in bounds)
        return spaces.Box(below, above, dtype=np.float32)
    least, most = np.nanmin(given, 0), np.nanmax(given, 0)
    if (least >= most).any():
        raise UsageError(
            f"{file}: dimension {np.flatnonzero(least >= most)[0]} of the actions is always "
            f"{least[least >= most][0]:g}, which says nothing of bounds; give --action-low and "
            "--action-high"
        )
    shown = ", ".join(f"[{a:.4g}, {b:.4g}]" for a, b in zip(least, most, strict=True))
    log.notes.append(f"bounds of the actions taken from the data: {shown}")
    if size == 1 and (given == given.round()).all():
        log.notes.append("the actions are whole numbers: --actions N makes them discrete")
    return spaces.Box(least, most, dtype=np.float32)


def export_d4rl(dataset: str | Path, file: str | Path, *, overwrite: bool = False) -> Path:
    """The HDF5 file in D4RL's layout made of a dataset (id or directory).

    Raises UsageError for a file that stands (unless `overwrite`) or is not named `.hdf5` or `.h5`,
    and for rows without actions, which that layout cannot mark.
    """
    file = Path(file)
    if file.suffix not in (".hdf5", ".h5"):
        raise UsageError(f"{file}: a D4RL file is named .hdf5")
    if file.exists() and not overwrite:
        raise UsageError(f"{file} already stands; --force replaces it")
    if not file.parent.is_dir():
        raise FileError(f"there is no folder {file.parent} to write {file.name} to")
    store, meta = read(dataset)
    d4rl_file.write(store, meta, file)
    return file
