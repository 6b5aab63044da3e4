"""The variational model of slates and clicks behind `slate_thompson`, with lanes.

Eide, Leslie & Frigessi 2021, "Dynamic Slate Recommendation with Gated Recurrent Units and Thompson
Sampling" (arXiv 2104.15046):
  items   v_i ~ N(g_group(i), |s_group(i)|),  g, s ~ N(0, group_prior)
  users   h_0 ~ N(0, start_prior),  h_t+1 = GRU(h_t, v of the clicked item), h_t without a click
          (gates without bias), z_t = h_t W
  clicks  softmax over the slate: item k has score -c |z_t - v_k|, no click the bias of its length
All but h_0 and c have Gaussian posteriors of independent entries. That of h_0 is amortised: its
mean is the mean of the user's clicked item vectors, the k-th click weighing 1 / k^4, its scale a
learned factor times the root of their weighted variance and start_prior² (one click alone has no
variance); a user without clicks has the prior. c is a learned number.
Scores are kept in [-100, 20]. Weights of the unit and W have standard normal priors (not stated in
what was seen), biases N(0, group_prior).

Slots of items -1 are empty; a click of -1 was not recorded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rlkit.nets.layers import Init
from rlkit.nets.sequences.gru import gru_cell

LOWEST, HIGHEST = -100.0, 20.0  # scores
LARGEST = 10.0  # scale of a posterior


def gaussian_kl(
    mean: Tensor, scale: Tensor, prior_mean: Tensor | float, prior_scale: Tensor | float
) -> Tensor:
    """KL(N(mean, scale²) || N(prior_mean, prior_scale²)) of every entry."""
    prior_scale = torch.as_tensor(prior_scale, dtype=mean.dtype, device=mean.device)
    square = (scale.square() + (mean - prior_mean).square()) / (2 * prior_scale.square())
    return prior_scale.log() - scale.log() + square - 0.5


class Posterior(nn.Module):
    """Independent Gaussians [S, *shape] with learned means and scales."""

    def __init__(self, init: Init, shape: tuple[int, ...], spread: float, scale: float) -> None:
        super().__init__()
        self.shape = shape
        self.mean = init.uniform(shape, spread)
        self.log_scale = init.constant(shape, float(np.log(scale)))

    @property
    def scale(self) -> Tensor:
        return self.log_scale.exp().clamp(max=LARGEST)

    def sample(self, eps: Tensor) -> Tensor:
        """Draws [S, P, *shape] from standard normal eps of that shape."""
        return self.mean.unsqueeze(1) + self.scale.unsqueeze(1) * eps


@dataclass(frozen=True)
class Sessions:
    """Slates shown [S, U, T, m] (items, -1 empty) and clicks [S, U, T] (0 none, k slot k, -1)."""

    slates: Tensor
    clicks: Tensor

    def users(self, index: Tensor) -> Sessions:
        """The sessions of users [S, B] of each lane."""
        lane = torch.arange(len(index), device=index.device)[:, None]
        return Sessions(self.slates[lane, index], self.clicks[lane, index])

    def clicked(self) -> Tensor:
        """The clicked item [S, U, T], -1 where there was none."""
        slot = (self.clicks - 1).clamp(min=0).unsqueeze(-1)
        item = self.slates.gather(-1, slot).squeeze(-1)
        return torch.where(self.clicks > 0, item, -1)


class Memory(nn.Module):
    """Posteriors of the recurrent unit's weights and of W; W begins as the identity, so z as h."""

    def __init__(self, init: Init, dim: int, scale: float) -> None:
        super().__init__()
        small = 1 / np.sqrt(dim)
        self.given = Posterior(init, (dim, 3 * dim), small, scale)
        self.recurrent = Posterior(init, (dim, 3 * dim), small, scale)
        self.out = Posterior(init, (dim, dim), small, scale)
        with torch.no_grad():
            eye = torch.eye(dim, dtype=init.spec.dtype, device=init.spec.device)
            self.out.mean.copy_(eye)


