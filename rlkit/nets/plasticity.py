"""How much of a net still takes part: figures to watch while it learns.

Ma et al. 2024, "Revisiting Plasticity in Visual Reinforcement Learning" (arXiv 2310.07418); the
dormant share is of Sokar et al. 2023 (arXiv 2302.12902), the rank of Kumar et al. 2021
(arXiv 2010.14498). All take activations `[S, ..., B, width]` and answer `[S]`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def active_share(layers: Sequence[Tensor]) -> Tensor:
    """Share of (row, unit) pairs with a positive activation, pooled over layers (FAU)."""
    active = torch.stack([(x > 0).flatten(1).sum(1) for x in layers]).sum(0)
    return active / sum(x[0].numel() for x in layers)


def dormant_share(layers: Sequence[Tensor], threshold: float = 0.025) -> Tensor:
    """Share of units whose mean |activation| is at most `threshold` times their layer's mean."""
    dormant, units = [], 0
    for x in layers:
        size = x.abs().mean(-2)  # [S, ..., width]
        mean = size.mean(-1, keepdim=True)
        dormant.append((size <= threshold * mean).flatten(1).sum(1))
        units += size[0].numel()
    return torch.stack(dormant).sum(0) / units


def feature_rank(features: Tensor, delta: float = 0.01) -> Tensor:
    """Fewest singular values of the features that make up 1 - `delta` of their sum, averaged over
    the ensemble."""
    values = torch.linalg.svdvals(features)  # [S, ..., min(B, width)], falling
    reached = values.cumsum(-1) >= (1 - delta) * values.sum(-1, keepdim=True)
    rank = values.shape[-1] - reached.sum(-1) + 1
    return rank.to(features.dtype).flatten(1).mean(1)


def weight_norm(net: nn.Module) -> Tensor:
    """Euclidean norm of all parameters of each lane."""
    squares = [p.detach().flatten(1).square().sum(1) for p in net.parameters()]
    return torch.stack(squares).sum(0).sqrt()
