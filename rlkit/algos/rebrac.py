"""ReBRAC, Tarasov et al. 2023, "Revisiting the Minimalist Approach to Offline Reinforcement
Learning" (arXiv 2305.09836): TD3+BC that keeps both policy and critics near the data.

    (1)  y = r + γ [min_j Q̄_j(s', ã') - β_c Σ_d (ã'_d - a'_d)²],  ã' smoothed as in TD3
    (2)  L_Q = E Σ_j (Q_j(s, a) - y)²
    (3)  L_π = β_a E Σ_d (π(s)_d - a_d)² - λ E q,   q = min_j Q_j(s, π(s)),   λ = 1 / E |q|

a' is the data's next action; rows after which the recording was cut off know none and are not
drawn. λ is one number a lane, not differentiated. Both weights are 1 by default, as in the authors'
code: close to cloning, safe on data one knows little of. The paper chose them task by task, on
a million rows: on medium data (β_a, β_c) is (0.01, 0.01) for Hopper, (0.05, 0.1) for Walker2d and
(0.001, 0.01) for HalfCheetah. Its batch is 1024, its rate 1e-3.

Differs from the authors' code: weights and biases begin as torch's, theirs have hidden biases of
0.1 and last layers within ±0.001 (policy) and ±0.003 (critics).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import q_loss
from rlkit.algos.td3 import target_action
from rlkit.algos.td3_bc import value_loss
from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.target import Target
from rlkit.core.words.ranges import (
    Count,
    NonNegative,
    Positive,
    PositiveShare,
    Share,
    Widths,
    checked,
)

if TYPE_CHECKING:
    from rlkit.core.engine import Source
    from rlkit.data.stock import Stock

FITS = ("offline", "continuous", "pixels")


@checked()
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99  # γ, discount
    beta_actor: NonNegative = 1.0  # β_a, weight of the policy's distance to the data
    beta_critic: NonNegative = 1.0  # β_c, weight of the next action's distance to the data's
    polyak: PositiveShare = 0.005  # step of the targets towards the nets
    smooth: NonNegative = 0.2  # standard deviation of the target action's noise
    smooth_clip: NonNegative = 0.5  # bound of that noise
    lr: Positive = 1e-3  # learning rate of the policy
    lr_q: Positive = 1e-3  # learning rate of the critics
    actor_period: Count = 2  # critic updates for one of policy and targets
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256, 256)  # widths of every net
    norm: nets.Norm = "after"  # LayerNorm in the critics


def distance(a: Tensor, data: Tensor) -> Tensor:  # [..., B, A] -> [..., B]
    """Σ_d (a_d - data_d)²."""
    return (a - data).square().sum(-1)


class Agent(Learner):
    """Policy `pi` and critics `q`, with targets `pi_bar` and `q_bar`."""

    noise = {"target": Draw("normal", "B", "A")}
    act_noise = nets.DeterministicActor.noise
    columns = ("next_action",)

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.DeterministicActor(init, c.hidden)
        self.q = nets.Critic(init, c.hidden, 2, c.norm)
        nets.share_sight(self.pi, self.q)
        self.pi_bar, self.q_bar = Target(self.pi), Target(self.q)
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.periods = {"actor": c.actor_period}

    def update(self, b: Batch, c: Config, actor: bool = True) -> dict[str, Tensor]:
        """One step of the critics on `b`, `[S, B, ...]` with next actions `b.a2`, and of policy and
        targets when `actor`; metrics `[S]` from before it."""
        assert b.noise is not None
        assert b.a2 is not None
        with torch.no_grad():
            a2 = self.pi_bar(b.s2).mode
            a2 = target_action(a2, b.noise["target"], c.smooth, c.smooth_clip)
            far = distance(a2, b.a2)
            v2 = self.q_bar(b.s2, a2).amin(-2) - c.beta_critic * far
            y = b.r + c.gamma * b.cont * v2
        metrics = {"q_loss": self.step_q(q_loss(self.q(b.s, b.a), y)), "q": y.mean(-1)}
        if actor:
            a = self.pi(b.s).mode
            cloning = distance(a, b.a).mean(-1)
            loss = against(c.beta_actor, cloning) * cloning
            loss = loss + value_loss(self.q(b.s, a).amin(-2), 1.0)
            metrics |= {"pi_loss": self.step_pi(loss), "cloning": cloning.detach()}
            self.pi_bar.follow(self.pi, c.polyak)
            self.q_bar.follow(self.q, c.polyak)
        return metrics

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The policy's action, moved by `noise` `[S, B, A]` when given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Rows of the dataset whose next action is known, with equal chance."""
    from rlkit.data.sampling.samplers import Weighted

    if stock.data is None or stock.replay is not None:
        raise UsageError("rebrac compares with a dataset's next actions: give a dataset, no env")
    cut = (stock.data.rows("last") * stock.data.rows("cont"))[0]  # ended, but not terminated
    return Weighted(stock.data, c.batch_size, stock.streams, 1 - cut)
