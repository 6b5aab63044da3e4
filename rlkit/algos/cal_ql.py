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
from rlkit.algos.common import q_loss
from rlkit.algos.sac import alpha_loss, pi_loss
from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.errors import UsageError
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam, step_jointly
from rlkit.core.ranges import (
    Count,
    NonNegative,
    Positive,
    PositiveShare,
    Real,
    Share,
    Widths,
    checked,
)
from rlkit.core.spec import Spec
from rlkit.core.target import Target
from rlkit.data.monte_carlo import Finished, Recorded
from rlkit.data.samplers import Mixed, shares
from rlkit.data.stock import Stock

FITS = ("offline", "then-online", "continuous")


@checked()
@dataclass(frozen=True)
class Config:
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


class Agent(Learner):
    """Policy `pi`, critics `q` with targets `q_bar`, a temperature, a weight of the penalty."""

    act_noise = nets.TanhGaussianActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.TanhGaussianActor(init, c.hidden)
        self.q = nets.Critic(init, c.hidden_q, c.n_critics, c.norm)
        self.q_bar = Target(self.q)
        self.log_alpha = nets.Scalar(init, 0.0)
        first = torch.as_tensor(c.alpha, dtype=torch.float64).log() if c.lagrange else 0.0
        self.log_weight = nets.Scalar(init, first)
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.step_alpha = Adam(self.log_alpha, c.lr)
        self.step_weight = Adam(self.log_weight, c.lr_q)
        self.act_size = spec.act_size
        self.noise = cql.draws(c.n_actions)

    def update(self, b: Batch, c: Config) -> dict[str, Tensor]:
        """One step of critics, policy and temperature on `b`, `[S, B, ...]` with returns `b.mc`;
        metrics `[S]` from before it."""
        assert b.noise is not None
        assert b.mc is not None
        alpha = self.log_alpha().exp().detach()  # [S, 1], temperature
        drawn = cql.draw(self.pi, b)
        y = cql.target(b, c.gamma, self.q_bar, self.pi, drawn.next if c.max_backup else None)
        q = self.q(b.s, b.a)
        q_drawn, lifted = calibrated(cql.values(self.q, b.s, drawn.actions), b.mc)  # all of Cal-QL
        log_prob = drawn.log_prob if c.importance else None
        conservative = cql.penalty(q_drawn, log_prob, q, c.temperature).mean(-1)  # [S, n]
        if c.lagrange:
            held = cql.lagrangian(conservative, c.gap, self.log_weight, self.step_weight)
        else:
            held = (against(c.alpha, conservative) * conservative).sum(-1)
        q_now = self.step_q(q_loss(q, y) + held)
        a, log_pi = self.pi(b.s).sample_log_prob(b.noise["now"])
        entropy = c.entropy * self.act_size
        pi_now, _ = step_jointly(
            (self.step_pi, pi_loss(self.q(b.s, a), log_pi, alpha)),
            (self.step_alpha, alpha_loss(self.log_alpha(), log_pi.detach(), entropy)),
        )
        self.q_bar.follow(self.q, c.polyak)
        return {
            "q_loss": q_now,
            "pi_loss": pi_now,
            "conservative": conservative.detach().mean(-1),
            "bounded": lifted,
            "q": q.detach().mean((-2, -1)),
            "alpha": alpha.squeeze(-1),
        }

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """tanh of the policy's mean, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)


def source(stock: Stock, agent: Agent, c: Config) -> Source:
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
