"""What three or more algorithms share word for word."""

from __future__ import annotations

from torch import Tensor


def q_loss(qs: Tensor, y: Tensor) -> Tensor:  # [..., n, B], [..., B] -> [...]
    """Squared error of every critic of an ensemble to one target, summed over critics."""
    return (qs - y.unsqueeze(-2)).square().mean(-1).sum(-1)
