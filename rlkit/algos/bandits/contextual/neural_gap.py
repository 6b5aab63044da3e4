"""NeuSquareCB and NeuFastCB: gap weighting over an online perturbed network.

Deb, Ban, Zuo, He & Banerjee 2024, "Contextual Bandits with Online Neural Regression":
  prediction  y~ = mean over s of f(theta; x) + c_p sum_j (theta - theta_0)_j eps_sj / m^(1/4)
  update      theta <- Proj_B(theta_0, rho)(theta - lr · grad of mean_s loss(f~_s, y)), y = 1 - r
  square      squared loss 1/2 (f~ - y)² and square_cb weights
  fast        logistic output, KL (cross-entropy) loss, and fast_cb weights
with S Rademacher draws eps_s frozen at the start and m the width. In mean over draws the
perturbation is a ridge toward theta_0 of strength c_p² / sqrt(m); c_p = 0 is SquareCB on the plain
net. From the paper's abstract and its definitions as remembered; constants are ours. `replays` adds
steps on rows of the past to each online step; 0 is the paper's single pass.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rlkit.algos.bandits.contextual.arm_nets import ArmNet, NetConfig, join_states, part_of
from rlkit.algos.bandits.contextual.oracle_policies import (
    fast_cb,
    first_order_gamma,
    square_cb,
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
)
from rlkit.core.streams import generator
from rlkit.core.words.ranges import Count, Natural, NonNegative, Positive, checked

Rule = Literal["square", "fast"]


@checked(lanes=False)
@dataclass(frozen=True)
class Config(NetConfig):
    rule: Rule = "square"
    # gamma_n = gamma n^exponent with n the learned rows of a lane; fast: of their loss, and at
    # least 10 K (`oracle_policies.first_order_gamma`)
    gamma: NonNegative = 10.0
    exponent: NonNegative = 0.5
    perturbation: NonNegative = 0.1  # c_p
    draws: Count = 10  # S; the theory asks for O(log m)
    radius: Positive = 100.0  # rho of the projection around theta_0
    lr: Positive = field(default=0.1, kw_only=True)
    replays: Natural = 0  # more steps on minibatches of past rows after each table


def losses(outputs: Tensor, target: Tensor, rule: Rule) -> Tensor:
    """Loss of outputs [S, draws, B] against target losses [S, B]: squared, or KL of logits."""
    target = target[:, None].expand_as(outputs)
    if rule == "square":
        return 0.5 * (outputs - target).square()
    return F.binary_cross_entropy_with_logits(outputs, target, reduction="none")


class NeuralGapPolicy:
    """A batched NeuSquareCB or NeuFastCB policy; rows of an observation come lane by lane."""

    def __init__(self, arms: int, dim: int, config: Config | None = None) -> None:
        c = self.config = config or Config()
        self.arms = arms
        self.net = ArmNet(arms, dim, c.hidden, c.seeds, c.per_arm, c.dtype, c.device)
        size = self.net.first.shape[1]
        signs = [generator(s, "signs").integers(0, 2, (c.draws, size)) * 2 - 1 for s in c.seeds]
        width = c.hidden[-1] if c.hidden else dim
        # Along a draw the squared loss is at least this curved, whatever the data.
        curvature = c.perturbation**2 * size / (c.draws * width**0.5)
        if c.rule == "square" and c.lr * curvature > 2.0:
            raise ValueError(
                f"lr {c.lr:g} diverges: {c.draws} draws of a perturbation {c.perturbation:g} of "
                f"{size} parameters need lr below {2.0 / curvature:.3g}; lower lr or the "
                "perturbation, or raise draws"
            )
        self.noise = self.net.tensor(np.stack(signs)) * c.perturbation / width**0.25
        self.history = History(tuple(c.seeds), (arms, dim) if c.per_arm else (dim,))
        self.steps = 0
        self.loss = np.zeros(len(c.seeds))  # sum over the learned rows of each lane

    def shifts(self) -> Tensor:
        """What each draw adds to every output [S, draws]."""
        return torch.einsum("sdp,sp->sd", self.noise, self.net.flat() - self.net.first)

    @torch.no_grad()
    def predict(self, obs: Observation) -> np.ndarray:
        """Predicted rewards [B, K]: 1 minus the mean perturbed loss."""
        outputs = self.net.predict(self.net.context(obs))  # [S, b, K]
        outputs = outputs[:, None] + self.shifts()[:, :, None, None]
        if self.config.rule == "fast":
            outputs = torch.sigmoid(outputs)
        return 1.0 - outputs.mean(1).flatten(0, 1).cpu().numpy().astype(np.float64)

    def dist(self, obs: Observation) -> np.ndarray:
        c, mask = self.config, available(obs, self.arms)
        rows = self.history.count
        if c.rule == "fast":
            first_order = first_order_gamma(self.loss, rows, mask, c.gamma, c.exponent)
            return fast_cb(self.predict(obs), mask, first_order)
        gamma = np.where(rows > 0, c.gamma * rows**c.exponent, 0.0)
        return square_cb(self.predict(obs), mask, gamma.repeat(len(obs) // len(rows))[:, None])

    def act(self, obs: Observation, rng: np.random.Generator) -> Decision:
        """A decision for each row of `obs`: arms `[B]`, and their probabilities where known."""
        return draw(self.dist(obs), rng)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        check_feedback(feedback, self.arms)
        reward = np.asarray(feedback.reward, np.float64)
        bad = (reward < 0) | (reward > 1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(f"reward of row {row} is {reward[row]}; it must lie in [0, 1]")
        before = self.history.count.copy()
        obs = Observation(feedback.context, None, len(feedback))
        check_context(obs, self.arms, self.net.dim, self.net.per_arm)
        self.history.add(feedback)
        for k, own in enumerate(by_lane(len(feedback), self.net.lanes, feedback.run)):
            self.loss[k] += (1.0 - reward[own]).sum()
        new = self.history.count - before
        # The online pass: step k takes the k-th new row of every lane that has one.
        for k in range(int(new.max())):
            place = np.clip(before + k, 0, np.maximum(self.history.count - 1, 0))
            lane = np.arange(self.net.lanes)
            rows = tuple(
                getattr(self.history, name)[lane, place][:, None]
                for name in ("context", "action", "reward")
            )
            self._step(rows, k < new)
        if self.history.count.min() > 0:
            for _ in range(self.config.replays):
                self._step(self.history.minibatch(self.steps, self.config.batch), None)

    def _step(self, rows: tuple[np.ndarray, ...], active: np.ndarray | None) -> None:
        """One projected gradient step on rows [S, B] of the active lanes [S]."""
        c = self.config
        context, action, reward = rows
        self.steps += 1
        chosen = torch.as_tensor(action, device=c.device)
        outputs = self.net.outputs(self.net.tensor(context), chosen)  # [S, B]
        outputs = outputs[:, None] + self.shifts()[:, :, None]
        loss = losses(outputs, 1.0 - self.net.tensor(reward), c.rule).mean((1, 2))
        params = list(self.net.net.parameters())
        grads = torch.autograd.grad(loss.sum(), params)
        moving = np.ones(self.net.lanes) if active is None else active.astype(float)
        rate = c.lr * self.net.tensor(moving)
        with torch.no_grad():
            for p, g in zip(params, grads, strict=True):
                p.sub_(rate.reshape(-1, *[1] * (p.dim() - 1)) * g)
            away = (self.net.flat() - self.net.first).norm(dim=1)
            shrink = (c.radius / away.clamp(min=1e-30)).clamp(max=1.0)
            if bool((shrink < 1).any()):
                away_from_first = self.net.flat() - self.net.first
                self._set_flat(self.net.first + shrink[:, None] * away_from_first)

    def _set_flat(self, values: Tensor) -> None:
        first = 0
        for p in self.net.net.parameters():
            last = first + p[0].numel()
            p.copy_(values[:, first:last].reshape(p.shape))
            first = last

    def state_dict(self) -> dict[str, np.ndarray]:
        own = {
            "steps": np.array(self.steps),
            "noise": self.noise.cpu().numpy().copy(),
            "loss": self.loss.copy(),
        }
        return join_states(arms=self.net.state_dict(), history=self.history.state_dict(), own=own)

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.net.load_state_dict(part_of(state, "arms"))
        self.history.load_state_dict(part_of(state, "history"))
        self.noise.copy_(torch.as_tensor(state["own.noise"]))
        self.steps, self.loss = int(state["own.steps"]), np.array(state["own.loss"])
