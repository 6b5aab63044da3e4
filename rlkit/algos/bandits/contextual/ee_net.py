"""EE-Net: a second network learns how far the first one is off, and where to explore.

Ban, Yan, Banerjee & He 2022, "EE-Net: Exploitation-Exploration Neural Networks in Contextual
Bandits":
  f1(x_a)          exploitation: the reward
  f2(g_a)          exploration: r - f1(x_a), from g_a, the gradient of f1 at x_a, averaged in blocks
                   of `pool` entries; signed, so that it explores upward and downward
  decision         argmax of f1 + weight f2 (linear), or of f3(f1, f2), a small net that learns the
                   reward from both, once `decider_after` rows are known (net)
g_a and the residual of a row are taken before f1 trains on it.
Differs from the authors' code: f2 learns the residual itself, not the residual plus one, and no
made-up rows of unplayed arms are added for it; it is an MLP, not a convolution of width 100; Adam
on minibatches of the history instead of single-sample steps until convergence; f3 regresses the
reward with the squared error.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit.algos.bandits.contextual.arm_nets import (
    ArmNet,
    NetConfig,
    arm_inputs,
    chosen_inputs,
    join_states,
    load_optimiser,
    part_of,
    save_optimiser,
)
from rlkit.algos.bandits.history import History, by_lane
from rlkit.algos.bandits.interface import (
    Decision,
    Feedback,
    Observation,
    available,
    check_context,
    check_feedback,
    draw,
    greedy,
)
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import Count, Natural, Positive, Real, Widths, checked
from rlkit.nets.layers import MLP, Init


@checked(lanes=False)
@dataclass(frozen=True)
class Config(NetConfig):
    decision: Literal["linear", "net"] = "linear"
    explorer: Widths = (100,)  # hidden widths of f2; `hidden` are those of f1
    decider: Widths = (20,)  # hidden widths of f3
    pool: Count = 50  # entries of the gradient averaged to one input of f2
    weight: Real = 1.0  # of f2 in the linear decision
    decider_after: Natural = 500  # rows of a lane before f3 decides
    lr_explorer: Positive = 1e-3
    lr_decider: Positive = 1e-3
    steps: Count = 10  # Adam steps of each net at each training
    train_every: Count = 1  # learned tables between trainings


class EENet:
    """A batched EE-Net policy; rows of an observation come lane by lane."""

    def __init__(self, arms: int, dim: int, config: Config | None = None) -> None:
        c = self.config = config or Config()
        self.arms, seeds = arms, tuple(c.seeds)
        self.net = ArmNet(arms, dim, c.hidden, seeds, c.per_arm, c.dtype, c.device)
        width = -(-self.net.first.shape[1] // c.pool)
        # f1 has used the first streams of weights and biases; the other nets go on behind them.
        init = Init(Spec(width, 1, seeds, c.dtype, c.device))
        for _ in range(2 * (len(c.hidden) + 1)):
            init.lane_generators()
        self.explorer = MLP(init, width, c.explorer, 1)
        self.decider = MLP(init, 2, c.decider, 1)
        self.optimisers = {
            "net": Adam(self.net.net, c.lr),
            "explorer": Adam(self.explorer, c.lr_explorer),
            "decider": Adam(self.decider, c.lr_decider),
        }
        self.history = History(seeds, (arms, dim) if c.per_arm else (dim,))
        self.residuals = History(seeds, (width,))  # (pooled gradient, -, r - f1)
        self.pairs = History(seeds, (2,))  # ((f1, f2) at the decision, -, r)
        self.tables, self.steps = 0, 0

    def pooled(self, gradients: Tensor) -> Tensor:
        """Means of blocks of `pool` entries [S, n, ceil(P / pool)], times sqrt(pool).

        The factor keeps the size of entries of independent sign.
        """
        short = -gradients.shape[-1] % self.config.pool
        blocks = F.pad(gradients, (0, short)).unflatten(-1, (-1, self.config.pool))
        return blocks.mean(-1) * self.config.pool**0.5

    def parts(self, obs: Observation) -> tuple[Tensor, Tensor]:
        """f1 and f2 of every arm [S, b, K]."""
        context = self.net.context(obs)
        inputs = arm_inputs(context, self.arms, self.net.per_arm).flatten(1, 2)
        with torch.no_grad():
            exploit = self.net.predict(context)
            explore = self.explorer(self.pooled(self.net.gradients(inputs))).reshape(exploit.shape)
        return exploit, explore

    def scores(self, obs: Observation) -> np.ndarray:
        """What the decision takes the largest of [B, K]."""
        exploit, explore = self.parts(obs)
        score = exploit + self.config.weight * explore
        if self.config.decision == "net":
            with torch.no_grad():
                both = torch.stack([exploit, explore], -1).flatten(1, 2)
                learned = self.decider(both).reshape(exploit.shape)
            ready = self.net.tensor(self.history.count >= self.config.decider_after).bool()
            score = torch.where(ready[:, None, None], learned, score)
        return score.flatten(0, 1).cpu().numpy().astype(np.float64)

    def dist(self, obs: Observation) -> np.ndarray:
        return greedy(self.scores(obs), available(obs, self.arms))

    def act(self, obs: Observation, rng: np.random.Generator) -> Decision:
        """A decision for each row of `obs`: arms `[B]`, and their probabilities where known."""
        return draw(self.dist(obs), rng)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        check_feedback(feedback, self.arms)
        self._remember(feedback)
        self.history.add(feedback)
        self.tables += 1
        if self.tables % self.config.train_every == 0 and self.history.count.min() > 0:
            for _ in range(self.config.steps):
                self._train_step()

    def _remember(self, feedback: Feedback) -> None:
        """Store gradients, residuals and both outputs of the rows, as they are before training."""
        rows = check_context(feedback.observation, self.arms, self.net.dim, self.net.per_arm)
        action, reward = np.asarray(feedback.action), np.asarray(feedback.reward)
        groups = by_lane(len(rows), self.net.lanes, feedback.run)
        index = np.zeros((self.net.lanes, max(map(len, groups))), np.int64)  # padded with row 0
        for lane, own in enumerate(groups):
            index[lane, : len(own)] = own
        chosen = torch.as_tensor(action[index], device=self.config.device)
        context = self.net.tensor(rows[index])
        inputs = chosen_inputs(context, chosen, self.arms, self.net.per_arm)
        with torch.no_grad():
            g = self.pooled(self.net.gradients(inputs))
            both = torch.cat([self.net.net(inputs), self.explorer(g)], -1)  # [S, n, 2]
        shown, pair = g.cpu().numpy(), both.cpu().numpy().astype(np.float64)
        for lane, own in enumerate(groups):
            run, place = np.full(len(own), lane), slice(0, len(own))
            residual = reward[own] - pair[lane, place, 0]
            self.residuals.add(Feedback(action[own], residual, shown[lane, place], run=run))
            self.pairs.add(Feedback(action[own], reward[own], pair[lane, place], run=run))

    def _train_step(self) -> None:
        """One step of each net on its own minibatch."""
        c = self.config
        context, action, reward = self.history.minibatch(self.steps, c.batch)
        chosen = torch.as_tensor(action, device=c.device)
        error = self.net.outputs(self.net.tensor(context), chosen) - self.net.tensor(reward)
        self.optimisers["net"](error.square().mean(1))
        self._regress("explorer", self.explorer, self.residuals)
        if c.decision == "net":
            self._regress("decider", self.decider, self.pairs)
        self.steps += 1

    def _regress(self, name: str, net: nn.Module, history: History) -> None:
        x, _, y = history.minibatch(self.steps, self.config.batch)
        error = net(self.net.tensor(x)).squeeze(-1) - self.net.tensor(y)
        self.optimisers[name](error.square().mean(1))

    def state_dict(self) -> dict[str, np.ndarray]:
        nets = {"explorer": self.explorer, "decider": self.decider}
        state = join_states(
            arms=self.net.state_dict(),
            history=self.history.state_dict(),
            residuals=self.residuals.state_dict(),
            pairs=self.pairs.state_dict(),
            own={"counts": np.array([self.tables, self.steps])},
            **{
                name: {n: p.detach().cpu().numpy().copy() for n, p in net.named_parameters()}
                for name, net in nets.items()
            },
        )
        for name, optimiser in self.optimisers.items():
            state |= join_states(**{f"optimiser.{name}": save_optimiser(optimiser)})
        return state

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.net.load_state_dict(part_of(state, "arms"))
        for name, net in (("explorer", self.explorer), ("decider", self.decider)):
            for n, p in net.named_parameters():
                p.copy_(self.net.tensor(part_of(state, name)[n]))
        for name, optimiser in self.optimisers.items():
            load_optimiser(optimiser, part_of(state, f"optimiser.{name}"))
        for name in ("history", "residuals", "pairs"):
            getattr(self, name).load_state_dict(part_of(state, name))
        self.tables, self.steps = (int(n) for n in state["own.counts"])
