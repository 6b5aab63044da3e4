"""Generalised Gaussian Temporal Difference Error for Uncertainty-aware Reinforcement Learning,
Kim, Lee, Cho, Han & Hwang 2024 (arXiv 2408.02295).

A net says, beside a value μ, the shape β of the law of its error δ = y - μ, at scale 1:

    (1)  p(δ) = β / (2 Γ(1/β)) exp(-|δ|^β)               1 is Laplace's, 2 a normal law's
    (2)  L = E β [|δ|^β - log β + log Γ(1/β) + log 2]     the weight β is a constant

Of K copies with targets of their own, rows count by how little their errors δ_i differ:

    (3)  v = var_i δ_i / (κ/K + (K + 1)/(K - 1)),         κ = Γ(5/β) Γ(1/β) / Γ(3/β)² - 3
    (4)  w ∝ 1 / (v + ξ),  Σ w = 1,                       ξ least with 1 / Σ w² >= 16
    (5)  L_BIEV = Σ_i Σ_rows w δ_i²,                      to which (2) is added

(3) is the estimate of a variance with the least squared error for a law of excess kurtosis κ.

Differs from the paper: β lies between 0.1 and 4 and begins at 1, where a softplus has no bounds.
Differs from the authors' code: it has β |δ| in place of |δ|^β, which is no likelihood of (1); the
biased variance in (3), and κ of the K errors at hand; the weights of (4), whose sum is 1, averaged
over the rows once more. Here κ is that of the mean β of the copies, and 0 (a normal law's) where a
head has none; ξ is found by bisection, |δ| is kept from 0 by 1e-6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

LEAST, MOST = 0.1, 4.0  # bounds of β
EFFECTIVE = 16.0  # rows that must count, eq. (4)
_FIRST = math.log((1 - LEAST) / (MOST - 1))  # where β is 1
_TINY = 1e-6
_STEPS = 30  # of the bisection: the quotient of its bounds is then right to 1e-7


def shape(out: Tensor) -> Tensor:
    """β `[...]` of outputs `[..., 2]`."""
    return LEAST + (MOST - LEAST) * (out[..., 1] + _FIRST).sigmoid()


def negative_log_likelihood(delta: Tensor, beta: Tensor) -> Tensor:
    """-log p(δ) of eq. (1), entry by entry."""
    spread = (delta.abs() + _TINY) ** beta
    return spread - beta.log() + torch.lgamma(1 / beta) + math.log(2)


def excess_kurtosis(beta: Tensor) -> Tensor:
    """κ of eq. (3): 3 for β = 1, 0 for 2."""
    gammas = torch.lgamma(5 / beta) + torch.lgamma(1 / beta) - 2 * torch.lgamma(3 / beta)
    return gammas.exp() - 3


def error_variance(delta: Tensor, kurtosis: float | Tensor = 0.0) -> Tensor:
    """v of eq. (3) `[..., B]` from the errors of K >= 2 copies `[..., K, B]`."""
    k = delta.shape[-2]
    return delta.var(-2) / (kurtosis / k + (k + 1) / (k - 1))


def row_weights(v: Tensor, effective: float = EFFECTIVE) -> Tensor:
    """w of eq. (4) from variances `[..., B]`; of fewer rows all but one must count."""
    least = min(effective, v.shape[-1] - 1)
    unit = v.mean(-1, keepdim=True) + torch.finfo(v.dtype).tiny ** 0.5
    v = v / unit + 1e-12  # whose mean is 1: ξ lies between 1e-9, which is none, and 1e9

    def weights(log_xi: Tensor) -> Tensor:
        w = 1 / (v + log_xi.exp())
        return w / w.sum(-1, keepdim=True)

    low = torch.full_like(unit, math.log(1e-9))
    high = -low
    for _ in range(_STEPS):
        middle = (low + high) / 2
        few = 1 / weights(middle).square().sum(-1, keepdim=True) < least
        low, high = torch.where(few, middle, low), torch.where(few, high, middle)
    return weights(high)


def biev_loss(delta: Tensor, beta: Tensor | None = None) -> Tensor:
    """L_BIEV of eq. (5), `[..., K, B]` -> `[...]`; `beta` are the shapes of the same errors."""
    with torch.no_grad():
        kurtosis = 0.0 if beta is None else excess_kurtosis(beta.mean(-2))
        w = row_weights(error_variance(delta, kurtosis)).unsqueeze(-2)
    return (w * delta.square()).sum((-2, -1))


@dataclass(frozen=True, eq=False)
class GGDHead:
    """A value and the shape of its error's law; a `ValueHead`."""

    size: ClassVar[int] = 2

    def value(self, out: Tensor) -> Tensor:
        return out[..., 0]

    def mean(self, target: Tensor) -> Tensor:
        return target[..., 0]

    def point(self, y: Tensor) -> Tensor:
        return torch.stack([y, torch.zeros_like(y)], -1)

    def target(
        self, r: Tensor, discount: Tensor, out2: Tensor, plus: float | Tensor = 0.0
    ) -> Tensor:
        return self.point(r + discount * (self.value(out2) + plus))

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        beta = shape(out)
        return beta.detach() * negative_log_likelihood((target - out)[..., 0], beta)

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        return (target - out)[..., 0].abs()
