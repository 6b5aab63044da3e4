"""Plans by the cross-entropy method: sequences of actions in [-1, 1], better from round to round.

    (1)  candidates  a = clip(μ + σ z, -1, 1),   z ~ N(0, 1)
    (2)  μ, σ² <- β (μ, σ²) + (1 - β) (mean, variance of the best candidates)

as in Chua et al. 2018 (arXiv 1805.12114) and mbrl-lib with `clipped_normal`. Their other form, a
normal truncated to σ <= (1 - |μ|) / 2, comes near the bounds of the box in many rounds only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor, nn

from rlkit.core.lanes import against
from rlkit.core.spec import Spec
from rlkit.core.streams import generator

_FIRST_STD = 0.5  # σ of the first round: two of them reach the bounds

Score = Callable[[Tensor], Tensor]
"""plans [S, B, P, H, A] -> what each is worth [S, B, P]."""


class PlanConfig(Protocol):
    """Fields of a `Config` that say how plans are made."""

    @property
    def rounds(self) -> int: ...  # of the cross-entropy method
    @property
    def population(self) -> int: ...  # candidates of a round
    @property
    def horizon(self) -> int: ...  # H, steps of a plan
    @property
    def n_models(self) -> int: ...  # ensemble size
    @property
    def particles(self) -> int: ...  # of each member


def standard_normals(spec: Spec, name: str, *shape: int) -> Tensor:
    """Numbers `[S, *shape]` of each lane's own stream, the same whenever they are asked for."""
    lanes = [torch.from_numpy(generator(seed, name).standard_normal(shape)) for seed in spec.seeds]
    return torch.stack(lanes).to(spec.device, spec.dtype)


class Plans(nn.Module):
    """The numbers that plans are made with, which are part of the agent's state."""

    candidates: Tensor
    luck: Tensor

    def __init__(self, spec: Spec, c: PlanConfig) -> None:
        super().__init__()
        plans = (c.rounds, c.population, c.horizon, spec.act_size)
        self.register_buffer("candidates", standard_normals(spec, "cem", *plans))
        steps = (c.horizon, c.n_models, 1, c.particles, spec.obs_size + 1)
        self.register_buffer("luck", standard_normals(spec, "particles", *steps))


def cross_entropy(
    score: Score, draws: Tensor, rows: int, best: int, momentum: float | Tensor
) -> Tensor:
    """μ after all rounds `[S, B, H, A]`, B = `rows`.

    `draws` `[S, rounds, P, H, A]` are the z of eq. (1), the same for every row; `best` of P
    candidates make (2), with β = `momentum`. Candidates whose worth is NaN count as the worst.
    """
    shape = (draws.shape[0], rows, *draws.shape[3:])
    mean = draws.new_zeros(shape)
    var = draws.new_full(shape, _FIRST_STD**2)
    beta = against(momentum, mean)
    for z in draws.unbind(1):
        plans = mean.unsqueeze(2) + var.sqrt().unsqueeze(2) * z.unsqueeze(1)
        plans = plans.clamp(-1, 1)  # [S, B, P, H, A]
        worth = score(plans).nan_to_num(nan=-torch.inf)
        chosen = worth.topk(best, -1).indices[..., None, None].expand(-1, -1, -1, *plans.shape[3:])
        elite = plans.gather(2, chosen)
        mean = beta * mean + (1 - beta) * elite.mean(2)
        var = beta * var + (1 - beta) * elite.var(2, unbiased=False)
    return mean
