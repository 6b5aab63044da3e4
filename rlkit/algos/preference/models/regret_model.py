"""A linear reward that explains choices by regret: Knox et al. 2022 (arXiv 2206.02231).

    (1)  Ã_w(s, a) = Q̃_w(s, a) - max_a' Q̃_w(s, a'),   Q̃_w = max_k w · ψ_k(s, a)
    (2)  P(second preferred) = σ(Σ_t Ã_w(second) - Σ_t Ã_w(first)),   minus the regrets of both
    (3)  partial return instead:  σ(Σ_t w · φ(second) - Σ_t w · φ(first))

Maxima are means weighted by softmax(x / temperature), whose gradient is taken whole. The loss of
(2) is not convex: it begins at the best of some weights, and the weights of the lowest loss met are
kept.

Differs from the authors' code: ψ are learnt from data (`successor`), theirs are solved for with the
dynamics given; (1) compares at every step, which blames no luck where transitions are random,
where theirs takes the segment's return and the values at both ends; the best action counts, not
the policy's own; the fit begins at one of the policies' weights, theirs at 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.algos.preference.models.reward_model import pair_loss
from rlkit.core.optim import Adam

_SCALES = (0.0, 0.03, 0.3, 3.0)  # of the weights that a fit may begin at


class Weights(nn.Module):
    """w `[S, d]` of a reward w · φ, 0 at first."""

    def __init__(self, init: nets.Init, size: int) -> None:
        super().__init__()
        self.w = init.constant((size,), 0.0)


def soft_maximum(x: Tensor, temperature: float | Tensor, dim: int) -> Tensor:
    """The mean of x weighted by softmax(x / temperature) along `dim`: at most the maximum."""
    if isinstance(temperature, Tensor):
        temperature = temperature.view(-1, *[1] * (x.dim() - 1))
    return ((x / temperature).softmax(dim) * x).sum(dim)


def advantages(psi: Tensor, a: Tensor, w: Tensor, temperature: float | Tensor) -> Tensor:
    """Eq. (1) `[S, N]` under `w [S, d]`, of actions `a [S, N]` in states of ψ
    `psi [S, N, K, A, d]`."""
    q = torch.einsum("snkad,sd->snka", psi, w)
    best = soft_maximum(q, temperature, 2)  # [S, N, A]
    return best.gather(-1, a.unsqueeze(-1)).squeeze(-1) - soft_maximum(best, temperature, -1)


@torch.enable_grad()
def fit(
    weights: Weights,
    logits: Callable[[Tensor], Tensor],
    y: Tensor,
    given: Tensor,
    starts: Tensor,
    lr: float | Tensor,
    steps: int,
) -> dict[str, Tensor]:
    """Fits w in place to answers `y [S, n]`, those of `given` 0 left out; `logits(w) [S, n]` are
    those of the second of each pair. Begins at 0 or at one of `starts [S, m, d]`, times a few
    scales, whichever has the lowest loss. Returns the lowest `regret_loss [S]` and the share of
    decided pairs that its weights order rightly, `regret_accuracy [S]`."""
    step = Adam(weights, lr)
    best, lowest = weights.w.detach().clone(), torch.full_like(weights.w[:, 0].detach(), torch.inf)
    with torch.no_grad():
        for start in torch.cat([starts * k for k in _SCALES], 1).unbind(1):
            loss = pair_loss(logits(start), y, given)
            best = torch.where((loss < lowest).unsqueeze(-1), start, best)
            lowest = torch.minimum(lowest, loss)
        weights.w.copy_(best)
    for _ in range(steps + 1):  # the last looks at what the last step gave
        before = weights.w.detach().clone()
        loss = pair_loss(logits(weights.w), y, given)
        better = loss.detach() < lowest
        best = torch.where(better.unsqueeze(-1), before, best)
        lowest = torch.where(better, loss.detach(), lowest)
        step(loss)
    with torch.no_grad():
        weights.w.copy_(best)
        decided = given * (y != 0.5)
        right = decided * ((logits(weights.w) > 0) == (y > 0.5))
    accuracy = right.sum(-1) / decided.sum(-1).clamp(min=1e-6)
    return {"regret_loss": lowest, "regret_accuracy": accuracy}
