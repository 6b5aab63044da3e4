"""Values of every discrete action behind a value head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from rlkit.nets.encoders import encoder
from rlkit.nets.layers import MLP, Init, Norm


class ActionValues(nn.Module):
    """Outputs of every discrete action `[S, B, A, size]`; of n copies `[S, n, B, A, size]`.

    With `dueling` they are V + A_a - mean A, value and advantages having hidden layers of their
    own behind one encoder (Wang et al. 2016, arXiv 1511.06581). The last layers begin small, so
    that first values lie close to 0, or to the middle of a head's bounds.
    """

    def __init__(
        self,
        init: Init,
        hidden: Sequence[int] = (256, 256),
        size: int = 1,
        norm: Norm = "none",
        dueling: bool = False,
        n: int = 0,
    ) -> None:
        super().__init__()
        if not init.spec.discrete:
            raise ValueError(f"values of every action need discrete actions, not {init.spec.act}")
        self.actions, self.size = init.spec.act_size, size
        self.encoder = encoder(init)

        def mlp(actions: int) -> MLP:
            n_in, n_out = self.encoder.size, actions * size
            return MLP(init, n_in, hidden, n_out, n, norm, last_scale=0.01)

        self.mlp = mlp(self.actions)
        self.base = mlp(1) if dueling else None

    def activations(self, s: Tensor, a: Tensor) -> list[Tensor]:
        """Outputs of the hidden layers, each `[S, ..., B, width]`; they depend on no action."""
        features = self.encoder(s)
        nets = [self.mlp] if self.base is None else [self.mlp, self.base]
        return [x for net in nets for x in net.activations(features)[1:]]

    def forward(self, s: Tensor) -> Tensor:
        features = self.encoder(s)
        out = self.mlp(features).unflatten(-1, (self.actions, self.size))
        if self.base is None:
            return out
        return out + (self.base(features).unsqueeze(-2) - out.mean(-2, keepdim=True))


def of_action(out: Tensor, a: Tensor) -> Tensor:
    """The outputs `[..., size]` of actions `a` `[...]` among those of all `[..., A, size]`."""
    index = a.unsqueeze(-1).unsqueeze(-1).expand(*a.shape, 1, out.shape[-1])
    return out.gather(-2, index).squeeze(-2)
