"""Cloning a dataset's discrete actions in action values: the large-margin loss of DQfD, Hester et
al. 2018 (arXiv 1704.03732).

    (1)  E_D [max_a (Q(s, a) + m 1{a ≠ a_D}) - Q(s, a_D)]     over the rows D of the dataset

It is 0 where the demonstrated action leads all others by m. Values alone cannot be cloned by a
cross-entropy without a temperature of their own; (1) asks for an order.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlkit.core.batch import Batch


def margin_loss(  # [..., B, A], [..., B], [..., B] -> [...]
    q: Tensor, a: Tensor, expert: Tensor, margin: float | Tensor
) -> Tensor:
    """Eq. (1): a mean over all rows, of which those that are no expert's count 0; `margin` is a
    number or one a row."""
    index = a.unsqueeze(-1)
    others = torch.ones_like(q).scatter(-1, index, 0.0)
    raised = q + others * (margin.unsqueeze(-1) if isinstance(margin, Tensor) else margin)
    return (expert * (raised.amax(-1) - q.gather(-1, index).squeeze(-1))).mean(-1)


def copies_margin_loss(q: Tensor, b: Batch, margin: float | Tensor) -> Tensor:
    """(1) of every copy's values `[S, K, B, A]`, a sum over the copies `[S]`; `margin` a number or
    one a lane `[S, 1]`."""
    assert b.expert is not None
    if isinstance(margin, Tensor):
        margin = margin.unsqueeze(1)  # [S, 1, 1], of copies and rows
    a, expert = (x.unsqueeze(1).expand(q.shape[:-1]) for x in (b.a, b.expert))
    return margin_loss(q, a, expert, margin).sum(1)
