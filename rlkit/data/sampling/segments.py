"""Segments: windows of H consecutive steps of one episode, for a teacher to compare.

A segment never crosses the end of an episode, and every place where one fits is as likely as any
other, the last included. One that begins less than H steps before a *termination* is filled up
with absorbing steps: they pay nothing, so a teacher who compares sums of rewards compares what
really followed. A truncation says nothing of what would have followed: there it is not done.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlkit.data.replay import Replay
from rlkit.data.store import EpisodeStore


class Segments(NamedTuple):
    """Segments as arrays or tensors; absorbing steps are zero everywhere and False in `mask`."""

    s: Any  # [..., H, *obs]
    a: Any  # [..., H, A], or [..., H] int64
    r: Any  # [..., H], the true reward: teachers alone may read it
    cont: Any  # [..., H], 1 - terminated
    s2: Any  # [..., H, *obs]
    mask: Any  # [..., H] bool, the real steps, which come first
    rows: Any  # [..., H] int64, where they lie in the replay or store; absorbing: the first again


class Places(NamedTuple):
    """Where segments may begin, each place as likely as any other."""

    rows: np.ndarray  # [n] int64
    steps: np.ndarray  # [n] int64, real steps, at most H


def steps_left(last: np.ndarray) -> np.ndarray:
    """Steps from each row to the last of its episode, its own included, `[T, E]` int64.

    `last [T, E]` marks the ends, in order of time; what is under way ends with the newest row.
    """
    time = np.arange(len(last))[:, None]
    ends = np.where(last, time, len(last) - 1)
    return np.minimum.accumulate(ends[::-1])[::-1] - time + 1


def places_in_store(store: EpisodeStore, length: int, padded: bool = True) -> Places:
    """Places of segments of `length` steps; with `padded`, those that absorbing steps fill up.

    Raises ValueError where there are fewer than two.
    """
    ended = store.terminated | store.truncated
    slots, _, steps = _fitting(ended[:, None], store.terminated[:, None], length, padded)
    return _at_least_two(Places(slots, steps), len(store), length)


def places_in_replay(
    replay: Replay, length: int, *, padded: bool = True, newest: int | None = None
) -> list[Places]:
    """Places for every lane, among its `newest` steps or all; see `places_in_store`.

    Episodes under way count as far as they are recorded, and a place is never cut by the ring.
    """
    if replay.size == 0:
        raise ValueError("the replay is empty; add transitions before cutting segments")
    first = 0 if newest is None else -max(1, newest // replay.envs)
    slots, last, going = (x[..., first:] for x in by_time(replay, "last", "cont"))
    found = []
    for k in range(last.shape[1]):
        ended, terminated = last[:, k].T > 0, going[:, k].T == 0
        at, env, steps = _fitting(ended, terminated, length, padded)
        place = Places(slots[at] * replay.envs + env, steps)
        found.append(_at_least_two(place, ended.size, length))
    return found * replay.spec.lanes if replay.shared else found


def by_time(replay: Replay, *names: str) -> list[np.ndarray]:
    """Slots of the ring in order of time `[T]`, oldest first, and each named field of one number a
    row in that order, `[E, S, T]` (S is 1 where lanes share rows)."""
    count = replay.size // replay.envs
    starts = torch.arange(0, replay.size, replay.envs, device=replay.spec.device)
    oldest = int(replay.at_oldest(starts).int().argmax())
    slots = (oldest + np.arange(count)) % count
    fields = (replay.rows(name).cpu().numpy() for name in names)
    shaped = (x.reshape(len(x), count, replay.envs).transpose(2, 0, 1) for x in fields)
    return [slots, *(x[..., slots] for x in shaped)]


def choose(places: list[Places], u: np.ndarray) -> Places:
    """The places that numbers `u [S, ...]` in [0, 1) point at, lane by lane: `[S, ...]` each."""
    picks = [(u[k] * len(lane.rows)).astype(np.int64) for k, lane in enumerate(places)]
    pairs = list(zip(places, picks, strict=True))
    rows, steps = (np.stack([getattr(p, name)[at] for p, at in pairs]) for name in Places._fields)
    return Places(rows, steps)


def cut_from_store(store: EpisodeStore, places: Places, length: int) -> Segments:
    """Segments `[..., H, ...]` at `places`, as arrays in environment units."""
    rows, mask = _rows(places, length, 1, len(store))
    columns = (store.obs, store.action, store.reward, ~store.terminated, store.next_obs)
    s, a, r, cont, s2 = (_zeroed(column[rows], mask) for column in columns)
    return Segments(s, a, r, cont.astype(np.float32), s2, mask, rows)


def cut_from_replay(replay: Replay, places: Places, length: int) -> Segments:
    """Segments `[S, ..., H, ...]` at `places`, as tensors in agent units."""
    rows, mask = _rows(places, length, replay.envs, replay.capacity)
    index = torch.from_numpy(rows).to(replay.spec.device)
    real = torch.from_numpy(mask).to(replay.spec.device)
    b = replay.gather(index.flatten(1))
    shaped = (x.unflatten(1, rows.shape[1:]) for x in (b.s, b.a, b.r, b.cont, b.s2))
    s, a, r, cont, s2 = (x * spread(real, x).to(x.dtype) for x in shaped)
    return Segments(s, a, r, cont, s2, real, index)


def spread(mask: Tensor, x: Tensor) -> Tensor:
    """`mask [..., H]` with axes of length 1 behind, so that it broadcasts against `x`."""
    return mask.reshape(*mask.shape, *[1] * (x.dim() - mask.dim()))


def _fitting(
    last: np.ndarray, terminated: np.ndarray, length: int, padded: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slot, environment and real steps of every place in `[T, E]` rows in order of time."""
    if length < 1:
        raise ValueError(f"segments of {length} steps: the length must be at least 1")
    left = steps_left(last)
    fits = left >= length
    if padded:
        end = np.arange(len(last))[:, None] + left - 1
        fits = fits | np.take_along_axis(terminated, end, 0)
    slot, env = np.nonzero(fits)
    return slot, env, np.minimum(left[slot, env], length)


def _at_least_two(places: Places, steps: int, length: int) -> Places:
    if len(places.rows) < 2:
        raise ValueError(
            f"{steps} steps hold {len(places.rows)} segments of {length} steps; two are needed to "
            "compare: choose shorter segments, or give longer episodes"
        )
    return places


def _rows(places: Places, length: int, stride: int, capacity: int) -> tuple[np.ndarray, np.ndarray]:
    time = np.arange(length)
    mask = time < places.steps[..., None]
    first = places.rows[..., None]
    return np.where(mask, (first + stride * time) % capacity, first), mask


def _zeroed(column: np.ndarray, mask: np.ndarray) -> np.ndarray:
    wide = mask.reshape(*mask.shape, *[1] * (column.ndim - mask.ndim))
    return np.where(wide, column, np.zeros((), column.dtype))
