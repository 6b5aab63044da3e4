"""A slate recommender that learns from clicks, with in-slate Thompson sampling, one model a lane.

Eide, Leslie & Frigessi 2021 (arXiv 2104.15046); the model is `slate_model`. A slate of m items is
  random    m different items
  greedy    the m best of the posterior mean
  ts        the m best of one posterior draw
  in_slate  from m posterior draws, each ranking all items: first the best of every draw, then the
            second of every draw, and so on, without repeating an item
Learning ascends the evidence lower bound on minibatches of users,
  likelihood_weight · U / B · sum log p(clicks | w, h_0) - KL(shared) - U / B · KL(h_0),
with reparameterised draws and closed-form KL. For the first `item_steps` updates the recurrent unit
is held fixed, so that items settle first.

Differs from the authors' code: one passage through the phases instead of alternating until nothing
improves; Adam's usual decay rates instead of (0.1, 0.1); users without clicks are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from rlkit.algos.bandits.slates.model import Sessions, SlateModel, gaussian_kl
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams, generator
from rlkit.core.words.ranges import Count, Natural, NonNegative, Positive, checked
from rlkit.envs.bandits.counts import whole
from rlkit.envs.bandits.slates import SlateWorld
from rlkit.nets.layers import Init

Policy = Literal["random", "greedy", "ts", "in_slate"]


@checked(lanes=False)
@dataclass(frozen=True)
class Config:
    policy: Policy = "in_slate"
    dim: Count = 25  # of items and of users
    particles: Count = 4  # posterior draws an update
    batch: Count = 256  # B, users an update
    lr: Positive = 0.01
    clip: Positive = 100.0
    item_steps: Natural = 50  # updates before the recurrent unit learns
    likelihood_weight: Positive = 1.0  # above one, the posterior is sharper than Bayes'
    universal: bool = False  # likelihood over the whole catalogue instead of the slate
    temperature: NonNegative = 1.0  # scale of the posterior in acting; 0 makes all policies greedy
    group_prior: Positive = 5.0
    start_prior: Positive = 0.5
    first_scale: Positive = 0.1  # of every posterior
    seeds: tuple[int, ...] = (0,)  # one lane each
    device: str = "cpu"
    dtype: torch.dtype = torch.float32


def fill_slates(ranked: Tensor, slots: int) -> Tensor:
    """Slates [..., m] from item rankings [..., draws, n]: rank by rank over the draws, each item
    once. n >= m is enough."""
    candidates = ranked.transpose(-1, -2).flatten(-2)  # first items of all draws, then second ...
    same = candidates.unsqueeze(-1) == candidates.unsqueeze(-2)
    count = candidates.shape[-1]
    earlier = torch.ones(count, count, dtype=torch.bool, device=ranked.device).tril(-1)
    new = ~(same & earlier).any(-1)
    order = torch.where(new, torch.arange(count, device=ranked.device), count)
    return candidates.gather(-1, order.sort(-1).indices[..., :slots])


class SlateRecommender:
    """Recommends slates to users and learns from their sessions; lane k depends on seed k alone."""

    def __init__(
        self, items: int, slots: int, config: Config | None = None, groups: np.ndarray | None = None
    ) -> None:
        c = self.config = config or Config()
        if not 1 <= whole("slots", slots) <= whole("items", items):
            raise ValueError(f"slots is {slots}; it must lie between 1 and the {items} items")
        self.items, self.slots = items, slots
        self.spec = Spec(c.dim, items, c.seeds, c.dtype, c.device)
        self.model = SlateModel(
            Init(self.spec), items, c.dim, slots, groups, c.group_prior, c.start_prior,
            c.first_scale,
        )  # fmt: skip
        self.streams = Streams(c.seeds)
        self.optimiser = Adam(self.model, c.lr, clip=c.clip)
        self.updates = 0

    def _normal(self, name: str, step: int, shape: tuple[int, ...]) -> Tensor:
        values = self.streams.draw(name, "normal", step, shape)[0]
        return torch.as_tensor(values, dtype=self.spec.dtype, device=self.spec.device)

    def _noise(self, stage: str, step: int, particles: int) -> dict[str, Tensor]:
        """Standard normal numbers [S, P, *shape] for every shared quantity."""
        shapes = self.model.shapes()
        return {n: self._normal(f"{stage}/{n}", step, (particles, *s)) for n, s in shapes.items()}

    def sessions(self, slates: np.ndarray, clicks: np.ndarray) -> Sessions:
        """Checked sessions of arrays [S, U, T, m] and [S, U, T]."""
        s, k = np.asarray(slates, np.int64), np.asarray(clicks, np.int64)
        if s.ndim != 4 or s.shape[0] != self.spec.lanes or s.shape[3] != self.slots:
            raise ValueError(
                f"slates have shape {s.shape}; needed is [{self.spec.lanes}, users, steps, "
                f"{self.slots}]"
            )
        if k.shape != s.shape[:3]:
            raise ValueError(f"clicks have shape {k.shape}, slates {s.shape}")
        _name_user((s < -1) | (s >= self.items), "an unknown item")
        _name_user((k < -1) | (k > self.slots), "a click outside the slate")
        shown = np.take_along_axis(s, np.maximum(k - 1, 0)[..., None], 3)[..., 0]
        _name_user((k > 0) & (shown < 0), "a click on an empty slot")
        device = self.spec.device
        return Sessions(torch.as_tensor(s, device=device), torch.as_tensor(k, device=device))

    def elbo(self, sessions: Sessions, users: int, step: int) -> tuple[Tensor, Tensor]:
        """(evidence lower bound [S], mean log-likelihood of a click [S]) of a minibatch.

        `users` is how many there are in all; noise comes from the streams at `step`.
        """
        c, batch = self.config, sessions.clicks.shape[1]
        w = self.model.draw(self._noise("learn", step, c.particles))
        mean, scale = self.model.start(w, sessions.clicked())
        eps = self._normal("learn/start", step, (c.particles, batch, c.dim))
        h = mean + scale * eps
        log_p = self.model.log_likelihood(w, h, sessions, c.universal)
        start = gaussian_kl(mean, scale, 0.0, c.start_prior).flatten(2).sum(2).mean(1)
        total, share = log_p.flatten(2).sum(2).mean(1), users / batch
        bound = c.likelihood_weight * share * total - self.model.shared_kl(w) - share * start
        recorded = (sessions.clicks >= 0).flatten(1).sum(1).clamp(min=1)
        return bound, (total / recorded).detach()

    def learn(self, sessions: Sessions, steps: int) -> Tensor:
        """Take `steps` steps on sessions of U users; the last mean log-likelihood [S]."""
        steps, users = whole("steps", steps), sessions.clicks.shape[1]
        size = min(self.config.batch, users)
        clicks = max(int(sessions.clicks.shape[2]) * users, 1)
        fit = torch.zeros(self.spec.lanes)
        for _ in range(steps):
            index = torch.as_tensor(
                np.stack(
                    [
                        generator(s, "slates/users", self.updates).permutation(users)[:size]
                        for s in self.spec.seeds
                    ]
                ),
                device=self.spec.device,
            )
            bound, fit = self.elbo(sessions.users(index), users, self.updates)
            params = self.optimiser.flat.params
            grads = torch.autograd.grad((-bound / clicks).sum(), params)
            if self.updates < self.config.item_steps:
                held = {id(p) for p in self.model.memory.parameters()}
                grads = tuple(
                    torch.zeros_like(g) if id(p) in held else g
                    for p, g in zip(params, grads, strict=True)
                )
            self.optimiser.apply(grads)
            self.updates += 1
        return fit

    @torch.no_grad()
    def log_likelihood(
        self, sessions: Sessions, first: int = 0, draws: int = 16, universal: bool = False
    ) -> Tensor:
        """Mean log predictive probability [S] of the clicks from step `first` on.

        Users start from what their clicks before `first` say; `draws` posterior draws are averaged.
        """
        known = sessions.clicked().clone()
        known[..., first:] = -1
        w = self.model.draw(self._noise("test", 0, draws))
        mean, scale = self.model.start(w, known)
        h = mean + scale * self._normal("test/start", 0, tuple(mean.shape[1:]))
        log_p = self.model.log_likelihood(w, h, sessions, universal)[..., first:]
        average = log_p.logsumexp(1) - np.log(draws)
        recorded = sessions.clicks[..., first:] >= 0
        return torch.where(recorded, average, 0.0).flatten(1).sum(1) / recorded.flatten(1).sum(1)

    @torch.no_grad()
    def recommend(self, sessions: Sessions, step: int) -> np.ndarray:
        """Slates [S, U, m] for the users of sessions so far [S, U, T, ...], by the policy.

        Draws of what users share are the same for all users of a lane; h_0 is drawn for each.
        """
        c, users = self.config, sessions.clicks.shape[1]
        if c.policy == "random":
            return np.stack([self._random(s, step, users) for s in self.spec.seeds])
        draws = self.slots if c.policy == "in_slate" else 1
        spread = 0.0 if c.policy == "greedy" else c.temperature
        noise = self._noise("act", step, draws)
        w = self.model.draw({name: spread * eps for name, eps in noise.items()})
        clicked = sessions.clicked()
        mean, scale = self.model.start(w, clicked)
        h = mean + spread * scale * self._normal("act/start", step, tuple(mean.shape[1:]))
        z = self.model.states(w, h, clicked)[..., -1:, :]
        scores = self.model.scores_of_all(w, z)[..., 0, 1:]  # [S, P, U, I]
        ranked = scores.topk(self.slots, -1).indices.transpose(1, 2)  # [S, U, P, m]
        return fill_slates(ranked, self.slots).cpu().numpy()

    def _random(self, seed: int, step: int, users: int) -> np.ndarray:
        order = generator(seed, "slates/random", step).random((users, self.items))
        return np.argpartition(order, self.slots - 1, axis=1)[:, : self.slots]

    def state_dict(self) -> dict[str, np.ndarray]:
        """Plain arrays: parameters, the optimiser's state and the number of updates."""
        parts: dict[str, Tensor] = {f"model.{n}": p for n, p in self.model.named_parameters()}
        parts |= {f"optimiser.{n}": t for n, t in self.optimiser.state_dict().items()}
        arrays = {n: t.detach().cpu().numpy().copy() for n, t in parts.items()}
        return {**arrays, "updates": np.array(self.updates)}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        for name, p in self.model.named_parameters():
            p.copy_(torch.as_tensor(state[f"model.{name}"]))
        start = "optimiser."
        self.optimiser.load_state_dict(
            {n.removeprefix(start): torch.as_tensor(v) for n, v in state.items() if start in n}
        )
        self.updates = int(state["updates"])


