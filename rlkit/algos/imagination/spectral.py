"""Critics whose layers have bounded singular values, by power iteration.

The slope of a net of ReLU layers is at most the product of its layers' largest singular values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.core.lanes import against


class SpectralLinear(nn.Module):
    """A layer of a critic with its weight scaled so that no singular value exceeds `bound`.

    W̄ = W / max(1, σ(W)/bound), with the layer's own parameters. `iterate` makes one step of
    power iteration on the vectors `v` `[S, n, 1, out]`; until it has converged, σ is too small.
    """

    v: Tensor

    def __init__(self, init: nets.Init, layer: nets.Linear, bound: float | Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.bound = layer.weight, layer.bias, bound
        shape = (*layer.weight.shape[1:-2], 1, layer.weight.shape[-1])
        lanes = [torch.from_numpy(rng.standard_normal(shape)) for rng in init.lane_generators()]
        v = torch.stack(lanes).to(layer.weight)
        self.register_buffer("v", v / v.norm(dim=-1, keepdim=True))

    @torch.no_grad()
    def iterate(self) -> None:
        """v ← Wᵀ W v, normalised."""
        v = self.v @ self.weight.mT @ self.weight
        self.v.copy_(v / v.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(v.dtype).tiny))

    def norm(self) -> Tensor:
        """σ `[S, n, 1, 1]`, the weight's largest singular value as `v` knows it."""
        return (self.v @ self.weight.mT).norm(dim=-1, keepdim=True)

    def effective(self) -> Tensor:
        """W̄ `[S, n, in, out]`; the gradient flows through σ as well."""
        sigma = self.norm()
        return self.weight / (sigma / against(self.bound, sigma)).clamp(min=1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.effective()
        if x.dim() == 3:
            x = x.unsqueeze(1).expand(-1, weight.shape[1], -1, -1)
        out = torch.baddbmm(self.bias.flatten(0, 1), x.flatten(0, 1), weight.flatten(0, 1))
        return out.unflatten(0, weight.shape[:2])


def spectral(init: nets.Init, critic: nets.Critic, bound: float | Tensor) -> nets.Critic:
    """`critic` with every layer's weight bounded, in place; its parameters keep their names."""
    mlp: Any = critic.mlp
    for k, layer in enumerate(mlp.layers):
        mlp.layers[k] = SpectralLinear(init, layer, bound)
    mlp.last = SpectralLinear(init, mlp.last, bound)
    return critic


def iterate(critic: nn.Module) -> None:
    """One step of power iteration in every bounded layer."""
    for layer in critic.modules():
        if isinstance(layer, SpectralLinear):
            layer.iterate()
