"""Whether rows of a dataset fit the spaces of an environment."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from rlkit.data.formats.meta import Meta
from rlkit.data.store import EpisodeStore

_SLACK = 1e-3  # of the range: room for rounding, not for another scale


def check_fit(
    store: EpisodeStore, observation_space: spaces.Space, action_space: spaces.Space, where: str
) -> None:
    """Raises ValueError, which begins with `where`, for the first thing that does not fit: shape
    or bounds of the observations, kind, dimensions or bounds of the actions."""
    theirs = Meta("", observation_space, action_space)
    if store.obs.shape[1:] != theirs.obs_shape:
        raise ValueError(
            f"{where}: observations have shape {store.obs.shape[1:]}, "
            f"the environment's {theirs.obs_shape}"
        )
    if store.discrete != theirs.discrete:
        raise ValueError(f"{where}: actions do not fit the environment's {action_space}")
    if not store.discrete and store.action.shape[1] != theirs.act_size:
        raise ValueError(
            f"{where}: actions have {store.action.shape[1]} dimensions, "
            f"the environment's {theirs.act_size}"
        )
    try:
        store.check_action_bounds(*(theirs.action_bounds or (0, theirs.act_size - 1)))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    if isinstance(observation_space, spaces.Box):
        shape = theirs.obs_shape
        low, high = (
            x.astype(np.float64).reshape(shape)
            for x in (observation_space.low, observation_space.high)
        )
        for name in ("obs", "next_obs"):
            _check_bounds(getattr(store, name), low, high, f"{where}: column {name}")


def check_actions(meta: Meta, bounds: tuple[Any, Any] | None, start: int, what: str) -> None:
    """Raises ValueError, which begins with `what`, where an environment's actions of the same shape
    mean others than the dataset's: `bounds` (low, high) of a box, as float32 knows them, `start` of
    discrete ones."""
    if meta.action_bounds is not None and bounds is not None:
        flat = [[np.float32(x).reshape(-1) for x in pair] for pair in (meta.action_bounds, bounds)]
        if not all(np.array_equal(ours, theirs) for ours, theirs in zip(*flat, strict=True)):
            raise ValueError(f"{what}: the bounds of their actions differ")
    elif meta.first_action != start:
        raise ValueError(f"{what}: actions begin at {meta.first_action} against {start}")


def check_actions_known(store: EpisodeStore, where: str) -> None:
    """Raises ValueError for steps whose action is not known, from which few algorithms learn."""
    known = store.extra.get("action_known")
    if known is not None and not known.all():
        raise ValueError(
            f"{where}: {(~known.astype(bool)).sum()} of {len(store)} steps have no action, and of "
            "all algorithms ss_orl alone learns from those; train that, or make the dataset with "
            "--missing-actions cut"
        )


def _check_bounds(column: np.ndarray, low: Any, high: Any, where: str) -> None:
    slack = np.where(np.isfinite(low) & np.isfinite(high), _SLACK * (high - low), _SLACK)
    outside = ((column < low - slack) | (column > high + slack)).reshape(len(column), -1)
    if outside.any():
        row, at = np.argwhere(outside)[0]
        low, high = (np.broadcast_to(x, column.shape[1:]).reshape(-1)[at] for x in (low, high))
        raise ValueError(
            f"{where}: row {row} holds {column[row].reshape(-1)[at]:.6g} in entry {at}, outside "
            f"the environment's [{low:.6g}, {high:.6g}] ({outside.any(1).sum()} such rows); the "
            "observations must be in the environment's units"
        )
