"""A state for the end of episodes (Kostrikov et al. 2019, arXiv 1809.02925).

A terminal step leads to a_∞, which only leads to itself, so that learnt rewards of one sign neither
pay nor punish the end of an episode. States have one more number for it. DAC stores a row
(a_∞, 0, a_∞) behind every terminal row; here each terminal row of a minibatch, the expert's and the
policy's, brings that row along as weight, which is the same in the mean.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlkit.core.batch import Batch


class Rows(NamedTuple):
    """Transitions whose states say in one more number whether the episode is over. The last row
    is a_∞'s; `w` sums to 1."""

    s: Tensor  # [S, B + 1, obs + 1]
    a: Tensor  # [S, B + 1, A]
    s2: Tensor  # [S, B + 1, obs + 1], a_∞ after a terminal step
    w: Tensor  # [S, B + 1], 1 each but for the last, which counts once a terminal step


def with_end(b: Batch, absorbing: bool) -> Rows:
    """The rows of a batch and that of a_∞, whose weight is 0 without `absorbing`."""
    over = (1 - b.cont).unsqueeze(-1) if absorbing else torch.zeros_like(b.cont).unsqueeze(-1)
    zero, one = torch.zeros_like(over), torch.ones_like(over)
    end = torch.cat([torch.zeros_like(b.s), one], -1)[:, :1]  # [S, 1, obs + 1]
    w = torch.cat([one, over.sum(1, keepdim=True)], 1).squeeze(-1)
    return Rows(
        torch.cat([torch.cat([b.s, zero], -1), end], 1),
        torch.cat([b.a, torch.zeros_like(b.a[:, :1])], 1),
        torch.cat([torch.cat([(1 - over) * b.s2, over], -1), end], 1),
        w / w.sum(-1, keepdim=True),
    )
