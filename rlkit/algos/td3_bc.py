"""TD3+BC, Fujimoto & Gu 2021 (arXiv 2106.06860): TD3 whose policy also clones the data.

    (1)  L_π = -λ E Q_1(s, π(s)) + E mean_d (π(s)_d - a_d)²,    λ = α / E |Q_1(s, π(s))|

λ is one number a lane, not differentiated. Critics, target action and periods are those of TD3.
The paper normalises observations (`--normalise-obs`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.bc import square_loss
from rlkit.algos.common import q_loss
from rlkit.algos.td3 import target_action
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
    Share,
    Widths,
    checked,
)

FITS = ("offline", "then-online", "continuous", "pixels")


@checked()
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99  # γ, discount
    alpha: NonNegative = 2.5  # α, weight of the value against cloning; 0 is cloning
    polyak: PositiveShare = 0.005  # step of the targets towards the nets
    smooth: NonNegative = 0.2  # σ̃, standard deviation of the target action's noise
    smooth_clip: NonNegative = 0.5  # c, bound of that noise
    lr: Positive = 3e-4  # learning rate of the policy
    lr_q: Positive = 3e-4  # learning rate of the critics
    actor_period: Count = 2  # critic updates for one of policy and targets
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of every net
    norm: nets.Norm = "none"  # LayerNorm in the critics


def value_loss(q: Tensor, alpha: float | Tensor) -> Tensor:  # [..., B] -> [...]
    """-λ E q with λ = α / E|q| held constant: does not change when q is scaled, eq. (1)."""
    scale = q.abs().mean(-1, keepdim=True).detach()
    return -(alpha * q / scale).mean(-1)


class Agent(Learner):
    """Policy `pi` and critics `q`, with targets `pi_bar` and `q_bar`."""

    noise = {"target": Draw("normal", "B", "A")}
    act_noise = nets.DeterministicActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.DeterministicActor(init, c.hidden)
        self.q = nets.Critic(init, c.hidden, 2, c.norm)
        nets.share_sight(self.pi, self.q)
        self.pi_bar, self.q_bar = Target(self.pi), Target(self.q)
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
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
            a = self.pi(b.s).mode
            cloning = square_loss(a, b.a)
            loss = value_loss(self.q(b.s, a)[:, 0], c.alpha) + cloning
            metrics |= {"pi_loss": self.step_pi(loss), "cloning": cloning.detach()}
            self.pi_bar.follow(self.pi, c.polyak)
            self.q_bar.follow(self.q, c.polyak)
        return metrics

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The policy's action, moved by `noise` `[S, B, A]` when given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)
