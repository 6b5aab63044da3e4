"""Pairs of several users: of a file whose pairs say who answered, or asked of synthetic ones.

Synthetic users compare by a factor each of the words of `ranking` ("columns:right,-right" are two
of opposed minds): user u prefers the segment with the greater sum of factor u.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch

from rlkit.algos.preference.feedback import Preferences, draw_pairs, read_pairs
from rlkit.algos.preference.teachers import ranking
from rlkit.algos.preference.teachers.synthetic import parse
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms


class Questions(Protocol):
    """Fields of a `Config` that say who is asked what."""

    @property
    def users(self) -> str: ...  # a factor a user, see `ranking`
    @property
    def preferences(self) -> str | None: ...  # file of labelled pairs, instead of asking
    @property
    def teacher(self) -> str: ...  # how synthetic users answer; see `teachers`
    @property
    def pairs(self) -> int: ...  # pairs that a lane asks about
    @property
    def length(self) -> int: ...  # H, steps of a segment


class Answered(NamedTuple):
    """Labelled pairs and who labelled them."""

    pairs: Preferences  # [S, n, ...], or [1, n, ...] where all lanes have the same
    user: np.ndarray  # [n] int64, 0 .. U-1
    names: np.ndarray  # [U] int64, their numbers in the file

    def number(self, user: int, where: str) -> int:
        """Which of 0 .. U-1 a user is. Raises UsageError naming those that there are."""
        if user not in self.names:
            there = ", ".join(map(str, self.names.tolist()[:20]))
            raise UsageError(f"user {user} answered nothing of {where}; there are {there}")
        return int(np.flatnonzero(self.names == user)[0])


def read(path: str, spec: Spec, transforms: Transforms) -> Answered:
    """The pairs of a file, by user. Raises FileError or UsageError for a file of another kind or
    task."""
    found, pairs = read_pairs(path, spec, transforms)
    assert found.user is not None
    names, user = np.unique(found.user, return_inverse=True)
    return Answered(pairs, user.astype(np.int64), names)


def ask(stock: Stock, c: Questions) -> Answered:
    """`pairs` pairs of each lane's own, the users taking turns. Raises UsageError for users that
    cannot be read and for a teacher by regret."""
    assert stock.data is not None
    if not c.users:
        raise UsageError(
            "nobody is asked: give users, a factor each (columns:right,-right), or preferences, a "
            "file of labelled pairs"
        )
    teacher = parse(c.teacher)
    if teacher.regret or teacher.skip:
        raise UsageError(f"teacher {c.teacher!r} needs one reward; users compare by factors")
    factors = ranking.read(c.users, stock.data, stock.transforms)  # [S or 1, N, U]
    cut = draw_pairs(stock.data, stock.streams, c.length, c.pairs)
    count = factors.shape[-1]
    if c.pairs < count:
        raise UsageError(f"pairs is {c.pairs}, fewer than the {count} users of {c.users!r}")
    user = np.arange(c.pairs) % count
    who = torch.from_numpy(user).to(cut.rows.device)
    wide = factors.expand(stock.spec.lanes, -1, -1)
    lane = torch.arange(len(wide), device=who.device).view(-1, 1, 1, 1)
    gain = wide[lane, cut.rows, who.view(1, -1, 1, 1)] * cut.mask
    mean = wide.mean(1)[:, who] * c.length  # [S, n], of each pair's own user
    u = stock.streams.draw("answers", "uniform", 0, (c.pairs, teacher.uniforms))[0]
    said = teacher.answers(gain, cut.mask, torch.from_numpy(u).to(gain.device), mean).y
    dtype = stock.spec.dtype
    held = Preferences(cut.s, cut.a, cut.mask, said.to(dtype), torch.ones_like(said, dtype=dtype))
    return Answered(held, user, np.arange(count))
