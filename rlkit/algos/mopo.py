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
from rlkit.algos.imagination.rollout import (
    Hooks,
    Proposal,
    Reward,
    Step,
    all_members,
    environment_end,
)
from rlkit.algos.imagination.source import minibatches
from rlkit.algos.sac import Agent
from rlkit.core.engine import Source
from rlkit.core.lanes import against
from rlkit.core.ranges import (
    Count,
    Natural,
    NonNegative,
    NonNegatives,
    OpenShare,
    Positive,
    PositiveShare,
    ProperShare,
    Real,
    Share,
    Widths,
    checked,
)
from rlkit.data.stock import Stock

__all__ = ["Agent", "Config", "penalised", "source", "uncertainty"]

Uncertainty = Literal["aleatoric", "distance", "spread"]


@checked("subset <= n_critics", "n_elites <= n_models")
@dataclass(frozen=True)
class Config:
    penalty: NonNegative = 2.5  # λ of eq. (2), in rewards a unit of u
    uncertainty: Uncertainty = "aleatoric"  # u of eq. (2)
    length: Count = 5  # steps of a rollout
    gamma: Share = 0.99  # γ, discount
    polyak: PositiveShare = 0.005  # step of the target critics towards the critics
    alpha: NonNegative = 1.0  # α, temperature; its first value when it is learnt
    learn_alpha: bool = True  # adapt α to the target entropy
    entropy: Real = -1.0  # H̄ a dimension: the target entropy is this times the dimensions
    entropy_backup: bool = True  # the entropy term of the critics' target
    lr: Positive = 1e-4  # learning rate of the policy
    lr_q: Positive = 3e-4  # learning rate of the critics
    lr_alpha: Positive = 1e-4  # learning rate of the temperature
    actor_period: Count = 1  # critic updates for one of the policy
    n_critics: Count = 2  # N, ensemble size of the critics
    subset: Natural = 0  # M, critics drawn for the minimum of the target; 0: all
    mean_critic: bool = False  # the policy follows the mean of the critics, not their minimum
    dropout: ProperShare = 0.0  # chance of a critic's hidden unit to be dropped
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of the policy
    hidden_q: Widths = ()  # widths of the critics; empty: as the policy
    norm: nets.Norm = "none"  # LayerNorm in the critics
    real_ratio: Share = 0.05  # share of the dataset's rows in a minibatch; 1 is SAC
    model_every: Count = 1000  # updates between rounds of rollouts
    rollouts: Count = 10_000  # states rolled out in a round
    retain: Count = 5  # rounds whose rows are kept
    n_models: Count = 7  # ensemble size of the model
    n_elites: Count = 5  # members that predict
    deterministic: bool = False  # squared error instead of a Gaussian's likelihood
    hidden_model: Widths = (200, 200, 200, 200)  # widths of the model
    lr_model: Positive = 1e-3  # learning rate of the model
    decay_model: NonNegatives = (2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4)  # of each layer's weights
    batch_model: Count = 256  # rows of a model update, for each member
    holdout: OpenShare = 0.2  # share of the rows kept for validation
    max_holdout: Count = 1000  # most rows kept for validation
    patience: Natural = 5  # epochs without progress before the fit ends
    max_epochs: Count = 200  # of the fit


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


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Real and penalised imagined minibatches; with `real_ratio` 1 those of SAC.

    Raises ValueError for a task whose termination rule is not known, and for "aleatoric" with a
    model that has no deviation.
    """
    if c.deterministic and c.uncertainty == "aleatoric":
        raise ValueError(
            "a deterministic model has no deviation to be penalised; set uncertainty to "
            "'distance' or 'spread'"
        )

    def hooks(model: nets.Dynamics) -> Hooks:
        end = environment_end(stock.env_id, stock.transforms, stock.spec)
        reward = penalised(c.penalty, c.uncertainty)
        return Hooks(all_members(model), reward=reward, terminate=end)

    return minibatches(stock, agent, c, hooks, (0, 1, c.length, c.length))
