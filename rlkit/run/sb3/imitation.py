"""A dataset's actions beside what an on-policy agent of stable-baselines3 learns.

    (1)  L_I = -E_D log π(a | s)      over the rows D of a dataset

Clone first: `cloning` updates of the policy on (1) alone, before the first environment step. At
once: λ times the gradient of (1) joins that of every update of theirs before the optimiser's step,
after their clipping; so their loss becomes L + λ L_I, and λ = 0 leaves it alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.core.streams import generator
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.envs.minigrid import one_hot


class Imitation:
    """Draws rows of a dataset for one lane and tells its policy what the expert did."""

    def __init__(
        self, store: EpisodeStore, transforms: Transforms, model: Any, seed: int, batch: int
    ) -> None:
        """`model` is theirs; `transforms` the task's, whose box the actions are clipped into."""
        obs = store.obs
        if obs.ndim == 4:  # MiniGrid's cells, as `actions.fitted` shows them
            obs = one_hot(obs)
        actions = store.action
        if transforms.action_low is not None:
            actions = np.clip(actions, transforms.action_low, transforms.action_high)
        device = model.device
        self.obs = torch.as_tensor(np.asarray(obs, np.float32), device=device)
        kind = torch.int64 if store.discrete else torch.float32
        self.actions = torch.as_tensor(actions, dtype=kind, device=device)
        self.policy, self.batch = model.policy, batch
        self.drawn = generator(seed, "sb3/imitation")
        self.last = float("nan")  # the newest value of (1)

    def loss(self) -> Tensor:
        """(1) on a minibatch, a number."""
        rows = torch.from_numpy(self.drawn.integers(len(self.obs), size=self.batch))
        rows = rows.to(self.obs.device)
        _, log_prob, _ = self.policy.evaluate_actions(self.obs[rows], self.actions[rows])
        return -log_prob.mean()

    def clone(self, updates: int, lr: float) -> None:
        """So many steps of Adam on (1) alone."""
        optimiser = torch.optim.Adam(self.policy.parameters(), lr)
        self.policy.set_training_mode(True)
        for _ in range(updates):
            loss = self.loss()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            self.last = float(loss.detach())

    def join(self, weight: float) -> None:
        """From now on every step of the policy's optimiser has `weight` times (1)'s gradient."""
        parameters = list(self.policy.parameters())

        def add(optimiser: Any, args: Any, kwargs: Any) -> None:
            loss = self.loss()
            self.last = float(loss.detach())
            for p, slope in zip(
                parameters,
                torch.autograd.grad(weight * loss, parameters, allow_unused=True),
                strict=True,
            ):
                if slope is not None:
                    p.grad = slope if p.grad is None else p.grad + slope

        self.policy.optimizer.register_step_pre_hook(add)
