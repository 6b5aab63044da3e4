"""What turns an observation into a feature vector before the MLP.

Images: Kostrikov et al. 2021 (arXiv 2004.13649, DrQ) and Yarats et al. 2022 (arXiv 2107.09645,
DrQ-v2) have the convolutions trained by the critics alone; the actor sees what they see.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.core.lanes import against
from rlkit.core.normaliser import Normaliser
from rlkit.core.pixels import layout
from rlkit.core.spec import Spec
from rlkit.nets.layers import Init, LayerNorm, Linear
from rlkit.nets.vmapped import Vmapped

_KINDS = (11, 6, 4)  # MiniGrid's numbers of objects, colours and states (carried state included)
_LARGE = 36  # sides from which on images get DrQ's four convolutions, with a stride in the first


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


class Convolutions(nn.Module):
    """Images `[S, B, *obs]` of numbers 0 to 255 to what 3x3 convolutions of 32 channels make of
    them, `[S, B, size]`: four (the first of stride 2) as in DrQ, two where a side is below 36.

    Lanes are the groups of the convolution. First weights are uniform on ±1/√in, as in torch;
    DrQ's are orthogonal.
    """

    def __init__(self, init: Init, channels: int = 32) -> None:
        super().__init__()
        seen = layout(init.spec.obs)
        self.order, self.channels = seen.order, seen.channels
        small = min(seen.height, seen.width) < _LARGE
        self.strides = (1, 1) if small else (2, 1, 1, 1)
        widths = [seen.channels, *(channels for _ in self.strides)]
        self.kernels, self.biases = nn.ParameterList(), nn.ParameterList()
        height, width = seen.height, seen.width
        for (n_in, n_out), stride in zip(pairwise(widths), self.strides, strict=True):
            bound = 1 / math.sqrt(n_in * 9)
            self.kernels.append(init.uniform((n_out, n_in, 3, 3), bound))
            self.biases.append(init.uniform((n_out,), bound))
            height, width = ((side - 3) // stride + 1 for side in (height, width))
        self.size = channels * height * width

    def forward(self, s: Tensor) -> Tensor:
        kernels: list[Tensor] = list(self.kernels)
        lanes = s.shape[0]
        x = s.to(kernels[0].dtype) / 255 - 0.5
        x = x.permute(1, 0, *(axis + 2 for axis in self.order))  # [B, S, channels, H, W]
        x = x.reshape(-1, lanes * self.channels, *x.shape[-2:])
        for kernel, bias, stride in zip(kernels, self.biases, self.strides, strict=True):
            x = F.conv2d(x, kernel.flatten(0, 1), bias.flatten(), stride=stride, groups=lanes)
            x = F.relu(x)
        return x.unflatten(1, (lanes, -1)).transpose(0, 1).flatten(2)


class Lent(nn.Module):
    """Another net's `Convolutions`, without gradients: they are trained where they belong.

    The copy that a target makes lends from the same net.
    """

    def __init__(self, owner: Convolutions) -> None:
        super().__init__()
        # a tuple hides the owner from nn.Module's registry: no parameter is this module's
        self._owner, self.size = (owner,), owner.size

    def forward(self, s: Tensor) -> Tensor:
        with torch.no_grad():
            return self._owner[0](s)

    def __deepcopy__(self, memo: dict[int, Any]) -> Lent:
        return Lent(self._owner[0])


class PixelEncoder(nn.Module):
    """Images `[S, B, *obs]` to `features`: convolutions, then Linear, LayerNorm, tanh (DrQ)."""

    def __init__(self, init: Init, features: int = 50) -> None:
        super().__init__()
        self.see: Convolutions | Lent = Convolutions(init)
        self.project = Linear(init, self.see.size, features)
        self.norm = LayerNorm(init, features)
        self.size = features

    def forward(self, s: Tensor) -> Tensor:
        return self.norm(self.project(self.see(s))).tanh()


def hats(x: Tensor, low: float | Tensor, high: float | Tensor, bins: Tensor) -> Tensor:
    """Shares of numbers `x` `[S, ...]` in the two nearest of as many points from `low` to `high` as
    there are `bins` `[n]`, which are 0, 1, ..., n - 1: `[S, ..., n]`; cut off beyond them.

    As `value_heads.two_hot`, in operations that exported policies have.
    """
    low, high = against(low, x), against(high, x)
    place = ((x - low) / (high - low)).clamp(0, 1).unsqueeze(-1)
    place = (len(bins) - 1) * torch.cat([place] * len(bins), -1)
    return (1 - (place - bins.to(place)).abs()).clamp(min=0)


def share_sight(actor: Any, critic: Any) -> None:
    """With images, the actor's encoder takes the critic's convolutions, which it does not train,
    in place of its own. To be called before an optimiser or a target has either; vectors and grids
    are left alone."""
    theirs, ours = getattr(critic, "encoder", None), getattr(actor, "encoder", None)
    if isinstance(ours, PixelEncoder) and isinstance(theirs, PixelEncoder):
        assert isinstance(theirs.see, Convolutions)
        ours.see = Lent(theirs.see)


class OwnEncoder(nn.Module):
    """A torch module of the user's, `[B, *obs]` to `[B, features]`, a copy for each lane."""

    def __init__(self, init: Init, factory: Callable[[], nn.Module]) -> None:
        super().__init__()
        spec = init.spec
        self.module, self.dtype = Vmapped(init, factory), spec.dtype
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
        return self.module(s.to(self.dtype))  # images are stored as uint8


class Normalised(nn.Module):
    """What `inside` makes of observations seen through the agent's `Normaliser`, which belongs to
    the agent: no number of it is this net's."""

    def __init__(self, inside: Flatten | OwnEncoder, normaliser: Normaliser) -> None:
        super().__init__()
        normaliser.users += 1
        # a tuple hides it from nn.Module's registry
        self.inside, self._seen, self.size = inside, (normaliser,), inside.size

    def forward(self, s: Tensor) -> Tensor:
        return self.inside(self._seen[0](s))

    def __deepcopy__(self, memo: dict[int, Any]) -> Normalised:
        """A target's net looks through what its net does, a whole agent's copy through its own."""
        seen = memo.get(id(self._seen[0]), self._seen[0])
        return Normalised(copy.deepcopy(self.inside, memo), seen)


def encoder(init: Init) -> Flatten | GridEncoder | PixelEncoder | OwnEncoder | Normalised:
    """The user's own (`Spec.encoder`), or what fits the observations: vectors as they are, MiniGrid
    views embedded, images through convolutions. Vectors are seen through `Spec.normaliser`."""
    found = _fitting(init)
    if init.spec.normaliser is None:
        return found
    assert isinstance(found, Flatten | OwnEncoder)  # a normaliser is of vectors
    return Normalised(found, init.spec.normaliser)


def _fitting(init: Init) -> Flatten | GridEncoder | PixelEncoder | OwnEncoder:
    spec: Spec = init.spec
    if spec.encoder is not None:
        return OwnEncoder(init, spec.encoder)
    if spec.image:
        return PixelEncoder(init)
    if len(spec.obs) == 1:
        return Flatten(init)
    if len(spec.obs) == 3 and spec.obs[-1] == len(_KINDS):
        return GridEncoder(init)
    raise ValueError(
        f"no encoder for observations of shape {spec.obs}; flatten them to a vector, give a "
        "MiniGrid view (H, W, 3), or say that they are images (Spec(..., image=True))"
    )
