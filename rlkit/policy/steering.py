"""Value guidance when acting: of K actions that a policy draws, one is chosen by a critic.

    (1)  a_1, ..., a_K ~ π0(.|s),   k ~ softmax_k(Q(s, a_k) / β)
    (2)  β -> 0: the best of K;   β -> ∞: π0 itself;   K -> ∞: π0(a|s) exp(Q(s, a) / β) / Z(s)

V-GPS (Nakamoto et al. 2024, "Steering Your Generalists", arXiv 2410.13816) with K = 10 and β = 1.
Neither weights nor densities of the policy are needed, and no action outside the K is ever given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rlkit.core.errors import UsageError
from rlkit.policy.policy import Policy, draw
from rlkit.policy.program import Array

# observations [N, *obs] and actions [N, K, *act], in environment units -> values [N, K]
Critic = Callable[[Array, Array], Array]

_MOST = 100_000  # actions that are drawn for one


def choose(q: Array, beta: float, gumbel: Array) -> Array:
    """Index `[...]` of one of K actions of values `q` `[..., K]`, eq. (1), drawn with Gumbel
    numbers of the same shape; with β = 0 the best, the first of equal ones. β may be infinite."""
    scores = q if beta == 0 else q / beta + gumbel
    return np.asarray(scores.argmax(-1))


class Steered:
    """A policy whose draws a critic ranks; acts as a `Policy` does, in environment units."""

    def __init__(
        self, policy: Policy, critic: Critic, samples: int = 10, beta: float = 0.0
    ) -> None:
        """`samples` is K, `beta` β. Raises UsageError for a policy that draws no actions or looks
        back at its episode, and for K or β out of range."""
        check(samples, beta)
        card = policy.card
        if card.noise is None or card.history:
            what = "looks back at its episode" if card.history else "draws no actions"
            raise UsageError(f"the policy of {card.algo} {what}: there is nothing to choose from")
        self.policy, self.critic, self.samples, self.beta = policy, critic, samples, beta
        self.card, self.transforms, self.rng = card, policy.transforms, policy.rng

    def act(
        self, obs: Any, deterministic: bool = False, rng: np.random.Generator | None = None
    ) -> Array:
        """Actions of one observation `[*obs]` or a batch `[N, *obs]`; with `deterministic` the
        best of the draws, whatever β is."""
        obs, rng = np.asarray(obs), self.rng if rng is None else rng
        single = obs.shape == self.card.obs_shape
        batch = obs[None] if single else obs
        chosen = self.choose(batch, *self.draws(len(batch), rng), deterministic)
        return chosen[0] if single else chosen

    def draws(self, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Noise `[N, K, ...]` of the policy's actions and Gumbel numbers `[N, K]` of the choice."""
        assert self.card.noise is not None
        kind, shape = self.card.noise
        noise = draw(kind, shape, count * self.samples, rng).reshape(count, self.samples, *shape)
        return noise, rng.gumbel(size=(count, self.samples))

    def choose(self, obs: Array, noise: Array, gumbel: Array, best: bool = False) -> Array:
        """Actions `[N, *act]` for observations `[N, *obs]`, given what `draws` gave."""
        units = self.transforms.obs(np.repeat(obs, self.samples, 0)).astype(np.float32)
        drawn = self.policy.to_env(self.policy.forward(units, noise.reshape(-1, *noise.shape[2:])))
        actions = drawn.reshape(len(obs), self.samples, *drawn.shape[1:])
        q = np.asarray(self.critic(obs, actions))
        if q.shape != gumbel.shape:
            raise ValueError(f"the critic gives values of shape {q.shape}, expected {gumbel.shape}")
        index = choose(q, 0.0 if best else self.beta, gumbel)
        return actions[np.arange(len(obs)), index]


def check(samples: int, beta: float) -> None:
    """Raises UsageError for a number of samples or a β that is none."""
    if not 1 <= samples <= _MOST or not beta >= 0:
        raise UsageError(
            f"samples is {samples}, beta is {beta}: from 1 to {_MOST:,}, and not negative"
        )