class SlateModel(nn.Module):
    """Posteriors of everything shared between users; users' own states are computed."""

    group: Tensor  # of every item [I]

    def __init__(
        self, init: Init, items: int, dim: int, slots: int, groups: np.ndarray | None,
        group_prior: float = 5.0, start_prior: float = 0.5, first_scale: float = 0.1,
        sharpness: float = 5.0,
    ) -> None:  # fmt: skip
        super().__init__()
        group = np.zeros(items, np.int64) if groups is None else np.asarray(groups, np.int64)
        if group.shape != (items,) or group.min() < 0:
            raise ValueError(f"groups must be {items} whole numbers from 0 on, one an item")
        self.register_buffer("group", torch.as_tensor(group, device=init.spec.device))
        self.items, self.dim, self.slots = items, dim, slots
        self.group_prior, self.start_prior = group_prior, start_prior
        count = int(group.max()) + 1
        self.vectors = Posterior(init, (items, dim), 0.5, first_scale)
        self.centres = Posterior(init, (count, dim), 0.5, first_scale)
        self.widths = Posterior(init, (count, dim), 0.0, first_scale)
        with torch.no_grad():
            self.widths.mean.fill_(1.0)
        self.bias = Posterior(init, (slots + 1,), 0.0, first_scale)
        self.memory = Memory(init, dim, first_scale)
        self.log_factor = init.constant((1,), 0.0)  # of the spread of h_0
        self.log_sharpness = init.constant((1,), float(np.log(sharpness)))  # c

    def posteriors(self) -> dict[str, Posterior]:
        m = self.memory
        users = {"bias": self.bias, "given": m.given, "recurrent": m.recurrent, "out": m.out}
        items = {"vectors": self.vectors, "centres": self.centres, "widths": self.widths}
        return {**items, **users}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the standard normal numbers that `draw` takes, without lanes and particles."""
        return {name: p.shape for name, p in self.posteriors().items()}

    def draw(self, eps: dict[str, Tensor]) -> dict[str, Tensor]:
        """Everything shared [S, P, ...] from standard normal numbers of these shapes."""
        return {name: p.sample(eps[name]) for name, p in self.posteriors().items()}

    def _sharpness(self, dims: int) -> Tensor:
        return self.log_sharpness.exp().reshape(-1, *[1] * (dims - 1))

    def start(self, w: dict[str, Tensor], clicked: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and scale [S, P, U, d] of h_0 from the items clicked [S, U, T]."""
        some = clicked >= 0
        rank = some.cumsum(-1).clamp(min=1)
        share = torch.where(some, rank.to(w["vectors"].dtype) ** -4.0, 0.0)
        share = share / share.sum(-1, keepdim=True).clamp(min=1e-12)
        v = _vectors(w["vectors"], clicked)  # [S, P, U, T, d]
        mean = (share[:, None, ..., None] * v).sum(-2)
        square = (share[:, None, ..., None] * (v - mean.unsqueeze(-2)).square()).sum(-2)
        factor = self.log_factor.exp()[:, None, None]
        scale = (factor * (square + self.start_prior**2).sqrt()).clamp(max=LARGEST)
        seen = some.any(-1)[:, None, :, None]
        return mean * seen, torch.where(seen, scale, self.start_prior)

    def states(self, w: dict[str, Tensor], h: Tensor, clicked: Tensor) -> Tensor:
        """z before every step and after the last one [S, P, U, T + 1, d] from h_0 [S, P, U, d]."""
        some = clicked >= 0
        given = _vectors(w["vectors"], clicked) @ w["given"].unsqueeze(2)
        states = [h]
        for t in range(clicked.shape[-1]):
            moved = gru_cell(given[..., t, :], h, w["recurrent"])
            h = torch.where(some[:, None, :, t, None], moved, h)
            states.append(h)
        return torch.stack(states, -2) @ w["out"].unsqueeze(2)

    def scores(self, w: dict[str, Tensor], z: Tensor, slates: Tensor) -> Tensor:
        """Scores [S, P, U, T, 1 + m] of no click and of every slot, for z [S, P, U, T, d]."""
        v = _vectors(w["vectors"], slates)
        distance = (z.unsqueeze(-2) - v).square().sum(-1).clamp(min=1e-12).sqrt()
        shown = (slates >= 0).unsqueeze(1)
        item = -self._sharpness(5) * distance
        item = torch.where(shown, item.clamp(LOWEST, HIGHEST), LOWEST)
        length = shown.sum(-1, keepdim=True).expand(*z.shape[:-1], 1)
        bias = w["bias"][:, :, None, None].expand(*z.shape[:-1], -1).gather(-1, length)
        return torch.cat([bias.clamp(LOWEST, HIGHEST), item], -1)

    def scores_of_all(self, w: dict[str, Tensor], z: Tensor) -> Tensor:
        """Scores [S, P, U, T, 1 + I] of no click and of every item of the catalogue."""
        flat = z.flatten(2, 3)
        distance = torch.cdist(flat, w["vectors"]).unflatten(2, z.shape[2:4])
        item = -self._sharpness(5) * distance
        bias = w["bias"][..., self.slots, None, None, None].expand(*z.shape[:-1], 1)
        return torch.cat([bias, item], -1).clamp(LOWEST, HIGHEST)

    def log_likelihood(
        self, w: dict[str, Tensor], h: Tensor, sessions: Sessions, universal: bool
    ) -> Tensor:
        """Log-probability of every recorded click [S, P, U, T], 0 where none was recorded."""
        clicked = sessions.clicked()
        z = self.states(w, h, clicked)[..., :-1, :]
        if universal:
            scores, chosen = self.scores_of_all(w, z), clicked + 1
        else:
            scores, chosen = self.scores(w, z, sessions.slates), sessions.clicks
        chosen = chosen.clamp(min=0)[:, None, ..., None].expand(*z.shape[:-1], 1)
        log_p = scores.log_softmax(-1).gather(-1, chosen).squeeze(-1)
        return torch.where((sessions.clicks >= 0).unsqueeze(1), log_p, 0.0)

    def shared_kl(self, w: dict[str, Tensor]) -> Tensor:
        """KL of all that users share [S]; the items' given the drawn groups, mean of particles."""
        prior = {"centres": self.group_prior, "widths": self.group_prior, "bias": self.group_prior}
        total = torch.zeros_like(self.log_factor[:, 0])
        for name, p in self.posteriors().items():
            if name != "vectors":
                kl = gaussian_kl(p.mean, p.scale, 0.0, prior.get(name, 1.0))
                total = total + kl.flatten(1).sum(1)
        centre = w["centres"][:, :, self.group]
        width = w["widths"][:, :, self.group].abs().clamp(min=1e-3)
        v = self.vectors
        kl = gaussian_kl(v.mean.unsqueeze(1), v.scale.unsqueeze(1), centre, width)
        return total + kl.flatten(2).sum(2).mean(1)


def _vectors(vectors: Tensor, items: Tensor) -> Tensor:
    """Item vectors [S, P, *, d] of items [S, *] from [S, P, I, d]; empty ones are item 0's."""
    lanes, particles = vectors.shape[:2]
    index = items.clamp(min=0).reshape(lanes, 1, -1, 1)
    picked = vectors.gather(2, index.expand(-1, particles, -1, vectors.shape[-1]))
    return picked.reshape(lanes, particles, *items.shape[1:], vectors.shape[-1])
