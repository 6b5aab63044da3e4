"""A regression oracle of networks with lanes for `oracle_policies`: one MLP a lane, K outputs.

Context [B, d] -> hidden -> K predicted rewards; trained by Adam on minibatches of all rows so far
with the squared error of the played arm. With `widths` its deviation is that of the last layer:
sqrt(phi' V_a^-1 phi) with phi(x) what enters that layer and a one for its bias, and V_a = I + the
sum of phi phi' over the rows of arm a (neural-linear bandits, Riquelme, Tucker & Snoek 2018). phi
moves with training, so V is formed anew from all rows whenever they have grown by a tenth, and row
by row in between.
"""

from collections.abc import Sequence

import numpy as np
import torch

from rlkit.algos.bandits.contextual.arm_nets import (
    join_states,
    load_optimiser,
    part_of,
    save_optimiser,
)
from rlkit.algos.bandits.history import History, by_lane
from rlkit.algos.bandits.interface import Feedback, Observation, check_context
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.envs.bandits.counts import whole
from rlkit.nets.layers import MLP, Init


class NetworkOracle:
    """MLP regression, one net for each of `seeds`; rows of an observation come lane by lane."""

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
        widths: bool = False,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        steps, batch = whole("steps", steps), whole("batch", batch)
        self.arms, self.dim, self.lanes = whole("arms", arms), whole("dim", dim), len(seeds)
        self.spec = Spec(dim, arms, tuple(seeds), dtype, device)
        self.net = MLP(Init(self.spec), dim, tuple(hidden), arms)
        self.optimiser = Adam(self.net, lr)
        self.history = History(tuple(seeds), (dim,))
        self.updates, self.per_table, self.batch = 0, steps, batch
        self.intervals = widths
        inner = (hidden[-1] if hidden else dim) + 1
        shape = (self.lanes, arms, inner, inner) if widths else (0,)
        eye = torch.eye(inner, dtype=dtype, device=device)
        self.inverse = eye.expand(shape).clone() if widths else eye.new_empty(shape)  # V^-1
        self.formed = 0  # rows from which it was formed the last time

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, dtype=self.spec.dtype, device=self.spec.device)

    @torch.no_grad()
    def predict(self, obs: Observation) -> np.ndarray:
        context = check_context(obs, self.arms, self.dim, per_arm=False)
        if len(context) % self.lanes:
            raise ValueError(f"{len(context)} rows do not split evenly over {self.lanes} lanes")
        out = self.net(self._tensor(context).unflatten(0, (self.lanes, -1)))
        return out.flatten(0, 1).cpu().numpy().astype(np.float64)

    def _last(self, rows: np.ndarray) -> torch.Tensor:
        """phi [S, n, h] of contexts [S, n, d]."""
        phi = self.net.activations(self._tensor(rows))[-1]
        return torch.cat([phi, torch.ones_like(phi[..., :1])], -1)

    @torch.no_grad()
    def deviation(self, obs: Observation) -> np.ndarray:
        context = check_context(obs, self.arms, self.dim, per_arm=False)
        if not self.intervals:
            raise ValueError("this network oracle was made without widths=True")
        phi = self._last(context.reshape(self.lanes, -1, self.dim))
        solved = torch.einsum("sni,skij->snkj", phi, self.inverse)
        square = torch.einsum("snkj,snj->snk", solved, phi)
        return square.clamp(min=0).sqrt().flatten(0, 1).cpu().numpy().astype(np.float64)

    @torch.no_grad()
    def _form(self) -> None:
        """V^-1 from all rows under the present phi."""
        h, most = self.history, max(1, int(self.history.count.max()))
        phi = self._last(h.context[:, :most])
        known = np.arange(most) < h.count[:, None]  # rows past a lane's own are not its
        played = (h.action[:, :most, None] == np.arange(self.arms)) & known[:, :, None]
        weighted = self._tensor(played)[..., None] * phi[:, :, None]  # [S, n, K, h]
        gram = torch.einsum("snki,snj->skij", weighted, phi)
        eye = torch.eye(phi.shape[-1], dtype=phi.dtype, device=phi.device)
        self.inverse, self.formed = torch.linalg.inv(gram + eye), int(h.count.sum())

    @torch.no_grad()
    def _count_rows(self, feedback: Feedback) -> None:
        """Add new rows to V, one rank-one step of its inverse each."""
        context, action = np.asarray(feedback.context), np.asarray(feedback.action)
        for lane, own in enumerate(by_lane(len(feedback), self.lanes, feedback.run)):
            if not len(own):
                continue
            rows = np.repeat(context[None, own], self.lanes, 0)
            for phi, arm in zip(self._last(rows)[lane], action[own], strict=True):
                inverse = self.inverse[lane, arm]
                u = inverse @ phi
                inverse -= torch.outer(u, u) / (1.0 + phi @ u)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        check_context(feedback.observation, self.arms, self.dim, per_arm=False)
        self.history.add(feedback)
        if self.intervals:
            if self.history.count.sum() >= 1.1 * self.formed:
                self._form()
            else:
                self._count_rows(feedback)
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
            own={"updates": np.array([self.updates, self.formed])},
            last={"inverse": self.inverse.cpu().numpy().copy()},
        )

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        with torch.no_grad():
            for name, p in self.net.named_parameters():
                p.copy_(self._tensor(part_of(state, "net")[name]))
        load_optimiser(self.optimiser, part_of(state, "optimiser"))
        self.history.load_state_dict(part_of(state, "history"))
        self.updates, self.formed = (int(n) for n in state["own.updates"])
        self.inverse = self._tensor(state["last.inverse"].copy())
