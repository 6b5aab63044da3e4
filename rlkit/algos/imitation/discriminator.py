"""A discriminator of policy and expert, its losses, and the penalty that keeps it Lipschitz."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit import nets

_LEAK = 0.1  # slope of the discriminator's units below 0


class Discriminator(nn.Module):
    """Logit `[S, B]` of "this row is the expert's"; leaky units, a head that starts near 0.

    With `spectral` each hidden weight is divided by an estimate of its largest singular value,
    which `sharpen` improves by one step of power iteration.
    """

    def __init__(self, init: nets.Init, n_in: int, hidden: tuple[int, ...], spectral: bool) -> None:
        super().__init__()
        self.spectral = spectral
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for k, (i, o) in enumerate(pairwise((n_in, *hidden))):
            self.weights.append(init.uniform((i, o), 1 / math.sqrt(i)))
            self.biases.append(init.uniform((1, o), 1 / math.sqrt(i)))
            if spectral:  # unit vectors [S, 1, in] and [S, 1, out]
                self.register_buffer(f"left{k}", init.uniform((1, i), 1.0).detach())
                self.register_buffer(f"right{k}", init.uniform((1, o), 1.0).detach())
        self.head = nets.Linear(init, (n_in, *hidden)[-1], 1, scale=0.01)
        self.sharpen()

    @torch.no_grad()
    def sharpen(self) -> None:
        """One step of power iteration, to be taken before a loss is built, not after."""
        for k, weight in enumerate(self.weights if self.spectral else ()):
            left, right = self.get_buffer(f"left{k}"), self.get_buffer(f"right{k}")
            left.copy_(F.normalize(right @ weight.mT, dim=-1))
            right.copy_(F.normalize(left @ weight, dim=-1))

    def forward(self, x: Tensor) -> Tensor:
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if self.spectral:
                left, right = self.get_buffer(f"left{k}"), self.get_buffer(f"right{k}")
                weight = weight / (left @ weight @ right.mT)
            x = F.leaky_relu(torch.baddbmm(bias, x, weight), _LEAK)
        return self.head(x).squeeze(-1)


def classification_loss(logit: Tensor, label: float | Tensor, w: Tensor) -> Tensor:
    """Binary cross-entropy of logits to labels, weighed by `w`; `[..., B] -> [...]`."""
    return (w * (F.softplus(logit) - label * logit)).sum(-1)


def coin_entropy(logit: Tensor, w: Tensor) -> Tensor:  # [..., B] -> [...]
    """Entropy of σ(logit), weighed by `w`."""
    return (w * (F.softplus(logit) - logit.sigmoid() * logit)).sum(-1)


def slopes(d: nn.Module, x: Tensor) -> Tensor:
    """|∇_x D| `[S, B]` at rows `x` `[S, B, n]`, differentiable by D's parameters."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(d(x).sum(), x, create_graph=True)
    return torch.linalg.vector_norm(slope, dim=-1)


def slope_penalty(norm: Tensor, k: float | Tensor, one_sided: bool) -> Tensor:  # [..., B] -> [...]
    """Mean square of how far slopes exceed k, or differ from it."""
    excess = norm - k
    return (excess.clamp(min=0) if one_sided else excess).square().mean(-1)
