"""Sequences of consecutive steps with a mask of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform, Weighted


class Window(NamedTuple):
    """T steps in time order; padded slots are zero everywhere and False in `mask`."""

    s: Tensor  # [S, B, T, *obs]
    a: Tensor  # [S, B, T, A], or [S, B, T] int64
    r: Tensor  # [S, B, T]
    cont: Tensor  # [S, B, T], 1 - terminated
    last: Tensor  # [S, B, T], 1 where the episode ends by either flag
    s2: Tensor  # [S, B, T, *obs]
    mask: Tensor  # [S, B, T] bool
    columns: dict[str, Tensor]  # the replay's other columns, each [S, B, T, ...]
    # rows; padded slots repeat the drawn one
    index: Tensor  # type: ignore[assignment]  # [S, B, T]


class Windows:
    """Windows of up to `length` steps of one episode, never across the ring's write head.

    A row is drawn uniformly over rows, which takes an episode in proportion to its length, or by
    `weights` (1 / length of its episode takes every episode alike). The window starts there
    (`anchor="start"`) or ends there (`"end"`, a history). A shorter one is padded on the `pad`
    side. Time steps and returns to go come from the replay's columns `t` and `mc_return`. `form` is
    what an algorithm makes of the windows, whose minibatches are then of its own kind.
    """

    def __init__(
        self,
        replay: Replay,
        batch: int,
        streams: Streams,
        length: int,
        *,
        anchor: Literal["start", "end"] = "start",
        pad: Literal["left", "right"] = "right",
        weights: Any = None,
        name: str = "batch",
        form: Callable[[Window], Any] | None = None,
    ) -> None:
        if length < 1:
            raise ValueError(f"window length {length} must be positive")
        if anchor not in ("start", "end") or pad not in ("left", "right"):
            raise ValueError(f"anchor {anchor!r}: start or end; pad {pad!r}: left or right")
        self.rows: Uniform | Weighted = (
            Uniform(replay, batch, streams, name)
            if weights is None
            else Weighted(replay, batch, streams, weights, name)
        )
        self.replay, self.batch_size, self.name = replay, batch, name
        self.length, self.anchor, self.pad, self.form = length, anchor, pad, form
        spec = replay.spec
        self._slots = torch.arange(length, device=spec.device)
        size = spec.lanes * batch * length, replay.width
        self._out = torch.empty(size, dtype=spec.dtype, device=spec.device)

    def indices(self, step: int, count: int = 1) -> Tensor:
        """Drawn rows `[count, S, B]`."""
        return self.rows.indices(step, count)

    def batch(self, index: Tensor) -> Any:
        """The windows of `index [S, B]`, a `Window`, or what `form` makes of it."""
        rows, mask = self._placed(*self._chain(index))
        rows = torch.where(mask, rows, index.unsqueeze(-1))
        packed = self.replay.packed(rows.flatten(1), self._out).view(*rows.shape, -1)
        packed = torch.where(mask.unsqueeze(-1), packed, torch.zeros_like(packed))
        field = self.replay.field
        s, a, r, cont, last, s2 = (
            field(packed, name) for name in ("s", "a", "r", "cont", "last", "s2")
        )
        columns = {name: field(packed, name) for name in self.replay.columns}
        window = Window(s, a, r, cont, last, s2, mask, columns, rows)
        return window if self.form is None else self.form(window)

    def _chain(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Rows going out from `index`, forwards or backwards, and whether each is still of the
        same episode, both `[S, B, T]`."""
        sign = 1 if self.anchor == "start" else -1
        step = sign * self.replay.envs
        rows = (index.unsqueeze(-1) + step * self._slots) % self.replay.capacity
        # a break between two rows is noted at the earlier one, which may be their episode's last
        broken = self.replay.column("last", rows).bool()
        if self.anchor == "start":
            broken = broken | self.replay.at_newest(rows)
            broken = broken.roll(1, -1)
        else:
            broken = broken | self.replay.at_oldest(rows).roll(1, -1)
        broken = torch.where(self._slots == 0, torch.zeros_like(broken), broken)
        return rows, broken.cumsum(-1) == 0

    def _placed(self, rows: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """The chain in time order, its padding on the wanted side."""
        count = valid.sum(-1, keepdim=True)
        slot = self._slots if self.pad == "right" else self._slots - (self.length - count)
        mask = (slot >= 0) & (slot < count)
        if self.anchor == "end":
            slot = count - 1 - slot  # the chain runs backwards
        slot = slot.clamp(0, self.length - 1).expand_as(rows)
        return rows.gather(-1, slot), mask
