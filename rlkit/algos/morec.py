"""Model-based offline RL with Reward-Consistent dynamics (MOREC), Luo, Xu, Cao & Yu 2024 (arXiv
2310.05422), "Reward-Consistent Dynamics Models are Strongly Generalizable for Offline RL".

MOPO (see `mopo`, whose penalty and agent these are) on rollouts that are filtered: transitions that
look real are kept. What looks real is a reward of dynamics r_D(s, a, s'), learnt before all else by
adversaries (see `imagination.dynamics_reward`, whose equation (3) it is):

    (1)  candidates ŝ'_k: `resamples` draws from each elite
    (2)  k ~ softmax(κ r_D(s, a, ŝ'_k)), or the best
    (3)  the rollout stops where r_D of the chosen one is below `threshold`
    (4)  r = r̂ - λ u(s, a), the penalty of MOPO

so that rollouts may be long. A rollout that (3) stops is broken off, its last value bootstrapped
from; with `stop` "end" it counts as a terminal step, as in the authors' code: worth 0, which holds
an agent back where rewards are positive and draws it there where they are negative.

Differs from the authors' code: see `imagination.dynamics_reward` for the first stage, which it
lacks; 10 judges are kept of 2x64 units (theirs up to 400), so that a round of rollouts takes no
longer than the updates between rounds on a CPU; candidates are not clipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from rlkit import nets
from rlkit.algos import mopo
from rlkit.algos.imagination.dynamics_reward import Judges, below, filtered
from rlkit.algos.imagination.proposals import every_elite
from rlkit.algos.imagination.rollout import Hooks, Terminate
from rlkit.algos.imagination.source import Offline, minibatches
from rlkit.algos.sac import Agent
from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.state import joined, part
from rlkit.core.words.ranges import (
    Count,
    NonNegative,
    Positive,
    PositiveShare,
    Widths,
    checked,
)
from rlkit.data.stock import Stock

__all__ = ["FITS", "PRESETS", "Agent", "Config", "source"]

FITS = ("offline", "continuous")


@checked("subset <= n_critics", "n_elites <= n_models")
@dataclass(frozen=True)
class Config(mopo.Config):
    penalty: NonNegative = 0.5  # λ of eq. (4), in rewards a unit of u
    length: Count = 100  # steps of a rollout
    rollouts: Count = 2000  # states rolled out in a round
    resamples: Count = 2  # candidates of each elite
    pick: Literal["softmax", "best"] = "softmax"  # eq. (2)
    sharpness: NonNegative = 10.0  # κ of eq. (2)
    threshold: NonNegative = 0.6  # of r_D, eq. (3); 0 stops nothing
    stop: Literal["break", "end"] = "break"  # what (3) does to a rollout
    judges: Count = 10  # M, discriminators that are kept
    judge_clip: PositiveShare = 1.0  # the most that a judge's probability counts
    judge_updates: Count = 10_000  # of discriminator and learner, before the first round
    judge_weight: NonNegative = 1.0  # w: how much the learner tries to fool the discriminator
    hidden_judge: Widths = (64, 64)  # widths of a discriminator
    hidden_learner: Widths = (64, 64)  # widths of the learner of the dynamics
    lr_judge: Positive = 3e-4  # learning rate of both


_END = {"stop": "end"}
# name -> fields of Config, options of the run; penalties of the authors' scripts for D4RL
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "halfcheetah": (_END | {"penalty": 0.5}, {}),
    "hopper": (_END | {"penalty": 10.0}, {}),
    "walker2d": (_END | {"penalty": 1.0}, {}),
}


class Judged:
    """The minibatches of `inner`, whose rollouts ask `judges`, which learn before its first one."""

    beginning = "fitting the judges of the dynamics, and the model, to the dataset"

    def __init__(self, inner: Offline, judges: Judges, c: Config) -> None:
        self.inner, self.judges, self.c = inner, judges, c
        self.batch_size, self.every = inner.batch_size, inner.every
        self.told: dict[str, Tensor] = {}  # metrics of the judges' fit

    def begin(self) -> None:
        c = self.c
        widths = (c.hidden_judge, c.hidden_learner)
        self.told = self.judges.fit(
            self.inner.real, c.judge_updates, *widths, c.lr_judge, c.judge_weight
        )
        self.inner.begin()

    def advance(self, step: int) -> dict[str, Tensor]:
        """A round of rollouts; `likely` is the share of its steps that were kept."""
        metrics = self.inner.advance(step)
        most = self.c.rollouts * self.c.length * min(self.inner.imagined.round, self.c.retain)
        return {**self.told, **metrics, "likely": metrics["imagined_rows"] / most}

    def indices(self, step: int, count: int = 1) -> Tensor:
        return self.inner.indices(step, count)

    def batch(self, index: Tensor) -> Batch:
        return self.inner.batch(index)

    def state_dict(self) -> dict[str, Tensor]:
        own = joined({"judges": self.judges.state_dict(), "told": self.told})
        return {**self.inner.state_dict(), **own}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.judges.load_state_dict(part(state, "judges"))
        self.told = part(state, "told")
        rest = {n: x for n, x in state.items() if not n.startswith(("judges.", "told."))}
        self.inner.load_state_dict(rest)


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Real and imagined minibatches, the latter filtered and penalised; with `real_ratio` 1 those
    of SAC. Raises what the source of `mopo` raises."""
    mopo.check_penalty(c)
    judges = Judges(stock.spec, c.hidden_judge, c.judges, c.judge_clip)

    def hooks(model: nets.Dynamics, end: Terminate) -> Hooks:
        return Hooks(
            every_elite(model, c.resamples, with_std=True),
            select=filtered(judges, c.pick, c.sharpness),
            reward=mopo.penalised(c.penalty, c.uncertainty),
            terminate=below(c.threshold, c.stop, end),
        )

    inner = minibatches(stock, agent, c, hooks, (0, 1, c.length, c.length))
    return Judged(inner, judges, c) if isinstance(inner, Offline) else inner
