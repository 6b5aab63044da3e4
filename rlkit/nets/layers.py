"""Layers with a leading lane axis: weight `[S, in, out]`, or `[S, n, in, out]` for an ensemble."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.core.lanes import against
from rlkit.core.spec import Spec
from rlkit.core.streams import generator

Norm = Literal["none", "before", "after"]  # LayerNorm before or after the activation


class Init:
    """Where the nets of one agent get their first weights: own stream for every lane and layer.

    Make one at the top of an agent's constructor and hand it to every net, so that two nets of
    one shape differ and lane k is the same in any company. What stands beside an agent draws from
    streams under another `name`.
    """

    def __init__(self, spec: Spec, name: str = "init") -> None:
        self.spec, self.name, self._layer = spec, name, 0

    def lane_generators(self) -> list:
        """A fresh numpy generator for every lane; each call gives another set."""
        self._layer += 1
        return [generator(seed, f"{self.name}/{self._layer}") for seed in self.spec.seeds]

    def uniform(self, shape: Sequence[int], bound: float) -> nn.Parameter:
        """A parameter `[S, *shape]` uniform on ±bound."""
        lanes = [torch.from_numpy(rng.random(shape)) for rng in self.lane_generators()]
        values = (torch.stack(lanes) * 2 - 1) * bound
        return nn.Parameter(values.to(self.spec.device, self.spec.dtype))

    def constant(self, shape: Sequence[int], value: float | Tensor) -> nn.Parameter:
        """A parameter `[S, *shape]` of one value, or of one value per lane `[S, 1]`."""
        values = torch.as_tensor(value, device=self.spec.device, dtype=self.spec.dtype)
        values = values.reshape(-1, *(1 for _ in shape))
        return nn.Parameter(values.expand(self.spec.lanes, *shape).clone())


class Linear(nn.Module):
    """Affine map of `[S, B, in]` to `[S, B, out]`; with n members to `[S, n, B, out]`.

    First weights and biases are uniform on ±scale/√in, as in torch.
    """

    def __init__(self, init: Init, n_in: int, n_out: int, n: int = 0, scale: float = 1.0) -> None:
        super().__init__()
        members = (n,) if n else ()
        bound = scale / math.sqrt(n_in)
        self.weight = init.uniform((*members, n_in, n_out), bound)
        self.bias = init.uniform((*members, 1, n_out), bound)

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        members = weight.shape[1:-2]
        if members:
            if x.dim() == 3:
                x = x.unsqueeze(1).expand(-1, *members, -1, -1)
            x, weight, bias = x.flatten(0, 1), weight.flatten(0, 1), bias.flatten(0, 1)
        if torch.compiler.is_compiling():  # the compiler fuses the sum with what follows
            out = torch.bmm(x, weight) + bias
        else:
            out = torch.baddbmm(bias, x, weight)
        return out.unflatten(0, (-1, *members)) if members else out


class LayerNorm(nn.Module):
    """Normalisation over the last axis with gain and shift of every lane (and member)."""

    def __init__(self, init: Init, size: int, n: int = 0, eps: float = 1e-5) -> None:
        super().__init__()
        members = (n,) if n else ()
        self.gain = init.constant((*members, 1, size), 1.0)
        self.shift = init.constant((*members, 1, size), 0.0)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], eps=self.eps) * self.gain + self.shift


class MLP(nn.Module):
    """ReLU layers of widths `hidden`, then a linear layer of `n_out`.

    `norm="before"` is Linear → LayerNorm → ReLU (RLPD, WSRL, O-DICE), `norm="after"` is
    Linear → ReLU → LayerNorm (ReBRAC). `last_scale` shrinks the last layer's first weights.
    """

    def __init__(
        self,
        init: Init,
        n_in: int,
        hidden: Sequence[int],
        n_out: int,
        n: int = 0,
        norm: Norm = "none",
        last_scale: float = 1.0,
    ) -> None:
        super().__init__()
        if norm not in ("none", "before", "after"):
            raise ValueError(f"norm {norm!r} is unknown; use none, before or after")
        self.norm = norm
        widths = [n_in, *hidden]
        self.layers = nn.ModuleList(Linear(init, i, o, n) for i, o in pairwise(widths))
        normalised = hidden if norm != "none" else ()
        self.norms = nn.ModuleList(LayerNorm(init, width, n) for width in normalised)
        self.last = Linear(init, widths[-1], n_out, n, last_scale)

    def activations(self, x: Tensor, masks: Sequence[Tensor] | None = None) -> list[Tensor]:
        """What every hidden layer gives on to the next, the input first; `masks` (see `dropout`)
        multiply what the linear layers give."""
        found = [x]
        for k, layer in enumerate(self.layers):
            x = layer(x) if masks is None else layer(x) * masks[k]
            if self.norm == "before":
                x = self.norms[k](x)
            x = F.relu(x)
            if self.norm == "after":
                x = self.norms[k](x)
            found.append(x)
        return found

    def forward(self, x: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        return self.last(self.activations(x, masks)[-1])


def dropout(u: Tensor, p: float | Tensor, widths: Sequence[int]) -> list[Tensor]:
    """Masks of hidden layers of these `widths`: 0 where the uniform number u
    `[S, ..., B, sum(widths)]` is below p, else 1 / (1 - p), so that means stay."""
    p = against(p, u)
    kept = torch.where(u < p, torch.zeros_like(u), torch.ones_like(u)) / (1 - p)
    return list(kept.split(list(widths), -1))


class Scalar(nn.Module):
    """One trainable number per lane, read as `[S, 1]`; a temperature, say."""

    def __init__(self, init: Init, value: float | Tensor) -> None:
        super().__init__()
        self.value = init.constant((1,), value)

    def forward(self) -> Tensor:
        return self.value