def _name_user(bad: np.ndarray, what: str) -> None:
    if bad.any():
        lane, user, step = (int(i) for i in np.argwhere(bad)[0][:3])
        raise ValueError(f"lane {lane}, user {user}, step {step} has {what}")


@dataclass(frozen=True, eq=False)
class SlateLogs:
    """What `play_slates` showed: slates [S, U, T, m], clicks [S, U, T], and by round [S, T] the
    expected click rate and the mean distance between items of a slate."""

    slates: np.ndarray
    clicks: np.ndarray
    rate: np.ndarray
    spread: np.ndarray


def play_slates(
    world: SlateWorld, recommender: SlateRecommender, users: int, rounds: int, *, steps: int = 20
) -> SlateLogs:
    """The `SlateLogs` of rounds in which every user is shown a slate, then the model learns.

    The first round is random for every policy. Users of lane k are drawn by its seed alone.
    """
    seeds, m = recommender.spec.seeds, world.slots
    if (world.items, m) != (recommender.items, recommender.slots):
        raise ValueError(
            f"the world has {world.items} items and {m} slots, the recommender "
            f"{recommender.items} and {recommender.slots}"
        )
    taste = [world.users(users, generator(seed, "slates/tastes")) for seed in seeds]
    slates = np.full((len(seeds), users, rounds, m), -1)
    clicks = np.full((len(seeds), users, rounds), -1)
    rate, spread = np.empty((2, len(seeds), rounds))
    for t in range(rounds):
        if t == 0:
            shown = np.stack([recommender._random(seed, 0, users) for seed in seeds])
        else:
            past = recommender.sessions(slates[:, :, :t], clicks[:, :, :t])
            if recommender.config.policy != "random":
                recommender.learn(past, steps)
            shown = recommender.recommend(past, t)
        for lane, seed in enumerate(seeds):
            rate[lane, t] = 1 - world.probabilities(taste[lane], shown[lane])[:, 0].mean()
            spread[lane, t] = world.spread(shown[lane])
            clicks[lane, :, t], taste[lane] = world.click(
                taste[lane], shown[lane], generator(seed, "slates/clicks", t)
            )
        slates[:, :, t] = shown
    return SlateLogs(slates, clicks, rate, spread)
