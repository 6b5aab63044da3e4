"""Contextual bandits over a regression oracle: SquareCB, FastCB, RegCB and relatives, batched.

y_a predicted rewards, b the best available arm, K the number of available arms, gamma >= 0:
  square_cb   p_a = 1 / (K + gamma (y_b - y_a)) for a != b, p_b the rest
  fast_cb     p_a = l_b / (K l_b + gamma (l_a - l_b)) on losses l = 1 - y
  reg_cb      argmax of the upper bound y_a + radius · deviation_a
  reg_cb_elim uniform over {a : upper_a >= max_b lower_b}
  square_cb_elim   inverse gap weighting on that surviving set, K its size
  ada_cb      square_cb_elim in epochs of doubling length with gamma divided by the root of the
              share of rows with several survivors in the last epoch; an approximation of Foster,
              Rakhlin, Simchi-Levi & Xu 2020, whose exact factor differs
Foster & Rakhlin 2020 (square_cb), Foster & Krishnamurthy 2021 (fast_cb), Foster et al. 2018
(reg_cb).
gamma_n = gamma · n^exponent, n the learned rows: it does not move in `act`, and n = 0 is uniform.
For fast_cb it is max(gamma · (1 + L_n)^exponent, 10 K), which gives its first-order regret: the
paper has max(sqrt(K L* / (3 Reg)), 10 K) with L* the loss of the best policy and Reg the oracle's
regret in log loss. Neither is known while it learns: here L_n, the loss of the learned rows, which
exceeds L* by the policy's own regret, stands for L*, and gamma for sqrt(K / (3 Reg)). That estimate
is ours.
Ties for b are broken at random; `dist` holds the exact average over the choices.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from rlkit.algos.bandits.contextual.oracles import Oracle
from rlkit.algos.bandits.history import by_lane
from rlkit.algos.bandits.interface import (
    Decision,
    Feedback,
    Observation,
    available,
    check_feedback,
    draw,
    greedy,
    uniform,
)
from rlkit.core.words.ranges import NonNegative, Share, checked

IntervalRule = Literal["reg_cb", "reg_cb_elim", "square_cb_elim", "ada_cb"]
Rule = Literal["square_cb", "fast_cb", IntervalRule, "greedy", "eps_greedy"]


def _give_best_the_rest(p: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Others keep p [B, K]; the remaining mass goes to one of the `best` arms [B, K] at random.

    Tied best arms all hold the same p, so the average over which of them is b gives each of them
    that p plus an equal part of the rest.
    """
    missing = 1.0 - p.sum(1, keepdims=True)
    return np.where(best, p + missing / best.sum(1, keepdims=True), p)


def square_cb(rewards: np.ndarray, mask: np.ndarray, gamma: float | np.ndarray) -> np.ndarray:
    """Inverse gap weighting: probabilities [B, K] from predicted rewards and a mask [B, K].

    gamma is a number, or one a row [B, 1]; so in `fast_cb`.
    """
    count = mask.sum(1, keepdims=True)
    top = np.where(mask, rewards, -np.inf).max(1, keepdims=True)
    gap = np.where(mask, top - rewards, 0.0)
    p = np.where(mask, 1.0 / (count + gamma * gap), 0.0)
    return _give_best_the_rest(p, mask & (gap == 0.0))


def fast_cb(rewards: np.ndarray, mask: np.ndarray, gamma: float | np.ndarray) -> np.ndarray:
    """First-order gap weighting: probabilities [B, K]; exploration vanishes as the best loss does.

    Losses 1 - rewards are kept in [1e-9, 1].
    """
    count = mask.sum(1, keepdims=True)
    losses = np.clip(1.0 - rewards, 1e-9, 1.0)
    low = np.where(mask, losses, np.inf).min(1, keepdims=True)
    gap = np.where(mask, losses - low, 0.0)
    p = np.where(mask, low / (count * low + gamma * gap), 0.0)
    return _give_best_the_rest(p, mask & (gap == 0.0))


def first_order_gamma(
    loss: np.ndarray, rows: np.ndarray, mask: np.ndarray, gamma: float, exponent: float = 0.5
) -> np.ndarray:
    """fast_cb's gamma [B, 1] for masks [B, K], rows of S lanes one after the other.

    loss and rows [S] are the sum of the losses learned by each lane and their number; a lane
    without any has gamma 0, which is uniform play.
    """
    of_lane = np.where(rows > 0, gamma * (1.0 + loss) ** exponent, 0.0)
    repeats = len(mask) // len(loss)
    least = np.repeat(rows > 0, repeats) * 10.0 * mask.sum(1)
    return np.maximum(np.repeat(of_lane, repeats), least)[:, None]


