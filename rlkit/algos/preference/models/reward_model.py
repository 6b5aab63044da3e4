"""Bradley-Terry reward ensembles: Christiano et al. 2017 (arXiv 1706.03741), as in B-Pref.

    P(second preferred) = σ(Σ_t r̂(s_t, a_t; second) - Σ_t r̂(s_t, a_t; first))

Segments of one length tell rewards apart up to a constant a step; absorbing steps, which count 0,
fix it where segments end in a termination. The scale is the teacher's temperature's.

Differs from B-Pref's code: ReLU instead of LeakyReLU; a fresh optimiser in every fit, so that a
lane stops when it may, whatever its company; ties count for nothing in the accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.algos.preference.feedback import Preferences
from rlkit.algos.preference.links import choice_probability, logistic_loss, softened
from rlkit.algos.preference.statistics import total
from rlkit.core.flat import flatten
from rlkit.core.lanes import against
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import generator

_CHUNK = 1 << 14  # rows predicted at once
_PASSES = 1 << 16  # blocks of a stream that one fit may use


OwnInit = nets.Init  # with a name of its own, apart from the agent's nets


class RewardNet(nn.Module):
    """n members' r̂(s, a) `[S, n, B]`; `bounded` ones lie in (-1, 1), so that |logit| < 2H.

    Rows may be each member's own, `[S, n, B, ...]`. Discrete actions choose one of A outputs.
    """

    def __init__(
        self, init: nets.Init, hidden: tuple[int, ...], members: int, bounded: bool = True
    ) -> None:
        super().__init__()
        if members < 1:
            raise ValueError(f"members is {members}; a reward ensemble needs at least 1")
        spec = init.spec
        self.discrete, self.bounded = spec.discrete, bounded
        self.encoder = nets.encoder(init)
        n_in = self.encoder.size + (0 if spec.discrete else spec.act_size)
        self.mlp = nets.MLP(init, n_in, hidden, spec.act_size if spec.discrete else 1, members)

    def forward(self, s: Tensor, a: Tensor) -> Tensor:
        own = a.dim() == (3 if self.discrete else 4)
        x = self.encoder(s.flatten(1, 2)).unflatten(1, s.shape[1:3]) if own else self.encoder(s)
        if self.discrete:
            out = self.mlp(x)  # [S, n, B, A]
            index = a if own else a.unsqueeze(1).expand(out.shape[:-1])
            r = out.gather(-1, index.unsqueeze(-1)).squeeze(-1)
        else:
            r = self.mlp(torch.cat((x, a), -1)).squeeze(-1)
        return r.tanh() if self.bounded else r


@dataclass(frozen=True)
class Fit:
    """How a reward ensemble is fitted."""

    lr: float | Tensor = 3e-4  # of Adam
    batch: int = 128  # pairs a step
    passes: int = 50  # over all pairs, at most
    stop: float | Tensor = 0.97  # accuracy of a pass that ends a lane's fit
    margin: float | Tensor = 0.0  # m, targets are (1 - 2m) y + m
    floor: float | Tensor = 0.0  # ε, share of answers taken for noise


def member_logits(net: RewardNet, s: Tensor, a: Tensor, mask: Tensor) -> Tensor:
    """Second sum of rewards minus the first `[S, n, m]`, of pairs `[S, m, 2, H, ...]` or each
    member's own `[S, n, m, 2, H, ...]`."""
    pairs = mask.shape[-3:]
    lead = mask.dim() - 3
    r = net(s.flatten(lead, lead + 2), a.flatten(lead, lead + 2)).unflatten(-1, pairs)
    sums = total(r, mask if lead == 2 else mask.unsqueeze(1))
    return sums[..., 1] - sums[..., 0]


def pair_loss(
    logits: Tensor,
    y: Tensor,
    w: Tensor,
    margin: float | Tensor = 0.0,
    floor: float | Tensor = 0.0,
) -> Tensor:
    """Mean cross-entropy of pairs `[S, ..., m]` weighted by `w`, `[S, ...]`; 0 where all weigh 0.

    `margin` and `floor` are numbers, or one a lane `[S, 1]`.
    """
    target = softened(y, against(margin, y))
    loss = logistic_loss(logits, target, against(floor, logits))
    return (w * loss).sum(-1) / w.sum(-1).clamp(min=torch.finfo(w.dtype).tiny)


