"""Which pairs are worth a question: scores of candidates by what the members make of them.

`p [S, n, m]` is each member's P(second preferred) for m candidates.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Selector = Literal["uniform", "disagreement", "entropy"]


def disagreement(p: Tensor) -> Tensor:
    """Standard deviation over the members `[S, m]`; exactly 0 where they are one and the same."""
    apart = p - p[:, :1]
    return (apart - apart.mean(1, keepdim=True)).square().mean(1).sqrt()


def entropy(p: Tensor) -> Tensor:
    """Mean over the members of the entropy of their choice `[S, m]`, in nats."""
    return (torch.special.entr(p) + torch.special.entr(1 - p)).mean(1)


def select(selector: Selector, p: Tensor, count: int) -> Tensor:
    """The `count` candidates of the highest score, best first, `[S, count]`; of equal ones the
    earlier. "uniform" takes the first, which were drawn at random."""
    lanes, _, size = p.shape
    if selector == "uniform":
        return torch.arange(count, device=p.device).expand(lanes, count)
    if selector not in ("disagreement", "entropy"):
        raise ValueError(f"selector {selector!r} is unknown: uniform, disagreement or entropy")
    score = disagreement(p) if selector == "disagreement" else entropy(p)
    return score.argsort(dim=-1, descending=True, stable=True)[:, : min(count, size)]
