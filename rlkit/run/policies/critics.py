"""Critics of finished runs: values of actions in environment units, and policies steered by them.

In an evaluation what is drawn depends on the lane's seed, the number of the episode and the step
alone, as the start states do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlkit.core.errors import UsageError
from rlkit.core.spec import Discrete
from rlkit.core.streams import generator
from rlkit.eval.rollout import Slots
from rlkit.nets import ActionValues
from rlkit.policy import steering
from rlkit.policy.policy import Policy
from rlkit.policy.program import Array
from rlkit.policy.steering import Steered
from rlkit.run.records import folder as run_folder
from rlkit.run.records.folder import Restored


class RunCritic:
    """`critic(obs [N, *obs], actions [N, K, *act]) -> values [N, K]` of one lane: those of the
    target nets where there are, the least over an ensemble."""

    def __init__(self, restored: Restored, name: str) -> None:
        """Raises UsageError for an agent that has no action values."""
        self.restored, self.name = restored, name
        agent = restored.agent
        self.net = getattr(agent, "q_bar", getattr(agent, "q", None))
        if self.net is None:
            raise UsageError(f"{name} is a run of {restored.options.algo}, which has no critic")
        spec, act = restored.spec, restored.task.act
        shape = () if isinstance(act, Discrete) else (act.size,)
        a = torch.zeros(1, 1, *shape, dtype=torch.int64 if spec.discrete else spec.dtype)
        try:
            self._values(torch.zeros(1, 1, *spec.obs, dtype=spec.dtype), a)
        except (RuntimeError, ValueError, TypeError, AttributeError) as error:
            algo = restored.options.algo
            raise UsageError(
                f"{name}: the critic of {algo} takes no observations: {error}"
            ) from None

    @torch.no_grad()
    def __call__(self, obs: Array, actions: Array) -> Array:
        task, spec = self.restored.task, self.restored.spec
        lead = actions.shape[:2]
        if isinstance(task.act, Discrete):
            a = torch.from_numpy(actions.astype(np.int64) - task.action_start).reshape(1, -1)
        else:
            scaled = task.transforms.to_agent(actions.reshape(-1, task.act.size))
            a = torch.as_tensor(scaled, dtype=spec.dtype).unsqueeze(0)
        seen = np.repeat(task.transforms.obs(obs), lead[1], 0)
        s = torch.as_tensor(seen, dtype=spec.dtype).unsqueeze(0)
        return self._values(s, a).view(lead).numpy()

    def _values(self, s: Tensor, a: Tensor) -> Tensor:
        """Q `[S, B]`."""
        inner: Any = getattr(self.net, "net", self.net)
        if isinstance(inner, ActionValues):
            q: Tensor = self.restored.agent.values(inner, s)
            return q.gather(-1, a.unsqueeze(-1)).squeeze(-1)
        return inner(s, a).amin(-2)


def critic(
    folder: str | Path, *, lane: int | None = None, checkpoint: str | int = "best"
) -> RunCritic:
    """The critic of a run folder's lane (by default the one evaluated highest)."""
    from rlkit.run.policies.export import best_lane

    number = best_lane(folder) if lane is None else lane
    return RunCritic(run_folder.restore(folder, checkpoint, [number]), str(folder))


class Guide(NamedTuple):
    """By which run's critic a policy is steered, and how; see `rlkit.policy.steering`."""

    folder: str | Path
    samples: int = 10  # K
    beta: float = 0.0  # β

    def act(
        self, policies: Sequence[Policy], numbers: Sequence[int], seeds: Sequence[int]
    ) -> Callable[[Array, Slots], Array]:
        """`act(obs [S, n, *obs], slots)` of one policy a lane. Lane number k has the critic of
        lane k, counted round where the critic's run has fewer. Raises UsageError for what does not
        fit."""
        steering.check(self.samples, self.beta)
        lanes = len(run_folder.options(self.folder).seeds)
        steered = []
        for policy, number in zip(policies, numbers, strict=True):
            found = critic(self.folder, lane=number % lanes)
            _check_fit(found, policy)
            steered.append(Steered(policy, found, self.samples, self.beta))
        generators: dict[tuple[int, int], np.random.Generator] = {}

        def act(obs: Array, slots: Slots) -> Array:
            rows = []
            for k, one in enumerate(steered):
                drawn = []
                for i, (episode, t) in enumerate(zip(slots.episode[k], slots.t[k], strict=True)):
                    if t == 0:
                        generators[k, i] = generator(seeds[k], "steering", int(episode))
                    drawn.append(one.draws(1, generators[k, i]))
                noise, gumbel = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
                rows.append(one.choose(obs[k], noise, gumbel))
            return np.stack(rows)

        return act


def _check_fit(critic: RunCritic, policy: Policy) -> None:
    """Raises UsageError where a critic is of other spaces than a policy."""
    task, card = critic.restored.task, policy.card
    theirs = (task.obs, task.action_shape, task.action_start if card.discrete else 0)
    ours = (card.obs_shape, card.action_shape, card.first_action if card.discrete else 0)
    if theirs != ours or isinstance(task.act, Discrete) != card.discrete:
        raise UsageError(
            f"{critic.name}: its critic takes observations {task.obs} and actions {task.act}; the "
            f"policy of {card.algo} has {card.obs_shape} and {card.actions or card.action_shape}"
        )
