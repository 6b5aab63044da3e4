"""A conditional variational autoencoder of actions, with a leading lane axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rlkit.nets.encoders import encoder
from rlkit.nets.layers import MLP, Init

_LOG_STD = (-4.0, 15.0)  # bounds, as in BCQ's code


class Coded(NamedTuple):
    """An action that went through the code, and the code's distribution."""

    action: Tensor  # [S, B, A] in [-1, 1]
    mean: Tensor  # [S, B, L] of the latent
    log_std: Tensor  # [S, B, L]

    @property
    def divergence(self) -> Tensor:
        """KL(N(mean, std²) || N(0, 1)) `[S, B]`, averaged over the latent's dimensions."""
        var = (2 * self.log_std).exp()
        return 0.5 * (self.mean.square() + var - 1 - 2 * self.log_std).mean(-1)


class ActionVAE(nn.Module):
    """q(z | s, a) Gaussian and p(a | s, z) with mean tanh(net); `latent` numbers in z.

    Two nets of widths `hidden`; z is twice as wide as the action unless told otherwise, as in BCQ
    (Fujimoto et al. 2019).
    """

    def __init__(
        self, init: Init, hidden: Sequence[int] = (750, 750), latent: int | None = None
    ) -> None:
        super().__init__()
        size = init.spec.act_size
        self.latent = 2 * size if latent is None else latent
        self.encoder = encoder(init)
        self.code = MLP(init, self.encoder.size + size, hidden, 2 * self.latent)
        self.decoder = MLP(init, self.encoder.size + self.latent, hidden, size)

    def decode(self, s: Tensor, z: Tensor) -> Tensor:
        """The action `[S, B, A]` of the latent `z` `[S, B, L]` at observations `s`."""
        return self.decoder(torch.cat([self.encoder(s), z], -1)).tanh()

    def forward(self, s: Tensor, a: Tensor, eps: Tensor) -> Coded:
        """Action `a` coded with the noise `eps` `[S, B, L]` and decoded again."""
        mean, log_std = self.code(torch.cat([self.encoder(s), a], -1)).chunk(2, -1)
        log_std = log_std.clamp(*_LOG_STD)
        return Coded(self.decode(s, mean + log_std.exp() * eps), mean, log_std)
