"""Value heads: what the outputs of a net say about a return, and how they learn it.

    scalar     the value itself; squared or Huber error
    two_hot    a law on `bins` atoms of low..high; cross-entropy to y split between its two
               neighbours, which keeps the mean
    hl_gauss   a law on `bins` intervals of low..high; cross-entropy to a normal law around y
               (Farebrother et al. 2024, arXiv 2403.03950; Imani & White 2018)
    c51        a law on atoms; cross-entropy to the projected law of r + discount Z(s')
               (Bellemare, Dabney & Munos 2017, arXiv 1707.06887)
    quantile   `bins` quantiles; quantile Huber loss against r + discount θ_j(s')
               (Dabney et al. 2018, arXiv 1710.10044)
    ggd        the value and the shape of its error's law (`nets.gaussian_errors`)

Everything is tensor code on `[S, ..., size]`: whatever lies between lanes and outputs (members,
rows, actions) is treated alike. `low`, `high`, `sigma` and `huber` are numbers or tensors `[S, 1]`
with one a lane.

Differs from the papers: a target beyond the bounds is moved to the bound before it is encoded, for
hl_gauss too, whose normal law would have no mass there. Code that divides the quantile loss by
Huber's threshold differs by that factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, get_args

import torch
from torch import Tensor

from rlkit.core.lanes import against
from rlkit.core.words.ranges import Count, NonNegative, Positive, Real
from rlkit.nets.gaussian_errors import GGDHead

Head = Literal["scalar", "two_hot", "hl_gauss", "c51", "quantile", "ggd"]
Number = float | Tensor  # a number, or one a lane [S, 1]


@dataclass(frozen=True)
class HeadConfig:
    """Settings of what a critic's outputs say of the return; a Config extends it."""

    head: Head = "scalar"  # scalar, two_hot, hl_gauss, c51, quantile or ggd
    bins: Count = 51  # atoms, bins or quantiles of the heads but scalar and ggd
    low: Real = -10.0  # least return that two_hot, hl_gauss and c51 can tell
    high: Real = 10.0  # largest
    sigma: Positive = 0.75  # σ of hl_gauss in widths of a bin


@dataclass(frozen=True)
class CopiesConfig(HeadConfig):
    """And of copies of every critic, between which errors differ."""

    copies: Count = 1  # K, copies of every critic, each with a target of its own
    biev: NonNegative = 0.1  # λ of BIEV, which weighs rows by how little the copies' errors differ


class ValueHead(Protocol):
    """How `size` outputs of a net stand for a value."""

    @property
    def size(self) -> int:
        """Outputs of one value."""

    def value(self, out: Tensor) -> Tensor:
        """Values `[S, ...]` of outputs `[S, ..., size]`."""

    def point(self, y: Tensor) -> Tensor:
        """Target `[S, ..., size]` that says the return is `y` `[S, ...]`."""

    def target(
        self, r: Tensor, discount: Tensor, out2: Tensor, plus: float | Tensor = 0.0
    ) -> Tensor:
        """Target `[S, ..., size]` of r + discount · (`plus` + the return that outputs `out2` stand
        for); all else `[S, ...]`, a discount of 0 being the end."""

    def mean(self, target: Tensor) -> Tensor:
        """The number `[S, ...]` that a target stands for, or the mean of its law."""

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        """Loss `[S, ...]` of outputs against a target, before any mean."""

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """How wrong the outputs are `[S, ...]`, at least 0; what prioritised replay ranks by."""


# --- encodings and losses ---------------------------------------------------------------------
def two_hot(y: Tensor, low: Number, high: Number, bins: int) -> Tensor:  # [S, ...] -> [..., bins]
    """`y` split between its two neighbours among `bins` atoms from low to high, its mean kept."""
    place = (y - against(low, y)) / (against(high, y) - against(low, y)) * (bins - 1)
    place = place.clamp(0, bins - 1).unsqueeze(-1).expand(*y.shape, bins)
    return (1 - (place - _count(bins, y)).abs()).clamp(min=0)


def hl_gauss(y: Tensor, low: Number, high: Number, bins: int, sigma: Number) -> Tensor:
    """Mass of a normal law around `y` `[S, ...]` in each of `bins` intervals from low to high,
    `[..., bins]`; `sigma` in widths of an interval. Cut off at the bounds and normalised."""
    place = (y - against(low, y)) / (against(high, y) - against(low, y)) * bins
    place = place.clamp(0, bins).unsqueeze(-1).expand(*y.shape, bins + 1)
    below = torch.erf((_count(bins + 1, y) - place) / (against(sigma, place) * math.sqrt(2)))
    whole = (below[..., -1:] - below[..., :1]).expand(*y.shape, bins)
    return below.diff(dim=-1) / whole


