"""Batched linear contextual bandits: LinUCB, OFUL, LinTS, greedy and eps-greedy ridge.

  linucb  argmax x_a' theta + alpha s_a, s_a = sqrt(x_a' V^-1 x_a)            Li et al. 2010
  oful    alpha = R sqrt(2 ln(det(V)^1/2 lambda^-d/2 / delta)) + sqrt(lambda) S
                                                      Abbasi-Yadkori, Pal & Szepesvari 2011
  lints   shared: one parameter draw N(theta, v² V^-1) a row; disjoint: one draw an arm
                                                      Agrawal & Goyal 2013
Shared models know one parameter for all arms and need x_a [B, K, d]; disjoint ones know one an arm.
The kernels of `simulate("linucb", ...)` are the fast form of the same policies.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rlkit.algos.bandits.contextual.ridge import ArmFeatures, RidgeModels
from rlkit.algos.bandits.interface import (
    Decision,
    Feedback,
    Observation,
    available,
    check_context,
    check_feedback,
    draw,
    draw_greedy,
    greedy,
    play_largest,
    uniform,
)
from rlkit.core.words.ranges import NonNegative, Positive, PositiveShare, Share, checked
from rlkit.envs.bandits.counts import whole

Rule = Literal["linucb", "oful", "lints", "greedy", "eps_greedy"]


@checked(lanes=False)
@dataclass(frozen=True)
class Config:
    rule: Rule = "linucb"
    disjoint: bool = False
    per_arm: bool | None = None  # contexts [B, K, d]; None: exactly when shared
    ridge: Positive = 1.0  # lambda
    alpha: NonNegative = 1.0  # width of linucb; grid .1, .3, 1, 3
    v: NonNegative = 0.2  # scale of lints; .05 to 1 in practice, R sqrt(9 d ln(t/delta)) in theory
    eps: Share = 0.1  # eps_greedy
    noise_bound: NonNegative = 0.5  # R of oful: sub-Gaussian scale, 1/2 for rewards in [0, 1]
    norm_bound: NonNegative = 1.0  # S of oful: bound on the norm of theta
    delta: PositiveShare = 0.01  # oful


class LinearPolicy:
    """A batched linear policy over `arms` arms and `dim` features."""

    def __init__(self, arms: int, dim: int, config: Config | None = None) -> None:
        c = self.config = config or Config()
        self.arms = whole("arms", arms)
        self.features = ArmFeatures(arms, dim, c.disjoint, c.per_arm)
        self.models = RidgeModels(arms if c.disjoint else 1, dim, c.ridge)

    def _context(self, obs: Observation) -> np.ndarray:
        return check_context(obs, self.arms, self.features.dim, self.features.per_arm)

    def radius(self) -> float | np.ndarray:
        """The multiplier of s_a, or one a model [M]."""
        c = self.config
        if c.rule != "oful":
            return c.alpha
        root = np.sqrt(self.models.log_det + 2.0 * np.log(1.0 / c.delta))
        return c.noise_bound * root + np.sqrt(c.ridge) * c.norm_bound

    def _scores(self, obs: Observation) -> np.ndarray:
        x = self._context(obs)
        scores = self.features.means(x, self.models)
        if self.config.rule in ("linucb", "oful"):
            scores += self.radius() * self.features.deviations(x, self.models)
        return scores

    def dist(self, obs: Observation) -> np.ndarray | None:
        if self.config.rule == "lints":
            return None
        mask = available(obs, self.arms)
        if self.config.rule == "eps_greedy":
            return self._eps_greedy(obs, mask)
        return greedy(self._scores(obs), mask)

    def _eps_greedy(self, obs: Observation, mask: np.ndarray) -> np.ndarray:
        eps = self.config.eps
        return (1 - eps) * greedy(self._scores(obs), mask) + eps * uniform(mask)

    def act(self, obs: Observation, rng: np.random.Generator) -> Decision:
        """A decision for each row of `obs`: arms `[B]`, and their probabilities where known."""
        rule, v = self.config.rule, self.config.v
        mask = available(obs, self.arms)
        if rule == "eps_greedy":
            return draw(self._eps_greedy(obs, mask), rng)
        if rule != "lints":
            return draw_greedy(self._scores(obs), None if obs.mask is None else mask, rng)
        x = self._context(obs)
        if self.config.disjoint:
            spread = v * self.features.deviations(x, self.models)
            scores = self.features.means(x, self.models)
            return play_largest(scores + spread * rng.standard_normal(spread.shape), mask, rng)
        root = np.linalg.cholesky(self.models.inverse[0])
        noise = rng.standard_normal((len(x), self.features.dim)) @ root.T
        theta = self.models.theta[0] + v * noise  # [B, d]
        return play_largest(np.einsum("bkd,bd->bk", x, theta), mask, rng)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        check_feedback(feedback, self.arms)
        x, action = self._context(feedback.observation), np.asarray(feedback.action)
        rows, model = self.features.chosen(x, action)
        self.models.add_rows(rows, model, np.asarray(feedback.reward, np.float64))

    def state_dict(self) -> dict[str, np.ndarray]:
        return self.models.state_dict()

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.models.load_state_dict(state)
