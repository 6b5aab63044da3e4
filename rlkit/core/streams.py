"""Counter-based random streams: what lane k draws at step t depends on (seed, name, t) alone.

A stream is one Philox generator per lane, keyed by the lane's seed and the stream's name; its
counter holds the number of a block of steps. So a lane draws the same numbers in any company,
a resumed run continues them without saving a generator, and drawing is cheap because whole
blocks are made at once.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rlkit.core.spec import Spec

Kind = Literal["normal", "uniform", "gumbel"]
_BLOCK_NUMBERS = 1 << 17  # numbers drawn at once per lane: about a millisecond of work


@dataclass(frozen=True)
class Draw:
    """Noise an agent asks for: its kind and shape, where "B" is the batch and "A" the action.

    `Draw("normal", "B", "A")` arrives as `batch.noise[name]` of shape `[S, B, A]`.
    """

    kind: Kind
    dims: tuple[str | int, ...]

    def __init__(self, kind: Kind, *dims: str | int) -> None:
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "dims", dims)

    def shape(self, spec: Spec, batch: int) -> tuple[int, ...]:
        sizes = {"B": batch, "A": spec.act_size}
        return tuple(sizes[d] if isinstance(d, str) else d for d in self.dims)


def generator(seed: int, name: str, block: int = 0) -> np.random.Generator:
    """A Philox generator for one lane's block of one stream; blocks never overlap."""
    key = np.array([seed, zlib.crc32(name.encode())], dtype=np.uint64)
    counter = np.array([0, 0, block, 0], dtype=np.uint64)  # words 0 and 1 count within the block
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def _draw(rng: np.random.Generator, kind: Kind, shape: tuple[int, ...]) -> np.ndarray:
    if kind == "normal":
        return rng.standard_normal(shape, dtype=np.float32)
    if kind == "uniform":
        return rng.random(shape)
    if kind == "gumbel":
        return rng.gumbel(size=shape).astype(np.float32)
    raise ValueError(f"unknown kind of noise {kind!r}; use normal, uniform or gumbel")


class Streams:
    """All random streams of a set of lanes. Its only state is a cache: nothing needs saving."""

    def __init__(self, seeds: tuple[int, ...]) -> None:
        self.seeds = seeds
        self._cache: dict[tuple, tuple[int, np.ndarray]] = {}

    def draw(
        self, name: str, kind: Kind, step: int, shape: tuple[int, ...], count: int = 1
    ) -> np.ndarray:
        """Numbers `[count, S, *shape]` of steps `step` to `step + count - 1`.

        "normal" and "gumbel" are float32, "uniform" is float64 in [0, 1). Steps of one stream
        are independent; ask always with the same `shape` for a stream to be reproducible.
        """
        block = max(1, _BLOCK_NUMBERS // max(1, math.prod(shape)))
        parts = []
        while count > 0:
            number, offset = divmod(step, block)
            take = min(count, block - offset)
            parts.append(self._block(name, kind, number, (block, *shape))[offset : offset + take])
            step, count = step + take, count - take
        # a copy: what a caller does to it stays with the caller
        return parts[0].copy() if len(parts) == 1 else np.concatenate(parts)

    def tensor(
        self, name: str, draw: Draw, step: int, count: int, spec: Spec, batch: int
    ) -> Tensor:
        """The numbers `[count, S, ...]` of a `Draw` for batches of `batch` rows, in the dtype and
        on the device of `spec`."""
        numbers = self.draw(name, draw.kind, step, draw.shape(spec, batch), count)
        tensor = torch.from_numpy(numbers).to(spec.device, spec.dtype)
        if draw.kind == "uniform":  # a double just below 1 rounds to 1 in float32
            tensor.clamp_(max=1 - torch.finfo(tensor.dtype).eps / 2)
        return tensor

    def _block(self, name: str, kind: Kind, number: int, shape: tuple[int, ...]) -> np.ndarray:
        cached = self._cache.get((name, kind, shape))
        if cached is None or cached[0] != number:
            lanes = [_draw(generator(seed, name, number), kind, shape) for seed in self.seeds]
            cached = number, np.stack(lanes, axis=1)  # [block, S, *shape]
            self._cache[name, kind, shape] = cached
        return cached[1]
