"""Rewards of users who are not told apart: each has a latent z, inferred from labelled pairs.

Variational preference learning (Poddar et al. 2024, arXiv 2408.10075):

    (1)  q(z | set) = N(μ, σ²),  μ and log σ from the mean of codes of the set's pairs
    (2)  P(second preferred | z) = σ(Σ_t r̂(s_t, a_t, z; second) - Σ_t r̂(s_t, a_t, z; first))
    (3)  L = E_z [Σ_pairs -y log P - (1 - y) log(1 - P)] + w KL(q || N(0, 1))

Differs from the authors' code: codes of pairs are averaged, so that their order and number do not
matter (theirs is one net over a set of fixed size); the KL has its factor ½; sums are over a set,
means over sets, so that w does not depend on the batch; ReLU; actions are inputs too.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit import nets
from rlkit.algos.preference.links import logistic_loss
from rlkit.algos.preference.statistics import total
from rlkit.algos.preference.teachers.users import Answered
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import generator

_LOG_STD = (-5.0, 2.0)  # bounds of log σ
_CHUNK = 1 << 14  # rows looked at at once


class Settings(Protocol):
    """Fields of a `Config` that say how latents are fitted."""

    @property
    def latent(self) -> int: ...  # numbers in z
    @property
    def set_size(self) -> int: ...  # pairs of a set
    @property
    def hidden_vae(self) -> tuple[int, ...]: ...
    @property
    def lr_vae(self) -> float: ...
    @property
    def batch_vae(self) -> int: ...  # sets an update
    @property
    def steps_vae(self) -> int: ...  # updates
    @property
    def kl(self) -> float | Tensor: ...  # w of (3)
    @property
    def cycles(self) -> int: ...  # times that w grows from 0; 0: constant


class Posterior(NamedTuple):
    """What sets of pairs say of the users who labelled them."""

    mean: Tensor  # [S, B, Z]
    log_std: Tensor  # [S, B, Z]

    @property
    def divergence(self) -> Tensor:
        """KL to N(0, 1), `[S, B]`, summed over the latent's numbers."""
        return 0.5 * (self.mean.square() + (2 * self.log_std).exp() - 1 - 2 * self.log_std).sum(-1)


class LatentReward(nn.Module):
    """Encoder (1) and reward r̂(s, a, z)."""

    def __init__(self, init: nets.Init, c: Settings, length: int) -> None:
        super().__init__()
        spec = init.spec
        self.discrete, self.act_size = spec.discrete, spec.act_size
        step, width = spec.obs_size + spec.act_size, (*c.hidden_vae, 2 * c.latent)[0]
        self.pair = nets.MLP(init, 2 * length * step + 1, c.hidden_vae, width)
        self.law = nets.Linear(init, width, 2 * c.latent)
        self.value = nets.MLP(init, step + c.latent, c.hidden_vae, 1)

    def steps(self, s: Tensor, a: Tensor) -> Tensor:
        """Steps `[..., D]` as inputs, of observations `[..., *obs]` and actions, which say how many
        axes lead."""
        lead = a.dim() if self.discrete else a.dim() - 1
        a = F.one_hot(a, self.act_size).to(s) if self.discrete else a
        return torch.cat((s.flatten(lead), a), -1)

    def posterior(self, x: Tensor, y: Tensor, w: Tensor) -> Posterior:
        """q(z | set) of sets of pairs `x [S, B, m, 2, H, D]` labelled `y [S, B, m]`; those of
        weight `w` 0 do not count."""
        told = torch.cat((x.flatten(3), 2 * y.unsqueeze(-1) - 1), -1)  # [S, B, m, *]
        codes = F.relu(self.pair(told.flatten(1, 2))).unflatten(1, y.shape[1:])
        w = w.unsqueeze(-1)
        pooled = (w * codes).sum(2) / w.sum(2).clamp(min=1e-6)
        mean, log_std = self.law(pooled).chunk(2, -1)
        return Posterior(mean, log_std.clamp(*_LOG_STD))

    def reward(self, x: Tensor, z: Tensor) -> Tensor:
        """r̂ `[S, N]` of steps `x [S, N, D]` for users `z [S, N, Z]`."""
        return self.value(torch.cat((x, z), -1)).squeeze(-1)

    def logits(self, x: Tensor, mask: Tensor, z: Tensor) -> Tensor:
        """Second sum of r̂ minus the first `[S, B, m]` of pairs `x [S, B, m, 2, H, D]` for users
        `z [S, B, Z]`."""
        wide = z[:, :, None, None, None].expand(*x.shape[:-1], z.shape[-1])
        r = self.reward(x.flatten(1, 4), wide.flatten(1, 4)).view(mask.shape)
        first, second = total(r, mask).unbind(-1)
        return second - first