def projection(p: Tensor, r: Tensor, discount: Tensor, low: Number, high: Number) -> Tensor:
    """The law of r + discount Z for Z of law `p` `[S, ..., bins]` on the atoms from low to high,
    projected back on them: every atom's mass goes to the two neighbours of where it lands."""
    atoms = _atoms(low, high, p).expand_as(p)
    landed = r.unsqueeze(-1).expand_as(p) + discount.unsqueeze(-1).expand_as(p) * atoms
    return (p.unsqueeze(-2) @ two_hot(landed, low, high, p.shape[-1])).squeeze(-2)


def cross_entropy(out: Tensor, target: Tensor) -> Tensor:  # [..., m], [..., m] -> [...]
    """Cross-entropy of softmax(out) to the law `target`; its slope is their difference."""
    return -(target * out.log_softmax(-1)).sum(-1)


def huber_loss(u: Tensor, huber: Number) -> Tensor:
    """½u² for |u| <= huber, then linear with the same slope; entry by entry."""
    size = u.abs()
    square = size.clamp(max=against(huber, u))
    return square * (size - 0.5 * square)


def quantile_huber(out: Tensor, target: Tensor, huber: Number) -> Tensor:
    """Σ_i mean_j |τ_i - 1{u_ij < 0}| huber(u_ij) with u_ij = target_j - out_i and τ_i = (i - ½)/m;
    `[S, ..., m]`, `[S, ..., n]` -> `[S, ...]`."""
    m, n = out.shape[-1], target.shape[-1]
    pairs = (*out.shape, n)
    u = target.unsqueeze(-2).expand(pairs) - out.unsqueeze(-1).expand(pairs)
    tau = ((_count(m, out) + 0.5) / m).unsqueeze(-1)
    weight = (tau.expand(pairs) - (u < 0).to(u)).abs()
    return (weight * huber_loss(u, huber)).mean(-1).sum(-1)


# --- heads ------------------------------------------------------------------------------------
@dataclass(frozen=True, eq=False)
class ScalarHead:
    """The output is the value."""

    huber: Number | None = math.inf  # where ½u² turns linear; None is the squared error u²
    size: ClassVar[int] = 1

    def value(self, out: Tensor) -> Tensor:
        return out.squeeze(-1)

    def mean(self, target: Tensor) -> Tensor:
        return target.squeeze(-1)

    def point(self, y: Tensor) -> Tensor:
        return y.unsqueeze(-1)

    def target(
        self, r: Tensor, discount: Tensor, out2: Tensor, plus: float | Tensor = 0.0
    ) -> Tensor:
        return self.point(r + discount * (self.value(out2) + plus))

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        u = (target - out).squeeze(-1)
        return u.square() if self.huber is None else huber_loss(u, self.huber)

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        return (target - out).squeeze(-1).abs()


@dataclass(frozen=True, eq=False)
class _AtomsHead:
    """Logits of a law on atoms."""

    low: Number
    high: Number
    size: int

    def value(self, out: Tensor) -> Tensor:
        return self.mean(out.softmax(-1))

    def mean(self, target: Tensor) -> Tensor:
        return _atom_mean(target, self.low, self.high)

    def point(self, y: Tensor) -> Tensor:
        return two_hot(y, self.low, self.high, self.size)

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(out, target)


class TwoHotHead(_AtomsHead):
    """Logits of a law on atoms, taught a number."""

    def target(
        self, r: Tensor, discount: Tensor, out2: Tensor, plus: float | Tensor = 0.0
    ) -> Tensor:
        return self.point(r + discount * (self.value(out2) + plus))

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """|y - Q|, of the means."""
        return (self.mean(target) - self.value(out)).abs()


@dataclass(frozen=True, eq=False)
class HLGaussHead:
    """Logits of a law on intervals, taught a number blurred by a normal law.

    Numbers within 3 σ of a bound come out moved inwards: leave that margin.
    """

    low: Number
    high: Number
    size: int
    sigma: Number = 0.75  # σ in widths of an interval; the paper's 0.75 spreads y over about six

    def value(self, out: Tensor) -> Tensor:
        return self.mean(out.softmax(-1))

    def mean(self, target: Tensor) -> Tensor:
        return _bin_mean(target, self.low, self.high)

    def point(self, y: Tensor) -> Tensor:
        return hl_gauss(y, self.low, self.high, self.size, self.sigma)

    def target(
        self, r: Tensor, discount: Tensor, out2: Tensor, plus: float | Tensor = 0.0
    ) -> Tensor:
        return self.point(r + discount * (self.value(out2) + plus))

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(out, target)

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """|y - Q|, of the means."""
        return (self.mean(target) - self.value(out)).abs()


