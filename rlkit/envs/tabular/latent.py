"""Latent-MDP families: the two-context probe and random ones; and their gymnasium form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.theory.learning.latent import LatentMDP
from rlkit.theory.validate import check_count, check_fraction, check_seed, settings

if TYPE_CHECKING:
    import gymnasium


@settings(accuracy=check_fraction)
def probe(accuracy: float = 0.9) -> LatentMDP:
    """Probe, then guess the context: optimum `accuracy`, informed 1, without the probe 1/2.

    In state 0 action 0 probes (to state 1 with probability `accuracy` in context 0 and 1 -
    accuracy in context 1, else to 2) and action 1 goes to the mute state 3. There action g pays
    1 if g is the context. Horizon 2.
    """
    p, r = np.zeros((2, 4, 2, 4)), np.zeros((2, 4, 2))
    for m, hit in enumerate((accuracy, 1.0 - accuracy)):
        p[m, 0, 0, 1], p[m, 0, 0, 2] = hit, 1.0 - hit
        p[m, 0, 1, 3] = 1.0
        for s in (1, 2, 3):
            p[m, s, :, s] = 1.0
            r[m, s, m] = 1.0
    return LatentMDP(p, r, np.array([0.5, 0.5]), np.tile(np.eye(4)[0], (2, 1)), 2)


@settings(
    contexts=check_count,
    states=check_count,
    actions=check_count,
    horizon=check_count,
    seed=check_seed,
)
def random_latent(
    contexts: int, states: int, actions: int, horizon: int, seed: int = 0,
    deterministic: bool = False,
) -> LatentMDP:  # fmt: skip
    """Random contexts of equal weight, Dirichlet(1) or deterministic rows, starting in state 0.

    Rewards are the same in all contexts (they tell nothing), uniform on [0, 1 / horizon].
    """
    rng = np.random.default_rng(seed)
    shape = (contexts, states, actions)
    p = rng.dirichlet(np.ones(states), shape)
    if deterministic:
        p = np.eye(states)[rng.integers(states, size=shape)]
    r = np.tile(rng.random((states, actions)) / horizon, (contexts, 1, 1))
    start = np.tile(np.eye(states)[0], (contexts, 1))
    return LatentMDP(p, r, np.full(contexts, 1.0 / contexts), start, horizon)


def make(model: LatentMDP) -> gymnasium.Env[Any, Any]:
    """gymnasium environment of a latent MDP; `info["context"]` appears when an episode ends.

    An episode ends (terminated) after the horizon: the stage is part of the problem.
    """
    from rlkit.envs.tabular.latent_env import LatentEnv

    return LatentEnv(model)
