"""Probabilistic ensembles of dynamics models: what follows (s, a), by n members a lane.

The net of PETS (Chua et al. 2018, arXiv 1805.12114), as MBPO and its family use it. Inputs are
normalised by statistics that the fit writes; targets are (s' - s, r), reward last, as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.core.spec import Spec
from rlkit.core.streams import generator

_STD_FLOOR = 1e-12  # a constant input is not scaled
_MAX_LOG_VAR, _MIN_LOG_VAR = 0.5, -10.0  # first bounds of the log-variance


class Prediction(NamedTuple):
    """Independent Gaussians over (Δs, r); a deterministic model has no `log_var`."""

    mean: Tensor  # [S, n, B, D + 1], the reward last
    log_var: Tensor | None  # [S, n, B, D + 1]

    @property
    def std(self) -> Tensor:
        """Standard deviations `[S, n, B, D + 1]`; zeros of a deterministic model."""
        return torch.zeros_like(self.mean) if self.log_var is None else (self.log_var / 2).exp()


class Dynamics(nn.Module):
    """n members, SiLU layers of widths `hidden`, Gaussian outputs over (s' - s, r).

    `centre` and `scale` `[S, 1, D + A]` normalise the inputs; `elites` `[S, n_elites]` are the
    members of each lane to predict with. All three are state, written by the fit. The bounds of
    the log-variance are learnt, one pair a member and output. `name` separates the first weights
    of several models of one training. Raises ValueError for grid views and discrete actions.
    """

    centre: Tensor
    scale: Tensor
    elites: Tensor

    def __init__(
        self,
        spec: Spec,
        hidden: Sequence[int] = (200, 200, 200, 200),
        n: int = 7,
        n_elites: int = 5,
        deterministic: bool = False,
        name: str = "model",
    ) -> None:
        super().__init__()
        if spec.discrete or len(spec.obs) != 1:
            raise ValueError(
                f"a dynamics model needs vector observations and continuous actions, not "
                f"{spec.obs} and {spec.act}"
            )
        if not 1 <= n_elites <= n:
            raise ValueError(f"{n_elites} elites of {n} members; take between 1 and {n}")
        self.spec, self.n, self.deterministic = spec, n, deterministic
        n_in, n_out = spec.obs_size + spec.act_size, spec.obs_size + 1
        widths = [n_in, *hidden, n_out if deterministic else 2 * n_out]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for layer, (i, o) in enumerate(pairwise(widths)):
            self.weights.append(_truncated_normal(spec, f"{name}/init/{layer}", (n, i, o)))
            self.biases.append(_constant(spec, (n, 1, o), 0.0))
        if not deterministic:
            self.max_log_var = _constant(spec, (n, 1, n_out), _MAX_LOG_VAR)
            self.min_log_var = _constant(spec, (n, 1, n_out), _MIN_LOG_VAR)
        zeros = torch.zeros(spec.lanes, 1, n_in, dtype=spec.dtype, device=spec.device)
        self.register_buffer("centre", zeros)
        self.register_buffer("scale", torch.ones_like(zeros))
        elites = torch.arange(n_elites, device=spec.device).expand(spec.lanes, n_elites)
        self.register_buffer("elites", elites.clone())

    @torch.no_grad()
    def normalise_by(self, lane: int, x: Tensor) -> None:
        """Take one lane's statistics of the inputs from rows `x [N, D + A]`."""
        std = x.std(0, unbiased=False)
        self.centre[lane] = x.mean(0)
        self.scale[lane] = torch.where(std < _STD_FLOOR, torch.ones_like(std), std)

    def forward(self, s: Tensor, a: Tensor, members: Tensor | None = None) -> Prediction:
        """Every member's prediction for all rows: `[S, B, D]`, `[S, B, A]` -> `[S, n, B, D + 1]`.

        With `members [S, m]` only those of each lane predict. Rows may then be given apart for
        each, `[S, m, B, D]`; that is how a row is computed by one member instead of by all.
        """
        return self.predict(torch.cat([s, a], -1), members)

    def predict(self, x: Tensor, members: Tensor | None = None) -> Prediction:
        """`forward` of joined inputs `x [S, B, D + A]` or `[S, m, B, D + A]`."""
        if x.dim() == 3:
            x = (x - self.centre) / self.scale
            count = self.n if members is None else members.shape[1]
            x = x.unsqueeze(1).expand(-1, count, -1, -1)
        else:
            x = (x - self.centre.unsqueeze(1)) / self.scale.unsqueeze(1)
        last = len(self.weights) - 1
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = _layer(x, _of(weight, members), _of(bias, members))
            x = x if k == last else F.silu(x)
        if self.deterministic:
            return Prediction(x, None)
        mean, log_var = x.chunk(2, -1)
        log_var = bounded(log_var, _of(self.min_log_var, members), _of(self.max_log_var, members))
        return Prediction(mean, log_var)


def bounded(log_var: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """`log_var` bent smoothly into [low, high + log(1 + e^(low - high))]."""
    log_var = high - F.softplus(high - log_var)
    return low + F.softplus(log_var - low)


def _layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    out = torch.baddbmm(bias.flatten(0, 1), x.flatten(0, 1), weight.flatten(0, 1))
    return out.unflatten(0, x.shape[:2])


def _of(parameter: Tensor, members: Tensor | None) -> Tensor:
    """Entries `[S, m, ...]` of chosen members of a parameter `[S, n, ...]`."""
    if members is None:
        return parameter
    lanes = torch.arange(parameter.shape[0], device=parameter.device).unsqueeze(-1)
    return parameter[lanes, members]


def _constant(spec: Spec, shape: tuple[int, ...], value: float) -> nn.Parameter:
    return nn.Parameter(
        torch.full((spec.lanes, *shape), value, dtype=spec.dtype, device=spec.device)
    )


def _truncated_normal(spec: Spec, stream: str, shape: tuple[int, ...]) -> nn.Parameter:
    """Normal numbers of standard deviation 1 / (2 √in), those beyond two of them drawn anew."""
    std = 1 / (2 * math.sqrt(shape[-2]))
    lanes = []
    for seed in spec.seeds:
        rng = generator(seed, stream)
        x = rng.standard_normal(shape)
        while (outside := np.abs(x) > 2).any():
            x[outside] = rng.standard_normal(int(outside.sum()))
        lanes.append(torch.from_numpy(x * std))
    return nn.Parameter(torch.stack(lanes).to(spec.device, spec.dtype))
