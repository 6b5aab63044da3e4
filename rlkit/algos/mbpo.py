"""Model-Based Policy Optimization, Janner et al. 2019 (arXiv 1906.08253).

An ensemble of dynamics models is fitted to all real rows every `model_every` environment steps.
Then states of real rows are rolled out in it for k steps with the stochastic policy:

    (1)  a ~ π(s),  e ~ U(elites),  (s' - s, r) ~ N(μ_e(s, a), Σ_e(s, a))
    (2)  k grows from k0 to k1 while the step goes from e0 to e1

and SAC (see `sac`, whose agent this is) learns from minibatches of which a share `real_ratio` is
real and the rest imagined. An episode ends in the model when the task's own rule says so of s'.

Of a run, the paper makes `--warmup 5000 --utd 20` (HalfCheetah 40, InvertedPendulum 500 and 10).
Rollout schedules and target entropies of the authors' code, steps in thousands:

    Hopper            20,150,1,15  -1     Ant (27 observations)       20,100,1,25  -4
    Walker2d          20,150,1,1   -3     Humanoid (45 observations)  20,300,1,25  -2
    HalfCheetah       20,150,1,1   -3     InvertedPendulum            1,15,1,1     -0.05

Differs from the paper: `rollouts` is 10,000 instead of 100,000, a tenth of a second on one core for
one step; at 20 updates a step an imagined row is then drawn about 120 times before it goes, in the
paper 12 times. Differs from the authors' code: see `imagination.fitting`; the critics' loss has no
factor ½; the rows of the last `retain` rounds are kept, whatever their lengths.
"""

from __future__ import annotations

from dataclasses import dataclass

from rlkit import nets
from rlkit.algos.imagination.rollout import Hooks, environment_end, one_elite
from rlkit.algos.imagination.source import minibatches
from rlkit.algos.sac import Agent
from rlkit.core.engine import Source
from rlkit.core.ranges import (
    Count,
    Natural,
    Naturals,
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

__all__ = ["RUN", "Agent", "Config", "source"]

RUN = {"utd": 20.0, "warmup": 5000}


@checked("subset <= n_critics", "n_elites <= n_models")
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99  # γ, discount
    polyak: PositiveShare = 0.005  # step of the target critics towards the critics
    alpha: NonNegative = 1.0  # α, temperature; its first value when it is learnt
    learn_alpha: bool = True  # adapt α to the target entropy
    entropy: Real = -0.5  # H̄ a dimension: the target entropy is this times the dimensions
    entropy_backup: bool = True  # the entropy term of the critics' target
    lr: Positive = 3e-4  # learning rate of the policy
    lr_q: Positive = 3e-4  # learning rate of the critics
    lr_alpha: Positive = 3e-4  # learning rate of the temperature
    actor_period: Count = 1  # critic updates for one of the policy
    n_critics: Count = 2  # N, ensemble size of the critics
    subset: Natural = 0  # M, critics drawn for the minimum of the target; 0: all
    mean_critic: bool = False  # the policy follows the mean of the critics, not their minimum
    dropout: ProperShare = 0.0  # chance of a critic's hidden unit to be dropped
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of the policy
    hidden_q: Widths = ()  # widths of the critics; empty: as the policy
    norm: nets.Norm = "none"  # LayerNorm in the critics
    real_ratio: Share = 0.05  # share of real rows in a minibatch; 1 is SAC
    model_every: Count = 250  # environment steps between fits of the model
    rollouts: Count = 10_000  # states rolled out after each fit; the paper's is 100,000
    rollout_schedule: Naturals = (20_000, 150_000, 1, 1)  # e0, e1, k0, k1 of eq. (2)
    retain: Count = 4  # rounds whose rows are kept
    n_models: Count = 7  # ensemble size of the model
    n_elites: Count = 5  # members that predict
    deterministic: bool = False  # squared error instead of a Gaussian's likelihood
    hidden_model: Widths = (200, 200, 200, 200)  # widths of the model
    lr_model: Positive = 1e-3  # learning rate of the model
    decay_model: NonNegatives = (2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4)  # of each layer's weights
    batch_model: Count = 256  # rows of a model update, for each member
    holdout: OpenShare = 0.2  # share of the rows kept for validation
    max_holdout: Count = 1000  # most rows kept for validation
    patience: Natural = 5  # epochs without progress before a fit ends
    max_epochs: Count = 200  # of one fit


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Real and imagined minibatches; with `real_ratio` 1 those of SAC."""

    def hooks(model: nets.Dynamics) -> Hooks:
        end = environment_end(stock.env_id, stock.transforms, stock.spec)
        return Hooks(one_elite(model), terminate=end)

    return minibatches(stock, agent, c, hooks, c.rollout_schedule)
