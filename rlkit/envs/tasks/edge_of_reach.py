"""A plane on which agents that learn from short rollouts meet states they never learn about.

After the simple environment of Sims et al. 2024 (arXiv 2402.12527, "The Edge-of-Reach Problem in
Offline Model-Based Reinforcement Learning"): a point moves by its action, and all is known.

    (1)  s' = s + a,  s in R², a in [-1, 1]²
    (2)  r = exp(-|s' - g|² / 2w²),  g = (4, 0), w = 2
    (3)  s_0 uniform on [-2, 2]²

Rollouts of k steps from the starts meet states with max |s_i| > 2 + k - 1 in their last step only:
their values are bootstrapped from, and never learnt. As (2) is a product over the two coordinates
and each coordinate is nearest to the goal at every time when it goes there straight, the values of
the optimal policy are known:

    (4)  V*(s) = Σ_t γ^t Π_i exp(-max(|s_i - g_i| - t - 1, 0)² / 2w²)

Differs from the paper: reward, goal and sizes are ours.
"""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import Tensor

GOAL = (4.0, 0.0)  # g
WIDTH = 2.0  # w, of the reward's hill
START = 2.0  # episodes start in [-START, START]²
MAX_STEPS = 30  # of an episode


def transition(s: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """Next states `[..., 2]` and rewards `[...]`, equations (1) and (2)."""
    s2 = s + a
    return s2, _hill((s2 - s2.new_tensor(GOAL)).abs())


def starts(rng: np.random.Generator, count: int) -> np.ndarray:
    """States `[count, 2]` of eq. (3)."""
    return rng.uniform(-START, START, (count, 2))


def beyond_reach(s: Tensor, length: int) -> Tensor:
    """Whether rollouts of `length` steps from the starts meet states `[..., 2]` at their last step
    only, or never; bool `[...]`."""
    return (s.abs() > START + length - 1).any(-1)


def optimal_value(s: Tensor, gamma: float, steps: int | None = None) -> Tensor:
    """Discounted return of the optimal policy from states `[..., 2]`, eq. (4); `[...]`.

    Of `steps` steps, or without end. Raises ValueError for an endless sum without discount.
    """
    if steps is None and not gamma < 1:
        raise ValueError(f"gamma {gamma} must be below 1 for a return without end")
    away = (s - s.new_tensor(GOAL)).abs()
    walk = math.ceil(float(away.max()))  # the longest way to the goal
    count = walk if steps is None else min(walk, steps)
    value = torch.zeros_like(away[..., 0])
    for t in range(count):
        value = value + gamma**t * _hill((away - t - 1).clamp(min=0))
    if steps is None:
        return value + gamma**count / (1 - gamma)
    return value + sum(gamma**t for t in range(count, steps))


def optimal_action(s: Tensor) -> Tensor:
    """Straight to the goal: actions `[..., 2]`."""
    return (s.new_tensor(GOAL) - s).clamp(-1, 1)


def _hill(away: Tensor) -> Tensor:
    return (-away.square().sum(-1) / (2 * WIDTH**2)).exp()


class EdgeOfReach(gymnasium.Env):
    """The plane as an environment: observations `[2]` float32, actions in [-1, 1]² (others are
    clipped). Episodes never terminate; they are truncated after `max_steps`."""

    metadata = {"render_modes": []}

    def __init__(self, max_steps: int = MAX_STEPS) -> None:
        reach = START + max_steps
        self.observation_space = gymnasium.spaces.Box(-reach, reach, (2,), np.float32)
        self.action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
        self.max_steps, self.steps = max_steps, 0
        self.state = np.zeros(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """First observation of an episode."""
        super().reset(seed=seed)
        self.state, self.steps = starts(self.np_random, 1)[0], 0
        return self.state.astype(np.float32), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One step of eq. (1), with the reward of eq. (2)."""
        if not self.state.size:
            raise RuntimeError("call reset before step")
        a = np.clip(np.asarray(action, np.float64), -1, 1)
        s2, r = transition(torch.from_numpy(self.state), torch.from_numpy(a))
        self.state, self.steps = s2.numpy(), self.steps + 1
        truncated = self.steps >= self.max_steps
        return self.state.astype(np.float32), float(r), False, truncated, {}