def survivors(center: np.ndarray, width: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Available arms [B, K] whose upper bound reaches the largest lower bound."""
    lower = np.where(mask, center - width, -np.inf).max(1, keepdims=True)
    return mask & (center + width >= lower)


@checked(lanes=False)
@dataclass(frozen=True)
class Config:
    rule: Rule = "square_cb"
    gamma: NonNegative = 10.0  # of gamma_n, see the module's text
    exponent: NonNegative = 0.5
    radius: NonNegative = 1.0  # multiplier of the oracle's deviation
    log_radius: bool = False  # radius sqrt(ln(K (n + 1))) instead
    eps: Share = 0.0  # share of uniform play: eps_greedy's eps, and a floor eps / K elsewhere


class OraclePolicy:
    """A batched policy on any regression oracle; the rules of this module by name."""

    def __init__(self, oracle: Oracle, config: Config | None = None) -> None:
        c = self.config = config or Config()
        if c.rule in get_args(IntervalRule) and not oracle.intervals:
            raise ValueError(f"rule {c.rule!r} needs an oracle with deviations")
        self.oracle, self.arms = oracle, oracle.arms
        self.rows = 0
        self.loss, self.lane_rows = np.zeros(oracle.lanes), np.zeros(oracle.lanes)  # of fast_cb
        # ada_cb: rows before the running epoch, its rows with several survivors, its rows, and the
        # share of contested rows in the epoch before it
        self.epoch_start, self.contested, self.counted, self.share = 0, 0, 0, 1.0

    def gamma(self) -> float:
        """gamma at the present number of learned rows of a lane."""
        c = self.config
        return c.gamma * (self.rows / self.oracle.lanes) ** c.exponent if self.rows else 0.0

    def radius(self) -> float:
        """The confidence radius at the present number of learned rows."""
        c = self.config
        return c.radius * (np.sqrt(np.log(self.arms * (self.rows + 1))) if c.log_radius else 1.0)

    def _alive(self, obs: Observation, center: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return survivors(center, self.radius() * self.oracle.deviation(obs), mask)

    def dist(self, obs: Observation) -> np.ndarray:
        c, mask, center = self.config, available(obs, self.arms), self.oracle.predict(obs)
        if c.rule == "square_cb":
            p = square_cb(center, mask, self.gamma())
        elif c.rule == "fast_cb":
            gamma = first_order_gamma(self.loss, self.lane_rows, mask, c.gamma, c.exponent)
            p = fast_cb(center, mask, gamma)
        elif c.rule == "reg_cb":
            p = greedy(center + self.radius() * self.oracle.deviation(obs), mask)
        elif c.rule == "reg_cb_elim":
            p = uniform(self._alive(obs, center, mask))
        elif c.rule == "square_cb_elim":
            p = square_cb(center, self._alive(obs, center, mask), self.gamma())
        elif c.rule == "ada_cb":
            gamma = self.gamma() / np.sqrt(max(self.share, 1.0 / max(self.rows, 1)))
            p = square_cb(center, self._alive(obs, center, mask), gamma)
        else:
            p = greedy(center, mask)
        return (1 - c.eps) * p + c.eps * uniform(mask) if c.eps else p

    def act(self, obs: Observation, rng: np.random.Generator) -> Decision:
        """A decision for each row of `obs`: arms `[B]`, and their probabilities where known."""
        return draw(self.dist(obs), rng)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        check_feedback(feedback, self.arms)
        if self.config.rule == "ada_cb":
            obs = feedback.observation
            alive = self._alive(obs, self.oracle.predict(obs), available(obs, self.arms))
            self.contested += int((alive.sum(1) > 1).sum())
            self.counted += len(feedback)
            if self.counted >= max(1, self.epoch_start):  # the epoch has doubled the rows
                self.share = self.contested / self.counted
                self.epoch_start, self.contested, self.counted = self.rows + len(feedback), 0, 0
        self.oracle.learn(feedback)
        self.rows += len(feedback)
        lanes = len(self.loss)
        one = [np.arange(len(feedback))]
        own = by_lane(len(feedback), lanes, feedback.run) if lanes > 1 else one
        loss = np.clip(1.0 - np.asarray(feedback.reward, np.float64), 0.0, 1.0)
        for lane, part in enumerate(own):
            self.loss[lane] += loss[part].sum()
            self.lane_rows[lane] += len(loss[part])

    def state_dict(self) -> dict[str, np.ndarray]:
        own = ("rows", "epoch_start", "contested", "counted", "share", "loss", "lane_rows")
        state = {f"policy.{name}": np.array(getattr(self, name)) for name in own}
        return state | {f"oracle.{n}": v for n, v in self.oracle.state_dict().items()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        for name in ("rows", "epoch_start", "contested", "counted"):
            setattr(self, name, int(state[f"policy.{name}"]))
        self.share = float(state["policy.share"])
        self.loss = np.array(state["policy.loss"])
        self.lane_rows = np.array(state["policy.lane_rows"])
        inner = {n.removeprefix("oracle."): v for n, v in state.items() if n.startswith("oracle.")}
        self.oracle.load_state_dict(inner)
