"""P-IQL: IQL on a reward learnt from preferences, the baseline of Hejna et al. 2024 (2310.13639).

Before the first update a Bradley-Terry ensemble r̂ (`preference.models.reward_model`) is fitted
to labelled pairs of segments of the dataset:

    (1)  L_r = E -[y log σ(d) + (1 - y) log σ(-d)],   d = Σ_t r̂(second) - Σ_t r̂(first)

Then r̂, over its standard deviation on the dataset, stands in the place of every reward, and the
agent is IQL's (`iql.py`). The true rewards are read by the teacher alone.

Differs from the authors' code (jhejna/cpl): the reward is fitted first, not in the first part of
one joint loop; IQL learns from all rows of the dataset, not only from the labelled segments; a
terminated row has no next value; β = 3 multiplies, which is their division by 1/3; rewards are
scaled, because what β means depends on their size; no dropout.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from rlkit import nets
from rlkit.algos.iql import Agent, notice
from rlkit.algos.preference.models.reward_model import (
    Fit,
    OwnInit,
    RewardNet,
    Scaling,
    fit,
    mean_reward,
    normalised,
)
from rlkit.algos.preference.offline import Feedback
from rlkit.core.batch import Batch
from rlkit.core.words.ranges import (
    Count,
    HalfShare,
    Natural,
    NonNegative,
    OpenShare,
    Positive,
    PositiveShare,
    ProperShare,
    Share,
    Widths,
    checked,
)
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.nets.value_heads import HeadConfig

__all__ = ["Agent", "Config", "Source", "notice", "source"]

FITS = ("offline", "continuous", "discrete")


@checked("low < high", idle={"preferences": "pairs length teacher advantages"})
@dataclass(frozen=True)
class Config(HeadConfig):
    pairs: Count = 400  # pairs of segments a lane asks about
    length: Count = 64  # H, steps of a segment
    teacher: str = "rational"  # who answers: rational, noisy:1, mistaken:0.1, regret, ...
    advantages: str | None = None  # .npy of A*(s, a) a row, for a teacher by regret; None: estimate
    preferences: str | None = None  # file of labelled pairs, instead of asking
    members: Count = 3  # reward nets, of which the mean counts
    bounded: bool = True  # r̂ in (-1, 1)
    hidden_reward: Widths = (256, 256)  # widths of the reward nets
    lr_reward: Positive = 3e-4  # learning rate of the reward nets
    batch_reward: Count = 64  # pairs a step of their fit
    passes: Count = 100  # over all pairs, at most
    stop: Positive = 0.97  # accuracy that ends the fit
    label_margin: HalfShare = 0.0  # m, targets are (1 - 2m) y + m
    floor: ProperShare = 0.0  # ε, share of answers taken for noise
    scaling: Scaling = "scale"  # of r̂ on the dataset: std 1, mean 0 and std 1, or none
    gamma: Share = 0.99  # γ, discount
    tau: OpenShare = 0.7  # τ, expectile
    beta: NonNegative = 3.0  # β, inverse temperature of the advantage weights
    adv_clip: Positive = 100.0  # upper bound of an advantage weight
    polyak: PositiveShare = 0.005  # step of the target critic towards the critic
    lr: Positive = 3e-4  # learning rate of IQL's three nets
    lr_decay_steps: Natural = 0  # cosine decay of the policy's rate over so many updates; 0 is none
    n_critics: Count = 2  # ensemble size; targets are the least of all
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of IQL's nets
    norm: nets.Norm = "none"  # LayerNorm in the critics


class Source:
    """Uniform minibatches of the dataset with the learnt reward of each lane."""

    reward: Tensor  # [S, N], of every row

    def __init__(self, stock: Stock, c: Config) -> None:
        self.feedback = Feedback(stock, c, "p_iql")
        assert stock.data is not None
        self.stock, self.c, self.data = stock, c, stock.data
        self.rows = Uniform(self.data, c.batch_size, stock.streams)
        self.batch_size = c.batch_size
        self.beginning = f"{self.feedback.beginning}, then fitting a reward"
        init = OwnInit(stock.spec, "p_iql/reward")
        self.net = RewardNet(init, c.hidden_reward, c.members, c.bounded)

    def begin(self) -> None:
        c = self.c
        how = Fit(c.lr_reward, c.batch_reward, c.passes, c.stop, c.label_margin, c.floor)
        fit(self.net, self.feedback.gather(), self.stock.spec, how)
        self._relabel()

    def _relabel(self) -> None:
        learnt = mean_reward(self.net, self.data.rows("s"), self.data.rows("a"))
        self.reward = normalised(learnt, self.c.scaling)

    def indices(self, step: int, count: int) -> Tensor:
        return self.rows.indices(step, count)

    def batch(self, index: Tensor) -> Batch:
        return self.rows.batch(index)._replace(r=self.reward.gather(1, index))

    def state_dict(self) -> dict[str, Tensor]:
        """The reward nets, from which every row's reward is worked out again."""
        return dict(self.net.state_dict())

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.net.load_state_dict(state)
        self._relabel()


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Cut segments from the dataset, ask about pairs of them, fit the reward, relabel."""
    return Source(stock, c)
