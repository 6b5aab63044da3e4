"""What turns an observation into a feature vector before the MLP."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.core.spec import Spec
from rlkit.nets.layers import Init
from rlkit.nets.vmapped import Vmapped

_KINDS = (11, 6, 4)  # MiniGrid's numbers of objects, colours and states (carried state included)


class Flatten(nn.Module):
    """Vector observations pass as they are."""

    def __init__(self, init: Init) -> None:
        super().__init__()
        self.size = init.spec.obs_size

    def forward(self, s: Tensor) -> Tensor:
        return s.flatten(2)


class GridEncoder(nn.Module):
    """MiniGrid's symbolic view `[S, B, H, W, 3]` to features `[S, B, size]`.

    Object, colour and state of a cell are categories, so each is embedded by a table of its own
    (8 numbers, concatenated), then two 3x3 convolutions of 32 channels see the neighbourhood.
    Lanes are the groups of the convolution.
    """

    limits: Tensor

    def __init__(self, init: Init, embedding: int = 8, channels: int = 32) -> None:
        super().__init__()
        height, width, kinds = init.spec.obs
        if kinds != len(_KINDS) or min(height, width) < 5:
            raise ValueError(
                f"observation shape {init.spec.obs} is not a MiniGrid view (H, W, 3) with H, W >= 5"
            )
        self.tables = nn.ParameterList(init.uniform((k, embedding), 1.0) for k in _KINDS)
        widths = [embedding * len(_KINDS), channels, channels]
        self.kernels, self.biases = nn.ParameterList(), nn.ParameterList()
        for n_in, n_out in pairwise(widths):
            bound = 1 / math.sqrt(n_in * 9)
            self.kernels.append(init.uniform((n_out, n_in, 3, 3), bound))
            self.biases.append(init.uniform((n_out,), bound))
        limits = torch.tensor(_KINDS, device=init.spec.device)
        self.register_buffer("limits", limits, persistent=False)
        self.size = channels * (height - 4) * (width - 4)

    def forward(self, s: Tensor) -> Tensor:
        lanes, batch, height, width, _ = s.shape
        cells = s.long().reshape(lanes, -1, len(_KINDS))
        # without a look, a number too large would read the next lane's table
        known = (cells < self.limits).all()
        torch._assert_async(known, "an observation holds a number outside MiniGrid's tables")
        embedded = []
        for k, table in enumerate(self.tables):
            offset = torch.arange(lanes, device=s.device).unsqueeze(-1) * table.shape[1]
            embedded.append(F.embedding(cells[..., k] + offset, table.flatten(0, 1)))
        x = torch.cat(embedded, -1).unflatten(1, (batch, height, width))  # [S, B, H, W, C]
        x = x.permute(1, 0, 4, 2, 3).flatten(1, 2)  # [B, S*C, H, W]
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            x = F.relu(F.conv2d(x, kernel.flatten(0, 1), bias.flatten(), groups=lanes))
        return x.unflatten(1, (lanes, -1)).transpose(0, 1).flatten(2)


class OwnEncoder(nn.Module):
    """A torch module of the user's, `[B, *obs]` to `[B, features]`, a copy for each lane."""

    def __init__(self, init: Init, factory: Callable[[], nn.Module]) -> None:
        super().__init__()
        spec = init.spec
        self.module = Vmapped(init, factory)
        zeros = torch.zeros(spec.lanes, 2, *spec.obs, dtype=spec.dtype, device=spec.device)
        with torch.no_grad():
            found = self.module(zeros).shape
        if len(found) != 3 or found[1] != 2:
            raise ValueError(
                f"the encoder gives {tuple(found[1:])} for two observations; it must give "
                "(2, features)"
            )
        self.size = found[-1]

    def forward(self, s: Tensor) -> Tensor:
        return self.module(s)


def encoder(init: Init) -> Flatten | GridEncoder | OwnEncoder:
    """The user's own (`Spec.encoder`), or what fits the observation shape: vectors as they are,
    MiniGrid views embedded."""
    spec: Spec = init.spec
    if spec.encoder is not None:
        return OwnEncoder(init, spec.encoder)
    if len(spec.obs) == 1:
        return Flatten(init)
    if len(spec.obs) == 3 and spec.obs[-1] == len(_KINDS):
        return GridEncoder(init)
    raise ValueError(
        f"no encoder for observations of shape {spec.obs}; flatten them to a vector, or give a "
        "MiniGrid view (H, W, 3)"
    )
