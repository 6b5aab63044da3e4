"""Calibrated Q-Learning, Nakamoto et al. 2023 (arXiv 2303.05479): CQL whose penalty pushes no value
below what the data have reached, so that training online has nothing to unlearn.

    (1)  CQL's (1) to (4), but in (2) the policy's actions count with max(Q_j(s, ã), V^μ(s)), before
         log π is subtracted; V^μ(s) is the return to go G of the data's row
    (2)  G_t = r_t + γ G_{t+1};  after a terminal step 0, after a timeout r_min / (1 - γ)

Uniform actions stay as they are. The defaults are the authors' for antmaze, where rewards are
scaled to -5 and 5; on adroit they use alpha 1 without Lagrange. Fine-tuning with the environment
mixes rows of the dataset with rows of finished episodes, whose returns are known, as the authors
do; a lane that has not finished one yet draws from what it has, without the bound. The weight α
is the same in both phases.

Differs from the authors' code: r_min in (2) is the lowest reward of the dataset. In sparse tasks
this gives every step of a failed episode their value r / (1 - γ), without being told what failing
pays. In dense tasks they sum up to the timeout, which is no lower bound where rewards are negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import cql
from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import (
    Count,
    NonNegative,
    Positive,
    PositiveShare,
    Real,
    Share,
    Widths,
    checked,
)
from rlkit.data.sampling.monte_carlo import Finished, Recorded
from rlkit.data.sampling.samplers import Mixed, shares
from rlkit.data.stock import Stock
from rlkit.nets.value_heads import HeadConfig

FITS = ("offline", "then-online", "continuous")


@checked("low < high")
@dataclass(frozen=True)
class Config(HeadConfig):
    gamma: Share = 0.99  # γ, discount
    alpha: NonNegative = 5.0  # α, weight of the penalty, its first value if learnt
    temperature: Positive = 1.0  # T of the soft maximum
    n_actions: Count = 10  # n, actions drawn of each source
    importance: bool = True  # weigh the drawn actions by their densities
    lagrange: bool = True  # adapt α so that the penalty stays at `gap`
    gap: Real = 0.8  # target of P_j when α is adapted
    max_backup: bool = True  # the best of n next actions in the target
    entropy: Real = -1.0  # H̄ a dimension, target entropy of the policy
    polyak: PositiveShare = 0.005  # step of the target critics towards the critics
    lr: Positive = 1e-4  # learning rate of policy and temperature
    lr_q: Positive = 3e-4  # learning rate of the critics and of α
    n_critics: Count = 2  # ensemble size
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of the policy
    hidden_q: Widths = (256, 256, 256, 256)  # widths of the critics
    norm: nets.Norm = "none"  # LayerNorm in the critics


def calibrated(q_drawn: Tensor, mc: Tensor) -> tuple[Tensor, Tensor]:
    """Values `[S, n, B, 3k]` with those of the policy's actions, all but the first k, at least the
    returns `mc` `[S, B]`, eq. (1); and the share of these that the bound has lifted `[S]`."""
    uniform, policy = q_drawn.split([q_drawn.shape[-1] // 3, 2 * q_drawn.shape[-1] // 3], -1)
    bound = mc[:, None, :, None]
    lifted = (policy < bound).to(policy).mean((1, 2, 3))
    return torch.cat([uniform, torch.maximum(policy, bound)], -1), lifted


def calibration(q_drawn: Tensor, b: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """All that Cal-QL does to CQL, for rows that have their returns `b.mc`."""
    assert b.mc is not None
    bounded, lifted = calibrated(q_drawn, b.mc)
    return bounded, {"bounded": lifted}


def Agent(spec: Spec, c: Config) -> cql.Agent:
    """CQL's agent, whose penalty takes values of eq. (1)."""
    return cql.Agent(spec, c, calibration)


def source(stock: Stock, agent: cql.Agent, c: Config) -> Source:
    """Rows with their returns as `mc`: the dataset's, online mixed with finished episodes'."""
    if stock.data is None:
        raise UsageError("cal_ql bounds values by a dataset's returns: give it a dataset")
    gamma = c.gamma.flatten().tolist() if isinstance(c.gamma, Tensor) else [c.gamma]
    if max(gamma) >= 1:
        raise UsageError(f"gamma is {max(gamma)}; cal_ql values a timeout by r / (1 - gamma)")
    rewards = stock.data.rows("r")[0].double().cpu().numpy()
    lowest = float(rewards.min())
    if stock.replay is None:
        return Recorded(stock.data, c.batch_size, stock.streams, "batch", gamma, lowest)
    first, second = shares(c.batch_size, stock.mix)
    return Mixed(
        Recorded(stock.data, first, stock.streams, "dataset", gamma, lowest),
        Finished(stock.replay, second, stock.streams, "replay", gamma, lowest),
    )
