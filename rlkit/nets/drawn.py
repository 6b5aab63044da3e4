"""Several actions a state: drawn of three sources with their densities, and valued by critics."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.streams import Draw
from rlkit.core.target import Target
from rlkit.nets.actors import TanhGaussianActor, TanhNormal
from rlkit.nets.critics import Critic


class Drawn(NamedTuple):
    """Actions whose values are held down: n uniform ones, n of the policy at s', n at s."""

    actions: Tensor  # [S, B, 3n, A]
    log_prob: Tensor  # [S, B, 3n], log-densities where they were drawn

    @property
    def next(self) -> Tensor:
        """The policy's actions at s' `[S, B, n, A]`."""
        return self.actions.chunk(3, 2)[1]


def draws(n: int) -> dict[str, Draw]:
    """The noise of an update that draws n actions of each source."""
    return {
        "now": Draw("normal", "B", "A"),
        "next": Draw("normal", "B", "A"),
        "drawn": Draw("normal", "B", n, "A"),
        "drawn_next": Draw("normal", "B", n, "A"),
        "uniform": Draw("uniform", "B", n, "A"),
    }


@torch.no_grad()
def draw(pi: TanhGaussianActor, b: Batch) -> Drawn:
    """The actions with their densities, from the noise of `draws`; constants in every loss."""
    assert b.noise is not None
    uniform = 2 * b.noise["uniform"] - 1  # [S, B, n, A]
    actions = [uniform]
    log_probs = [torch.full_like(uniform[..., 0], -uniform.shape[-1] * math.log(2))]
    for s, eps in ((b.s2, b.noise["drawn_next"]), (b.s, b.noise["drawn"])):
        d = pi(s)
        several = TanhNormal(d.mean.unsqueeze(2), d.log_std.unsqueeze(2))
        a, log_prob = several.sample_log_prob(eps)
        actions.append(a)
        log_probs.append(log_prob)
    return Drawn(torch.cat(actions, 2), torch.cat(log_probs, 2))


def values(net: Critic | Target, s: Tensor, a: Tensor) -> Tensor:
    """Q of several actions a state: `[S, B, obs]`, `[S, B, k, A]` -> `[S, n, B, k]`."""
    k = a.shape[2]
    return net(s.repeat_interleave(k, 1), a.flatten(1, 2)).unflatten(-1, (-1, k))
