"""Reach-Aware Value Learning, Sims et al. 2024, "The Edge-of-Reach Problem in Offline Model-Based
Reinforcement Learning" (arXiv 2402.12527).

States that rollouts of k steps meet in their last step only are bootstrapped from but never learnt,
and their values, whatever they happen to be, spread; with the true dynamics as well, where MOPO's
penalty is zero. So the model is rolled out as it is (see `mbpo`), and an ensemble of critics that
disagree where they have not learnt is pessimistic about such states, as in EDAC (An et al. 2021,
arXiv 2110.01548):

The update is SAC's with N critics and the diversity term of eq. (5) there. Without rollouts
(`real_ratio` 1) this is EDAC, with η 0 SAC-N, with two critics SAC as well.

Differs from the authors' code: order of a step as in `sac`; weights begin as torch's (theirs have
hidden biases of 0.1 and last layers within 0.003); the model is fitted as `imagination.fitting`
says, without their 350 epochs at the least and without clipped inputs; `rollouts` is 10,000, not
50,000.
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
from rlkit.core.words.ranges import Count, NonNegative, Real, Several, Widths, checked
from rlkit.data.stock import Stock

__all__ = ["Agent", "Config", "source"]

FITS = ("offline", "continuous")


@checked("subset <= n_critics", "n_elites <= n_models")
@dataclass(frozen=True)
class Config(ModelConfig, sac.Config):
    n_critics: Several = 10  # N, ensemble size
    diversity: NonNegative = 1.0  # η of eq. (5) of SAC
    hidden: Widths = (256, 256, 256)  # widths of policy and critics
    log_std: tuple[Real, Real] = (-5.0, 2.0)  # bounds of the policy's log standard deviation
    length: Count = 5  # k, steps of a rollout
    model_every: Count = 1000  # updates between rounds of rollouts
    retain: Count = 5  # rounds whose rows are kept


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Real and imagined minibatches; with `real_ratio` 1 there is no model.

    Raises ValueError for a task whose termination rule is not known.
    """

    def hooks(model: nets.Dynamics, end: Terminate) -> Hooks:
        return Hooks(one_elite(model), terminate=end)

    return minibatches(stock, agent, c, hooks, (0, 1, c.length, c.length))
