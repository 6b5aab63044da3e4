"""Model-based Offline Policy Optimization, Yu et al. 2020 (arXiv 2005.13239).

An ensemble of dynamics models is fitted to the dataset once. Every `model_every` updates, states
of the dataset are rolled out in it for `length` steps with the stochastic policy, and rewards are
lowered where the model is not sure:

    (1)  a ~ π(s),  e ~ U(elites),  (s' - s, r̂) ~ N(μ_e(s, a), Σ_e(s, a))
    (2)  r = r̂ - λ u(s, a)
         aleatoric   u = max_e |σ_e(s, a)|, the reward's deviation included
         distance    u = max_e |μ_e(s, a) - mean_j μ_j(s, a)|, next states only
         spread      u = (mean over dimensions of the variance of μ_e over e)^½, likewise

with e over ALL members, elites or not. SAC (see `sac`, whose agent this is) learns from minibatches
of which a share `real_ratio` is the dataset's. u is measured in what the agent sees: λ has another
meaning with `--normalise-obs` or scaled rewards.

Length and λ of OfflineRL-Kit on D4RL, with "aleatoric":

                      halfcheetah   hopper     walker2d
    medium            5, 0.5        5, 5       5, 0.5
    medium-replay     5, 0.5        5, 2.5     1, 2.5
    medium-expert     5, 2.5        5, 5       1, 2.5

Differs from the paper and its authors' code: `rollouts` is 10,000 instead of 50,000, so that a
round takes no longer than the updates between rounds; each of its rows is then drawn about once.
"distance" and "spread" are OfflineRL-Kit's. See `imagination.fitting` for the model. Differs from
OfflineRL-Kit: the policy's rate does not follow a cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from rlkit import nets
from rlkit.algos import sac
from rlkit.algos.imagination.proposals import Proposal, all_members
from rlkit.algos.imagination.rollout import Hooks, Reward, Step, Terminate
from rlkit.algos.imagination.settings import ModelConfig
from rlkit.algos.imagination.source import minibatches
from rlkit.algos.sac import Agent
from rlkit.core.engine import Source
from rlkit.core.lanes import against
from rlkit.core.words.ranges import Count, NonNegative, Positive, checked
from rlkit.data.stock import Stock

__all__ = ["Agent", "Config", "penalised", "source", "uncertainty"]

Uncertainty = Literal["aleatoric", "distance", "spread"]

FITS = ("offline", "continuous")


@checked("subset <= n_critics", "n_elites <= n_models")
@dataclass(frozen=True)
class Config(ModelConfig, sac.Config):
    penalty: NonNegative = 2.5  # λ of eq. (2), in rewards a unit of u
    uncertainty: Uncertainty = "aleatoric"  # u of eq. (2)
    length: Count = 5  # steps of a rollout
    lr: Positive = 1e-4  # learning rate of the policy
    lr_alpha: Positive = 1e-4  # learning rate of the temperature
    model_every: Count = 1000  # updates between rounds of rollouts
    retain: Count = 5  # rounds whose rows are kept


def uncertainty(proposal: Proposal, kind: Uncertainty) -> Tensor:
    """u of eq. (2) `[S, B]`, from the predictions `[S, n, B, D + 1]` of all members."""
    assert proposal.mean is not None
    assert proposal.std is not None
    if kind == "aleatoric":
        return proposal.std.norm(dim=-1).amax(1)
    mean = proposal.mean[..., :-1]
    if kind == "distance":
        return (mean - mean.mean(1, keepdim=True)).norm(dim=-1).amax(1)
    return mean.var(1, unbiased=False).mean(-1).sqrt()


def penalised(weight: float | Tensor, kind: Uncertainty = "aleatoric") -> Reward:
    """`reward` of a rollout, eq. (2); λ is a number or one a lane `[S, 1]`."""

    def reward(step: Step) -> Tensor:
        return step.r - against(weight, step.r) * uncertainty(step.proposal, kind)

    return reward


def check_penalty(c: Config) -> None:
    """Raises ValueError for "aleatoric" with a model that has no deviation."""
    if c.deterministic and c.uncertainty == "aleatoric":
        raise ValueError(
            "a deterministic model has no deviation to be penalised; set uncertainty to "
            "'distance' or 'spread'"
        )


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Real and penalised imagined minibatches; with `real_ratio` 1 those of SAC.

    Raises ValueError for a task whose termination rule is not known, and for "aleatoric" with a
    model that has no deviation.
    """
    check_penalty(c)

    def hooks(model: nets.Dynamics, end: Terminate) -> Hooks:
        reward = penalised(c.penalty, c.uncertainty)
        return Hooks(all_members(model), reward=reward, terminate=end)

    return minibatches(stock, agent, c, hooks, (0, 1, c.length, c.length))