class C51Head(_AtomsHead):
    """Logits of the law of the return on atoms."""

    def target(
        self, r: Tensor, discount: Tensor, out2: Tensor, plus: float | Tensor = 0.0
    ) -> Tensor:
        return projection(out2.softmax(-1), r + discount * plus, discount, self.low, self.high)

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """KL(target ‖ law), as in Rainbow (arXiv 1710.02298)."""
        return (cross_entropy(out, target) + torch.xlogy(target, target).sum(-1)).clamp(min=0)


@dataclass(frozen=True, eq=False)
class QuantileHead:
    """Quantiles of the return at (i - ½)/size."""

    size: int
    huber: Number = 1.0  # κ

    def value(self, out: Tensor) -> Tensor:
        return out.mean(-1)

    def mean(self, target: Tensor) -> Tensor:
        return target.mean(-1)

    def point(self, y: Tensor) -> Tensor:
        return y.unsqueeze(-1).expand(*y.shape, self.size)

    def target(
        self, r: Tensor, discount: Tensor, out2: Tensor, plus: float | Tensor = 0.0
    ) -> Tensor:
        return self.point(r + discount * plus) + self.point(discount) * out2

    def loss(self, out: Tensor, target: Tensor) -> Tensor:
        return quantile_huber(out, target, self.huber)

    def error(self, out: Tensor, target: Tensor) -> Tensor:
        """W1 distance of the two laws, from sorted quantiles."""
        return (out.sort(-1).values - target.sort(-1).values).abs().mean(-1)


def value_head(
    name: Head,
    *,
    bins: int = 51,
    low: Number = -10.0,
    high: Number = 10.0,
    sigma: Number = 0.75,
    huber: Number | None = 1.0,
) -> ValueHead:
    """The head called `name`; `huber` None is the squared error of scalar, and 1 of quantile.
    Raises ValueError for bounds, bins or widths that make no law."""
    lowest = {"scalar": 1, "quantile": 1, "ggd": 1}.get(name, 2)
    kappa = 1.0 if huber is None else huber
    if bins < lowest:
        raise ValueError(f"bins is {bins}; head {name!r} needs at least {lowest}")
    for field, positive in (("sigma", sigma), ("huber", kappa), ("high - low", high - low)):
        if not torch.as_tensor(positive).gt(0).all():
            raise ValueError(f"{field} is {positive}; a value head needs it above 0")
    match name:
        case "scalar":
            return ScalarHead(huber)
        case "two_hot":
            return TwoHotHead(low, high, bins)
        case "hl_gauss":
            return HLGaussHead(low, high, bins, sigma)
        case "c51":
            return C51Head(low, high, bins)
        case "quantile":
            return QuantileHead(bins, kappa)
        case "ggd":
            return GGDHead()
    raise ValueError(f"unknown value head {name!r}; use {', '.join(get_args(Head))}")


def head_of(c: HeadConfig, huber: Number | None = None) -> ValueHead:
    """The head that a configuration asks for; see `value_head`."""
    return value_head(c.head, bins=c.bins, low=c.low, high=c.high, sigma=c.sigma, huber=huber)


# --- inside -----------------------------------------------------------------------------------
def _count(n: int, like: Tensor) -> Tensor:
    return torch.arange(n, dtype=like.dtype, device=like.device)


def _spread(low: Number, high: Number, share: Tensor, like: Tensor) -> Tensor:
    """low + (high - low) share, `[m]`, or `[S, 1, ..., m]` where the bounds differ by lane."""
    low, high = against(low, like), against(high, like)
    return low + (high - low) * share


def _atoms(low: Number, high: Number, like: Tensor) -> Tensor:
    """As many points from low to high, the bounds among them, as `like` has last."""
    bins = like.shape[-1]
    return _spread(low, high, _count(bins, like) / (bins - 1), like)


def _atom_mean(p: Tensor, low: Number, high: Number) -> Tensor:
    """Mean of a law on atoms from low to high."""
    return (p * _atoms(low, high, p)).sum(-1)


def _bin_mean(p: Tensor, low: Number, high: Number) -> Tensor:
    """Mean of a law on the mid-points of intervals from low to high."""
    bins = p.shape[-1]
    return (p * _spread(low, high, (_count(bins, p) + 0.5) / bins, p)).sum(-1)
