"""NeuralUCB (Zhou, Li & Gu 2020) and Neural Thompson Sampling (Zhang, Zhou, Li & Gu 2021).

f(x_a) a network, g_a its parameter gradient at x_a, U = lambda I + sum of g g' over played rows:
  width   s_a = sqrt(lambda nu g_a' U^-1 g_a)
  ucb     argmax f(x_a) + s_a
  ts      argmax of draws N(f(x_a), s_a²)
  loss    1/2 sum (f - r)² + lambda/2 |theta - theta_0|², over all rows so far
Differs from the papers: no factors of the width m (lambda stands for m lambda), as in the released
code; U is its diagonal unless `full`. Differs from the released code: decay goes to theta_0, not to
0; Adam on minibatches of the history instead of single-sample SGD until convergence; U takes the
gradient at the time a row is learned, before training on it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

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
    play_largest,
)
from rlkit.core.optim import Adam
from rlkit.core.words.ranges import Count, NonNegative, Positive, checked


@checked(lanes=False)
@dataclass(frozen=True)
class Config(NetConfig):
    rule: Literal["ucb", "ts"] = "ucb"
    ridge: Positive = 0.001  # lambda
    nu: NonNegative = 1.0  # exploration; inside the root
    full: bool = False  # U as a full matrix: for small nets
    steps: Count = 10  # Adam steps at each training
    train_every: Count = 1  # learned tables between trainings


class NeuralPolicy:
    """A batched NeuralUCB or NeuralTS policy; rows of an observation come lane by lane."""

    def __init__(self, arms: int, dim: int, config: Config | None = None) -> None:
        c = self.config = config or Config()
        self.arms = arms
        self.net = ArmNet(arms, dim, c.hidden, c.seeds, c.per_arm, c.dtype, c.device)
        lanes, size = self.net.first.shape
        start = torch.full((lanes, size), c.ridge, dtype=c.dtype, device=c.device)
        self.precision = torch.diag_embed(start) if c.full else start  # U
        self.optimiser = Adam(self.net.net, c.lr)
        self.history = History(tuple(c.seeds), (arms, dim) if c.per_arm else (dim,))
        self.tables, self.steps = 0, 0

    def _widths(self, inputs: Tensor) -> Tensor:
        """s [S, n] at inputs [S, n, D]."""
        if self.config.full:
            gradients = self.net.gradients(inputs)
            square = (gradients * torch.linalg.solve(self.precision, gradients.mT).mT).sum(-1)
        else:
            square = self.net.weighted_squares(inputs, 1.0 / self.precision)
        return (self.config.ridge * self.config.nu * square).clamp(min=0).sqrt()

    def _predict(self, obs: Observation) -> tuple[np.ndarray, np.ndarray]:
        """Outputs and widths [B, K]."""
        context = self.net.context(obs)
        inputs = arm_inputs(context, self.arms, self.net.per_arm)
        with torch.no_grad():
            mean = self.net.predict(context)
        widths = self._widths(inputs.flatten(1, 2)).reshape(mean.shape)
        return (
            mean.flatten(0, 1).cpu().numpy().astype(np.float64),
            widths.flatten(0, 1).cpu().numpy().astype(np.float64),
        )

    def dist(self, obs: Observation) -> np.ndarray | None:
        if self.config.rule == "ts":
            return None
        mask = available(obs, self.arms)
        mean, width = self._predict(obs)
        return greedy(mean + width, mask)

    def act(self, obs: Observation, rng: np.random.Generator) -> Decision:
        """A decision for each row of `obs`: arms `[B]`, and their probabilities where known."""
        probabilities = self.dist(obs)
        if probabilities is not None:
            return draw(probabilities, rng)
        mask = available(obs, self.arms)
        mean, width = self._predict(obs)
        return play_largest(mean + width * rng.standard_normal(mean.shape), mask, rng)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        check_feedback(feedback, self.arms)
        obs = Observation(feedback.context, None, len(feedback))
        self._explore(feedback, obs)
        self.history.add(feedback)
        self.tables += 1
        if self.tables % self.config.train_every == 0 and self.history.count.min() > 0:
            for _ in range(self.config.steps):
                self._train_step()

    def _explore(self, feedback: Feedback, obs: Observation) -> None:
        """Add the gradients of the played rows to U, lane by lane."""
        rows = check_context(obs, self.arms, self.net.dim, self.net.per_arm)
        actions = np.asarray(feedback.action)
        for lane, own in enumerate(by_lane(len(rows), self.net.lanes, feedback.run)):
            if not len(own):
                continue
            action = torch.as_tensor(actions[own], device=self.config.device)[None]
            context = self.net.tensor(rows[own])[None]
            inputs = chosen_inputs(context, action, self.arms, self.net.per_arm)
            this = slice(lane, lane + 1)
            if self.config.full:
                g = self.net.gradients(inputs, this)[0]
                self.precision[lane] += g.T @ g
            else:
                self.precision[lane] += self.net.square_sums(inputs, this)[0]

    def _train_step(self) -> None:
        c = self.config
        context, action, reward = self.history.minibatch(self.steps, c.batch)
        self.steps += 1
        chosen = torch.as_tensor(action, device=c.device)
        error = self.net.outputs(self.net.tensor(context), chosen) - self.net.tensor(reward)
        rows = self.net.tensor(self.history.count)
        decay = (self.net.flat() - self.net.first).square().sum(1) / rows
        self.optimiser(0.5 * error.square().mean(1) + 0.5 * c.ridge * decay)

    def state_dict(self) -> dict[str, np.ndarray]:
        own = {
            "precision": self.precision.cpu().numpy().copy(),
            "counts": np.array([self.tables, self.steps]),
        }
        return join_states(
            arms=self.net.state_dict(),
            optimiser=save_optimiser(self.optimiser),
            history=self.history.state_dict(),
            own=own,
        )

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.net.load_state_dict(part_of(state, "arms"))
        load_optimiser(self.optimiser, part_of(state, "optimiser"))
        self.history.load_state_dict(part_of(state, "history"))
        self.precision.copy_(torch.as_tensor(state["own.precision"]))
        self.tables, self.steps = (int(n) for n in state["own.counts"])
