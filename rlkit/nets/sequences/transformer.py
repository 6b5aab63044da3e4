"""A causal transformer with a leading lane axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.nets.layers import Init, LayerNorm, Linear, dropout


class Block(nn.Module):
    """Self-attention and two layers of widths 4D and D, each behind a LayerNorm and added to what
    came in: the block of GPT-2 (Radford et al. 2019)."""

    def __init__(self, init: Init, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attend, self.norm_map = LayerNorm(init, width), LayerNorm(init, width)
        self.project = Linear(init, width, 3 * width)
        self.join = Linear(init, width, width)
        self.widen = Linear(init, width, 4 * width)
        self.narrow = Linear(init, 4 * width, width)

    def forward(
        self, x: Tensor, length: int, hidden: Tensor, masks: Sequence[Tensor] | None = None
    ) -> Tensor:
        """`x` `[S, B T, D]`, sequences of `length` T one after another; `hidden` `[S, B, 1, T, T]`
        is -inf where a token (row) must not see another. `masks` (see `dropout`) are of the
        attention `[S, B, H T T]` and of both sums `[S, B, T D]`."""
        x = x + _masked(self.join(self._attended(x, length, hidden, masks)), masks, 1)
        return x + _masked(self.narrow(F.relu(self.widen(self.norm_map(x)))), masks, 2)

    def _attended(
        self, x: Tensor, length: int, hidden: Tensor, masks: Sequence[Tensor] | None
    ) -> Tensor:
        projected = self.project(self.norm_attend(x))
        apart = projected.unflatten(1, (-1, length)).unflatten(-1, (3, self.heads, -1))
        query, key, value = apart.transpose(2, 4).unbind(3)  # [S, B, H, T, D / H] each
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # [S, B, H, T, T]
        weights = (scores + hidden).softmax(-1)
        if masks is not None:
            weights = weights * masks[0].view(weights.shape)
        return (weights @ value).transpose(2, 3).flatten(3).flatten(1, 2)


class Transformer(nn.Module):
    """Sequences `[S, B, T, D]` to what each token knows of itself and of those before it.

    It has no embedding of positions: what a token stands for, and where, is the caller's. First
    weights are uniform on ±1/√in as in all our layers.
    """

    causal: Tensor

    def __init__(self, init: Init, length: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} of a transformer is no multiple of its {heads} heads")
        self.length, self.width, self.layers, self.heads = length, width, layers, heads
        self.blocks = nn.ModuleList(Block(init, width, heads) for _ in range(layers))
        self.norm = LayerNorm(init, width)
        seen = torch.ones(length, length, dtype=torch.bool, device=init.spec.device).tril()
        self.register_buffer("causal", seen, persistent=False)

    @property
    def uniforms(self) -> int:
        """Uniform numbers that one sequence needs for dropout."""
        return sum(self._widths())

    def forward(
        self, x: Tensor, mask: Tensor, u: Tensor | None = None, p: float | Tensor = 0.0
    ) -> Tensor:
        """`x` of any length up to the net's own; tokens where `mask` `[S, B, T]` is False are seen
        by none but themselves. With uniform numbers `u` `[S, B, uniforms]` a share `p` of what goes
        in, of the attention and of what each block adds is dropped; `x` must then be full."""
        length = x.shape[2]
        kept = None if u is None else dropout(u, p, self._widths())
        if kept is not None:
            x = x * kept[0].view(x.shape)
        causal = self.causal[:length, :length]
        alone = causal & causal.T  # or a padded token's weights would be 0 / 0
        seen = (causal & mask.unsqueeze(-2)) | alone
        hidden = torch.zeros_like(seen, dtype=x.dtype).masked_fill(~seen, -math.inf).unsqueeze(2)
        batch = x.shape[1]
        x = x.flatten(1, 2)
        for k, block in enumerate(self.blocks):
            x = block(x, length, hidden, None if kept is None else kept[1 + 3 * k : 4 + 3 * k])
        return self.norm(x).unflatten(1, (batch, length))

    def _widths(self) -> list[int]:
        size, attention = self.length * self.width, self.heads * self.length**2
        return [size, *([attention, size, size] * self.layers)]


def _masked(x: Tensor, masks: Sequence[Tensor] | None, k: int) -> Tensor:
    return x if masks is None else x * masks[k].reshape(x.shape)
