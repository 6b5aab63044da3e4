"""Running mean and variance of observations, a lane its own, and nets' view through them.

    (1)  s̃ = clip((s - μ) / (σ + 1e-3), ±10)
    (2)  μ, σ²: mean and variance of all that was added, merged by Chan, Golub & LeVeque 1983

Replays hold what was seen and nets look through (1) as it stands, so that rows collected early and
late are in one unit, as with stable-baselines3's VecNormalize; its variances have 1e-8 added
instead. Before the first observation nothing is changed.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

FLOOR = 1e-3  # added to the standard deviation: constant dimensions stay finite
BOUND = 10.0  # of what a net sees: a dimension that moves after having been constant


class Normaliser(nn.Module):
    """Statistics `[S, *obs]` of S lanes; `self(s)` `[S, B, *obs]` is what nets see of `s`.

    A part of its agent, where `Spec.normaliser` names it: saved, exported and handed on with the
    nets.
    """

    count: Tensor
    mean: Tensor
    squares: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        obs: tuple[int, ...],
        lanes: int,
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        super().__init__()
        self.obs, self.users = tuple(obs), 0  # nets that look through it
        wide = torch.zeros(lanes, *obs, dtype=torch.float64, device=device)
        self.register_buffer("count", torch.zeros(lanes, dtype=torch.float64, device=device))
        self.register_buffer("mean", wide.clone())
        self.register_buffer("squares", wide.clone())  # summed squares of distances to the mean
        # what (1) needs, in the nets' numbers
        self.register_buffer("shift", wide.to(dtype))
        self.register_buffer("scale", torch.ones_like(self.shift))

    @torch.no_grad()
    def add(self, obs: np.ndarray) -> None:
        """Take observations `[S, E, *obs]`. Raises ValueError for another shape."""
        lanes, each = self.count.shape[0], obs.shape[1] if obs.ndim > 1 else 0
        if obs.shape != (lanes, each, *self.obs) or not each:
            raise ValueError(f"observations have shape {obs.shape}; {(lanes, 'E', *self.obs)}")
        x = torch.as_tensor(obs, dtype=torch.float64, device=self.mean.device)
        mean = x.mean(1)
        squares = (x - mean.unsqueeze(1)).square().sum(1)
        before = self.count.view(-1, *[1] * len(self.obs))
        apart, now = mean - self.mean, before + each
        self.squares += squares + apart.square() * (before * each / now)
        self.mean += apart * (each / now)
        self.count += each
        self.shift.copy_(self.mean)
        self.scale.copy_((self.squares / now).sqrt() + FLOOR)

    def forward(self, s: Tensor) -> Tensor:
        return ((s - self.shift.unsqueeze(1)) / self.scale.unsqueeze(1)).clamp(-BOUND, BOUND)
