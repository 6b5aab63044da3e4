"""Policies: a net for every head, and the distributions they return.

Every distribution answers `mode`, `sample(noise)` and (but for the deterministic one)
`log_prob(a)` of a GIVEN action `[S, B]`. Noise always comes from outside: standard normal shaped
like the action, or Gumbel numbers for the categorical one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.core.streams import Draw
from rlkit.nets.encoders import encoder
from rlkit.nets.layers import MLP, Init, Norm

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_INSIDE = 1 - 1e-5  # actions at the bounds have no finite pre-image under tanh


def _normal_log_prob(eps: Tensor, log_std: Tensor) -> Tensor:
    return -(0.5 * eps.square() + log_std + _HALF_LOG_2PI).sum(-1)


def _log_tanh_slope(u: Tensor) -> Tensor:
    """log(1 - tanh²u) without cancellation for large |u|."""
    return 2 * (math.log(2) - u - F.softplus(-2 * u))


@dataclass(frozen=True)
class Point:
    """All mass on one action."""

    mode: Tensor  # [S, B, A]

    def sample(self, eps: Tensor) -> Tensor:
        """The action moved by `eps` and kept inside [-1, 1]."""
        return (self.mode + eps).clamp(-1, 1)


@dataclass(frozen=True)
class Normal:
    """Independent Gaussians; samples may leave the box [-1, 1], as may a mean without tanh."""

    mode: Tensor  # [S, B, A]
    log_std: Tensor  # [S, 1, A]

    def sample(self, eps: Tensor) -> Tensor:
        return self.mode + self.log_std.exp() * eps

    def log_prob(self, a: Tensor) -> Tensor:
        return _normal_log_prob((a - self.mode) / self.log_std.exp(), self.log_std)


@dataclass(frozen=True)
class TanhNormal:
    """tanh of independent Gaussians; density with respect to the action in (-1, 1)."""

    mean: Tensor  # [S, B, A] before tanh
    log_std: Tensor  # [S, B, A]

    @property
    def mode(self) -> Tensor:
        """tanh of the Gaussian's mean, the usual deterministic action."""
        return self.mean.tanh()

    def sample(self, eps: Tensor) -> Tensor:
        return (self.mean + self.log_std.exp() * eps).tanh()

    def sample_log_prob(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """A reparameterised action and its log-density `[S, B]`, without inverting tanh."""
        u = self.mean + self.log_std.exp() * eps
        return u.tanh(), _normal_log_prob(eps, self.log_std) - _log_tanh_slope(u).sum(-1)

    def log_prob(self, a: Tensor) -> Tensor:
        u = a.clamp(-_INSIDE, _INSIDE).atanh()
        eps = (u - self.mean) / self.log_std.exp()
        return _normal_log_prob(eps, self.log_std) - _log_tanh_slope(u).sum(-1)


@dataclass(frozen=True)
class Categorical:
    """Distribution over discrete actions; `sample` takes Gumbel noise `[S, B, A]`."""

    logits: Tensor  # [S, B, A]

    @property
    def log_probs(self) -> Tensor:
        return self.logits.log_softmax(-1)

    @property
    def mode(self) -> Tensor:
        return self.logits.argmax(-1)

    def sample(self, gumbel: Tensor) -> Tensor:
        return (self.logits + gumbel).argmax(-1)

    def log_prob(self, a: Tensor) -> Tensor:
        return self.log_probs.gather(-1, a.unsqueeze(-1)).squeeze(-1)


class _Actor(nn.Module):
    noise = Draw("normal", "B", "A")  # what `sample` wants

    def __init__(
        self, init: Init, hidden: Sequence[int], outputs: int, norm: Norm, discrete: bool = False
    ) -> None:
        super().__init__()
        if init.spec.discrete != discrete:
            wanted = "discrete" if discrete else "continuous"
            raise ValueError(f"{type(self).__name__} is for {wanted} actions, not {init.spec.act}")
        self.encoder = encoder(init)
        self.mlp = MLP(init, self.encoder.size, hidden, outputs, norm=norm)

    def trunk(self, s: Tensor) -> Tensor:
        return self.mlp(self.encoder(s))


class DeterministicActor(_Actor):
    """a = tanh(net(s))."""

    def __init__(self, init: Init, hidden: Sequence[int] = (256, 256), norm: Norm = "none") -> None:
        super().__init__(init, hidden, init.spec.act_size, norm)

    def forward(self, s: Tensor) -> Point:
        return Point(self.trunk(s).tanh())


class GaussianActor(_Actor):
    """Mean tanh(net(s)), or net(s) without `squash`, and one free log standard deviation a
    dimension (the actor of IQL)."""

    def __init__(
        self,
        init: Init,
        hidden: Sequence[int] = (256, 256),
        norm: Norm = "none",
        log_std_bounds: tuple[float, float] = (-5.0, 2.0),
        squash: bool = True,
    ) -> None:
        super().__init__(init, hidden, init.spec.act_size, norm)
        self.log_std = init.constant((1, init.spec.act_size), 0.0)
        self.log_std_bounds, self.squash = log_std_bounds, squash

    def forward(self, s: Tensor) -> Normal:
        mean = self.trunk(s)
        mean = mean.tanh() if self.squash else mean
        return Normal(mean, self.log_std.clamp(*self.log_std_bounds))


class TanhGaussianActor(_Actor):
    """Mean and log standard deviation from the net, squashed by tanh (the actor of SAC)."""

    def __init__(
        self,
        init: Init,
        hidden: Sequence[int] = (256, 256),
        norm: Norm = "none",
        log_std_bounds: tuple[float, float] = (-20.0, 2.0),
    ) -> None:
        super().__init__(init, hidden, 2 * init.spec.act_size, norm)
        self.log_std_bounds = log_std_bounds

    def forward(self, s: Tensor) -> TanhNormal:
        mean, log_std = self.trunk(s).chunk(2, -1)
        return TanhNormal(mean, log_std.clamp(*self.log_std_bounds))


class CategoricalActor(_Actor):
    """Softmax over discrete actions."""

    noise = Draw("gumbel", "B", "A")

    def __init__(self, init: Init, hidden: Sequence[int] = (256, 256), norm: Norm = "none") -> None:
        super().__init__(init, hidden, init.spec.act_size, norm, discrete=True)

    def forward(self, s: Tensor) -> Categorical:
        return Categorical(self.trunk(s))
