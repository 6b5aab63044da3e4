"""Images of minibatches shifted at random: Kostrikov et al. 2021 (arXiv 2004.13649, DrQ).

    s' = crop of s at (dy, dx), s padded by `pad` of its border's pixels;  dy, dx ~ U{0 .. 2 pad}

Every image of every minibatch gets a shift of its own, s and s2 different ones, all frames and
channels of an image the same. As in DrQ-v2 (arXiv 2107.09645) one shift an image, of whole pixels;
DrQ averages targets and values over several.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.pixels import layout
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams


class Shifted:
    """Minibatches of `source` with their images shifted by up to `pad` pixels.

    An index holds the source's own and two numbers a row, from which its four shifts are read, so
    that they are inputs of a captured graph as the rows are. `other` of a batch is shifted too.
    """

    def __init__(self, source: Source, spec: Spec, streams: Streams, pad: int) -> None:
        """Raises ValueError for a `pad` below 1 and observations that are no images."""
        if pad < 1:
            raise ValueError(f"pad {pad} must be at least 1; without it there are no shifts")
        if not spec.image:
            raise ValueError(f"observations of shape {spec.obs} are no images to be shifted")
        self.source, self.streams, self.pad = source, streams, pad
        self.batch_size = source.batch_size
        self.name = f"{getattr(source, 'name', 'batch')}/shift"
        up, across = layout(spec.obs).order[-2:]
        self.axes = up + 2, across + 2
        self.device = spec.device
        self.choices = (2 * pad + 1) ** 2
        if hasattr(source, "learned"):
            self.learned = self._learned
        for name in ("begin", "advance", "every", "beginning", "state_dict", "load_state_dict"):
            if hasattr(source, name):
                setattr(self, name, getattr(source, name))

    def indices(self, step: int, count: int = 1) -> Tensor:
        """Indices of the source, then shifts, `[count, S, ...]`."""
        own = self.source.indices(step, count)
        more = 2 * (own.shape[-1])
        u = self.streams.draw(self.name, "uniform", step, (more,), count)
        shifts = torch.from_numpy((u * self.choices).astype(np.int64))
        return torch.cat([own, shifts.to(own.device)], -1)

    def batch(self, index: Tensor) -> Batch:
        """The source's batch, shifted."""
        own = index.shape[-1] // 3
        b = self.source.batch(index[..., :own])
        first, second = index[..., own : 2 * own], index[..., 2 * own :]
        size = b.s.shape[1]
        b = self._shifted(b, first[..., :size], second[..., :size])
        if b.other is None:
            return b
        return b._replace(other=self._shifted(b.other, first[..., size:], second[..., size:]))

    def _learned(self, index: Tensor, priority: Tensor) -> None:
        inner: Any = self.source
        inner.learned(index[..., : index.shape[-1] // 3], priority)

    def _shifted(self, b: Batch, first: Tensor, second: Tensor) -> Batch:
        return b._replace(s=self._moved(b.s, first), s2=self._moved(b.s2, second))

    def _moved(self, images: Tensor, shift: Tensor) -> Tensor:
        return shifted(images, *self.offsets(shift), self.axes)

    def offsets(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        """(dy, dx) in -pad .. pad of numbers below (2 pad + 1)²."""
        side = 2 * self.pad + 1
        return shift // side - self.pad, shift % side - self.pad


def shifted(images: Tensor, dy: Tensor, dx: Tensor, axes: tuple[int, int]) -> Tensor:
    """Images `[S, B, ...]` whose pixel (y, x) is that at (y + dy, x + dx) of the given ones, or the
    nearest of the border; `dy`, `dx` `[S, B]`, `axes` those of height and width."""
    moved = images
    for axis, d in zip(axes, (dy, dx), strict=True):
        side = images.shape[axis]
        at = torch.arange(side, device=images.device) + d.unsqueeze(-1)  # [S, B, side]
        shape = [1] * images.dim()
        shape[0], shape[1], shape[axis] = *images.shape[:2], side
        moved = moved.gather(axis, at.clamp(0, side - 1).view(shape).expand_as(moved))
    return moved