def loss(
    net: LatentReward, sets: tuple[Tensor, ...], eps: Tensor, weight: float | Tensor
) -> tuple[Tensor, Tensor]:
    """Eq. (3) and the KL alone, `[S]`, of `sets` (x, mask, y, w) as `LatentReward` takes them;
    `eps [S, B, Z]` normal."""
    x, mask, y, w = sets
    q = net.posterior(x, y, w)
    d = net.logits(x, mask, q.mean + q.log_std.exp() * eps)
    divergence = q.divergence.mean(-1)
    if isinstance(weight, Tensor):
        weight = weight.reshape(-1)
    return (w * logistic_loss(d, y)).sum(-1).mean(-1) + weight * divergence, divergence


def ramp(step: int, steps: int, cycles: int) -> float:
    """Share of w at a step: half a cosine from 0 to 1 in each of `cycles`; 1 without them."""
    return (1 - math.cos(math.pi * (step * cycles / steps % 1))) / 2 if cycles else 1.0


class Users:
    """The answered pairs of each lane, drawn as sets of one user each; fits a `LatentReward`."""

    def __init__(self, net: LatentReward, answered: Answered, spec: Spec, c: Settings) -> None:
        self.net, self.spec, self.c, self.user = net, spec, c, answered.user
        pairs = answered.pairs
        self.columns = (net.steps(pairs.s, pairs.a), pairs.mask, pairs.y, pairs.w)
        self.of = [np.flatnonzero(answered.user == u) for u in range(len(answered.names))]

    def draw(self, name: str, step: int, count: int) -> np.ndarray:
        """Pairs `[S, count, m]` of sets of random users; a lane's depend on its seed and `step`."""
        lanes = []
        for seed in self.spec.seeds:
            rng = generator(seed, name, step)
            who = rng.integers(len(self.of), size=count)
            size = np.array([len(x) for x in self.of])[who]
            place = (rng.random((count, self.c.set_size)) * size[:, None]).astype(np.int64)
            lanes.append(np.stack([self.of[u][p] for u, p in zip(who, place, strict=True)]))
        return np.stack(lanes)

    def sets(self, index: np.ndarray) -> tuple[Tensor, ...]:
        """Columns of pairs `index [S, B, m]`."""
        at = torch.from_numpy(index).to(self.spec.device)
        lane = torch.arange(len(at), device=at.device).view(-1, 1, 1)
        return tuple(x[lane if len(x) > 1 else 0, at] for x in self.columns)

    @torch.enable_grad()
    def fit(self) -> dict[str, Tensor]:
        """Fits the net in place; the last loss, KL and accuracy by mean latents, `[S]` each."""
        c, spec = self.c, self.spec
        step = Adam(self.net, c.lr_vae)
        told: dict[str, Tensor] = {}
        for t in range(c.steps_vae):
            sets = self.sets(self.draw("vpl/sets", t, c.batch_vae))
            eps = [
                generator(k, "vpl/eps", t).normal(size=(c.batch_vae, c.latent)) for k in spec.seeds
            ]
            noise = torch.from_numpy(np.stack(eps)).to(spec.device, spec.dtype)
            value, divergence = loss(self.net, sets, noise, c.kl * ramp(t, c.steps_vae, c.cycles))
            told = {"vae_loss": step(value), "kl": divergence.detach()}
        x, mask, y, w = self.sets(self.draw("vpl/last", 0, 4 * c.batch_vae))
        with torch.no_grad():
            d = self.net.logits(x, mask, self.net.posterior(x, y, w).mean)
        decided = w * (y != 0.5)
        right = (decided * ((d > 0) == (y > 0.5))).sum((1, 2))
        return told | {"vae_accuracy": right / decided.sum((1, 2)).clamp(min=1e-6)}

    @torch.no_grad()
    def latents(self, count: int) -> Tensor:
        """Samples `[S, count, Z]` of the posteriors of random sets of random users."""
        q = self.net.posterior(*self._labelled(self.draw("vpl/latents", 0, count)))
        eps = [
            generator(seed, "vpl/latents/eps").normal(size=q.mean.shape[1:])
            for seed in self.spec.seeds
        ]
        return q.mean + q.log_std.exp() * torch.from_numpy(np.stack(eps)).to(q.mean)

    @torch.no_grad()
    def latent_of(self, user: int) -> Tensor:
        """Mean `[S, Z]` of the posterior of all pairs of one user."""
        index = np.broadcast_to(self.of[user], (self.spec.lanes, 1, len(self.of[user])))
        return self.net.posterior(*self._labelled(index.copy())).mean.squeeze(1)

    def _labelled(self, index: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        x, _, y, w = self.sets(index)
        return x, y, w


@torch.no_grad()
def rewards(net: LatentReward, x: Tensor, z: Tensor) -> Tensor:
    """r̂ `[S, M, K]` of each of K steps `x [S, K, D]` for each of M users `z [S, M, Z]`."""
    parts = []
    for some in z.split(max(1, _CHUNK // x.shape[1]), 1):
        shape = (len(z), some.shape[1], x.shape[1], -1)
        wide = (x.unsqueeze(1).expand(shape), some.unsqueeze(2).expand(shape))
        parts.append(net.reward(*(v.flatten(1, 2) for v in wide)).unflatten(1, shape[1:3]))
    return torch.cat(parts, 1)
