"""From two statistics to a choice: probabilities and losses, always through softplus.

`d` is the second statistic minus the first, `y` = P(second preferred).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rlkit.core.lanes import in_use


def choice_probability(d: Tensor, floor: float | Tensor = 0.0) -> Tensor:
    """P(second) = (1 - ε) σ(d) + ε/2, with `floor` ε the share of answers that are noise."""
    return (1 - floor) * d.sigmoid() + floor / 2


def logistic_loss(d: Tensor, y: Tensor, floor: float | Tensor = 0.0) -> Tensor:
    """Cross-entropy of `y` and `choice_probability(d, floor)`, of the same shape; `floor` may be a
    tensor that broadcasts against `d`."""
    if not in_use(floor):
        return F.softplus(d) - y * d
    noise = torch.as_tensor(floor, dtype=d.dtype, device=d.device).expand_as(d)

    def log_probability(d: Tensor) -> Tensor:
        return torch.logaddexp((noise / 2).log(), torch.log1p(-noise) + F.logsigmoid(d))

    return -(y * log_probability(d) + (1 - y) * log_probability(-d))


def biased_loss(first: Tensor, second: Tensor, y: Tensor, bias: float | Tensor) -> Tensor:
    """CPL's -log e^w / (e^w + e^(λl)), w the winner's score and l the loser's, mixed by `y`.

    With `bias` λ = 1 it is `logistic_loss(second - first, y)`; below, it also falls when both
    scores rise.
    """
    if_second, if_first = F.softplus(bias * first - second), F.softplus(bias * second - first)
    return y * if_second + (1 - y) * if_first


def softened(y: Tensor, margin: float | Tensor) -> Tensor:
    """Targets drawn towards a half, (1 - 2m) y + m; a tie stays one."""
    return (1 - 2 * margin) * y + margin
