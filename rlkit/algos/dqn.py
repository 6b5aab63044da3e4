"""Deep Q-Networks, Mnih et al. 2015, with the parts that Rainbow puts together (arXiv 1710.02298).

    (1)  y = Σ_{k<m} γ^k r_k + γ^m Q̄(s_m, a*)              n steps, m < n at an episode's end
    (2)  a* = argmax_a Q(s_m, a)                            double (arXiv 1509.06461), else of Q̄
    (3)  L = E w · loss(Q(s, a), y)                         w: importance weights, else 1
    (4)  ε = ε_0 + (ε_1 - ε_0) min(1, updates / ε_updates)  share of uniformly random actions
    (5)  Q(s, a) = Σ_i w_i Q_i(s, a) / Σ_i w_i              K `copies`; w_i: β_i of ggd, else 1
    (6)  L + λ L_D, the margin loss over a dataset's rows   cloning (`imitation.margin`)

`head` says what the net puts out and which loss (3) is: a value, a law on atoms or bins, quantiles,
or a value and the shape of its error (`nets.value_heads`, `nets.gaussian_errors`). Each of several
`copies` has its own a* and y, and BIEV weighs the rows of their errors. Prioritised replay
(`data.prioritised`) draws rows by the error that the head reports: |y - Q|, or the distance of two
laws. Double, n-step, prioritised, dueling and c51 together are Rainbow without noisy nets.
With `imitation` λ it clones demonstrations too (DQfD, arXiv 1704.03732): while it learns from both
a dataset and an environment, or in `pretrain` updates first, if `imitation_updates` says so.

Differs from the papers: every head may go with every other part; Adam with its usual ε; dueling
gradients are not rescaled. Differs from much code: windows of n steps begin at every row and never
cross a truncation, and a shorter one is discounted by its own length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import (
    copies_loss,
    copies_value,
    either_action,
    falling_epsilon,
    multistep,
    several,
    target_of,
    unheld,
)
from rlkit.algos.imitation.margin import copies_margin_loss
from rlkit.core.batch import Batch
from rlkit.core.lanes import in_use
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam, bound
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.target import Target
from rlkit.core.words.ranges import (
    Count,
    Natural,
    NonNegative,
    Positive,
    PositiveShare,
    Share,
    Widths,
    checked,
)
from rlkit.nets.action_values import of_action
from rlkit.nets.value_heads import CopiesConfig

if TYPE_CHECKING:  # at run time inside `source`: sampling brings numba along
    from rlkit.core.engine import Source
    from rlkit.data.stock import Stock

RUN = {"warmup": 1_000, "update_every": 4, "utd": 0.25}

FITS = ("online", "then-online", "offline", "discrete", "pixels")


@checked("low < high")
@dataclass(frozen=True)
class Config(CopiesConfig):
    gamma: Share = 0.99  # γ, discount
    double: bool = True  # a* of (2) by the online net
    dueling: bool = False  # value and advantages apart
    n_step: Count = 3  # n of (1)
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
    imitation: NonNegative = 0.0  # λ of (6), weight of cloning the dataset's actions
    margin: Positive = 0.8  # m, by which they are to lead
    imitation_updates: Natural = 0  # updates until λ is 0; 0: it stays
    clip: NonNegative = 0.0  # bound of the gradient's norm; 0 is none
    batch_size: Count = 64  # B, transitions an update
    hidden: Widths = (128, 128)  # widths of the net
    norm: nets.Norm = "none"  # LayerNorm in the net


# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ggd": ({"head": "ggd", "copies": 5}, {}),
}


class Agent(Learner):
    """Action values `q` behind any of the value heads, with targets `q_bar`."""

    act_noise = Draw("uniform", "B", 2)  # whether to act at random, and how

    def __init__(self, spec: Spec, c: Config) -> None:
        init, self.head = nets.Init(spec), nets.head_of(c, c.huber)
        copies = 0 if c.copies == 1 else c.copies
        self.q = nets.ActionValues(init, c.hidden, self.head.size, c.norm, c.dueling, copies)
        self.q_bar = Target(self.q)
        self.step_q = Adam(self.q, c.lr, clip=bound(c.clip))
        self.actions, self.c = spec.act_size, c
        self.periods = {"target": c.target_period}

    def outputs(self, net: nets.ActionValues | Target, s: Tensor) -> Tensor:
        """Outputs of every copy and action `[S, K, B, A, size]`."""
        out: Tensor = net(s)
        return out if self.c.copies > 1 else out.unsqueeze(1)

    def values(self, net: nets.ActionValues | Target, s: Tensor) -> Tensor:
        """Values of every action `[S, B, A]`: the mean of the copies', eq. (5)."""
        return copies_value(self.head, self.outputs(net, s))

    def target(self, b: Batch, c: Config) -> Tensor:
        """What every copy's outputs of (s, a) are to say, (1) and (2), `[S, K, B, size]`."""
        q_bar = self.outputs(self.q_bar, b.s2)
        best = self.head.value(self.outputs(self.q, b.s2) if c.double else q_bar).argmax(-1)
        return target_of(self.head, b.r, c.gamma * b.cont, of_action(q_bar, best))

    def update(self, b: Batch, c: Config, target: bool = False) -> dict[str, Tensor]:
        """One step on `b`, `[S, B, ...]`, and a copy to the targets when `target`; metrics `[S]`
        from before it, with prioritised replay the new priorities `[S, B]` too."""
        with torch.no_grad():
            y = self.target(b, c)
        every = self.outputs(self.q, b.s)
        out = of_action(every, b.a.unsqueeze(1).expand(y.shape[:-1]))
        each = self.head.loss(out, y)  # [S, K, B]
        loss = (each if b.w is None else b.w.unsqueeze(1) * each).mean(-1).sum(-1)
        loss = loss + copies_loss(self.head, out, y, c.biev)
        more = {}
        if in_use(c.imitation):
            cloning = copies_margin_loss(self.head.value(every), b, c.margin)
            loss = loss + self.imitation(c) * cloning
            more["imitation_loss"] = cloning.detach()
        out = out.detach()
        if c.prioritised:
            more["priority"] = self.head.error(out, y).mean(1)
        loss, q = self.step_q(loss), self.head.value(out).mean((-2, -1))
        epsilon = self.epsilon(c).squeeze(-1).expand_as(q)
        if target:
            self.q_bar.follow(self.q, c.polyak)
        return {"q_loss": loss, "q": q, "epsilon": epsilon, **more}

    def imitation(self, c: Config) -> float | Tensor:
        """λ of this update; `[S]` where lanes differ in it."""
        weight = c.imitation.squeeze(-1) if isinstance(c.imitation, Tensor) else c.imitation
        left = (c.imitation_updates - self.step_q.steps).clamp(0, 1)
        return weight * left if c.imitation_updates else weight

    def epsilon(self, c: Config) -> Tensor:
        """Share of random actions, eq. (4); `[]`, or `[S, 1]` where lanes differ in it."""
        return falling_epsilon(c, self.step_q.steps)

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The action of highest value; with uniform `noise` `[S, B, 2]` a share ε at random."""
        greedy = self.values(self.q, s).argmax(-1)
        return either_action(greedy, noise, self.epsilon(self.c), self.actions)


def draws(c: Config) -> bool:
    """Whether minibatches are those of `source`; plain single steps are the run's own."""
    return several(c) or c.prioritised or in_use(c.imitation)


def offline_notice(c: Config) -> str:
    """What to say of values that never meet the environment, unless a margin holds them."""
    return "" if c.imitation > 0 else unheld("cql_discrete", "iql")


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Minibatches of n-step transitions, by priority if wanted; of both kinds of rows where there
    are a dataset and an environment. Raises ValueError for priorities over two sets of rows."""
    from rlkit.data.sampling.samplers import Marked

    drawn = multistep(stock, agent, c)
    if in_use(c.imitation):
        if stock.data is None:
            raise ValueError("imitation is of a dataset's actions: give --dataset too, or 0")
        if c.prioritised:
            raise ValueError("imitation goes with minibatches drawn uniformly: prioritised=False")
        return Marked(drawn)
    if not c.prioritised:
        return drawn
    from rlkit.data.sampling.prioritised import Prioritised  # with numba

    return Prioritised(drawn, stock.streams, alpha=c.alpha, beta=c.beta, beta_steps=c.beta_updates)
