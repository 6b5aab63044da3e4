"""A regression oracle of networks with lanes for `oracle_policies`: one MLP a lane, K outputs.

Context [B, d] -> hidden -> K predicted rewards; trained by Adam on minibatches of all rows so far
with the squared error of the played arm.
"""

from collections.abc import Sequence

import numpy as np
import torch

from rlkit.algos.bandits.arm_nets import join_states, load_optimiser, part_of, save_optimiser
from rlkit.algos.bandits.history import History
from rlkit.algos.bandits.interface import Feedback, Observation, check_context
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.nets.layers import MLP, Init


class NetworkOracle:
    """MLP regression, one net for each of `seeds`; rows of an observation come lane by lane."""

    intervals = False

    def __init__(
        self,
        arms: int,
        dim: int,
        *,
        hidden: Sequence[int] = (64, 64),
        seeds: Sequence[int] = (0,),
        lr: float = 1e-3,
        steps: int = 4,
        batch: int = 64,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if steps < 1 or batch < 1:
            raise ValueError(f"steps {steps} and batch {batch} must be at least 1")
        self.arms, self.dim, self.lanes = arms, dim, len(seeds)
        self.spec = Spec(dim, arms, tuple(seeds), dtype, device)
        self.net = MLP(Init(self.spec), dim, tuple(hidden), arms)
        self.optimiser = Adam(self.net, lr)
        self.history = History(tuple(seeds), (dim,))
        self.updates, self.per_table, self.batch = 0, steps, batch

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, dtype=self.spec.dtype, device=self.spec.device)

    @torch.no_grad()
    def predict(self, obs: Observation) -> np.ndarray:
        context = check_context(obs, self.arms, self.dim, per_arm=False)
        if len(context) % self.lanes:
            raise ValueError(f"{len(context)} rows do not split evenly over {self.lanes} lanes")
        out = self.net(self._tensor(context).unflatten(0, (self.lanes, -1)))
        return out.flatten(0, 1).cpu().numpy().astype(np.float64)

    def deviation(self, obs: Observation) -> np.ndarray:
        raise NotImplementedError("a plain network gives no intervals")

    def learn(self, feedback: Feedback) -> None:
        check_context(feedback.observation, self.arms, self.dim, per_arm=False)
        self.history.add(feedback)
        if self.history.count.min() == 0:
            return
        for _ in range(self.per_table):
            context, action, reward = self.history.minibatch(self.updates, self.batch)
            self.updates += 1
            chosen = torch.as_tensor(action, device=self.spec.device)[..., None]
            predicted = self.net(self._tensor(context)).gather(-1, chosen).squeeze(-1)
            self.optimiser((predicted - self._tensor(reward)).square().mean(1))

    def state_dict(self) -> dict[str, np.ndarray]:
        net = {n: p.detach().cpu().numpy().copy() for n, p in self.net.named_parameters()}
        return join_states(
            net=net,
            optimiser=save_optimiser(self.optimiser),
            history=self.history.state_dict(),
            own={"updates": np.array(self.updates)},
        )

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        with torch.no_grad():
            for name, p in self.net.named_parameters():
                p.copy_(self._tensor(part_of(state, "net")[name]))
        load_optimiser(self.optimiser, part_of(state, "optimiser"))
        self.history.load_state_dict(part_of(state, "history"))
        self.updates = int(state["own.updates"])
