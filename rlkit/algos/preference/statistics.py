"""One number a segment: what a teacher compares, or what a learner predicts.

Each takes numbers a step `x [..., H]` and the `mask` of the real steps, and gives `[...]`. All
axes but the last are free.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlkit.core.lanes import against


def total(x: Tensor, mask: Tensor) -> Tensor:
    """Σ_t x_t: the partial return of rewards, minus the regret of advantages."""
    return (x * mask.to(x.dtype)).sum(-1)


def discounted(x: Tensor, mask: Tensor, gamma: float | Tensor) -> Tensor:
    """Σ_t γ^t x_t, counted from the segment's first step; `gamma` a number or `[S, 1]`."""
    time = torch.arange(x.shape[-1], dtype=x.dtype, device=x.device)
    return total(x * against(gamma, x) ** time, mask)


def recent(x: Tensor, mask: Tensor, gamma: float) -> Tensor:
    """Σ_t γ^(H-1-t) x_t: the last steps weigh most (the myopic teacher of B-Pref)."""
    ahead = torch.arange(x.shape[-1] - 1, -1, -1, dtype=x.dtype, device=x.device)
    return total(x * gamma**ahead, mask)


def regret(r: Tensor, mask: Tensor, v_start: Tensor, v_end: Tensor) -> Tensor:
    """V*(s_0) - (Σ_t r_t + V*(s_T)), undiscounted: right where transitions are deterministic.

    `v_start`, `v_end` are `[...]`; after a termination `v_end` is 0. Where transitions are random
    it blames luck: sum -A* by `total` instead.
    """
    return v_start - (total(r, mask) + v_end)
