"""Value nets: Q(s, a) as an ensemble `[S, n, B]`, V(s) as `[S, B]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from rlkit.core.target import Target
from rlkit.nets.action_values import of_action
from rlkit.nets.encoders import encoder
from rlkit.nets.layers import MLP, Init, Norm
from rlkit.nets.value_heads import ScalarHead, ValueHead
from rlkit.nets.vmapped import Vmapped

_TINY = 1e-10  # a critic that is flat in the action has no direction


class Critic(nn.Module):
    """Ensemble of n action-value functions; members share only the encoder of grid views.

    Continuous: the action is an input, and hidden units may be dropped by `masks`. Discrete: all
    actions are outputs, `self(s, a)` gathers and `self.all(s)` gives `[S, n, B, A]`. With
    `Spec.critic` members are copies of the user's module instead.

    Behind a value `head` each member says a value by `head.size` outputs, and with `copies` K is
    K nets whose mean value counts: `outputs` has what all of them put out.
    """

    def __init__(
        self,
        init: Init,
        hidden: Sequence[int] = (256, 256),
        n: int = 2,
        norm: Norm = "none",
        head: ValueHead | None = None,
        copies: int = 1,
    ) -> None:
        super().__init__()
        spec = init.spec
        self.discrete, self.n, self.copies = spec.discrete, n, copies
        self.head: ValueHead = ScalarHead(None) if head is None else head
        self.own = None if spec.critic is None else Vmapped(init, spec.critic, n)
        if self.own is not None:
            if spec.normaliser is not None:
                raise ValueError(
                    "a critic of one's own sees observations as they are: normalise "
                    "in it, or give no normaliser"
                )
            if self.head.size > 1 or copies > 1:
                raise ValueError("a critic of one's own gives values: head scalar, copies 1")
            return
        self.encoder = encoder(init)
        n_in = self.encoder.size + (0 if spec.discrete else spec.act_size)
        self.actions = spec.act_size if spec.discrete else 1
        self.mlp = MLP(init, n_in, hidden, self.actions * self.head.size, n * copies, norm)

    def all(self, s: Tensor) -> Tensor:
        """Q of every action `[S, n, B, A]`; discrete actions only."""
        return self.values(self.all_outputs(s))

    def all_outputs(self, s: Tensor) -> Tensor:
        """Outputs of every action `[S, n, K, B, A, size]`; discrete actions only."""
        if not self.discrete:
            raise ValueError("a critic of continuous actions has no finite set to evaluate")
        if self.own is not None:
            return self.own(s).unsqueeze(2).unsqueeze(-1)
        return self._split(self.mlp(self.encoder(s))).unflatten(-1, (self.actions, -1))

    def activations(self, s: Tensor, a: Tensor) -> list[Tensor]:
        """Outputs of the hidden layers, each `[S, n K, B, width]`."""
        features = self.encoder(s)
        return self.mlp.activations(features if self.discrete else torch.cat([features, a], -1))[1:]

    def forward(self, s: Tensor, a: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        return self.values(self.outputs(s, a, masks))

    def values(self, out: Tensor) -> Tensor:
        """Q `[S, n, ...]` of outputs `[S, n, K, ..., size]`."""
        q = self.head.value(out)
        return q.squeeze(2) if self.copies == 1 else q.mean(2)

    def outputs(self, s: Tensor, a: Tensor, masks: Sequence[Tensor] | None = None) -> Tensor:
        """What the nets put out `[S, n, K, B, size]`."""
        if self.own is not None and not self.discrete:
            if masks is not None:
                raise ValueError("a critic of one's own drops no hidden units")
            q = self.own(s, a)
            return q.view(*q.shape[:2], 1, -1, 1)
        if not self.discrete:
            return self._split(self.mlp(torch.cat([self.encoder(s), a], -1), masks))
        out = self.all_outputs(s)
        return of_action(out, a[:, None, None].expand(*out.shape[:3], -1))

    def with_slopes(
        self, s: Tensor, a: Tensor, masks: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """`outputs` and ∇_a Q_j(s, a) `[S, n, B, A]`; both can be differentiated again. Raises
        ValueError for a critic of one's own, whose members cannot be told apart."""
        if self.own is not None:
            raise ValueError("slopes of each member need rlkit's own critics")
        own = a.detach().unsqueeze(1).expand(-1, self.n, -1, -1).clone().requires_grad_()
        nets = self.n * self.copies
        features = self.encoder(s).unsqueeze(1).expand(-1, nets, -1, -1)
        every = own if self.copies == 1 else own.repeat_interleave(self.copies, 1)
        out = self._split(self.mlp(torch.cat([features, every], -1), masks))
        (slopes,) = torch.autograd.grad(self.values(out).sum(), own, create_graph=True)
        return out, slopes

    def _split(self, out: Tensor) -> Tensor:
        """`[S, n K, ...]` as `[S, n, K, ...]`."""
        return out.unflatten(1, (self.n, self.copies))


def subset(x: Tensor, u: Tensor, m: int) -> Tensor:
    """The m members `[S, m, ...]` of `x` `[S, n, ...]` with the smallest `u` `[S, n]`."""
    members = u.argsort(-1)[:, :m].view(-1, m, *[1] * (x.dim() - 2))
    return x.gather(1, members.expand(-1, -1, *x.shape[2:]))


def alike(slopes: Tensor) -> Tensor:  # [..., n, B, A] -> [...]
    """Σ_{i≠j} ⟨ĝ_i, ĝ_j⟩ / (n - 1), a mean over B, of the directions ĝ of `slopes`: the n members'
    mean likeness to the others, summed. n for members that are alike, 0 for orthogonal ones, never
    below -n / (n - 1)."""
    n = slopes.shape[-3]
    unit = slopes / (slopes.norm(dim=-1, keepdim=True) + _TINY)
    pairs = unit.sum(-3).square().sum(-1) - unit.square().sum((-3, -1))  # [..., B], i ≠ j
    return pairs.mean(-1) / (n - 1)


def outputs(
    net: Critic | Target, s: Tensor, a: Tensor, masks: Sequence[Tensor] | None = None
) -> Tensor:
    """`Critic.outputs` of a critic or of a target of one."""
    inner: Any = net.net if isinstance(net, Target) else net
    return inner.outputs(s, a, masks)


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
