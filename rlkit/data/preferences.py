"""Pairs of segments and what a teacher said of them: the dataset of preference-based learning.

One orientation holds everywhere in rlkit: y = P(the second segment is preferred). Sources differ:
B-Pref, CPL and the regret papers agree with it; `imitation` and VPL say 1 for the first; the
Preference Transformer has two one-hot columns, of which the second is this y. A tie is 0.5, and a
pair that a teacher refused is not in a dataset.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rlkit.core.files.reading import read_npz, reading
from rlkit.core.files.replacing import replacing
from rlkit.data.sampling.segments import Segments

_FORMAT = 1  # of the file
_META = ("y", "weight", "user", "origin", "format")


@dataclass(frozen=True, eq=False)
class PairDataset:
    """n pairs of segments of H steps with their labels, in environment units.

    Raises ValueError naming the field and the first pair that is wrong: shapes that disagree,
    numbers that are not finite, labels outside [0, 1], negative weights, a mask whose real steps
    do not come first.
    """

    segments: Segments  # arrays [n, 2, H, ...]; [:, 0] are the first of the pairs
    y: np.ndarray  # [n] float32, P(second preferred)
    weight: np.ndarray | None = None  # [n] float32, of each pair in a loss; None: all 1
    user: np.ndarray | None = None  # [n] int64, who answered; None: all 0
    origin: str = ""  # where the labels are from, in words

    def __post_init__(self) -> None:
        n = len(self.y)
        action = np.asarray(self.segments.a)
        arrays = {
            "s": np.asarray(self.segments.s),
            "a": action.astype(np.int64, copy=False) if action.dtype.kind in "iu" else action,
            "r": np.asarray(self.segments.r, np.float32),
            "cont": np.asarray(self.segments.cont, np.float32),
            "s2": np.asarray(self.segments.s2),
            "mask": np.asarray(self.segments.mask, bool),
            "rows": np.asarray(self.segments.rows, np.int64),
        }
        object.__setattr__(self, "segments", Segments(**arrays))
        object.__setattr__(self, "y", np.asarray(self.y, np.float32))
        for name, value, dtype in (("weight", 1, np.float32), ("user", 0, np.int64)):
            given = getattr(self, name)
            filled = np.full(n, value, dtype) if given is None else np.asarray(given, dtype)
            object.__setattr__(self, name, filled)
        _check(self)

    def __len__(self) -> int:
        return len(self.y)

    @property
    def length(self) -> int:
        """Steps H of a segment."""
        return self.segments.mask.shape[-1]

    @property
    def discrete(self) -> bool:
        return self.segments.a.dtype.kind == "i"

    def mirrored(self) -> PairDataset:
        """Every pair and its mirror image, the segments swapped and the label 1 - y: 2n pairs."""
        assert self.weight is not None
        assert self.user is not None
        both = Segments(*(np.concatenate((x, x[:, ::-1])) for x in self.segments))
        y = np.concatenate((self.y, 1 - self.y))
        weight, user = (np.concatenate((x, x)) for x in (self.weight, self.user))
        return replace(self, segments=both, y=y, weight=weight, user=user)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an npz file; a half-written one never gets the final name."""
        path = Path(path)
        meta = {name: getattr(self, name) for name in _META[:4]} | {"format": _FORMAT}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **self.segments._asdict(), **meta)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> PairDataset:
        """The dataset of a file that `save` wrote, checked again.

        Raises ValueError naming the file for one that is something else or holds bad pairs.
        """
        names = {*Segments._fields, *_META}
        path, what = Path(path), "an npz file of preferences"
        arrays = read_npz(path, what)
        if arrays.keys() != names:
            missing, unknown = sorted(names - arrays.keys()), sorted(arrays.keys() - names)
            raise ValueError(f"{path} is not of preferences: missing {missing}, unknown {unknown}")
        with reading(path, what):
            if int(arrays["format"]) != _FORMAT:
                raise ValueError(f"it has format {arrays['format']}; this rlkit reads {_FORMAT}")
            segments = Segments(*(arrays[name] for name in Segments._fields))
            meta = {name: arrays[name] for name in ("y", "weight", "user")}
            return PairDataset(segments, **meta, origin=str(arrays["origin"]))


def _check(pairs: PairDataset) -> None:
    segments, n = pairs.segments, len(pairs.y)
    if n == 0:
        raise ValueError("no pairs; a dataset of preferences needs at least one")
    if segments.mask.ndim != 3 or segments.mask.shape[:2] != (n, 2):
        raise ValueError(f"mask has shape {segments.mask.shape}; ({n}, 2, H) is expected")
    lead = segments.mask.shape
    deep = ("s", "s2") if pairs.discrete else ("s", "s2", "a")
    for name, x in segments._asdict().items():
        fits = x.shape[:3] == lead and (x.ndim > 3 if name in deep else x.ndim == 3)
        if not fits:
            raise ValueError(f"{name} has shape {x.shape}; {lead} leads it where mask is {lead}")
    if segments.s.shape != segments.s2.shape:
        raise ValueError(f"s has shape {segments.s.shape}, s2 {segments.s2.shape}")
    for name in ("y", "weight", "user"):
        if getattr(pairs, name).shape != (n,):
            raise ValueError(f"{name} has shape {getattr(pairs, name).shape}; ({n},) is expected")
    for name, x in (segments._asdict() | {"y": pairs.y, "weight": pairs.weight}).items():
        if x.dtype.kind == "f":
            _refuse(~np.isfinite(x).reshape(n, -1).all(1), name, "holds NaN or infinity")
    _refuse((pairs.y < 0) | (pairs.y > 1), "y", "is outside [0, 1]")
    assert pairs.weight is not None
    _refuse(pairs.weight < 0, "weight", "is negative")
    gap = (segments.mask[..., 1:] & ~segments.mask[..., :-1]).any((1, 2))
    gap |= ~segments.mask[..., 0].all(1)
    _refuse(gap, "mask", "does not begin with the real steps of both segments")


def _refuse(bad: np.ndarray, name: str, what: str) -> None:
    if bad.any():
        raise ValueError(f"{name} of pair {np.flatnonzero(bad)[0]} {what} ({bad.sum()} such pairs)")
