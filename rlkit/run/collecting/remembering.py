"""What an agent that looks back at its episodes is told while it collects."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.core.history import Memory, Past
from rlkit.core.spec import Spec
from rlkit.run.collecting.collector import Collector, Step


class Remembering:
    """The steps before now of every environment of a training, for an agent with `history`.

    In each turn `recall` comes before the action and `keep` after the step that it led to;
    `state` and `load` carry it over a restart.
    """

    def __init__(self, agent: Any, spec: Spec, envs: int) -> None:
        self.spec, self.memory = spec, Memory(spec, agent.history)
        self.reward = np.zeros((spec.lanes, envs), np.float32)  # of the last step, agent units

    def recall(self, collector: Collector) -> Past:
        """The steps before now of the episodes under way."""
        return self.memory.recall(collector.lengths, self.reward)

    def keep(self, step: Step) -> None:
        """Take the step that was done."""
        s, a = (torch.as_tensor(x, device=self.spec.device) for x in (step.s, step.a))
        self.memory.keep(s.to(self.spec.dtype), a if self.spec.discrete else a.to(self.spec.dtype))
        self.reward = step.r

    def state(self) -> dict[str, Tensor]:
        """The steps kept; empty before the first."""
        if self.memory.past is None:
            return {}
        kept = {f"past.{name}": x.clone() for name, x in self.memory.past._asdict().items()}
        return kept | {"reward": torch.from_numpy(np.array(self.reward))}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        device = self.spec.device
        self.reward = state["reward"].numpy().copy()
        fields = {name: state[f"past.{name}"].to(device) for name in Past._fields}
        self.memory.past = Past(**fields)
