"""Deep Q-Networks, Mnih et al. 2015, with the parts that Rainbow puts together (arXiv 1710.02298).

    (1)  y = Σ_{k<m} γ^k r_k + γ^m Q̄(s_m, a*)              n steps, m < n at an episode's end
    (2)  a* = argmax_a Q(s_m, a)                            double (arXiv 1509.06461), else of Q̄
    (3)  L = E w · loss(Q(s, a), y)                         w: importance weights, else 1
    (4)  ε = ε_0 + (ε_1 - ε_0) min(1, updates / ε_updates)  share of uniformly random actions

`head` says what the net puts out and which loss (3) is: a value, a law on atoms or bins, or
quantiles (`nets.value_heads`). Prioritised replay (`data.prioritised`) draws rows by the error that
the head reports: |y - Q|, or the distance of two laws. Double, n-step, prioritised, dueling and c51
together are Rainbow without noisy nets.

Differs from the papers: every head may go with every other part; Adam with its usual ε; dueling
gradients are not rescaled. Differs from much code: windows of n steps begin at every row and never
cross a truncation, and a shorter one is discounted by its own length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rlkit import nets
from rlkit.core.batch import Batch
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
    Real,
    Share,
    Widths,
    checked,
)
from rlkit.nets.value_heads import of_action

if TYPE_CHECKING:  # at run time inside `source`: sampling brings numba along
    from rlkit.core.engine import Source
    from rlkit.data.replay import Replay
    from rlkit.data.sampling.samplers import NStep, Uniform
    from rlkit.data.stock import Stock

RUN = {"warmup": 1_000, "update_every": 4, "utd": 0.25}

FITS = ("online", "then-online", "offline", "discrete")


@checked("low < high")
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99  # γ, discount
    double: bool = True  # a* of (2) by the online net
    dueling: bool = False  # value and advantages apart
    n_step: Count = 3  # n of (1)
    head: nets.Head = "scalar"  # scalar, two_hot, hl_gauss, c51 or quantile
    bins: Count = 51  # atoms, bins or quantiles of the heads but scalar
    low: Real = -10.0  # least return that two_hot, hl_gauss and c51 can tell
    high: Real = 10.0  # largest
    sigma: Positive = 0.75  # σ of hl_gauss in widths of a bin
    huber: Positive = 1.0  # where the loss of scalar and quantile turns linear
    prioritised: bool = False  # draw rows by their errors
    alpha: NonNegative = 0.6  # α, exponent of the priorities; 0 is uniform
    beta: Share = 0.4  # β, first exponent of the importance weights
    beta_updates: Count = 100_000  # updates until β is 1
    target_period: Count = 100  # updates between moves of the target
    polyak: PositiveShare = 1.0  # size of such a move; 1 is a copy
    epsilon: Share = 1.0  # ε_0, share of random actions at first
    epsilon_last: Share = 0.05  # ε_1, share in the end
    epsilon_updates: Count = 10_000  # updates until then
    lr: Positive = 5e-4  # learning rate
    clip: NonNegative = 0.0  # bound of the gradient's norm; 0 is none
    batch_size: Count = 64  # B, transitions an update
    hidden: Widths = (128, 128)  # widths of the net
    norm: nets.Norm = "none"  # LayerNorm in the net


def weighted_loss(each: Tensor, w: Tensor | None) -> Tensor:  # [..., B] -> [...]
    """Mean of the losses, importance weights applied, eq. (3)."""
    return (each if w is None else w * each).mean(-1)


def _bound(clip: float | Tensor) -> float | Tensor | None:
    """What Adam takes: None, or infinity in a lane, where there is no bound."""
    if isinstance(clip, Tensor):
        return clip.masked_fill(clip == 0, torch.inf)
    return clip or None


class Agent(Learner):
    """Action values `q` behind any of the value heads, with targets `q_bar`."""

    act_noise = Draw("uniform", "B", 2)  # whether to act at random, and how

    def __init__(self, spec: Spec, c: Config) -> None:
        self.head = nets.value_head(
            c.head, bins=c.bins, low=c.low, high=c.high, sigma=c.sigma, huber=c.huber
        )
        init = nets.Init(spec)
        self.q = nets.ActionValues(init, c.hidden, self.head.size, c.norm, c.dueling)
        self.q_bar = Target(self.q)
        self.step_q = Adam(self.q, c.lr, clip=_bound(c.clip))
        self.actions, self.c = spec.act_size, c
        self.periods = {"target": c.target_period}

    def target(self, b: Batch, c: Config) -> Tensor:
        """What the outputs of (s, a) are to say, eqs. (1) and (2); `[S, B, size]`."""
        q_bar = self.q_bar(b.s2)  # [S, B, A, size]
        best = self.head.value(self.q(b.s2) if c.double else q_bar).argmax(-1)
        return self.head.target(b.r, c.gamma * b.cont, of_action(q_bar, best))

    def update(self, b: Batch, c: Config, target: bool = False) -> dict[str, Tensor]:
        """One step on `b`, `[S, B, ...]`, and a copy to the targets when `target`; metrics `[S]`
        from before it, with prioritised replay the new priorities `[S, B]` too."""
        with torch.no_grad():
            y = self.target(b, c)
        out = of_action(self.q(b.s), b.a)  # [S, B, size]
        loss = self.step_q(weighted_loss(self.head.loss(out, y), b.w))
        out = out.detach()
        q = self.head.value(out).mean(-1)
        metrics = {"q_loss": loss, "q": q, "epsilon": self.epsilon(c).squeeze(-1).expand_as(q)}
        if c.prioritised:
            metrics["priority"] = self.head.error(out, y)
        if target:
            self.q_bar.follow(self.q, c.polyak)
        return metrics

    def epsilon(self, c: Config) -> Tensor:
        """Share of random actions, eq. (4); `[]`, or `[S, 1]` where lanes differ in it."""
        done = (self.step_q.steps / c.epsilon_updates).clamp(max=1)
        return c.epsilon + (c.epsilon_last - c.epsilon) * done

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The action of highest value; with uniform `noise` `[S, B, 2]` a share ε at random."""
        greedy = self.head.value(self.q(s)).argmax(-1)
        if noise is None:
            return greedy
        anything = (noise[..., 1] * self.actions).long().clamp(max=self.actions - 1)
        # noise < ε, in operations that exported policies have
        explore = (self.epsilon(self.c) - noise[..., 0]).clamp(min=0).bool().long()
        return greedy + explore * (anything - greedy)


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Minibatches of n-step transitions, by priority if wanted; of both kinds of rows where there
    are a dataset and an environment. Raises ValueError for priorities over two sets of rows."""
    from rlkit.data.sampling.prioritised import Prioritised
    from rlkit.data.sampling.samplers import Mixed, NStep, Uniform, shares

    def rows(replay: Replay, batch: int, name: str) -> Uniform | NStep:
        if c.n_step == 1:
            return Uniform(replay, batch, stock.streams, name)
        return NStep(replay, batch, stock.streams, c.n_step, c.gamma, name=name)

    if stock.data is not None and stock.replay is not None:
        if c.prioritised:
            raise ValueError(
                "prioritised replay ranks the rows of one place, not of a dataset and an "
                "environment; give prioritised=False"
            )
        first, second = shares(c.batch_size, stock.mix)
        return Mixed(rows(stock.data, first, "dataset"), rows(stock.replay, second, "replay"))
    replay = stock.replay if stock.data is None else stock.data
    assert replay is not None
    drawn = rows(replay, c.batch_size, "batch")
    if not c.prioritised:
        return drawn
    return Prioritised(drawn, stock.streams, alpha=c.alpha, beta=c.beta, beta_steps=c.beta_updates)