@torch.enable_grad()
def fit(
    net: RewardNet, pairs: Preferences, spec: Spec, c: Fit, round_: int = 0
) -> dict[str, Tensor]:
    """Fits all members of all lanes in place, each in an order of pairs of its own; a lane whose
    members order enough pairs rightly is left as it is. Returns the last `reward_loss [S]` and
    `reward_accuracy [S]` of each lane's fit. Pairs of weight 0 teach nothing.
    """
    if min(c.batch, c.passes) < 1:
        raise ValueError(f"batch {c.batch} and passes {c.passes} of a fit must be at least 1")
    members, n = net.mlp.last.weight.shape[1], pairs.y.shape[1]
    pairs = Preferences(*(x.expand(spec.lanes, *x.shape[1:]) for x in pairs))
    step, flat = Adam(net, c.lr), flatten(net)
    stop = c.stop.reshape(-1) if isinstance(c.stop, Tensor) else c.stop
    over = torch.zeros(spec.lanes, dtype=torch.bool, device=spec.device)
    kept = flat.data.clone()
    nothing = torch.zeros(spec.lanes, dtype=spec.dtype, device=spec.device)
    result = {"loss": nothing, "accuracy": nothing}
    lane = torch.arange(spec.lanes, device=spec.device)[:, None, None]
    for sweep in range(c.passes):
        order = _orders(spec, members, n, round_ * _PASSES + sweep)  # [S, members, n]
        losses, right, counted = [], nothing, nothing
        for index in order.split(c.batch, -1):
            s, a, mask, y, w = (x[lane, index] for x in pairs)  # [S, members, batch, ...]
            logits = member_logits(net, s, a, mask)
            loss = pair_loss(logits, y, w, c.margin, c.floor)  # [S, members]
            losses.append(step(loss.sum(-1)) / members)
            decided = w * (y != 0.5)
            right = right + (decided * ((logits > 0) == (y > 0.5))).sum((-1, -2)).detach()
            counted = counted + decided.sum((-1, -2))
        accuracy = right / counted.clamp(min=torch.finfo(spec.dtype).tiny)
        now = {"loss": torch.stack(losses).mean(0), "accuracy": accuracy}
        kept = torch.where(flat.per_lane(over).bool(), kept, flat.data)
        result = {name: torch.where(over, old, now[name]) for name, old in result.items()}
        over = over | (accuracy > stop)
        if bool(over.all()):
            break
    with torch.no_grad():
        flat.data.copy_(kept)
    return {f"reward_{name}": x for name, x in result.items()}


def _orders(spec: Spec, members: int, n: int, block: int) -> Tensor:
    lanes = [
        generator(seed, "reward/order", block).permuted(np.tile(np.arange(n), (members, 1)), axis=1)
        for seed in spec.seeds
    ]
    return torch.from_numpy(np.stack(lanes)).to(spec.device)


@torch.no_grad()
def mean_reward(net: RewardNet, s: Tensor, a: Tensor) -> Tensor:
    """The members' mean `[S, N]` of rows `[S, N, ...]`, or `[1, N, ...]` that all lanes share."""
    lanes = net.mlp.last.weight.shape[0]
    parts = []
    for start in range(0, s.shape[1], _CHUNK):
        piece = (x[:, start : start + _CHUNK] for x in (s, a))
        parts.append(net(*(x.expand(lanes, *x.shape[1:]) for x in piece)).mean(1))
    return torch.cat(parts, 1)


@torch.no_grad()
def member_probabilities(net: RewardNet, s: Tensor, a: Tensor, mask: Tensor) -> Tensor:
    """Each member's P(second preferred) `[S, n, m]` of pairs `[S, m, 2, H, ...]`."""
    return choice_probability(member_logits(net, s, a, mask))


Scaling = Literal["scale", "standard", "none"]


def normalised(r: Tensor, scaling: Scaling) -> Tensor:
    """Rewards `[S, N]` over their standard deviation, with "standard" less their mean too.

    "scale" keeps what an episode's end is worth, "standard" makes the average step worth nothing.
    """
    if scaling == "none":
        return r
    std = r.std(1, keepdim=True, correction=0).clamp(min=1e-6)
    return r / std if scaling == "scale" else (r - r.mean(1, keepdim=True)) / std
