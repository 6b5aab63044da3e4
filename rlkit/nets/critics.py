"""Value nets: Q(s, a) as an ensemble `[S, n, B]`, V(s) as `[S, B]`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rlkit.nets.encoders import encoder
from rlkit.nets.layers import MLP, Init, Norm
from rlkit.nets.vmapped import Vmapped


class Critic(nn.Module):
    """Ensemble of n action-value functions; members share only the encoder of grid views.

    Continuous: the action is an input, and hidden units may be dropped by `masks`. Discrete: all
    actions are outputs, `self(s, a)` gathers and `self.all(s)` gives `[S, n, B, A]`. With
    `Spec.critic` members are copies of the user's module instead.
    """

    def __init__(
        self, init: Init, hidden: Sequence[int] = (256, 256), n: int = 2, norm: Norm = "none"
    ) -> None:
        super().__init__()
        spec = init.spec
        self.discrete, self.n = spec.discrete, n
        self.own = None if spec.critic is None else Vmapped(init, spec.critic, n)
        if self.own is not None:
            return
        self.encoder = encoder(init)
        n_in = self.encoder.size + (0 if spec.discrete else spec.act_size)
        n_out = spec.act_size if spec.discrete else 1
        self.mlp = MLP(init, n_in, hidden, n_out, n, norm)

    def all(self, s: Tensor) -> Tensor:
        """Q of every action `[S, n, B, A]`; discrete actions only."""
        if not self.discrete:
            raise ValueError("a critic of continuous actions has no finite set to evaluate")
        if self.own is not None:
            return self.own(s)
        return self.mlp(self.encoder(s))

    def activations(self, s: Tensor, a: Tensor) -> list[Tensor]:
        """Outputs of the hidden layers, each `[S, n, B, width]`."""
        features = self.encoder(s)
        return self.mlp.activations(features if self.discrete else torch.cat([features, a], -1))[1:]

    def forward(self, s: Tensor, a: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        if self.own is not None and not self.discrete:
            if masks is not None:
                raise ValueError("a critic of one's own drops no hidden units")
            q = self.own(s, a)
            return q.squeeze(-1) if q.dim() == 4 else q  # [S, n, B]
        if not self.discrete:
            return self.mlp(torch.cat([self.encoder(s), a], -1), masks).squeeze(-1)
        q = self.all(s)
        index = a.unsqueeze(1).unsqueeze(-1).expand(*q.shape[:-1], 1)
        return q.gather(-1, index).squeeze(-1)

    def with_slopes(
        self, s: Tensor, a: Tensor, masks: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Q_j(s, a) `[S, n, B]` and ∇_a Q_j(s, a) `[S, n, B, A]`; both can be differentiated
        again. Raises ValueError for a critic of one's own, whose members cannot be told apart."""
        if self.own is not None:
            raise ValueError("slopes of each member need rlkit's own critics")
        own = a.detach().unsqueeze(1).expand(-1, self.n, -1, -1).clone().requires_grad_()
        features = self.encoder(s).unsqueeze(1).expand(-1, self.n, -1, -1)
        qs = self.mlp(torch.cat([features, own], -1), masks).squeeze(-1)
        (slopes,) = torch.autograd.grad(qs.sum(), own, create_graph=True)
        return qs, slopes


class Value(nn.Module):
    """State value V(s) `[S, B]`; with n members `[S, n, B]`."""

    def __init__(
        self, init: Init, hidden: Sequence[int] = (256, 256), n: int = 0, norm: Norm = "none"
    ) -> None:
        super().__init__()
        self.encoder = encoder(init)
        self.mlp = MLP(init, self.encoder.size, hidden, 1, n, norm)

    def forward(self, s: Tensor) -> Tensor:
        return self.mlp(self.encoder(s)).squeeze(-1)
