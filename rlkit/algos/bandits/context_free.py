"""Batched context-free policies: uniform, eps-greedy, UCB1, beta and Gaussian Thompson, Exp3-IX.

The same rules as the kernel's (`index_policies`, `adversarial`), for delayed and batched feedback
and changing sets of arms: an arm never pulled before comes first, and t counts learned rows.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rlkit.algos.bandits.interface import (
    Decision,
    Feedback,
    Observation,
    available,
    check_feedback,
    draw,
    greedy,
    play_largest,
    uniform,
)
from rlkit.core.words.ranges import NonNegative, Share, checked
from rlkit.envs.bandits.counts import whole

Rule = Literal["uniform", "eps_greedy", "ucb", "ts_beta", "ts_gauss", "exp3_ix"]


@checked(lanes=False)
@dataclass(frozen=True)
class Config:
    rule: Rule = "ucb"
    eps: Share = 0.1  # eps_greedy
    alpha: NonNegative = 4.0  # ucb: mean + sqrt(alpha ln t / (2 N)); 4 is UCB1
    sigma: NonNegative = 1.0  # ts_gauss: draw of N(S / (N + 1), sigma² / (N + 1))


class ContextFreePolicy:
    """A batched policy that ignores contexts; `arms` may grow by `add_arms`."""

    def __init__(self, arms: int, config: Config | None = None) -> None:
        self.config = config or Config()
        arms = whole("arms", arms)
        self.pulls, self.total, self.loss = np.zeros(arms), np.zeros(arms), np.zeros(arms)

    @property
    def arms(self) -> int:
        return len(self.pulls)

    def add_arms(self, count: int) -> None:
        """Append `count` arms that were never played."""
        new = np.zeros(whole("count", count))
        self.pulls, self.total = np.append(self.pulls, new), np.append(self.total, new)
        self.loss = np.append(self.loss, np.full(count, self.loss.min()))

    def dist(self, obs: Observation) -> np.ndarray | None:
        c, mask = self.config, available(obs, self.arms)
        if c.rule in ("ts_beta", "ts_gauss"):
            return None
        if c.rule == "uniform":
            return uniform(mask)
        if c.rule == "exp3_ix":
            eta = np.sqrt(np.log(max(self.arms, 2)) / (self.arms * (self.pulls.sum() + 1)))
            weights = np.where(mask, np.exp(-eta * (self.loss - self.loss.min())), 0.0)
            # Where only arms of vanishing weight are left, they are played evenly.
            weights = np.where(weights.sum(1, keepdims=True) > 0, weights, mask)
            return weights / weights.sum(1, keepdims=True)
        mean = self.total / np.maximum(self.pulls, 1)
        if c.rule == "ucb":
            t = max(self.pulls.sum(), 1.0)
            mean = mean + np.sqrt(c.alpha * np.log(t) / (2 * np.maximum(self.pulls, 1)))
        scores = np.where(self.pulls > 0, mean, np.inf)
        # A row whose untried arms score infinity shares among those: greedy() sees ties there.
        best = greedy(np.broadcast_to(scores, mask.shape), mask)
        if c.rule == "eps_greedy":
            return (1 - c.eps) * best + c.eps * uniform(mask)
        return best

    def act(self, obs: Observation, rng: np.random.Generator) -> Decision:
        """A decision for each row of `obs`: arms `[B]`, and their probabilities where known."""
        probabilities = self.dist(obs)
        if probabilities is not None:
            return draw(probabilities, rng)
        mask = available(obs, self.arms)
        if self.config.rule == "ts_beta":
            scores = rng.beta(1 + self.total, 1 + self.pulls - self.total, mask.shape)
        else:
            spread = self.config.sigma / np.sqrt(self.pulls + 1)
            scores = self.total / (self.pulls + 1) + spread * rng.standard_normal(mask.shape)
        return play_largest(scores, mask, rng)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        check_feedback(feedback, self.arms)
        action, reward = np.asarray(feedback.action), np.asarray(feedback.reward, np.float64)
        c = self.config
        if c.rule in ("ts_beta", "exp3_ix"):
            bad = (reward < 0) | (reward > 1)
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise ValueError(f"reward of row {row} is {reward[row]}; it must lie in [0, 1]")
        if c.rule == "exp3_ix":
            if feedback.prob is None:
                raise ValueError("exp3_ix learns from the probabilities its actions had: set prob")
            unknown = np.isnan(np.asarray(feedback.prob, np.float64))
            if unknown.any():
                raise ValueError(
                    f"prob of row {int(np.flatnonzero(unknown)[0])} is missing: exp3_ix learns "
                    "from the probabilities its actions had"
                )
            eta = np.sqrt(np.log(max(self.arms, 2)) / (self.arms * (self.pulls.sum() + 1)))
            np.add.at(self.loss, action, (1 - reward) / (feedback.prob + eta / 2))
        np.add.at(self.pulls, action, 1.0)
        np.add.at(self.total, action, reward)

    def state_dict(self) -> dict[str, np.ndarray]:
        return {n: getattr(self, n).copy() for n in ("pulls", "total", "loss")}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        for name, value in state.items():
            setattr(self, name, np.array(value, np.float64))
