"""Conservative Q-Learning for discrete actions, Kumar et al. 2020 (arXiv 2006.04779).

    (1)  y = r + γ Q̄(s', argmax_a Q(s', a))                          double DQN
    (2)  L = E huber(Q(s, a) - y) + α E [logsumexp_a Q(s, a) - Q(s, a_data)]

With a `head` other than scalar, Q is its value and the first term of (2) its loss to y
(`nets.value_heads`). Gradients flow through both terms. At the fixed point of a bandit, values of
the data's actions average to their rewards whatever α; see the tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rlkit import nets
from rlkit.core.batch import Batch
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.target import Target
from rlkit.core.words.ranges import Count, NonNegative, Positive, Share, Widths, checked
from rlkit.nets.action_values import of_action
from rlkit.nets.value_heads import HeadConfig

FITS = ("offline", "then-online", "discrete", "pixels")


@checked("low < high")
@dataclass(frozen=True)
class Config(HeadConfig):
    gamma: Share = 0.99  # γ, discount
    alpha: NonNegative = 1.0  # α, weight of the conservative term; 0 is double DQN
    target_period: Count = 1000  # updates between hard copies of the target
    huber: Positive = 1.0  # where the loss of scalar and quantile turns linear
    lr: Positive = 3e-4  # learning rate
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of the net
    norm: nets.Norm = "none"  # LayerNorm in the net


def td_loss(q: Tensor, y: Tensor, delta: float | Tensor) -> Tensor:  # [..., B] -> [...]
    """Huber loss: ½u² for |u| <= delta, then linear with the same slope."""
    u = (q - y).abs()
    square = u.clamp(max=delta)
    return (square * (u - 0.5 * square)).mean(-1)


def conservative_loss(qs: Tensor, q_data: Tensor) -> Tensor:  # [..., B, A], [..., B] -> [...]
    """How far the soft maximum over all actions lies above the data's action."""
    return (qs.logsumexp(-1) - q_data).mean(-1)


class Agent(Learner):
    """Action values `q` with targets `q_bar`; it acts greedily."""

    act_noise = Draw("gumbel", "B", "A")

    def __init__(self, spec: Spec, c: Config) -> None:
        if not spec.discrete:
            raise ValueError(f"cql_discrete needs discrete actions, not {spec.act}; use cql")
        self.head = nets.head_of(c, c.huber)
        self.q = nets.Critic(nets.Init(spec), c.hidden, 1, c.norm, self.head)
        self.q_bar = Target(self.q)
        self.step_q = Adam(self.q, c.lr)
        self.periods = {"target": c.target_period}

    def update(self, b: Batch, c: Config, target: bool = False) -> dict[str, Tensor]:
        """One step of the critics on `b`, `[S, B, ...]`, and a copy to the targets when `target`;
        metrics `[S]` from before it."""
        with torch.no_grad():
            best = self.q.all(b.s2).argmax(-1)[:, 0]  # [S, B]
            out2 = nets.outputs(self.q_bar, b.s2, best)[:, 0, 0]
            y = self.head.target(b.r, c.gamma * b.cont, out2)
        every = self.q.all_outputs(b.s)[:, 0, 0]  # [S, B, A, size]
        qs, out = self.head.value(every), of_action(every, b.a)
        q = qs.gather(-1, b.a.unsqueeze(-1)).squeeze(-1)
        conservative = conservative_loss(qs, q)
        td = self.head.loss(out, y).mean(-1)
        loss = self.step_q(td + against(c.alpha, conservative) * conservative)
        if target:
            self.q_bar.follow(self.q)
        return {"q_loss": loss, "conservative": conservative.detach(), "q": q.detach().mean(-1)}

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The action of highest value; with Gumbel `noise` a draw from softmax(Q)."""
        q = self.q.all(s)[:, 0]
        return q.argmax(-1) if noise is None else (q + noise).argmax(-1)
