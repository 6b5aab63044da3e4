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
from rlkit.algos import sac
from rlkit.algos.imagination.proposals import one_elite
from rlkit.algos.imagination.rollout import Hooks, Terminate
from rlkit.algos.imagination.settings import ModelConfig
from rlkit.algos.imagination.source import minibatches
from rlkit.algos.sac import Agent
from rlkit.core.engine import Source
from rlkit.core.words.ranges import Naturals, Real, checked
from rlkit.data.stock import Stock

__all__ = ["RUN", "Agent", "Config", "source"]

RUN = {"utd": 20.0, "warmup": 5000}

FITS = ("online", "continuous")


@checked("subset <= n_critics", "n_elites <= n_models")
@dataclass(frozen=True)
class Config(ModelConfig, sac.Config):
    entropy: Real = -0.5  # H̄ a dimension: the target entropy is this times the dimensions
    rollout_schedule: Naturals = (20_000, 150_000, 1, 1)  # e0, e1, k0, k1 of eq. (2)


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Real and imagined minibatches; with `real_ratio` 1 those of SAC."""

    def hooks(model: nets.Dynamics, end: Terminate) -> Hooks:
        return Hooks(one_elite(model), terminate=end)

    return minibatches(stock, agent, c, hooks, c.rollout_schedule)
