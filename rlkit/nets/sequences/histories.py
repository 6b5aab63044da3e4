"""Values of histories of observations, and a model of what follows them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.nets.encoders import encoder
from rlkit.nets.layers import MLP, Init
from rlkit.nets.sequences.gru import GRU


class HistoryValues(nn.Module):
    """Values of every discrete action behind a GRU, whose state z is the latent of a history: the
    last observations and the actions between them."""

    def __init__(self, init: Init, latent: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.actions = init.spec.act_size
        self.encoder = encoder(init)
        self.gru = GRU(init, self.encoder.size + self.actions, latent)
        self.values = MLP(init, latent, hidden, self.actions)

    def latent(self, s: Tensor, a: Tensor, mask: Tensor) -> Tensor:
        """z `[S, B, H]` after histories `[S, B, K, ...]`; their last actions are not seen."""
        features = self.encoder(s.flatten(1, 2)).unflatten(1, s.shape[1:3])
        before = torch.zeros_like(mask)
        before[..., 1:] = mask[..., :-1]
        taken = torch.zeros_like(a)
        taken[..., 1:] = a[..., :-1]
        given = self._actions(taken, features) * before.unsqueeze(-1)
        return self.gru(torch.cat([features, given], -1), keep=before.to(features))[:, :, -1]

    def further(self, z: Tensor, a: Tensor, s2: Tensor) -> Tensor:
        """The latent `[S, B, H]` one step after z: after actions `[S, B]` that led to observations
        `[S, B, *obs]`."""
        features = self.encoder(s2)
        return self.gru.step(torch.cat([features, self._actions(a, features)], -1), z)

    def _actions(self, a: Tensor, like: Tensor) -> Tensor:
        return F.one_hot(a, self.actions).to(like)


class LatentModel(nn.Module):
    """From latents `[S, B, H]` to the reward of every discrete action `[S, A, B]`, and mean and
    deviation of the next latent `[S, A, B, H]`."""

    def __init__(self, init: Init, latent: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.actions, self.size = init.spec.act_size, latent
        self.mlp = MLP(init, latent, hidden, self.actions * (1 + 2 * latent))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        out = self.mlp(z).unflatten(-1, (self.actions, -1)).transpose(1, 2)
        r, mean, log_std = out.split([1, self.size, self.size], -1)
        return r.squeeze(-1), mean, (-2 + 3 * log_std.tanh()).exp()  # from e^-5 to e
