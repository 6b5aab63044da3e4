"""Twin Delayed DDPG, Fujimoto, van Hoof & Meger 2018 (arXiv 1802.09477).

    (1)  ã = clip(π̄(s') + clip(ε, -c, c), -1, 1),         ε ~ N(0, σ̃²)
    (2)  y = r + γ min_j Q̄_j(s', ã)
    (3)  L_Q = E Σ_j (Q_j(s, a) - y)²
    (4)  L_π = -E Q_1(s, π(s))                            every `actor_period` critic updates

Targets of policy and critics move on the updates of (4) only, as in the authors' code. Noise is
in the scaled action space, so it is the same share of every dimension's range.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import q_loss
from rlkit.core.batch import Batch
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

FITS = ("online", "then-online", "offline", "continuous")


@checked()
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99  # γ, discount
    polyak: PositiveShare = 0.005  # step of the targets towards the nets
    smooth: NonNegative = 0.2  # σ̃, standard deviation of the target action's noise
    smooth_clip: NonNegative = 0.5  # c, bound of that noise
    explore: NonNegative = 0.1  # standard deviation of the noise when acting to explore
    lr: Positive = 3e-4  # learning rate of the policy
    lr_q: Positive = 3e-4  # learning rate of the critics
    actor_period: Count = 2  # critic updates for one of policy and targets
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of every net
    norm: nets.Norm = "none"  # LayerNorm in the critics


def target_action(a: Tensor, noise: Tensor, scale: float | Tensor, clip: float | Tensor) -> Tensor:
    """The target policy's action, smoothed, eq. (1); `[S, B, A]`, scales a number or `[S, 1]`."""
    moved = (against(scale, a) * noise).clamp(max=against(clip, a)).clamp(min=-against(clip, a))
    return (a + moved).clamp(-1, 1)


class Agent(Learner):
    """Policy `pi` and critics `q`, with targets `pi_bar` and `q_bar`."""

    noise = {"target": Draw("normal", "B", "A")}
    act_noise = nets.DeterministicActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.DeterministicActor(init, c.hidden)
        self.q = nets.Critic(init, c.hidden, 2, c.norm)
        self.pi_bar, self.q_bar = Target(self.pi), Target(self.q)
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.explore = c.explore
        self.periods = {"actor": c.actor_period}

    def update(self, b: Batch, c: Config, actor: bool = True) -> dict[str, Tensor]:
        """One step of the critics on `b`, `[S, B, ...]`, and of policy and targets when `actor`;
        metrics `[S]` from before it."""
        assert b.noise is not None
        with torch.no_grad():
            a2 = self.pi_bar(b.s2).mode
            a2 = target_action(a2, b.noise["target"], c.smooth, c.smooth_clip)
            y = b.r + c.gamma * b.cont * self.q_bar(b.s2, a2).amin(-2)
        metrics = {"q_loss": self.step_q(q_loss(self.q(b.s, b.a), y)), "q": y.mean(-1)}
        if actor:
            q = self.q(b.s, self.pi(b.s).mode)[:, 0]  # [S, B]
            metrics["pi_loss"] = self.step_pi(-q.mean(-1))
            self.pi_bar.follow(self.pi, c.polyak)
            self.q_bar.follow(self.q, c.polyak)
        return metrics

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The policy's action, moved by exploration noise when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(against(self.explore, noise) * noise)
