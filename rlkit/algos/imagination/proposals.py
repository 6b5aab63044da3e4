"""What a dynamics ensemble says may follow (s, a): the ways to `propose` in a rollout."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rlkit.algos.imagination.noise import LaneNoise
from rlkit.nets.dynamics import Dynamics, Prediction


class Proposal(NamedTuple):
    """K candidates for what follows (s, a), and what all members think where `propose` asked."""

    s: Tensor  # [S, B, D]
    a: Tensor  # [S, B, A]
    s2: Tensor  # [S, K, B, D]
    r: Tensor  # [S, K, B]
    mean: Tensor | None = None  # [S, n, B, D + 1] of (Δs, r), all n members
    std: Tensor | None = None  # [S, n, B, D + 1]


Propose = Callable[[Tensor, Tensor, Tensor, LaneNoise], Proposal]
"""(s, a, alive [S, B] bool, noise) -> candidates; rows that are not alive may hold anything."""


def one_elite(model: Dynamics) -> Propose:
    """`propose`: one draw from an elite chosen at random for every row (TS1 of PETS).

    Each elite gets an equal share of the rows by a random permutation, so a row costs one
    member's pass instead of all members'. Rows that are dead are not computed.
    """

    def propose(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        rows = s.shape[1]
        which = noise.permutation(rows) % model.elites.shape[1]
        eps = noise.normal(rows, s.shape[-1] + 1)
        return _proposal(s, a, _by_elite(model, s, a, which, alive, eps).unsqueeze(1))

    return propose


def all_members(model: Dynamics) -> Propose:
    """`propose`: as `one_elite`, but all n members predict and are reported in `mean` and `std`."""

    def propose(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        rows = s.shape[1]
        which = noise.permutation(rows) % model.elites.shape[1]
        eps = noise.normal(rows, s.shape[-1] + 1)
        every = model(s, a)
        member = model.elites.gather(1, which)[:, None, :, None]  # [S, 1, B, 1]
        member = member.expand(-1, -1, -1, s.shape[-1] + 1)
        drawn = every.mean.gather(1, member) + every.std.gather(1, member) * eps.unsqueeze(1)
        return _proposal(s, a, drawn, every)

    return propose


def every_elite(model: Dynamics, resamples: int = 1, with_std: bool = False) -> Propose:
    """`propose`: `resamples` draws from each elite, K = elites x resamples candidates.

    With `with_std` all n members predict and are reported in `mean` and `std`.
    """

    def propose(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        every = model(s, a) if with_std else None
        elite = _chosen(every, model.elites) if every else model(s, a, model.elites)
        mean, std = (x.repeat_interleave(resamples, 1) for x in (elite.mean, elite.std))
        return _proposal(s, a, mean + std * noise.normal(*mean.shape[1:]), every)

    return propose


def _proposal(s: Tensor, a: Tensor, drawn: Tensor, every: Prediction | None = None) -> Proposal:
    """Candidates from draws `[S, K, B, D + 1]` of (Δs, r)."""
    s2, r = s.unsqueeze(1) + drawn[..., :-1], drawn[..., -1]
    if every is None:
        return Proposal(s, a, s2, r)
    return Proposal(s, a, s2, r, every.mean, every.std)


def _chosen(every: Prediction, members: Tensor) -> Prediction:
    lanes = torch.arange(members.shape[0], device=members.device).unsqueeze(-1)
    log_var = None if every.log_var is None else every.log_var[lanes, members]
    return Prediction(every.mean[lanes, members], log_var)


def _by_elite(
    model: Dynamics, s: Tensor, a: Tensor, which: Tensor, alive: Tensor, eps: Tensor
) -> Tensor:
    """Draws `[S, B, D + 1]`, row b of a lane by its elite number `which[b]`; 0 where dead."""
    m = model.elites.shape[1]
    owner = torch.where(alive, which, m)  # the dead behind all others
    order = owner.argsort(dim=1, stable=True)
    counts = (owner.unsqueeze(1) == torch.arange(m, device=s.device).view(1, m, 1)).sum(-1)
    places = torch.arange(int(counts.max()), device=s.device)
    begin = counts.cumsum(1) - counts  # [S, m], where an elite's rows begin in `order`
    real = places < counts.unsqueeze(-1)  # [S, m, M]; elites with fewer rows repeat any
    at = (begin.unsqueeze(-1) + places).clamp(max=s.shape[1] - 1)
    rows = order.gather(1, at.flatten(1)).view_as(at)
    lanes = torch.arange(s.shape[0], device=s.device).view(-1, 1, 1).expand_as(rows)
    x = torch.cat([s, a], -1)[lanes, rows]  # [S, m, M, D + A]
    prediction = model.predict(x, model.elites)
    drawn = prediction.mean + prediction.std * eps[lanes, rows]
    out = torch.zeros_like(eps)
    out[lanes[real], rows[real]] = drawn[real]
    return out
