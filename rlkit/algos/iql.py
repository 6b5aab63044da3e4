"""Implicit Q-Learning, Kostrikov, Nair & Levine 2021 (arXiv 2110.06169).

    (5)  L_V = E |tau - 1{u < 0}| u²,         u = min_j Q̄_j(s, a) - V(s)
    (6)  L_Q = E Σ_j (r + γ V(s') - Q_j(s, a))²
    (7)  L_π = -E min(exp(β u), clip) log π(a|s)

Works for continuous and for discrete actions. With a `head` other than scalar, Q is its value and
(6) its loss to r + γ V(s') (`nets.value_heads`); that being a number, c51 is two_hot here.
Differs from the authors' code:
- all three losses use the values from before the step (as CORL does), so one backward pass
  serves them; the authors step V first and use the new one in (6) and (7);
- the discrete form (gen_dgrl) has action values as outputs of Q and a categorical policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import head_loss
from rlkit.core.batch import Batch
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam, cosine, step_jointly
from rlkit.core.spec import Spec
from rlkit.core.target import Target
from rlkit.core.words.ranges import (
    Count,
    Natural,
    NonNegative,
    OpenShare,
    Positive,
    PositiveShare,
    Share,
    Widths,
    checked,
)
from rlkit.nets.value_heads import HeadConfig

_FEW = 0.1  # share of rows that a policy hardly learns from

FITS = ("offline", "then-online", "continuous", "discrete", "pixels")


@checked("low < high")
@dataclass(frozen=True)
class Config(HeadConfig):
    gamma: Share = 0.99  # γ, discount
    tau: OpenShare = 0.7  # τ, expectile; 0.9 where stitching matters (antmaze)
    beta: NonNegative = 3.0  # β, inverse temperature of the advantage weights; 0 is cloning
    adv_clip: Positive = 100.0  # upper bound of an advantage weight
    polyak: PositiveShare = 0.005  # step of the target critic towards the critic
    lr: Positive = 3e-4  # learning rate of the three nets
    lr_decay_steps: Natural = 0  # cosine decay of the policy's rate over so many updates; 0 is none
    n_critics: Count = 2  # ensemble size; targets are the least of all
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of every net
    norm: nets.Norm = "none"  # LayerNorm in the critics


def v_loss(q: Tensor, v: Tensor, tau: float | Tensor) -> Tensor:  # [..., B] -> [...]
    """Expectile regression of V towards Q, eq. (5)."""
    u = q - v
    return ((tau - (u < 0).to(u)).abs() * u.square()).mean(-1)


def weights(adv: Tensor, beta: float | Tensor, clip: float | Tensor) -> Tensor:
    """What (7) multiplies the likelihoods by, `[..., B]`."""
    return (beta * adv).exp().clamp(max=clip)


def pi_loss(  # [..., B] -> [...]
    log_prob: Tensor, adv: Tensor, beta: float | Tensor, clip: float | Tensor
) -> Tensor:
    """Advantage-weighted log-likelihood, eq. (7)."""
    return -(weights(adv, beta, clip) * log_prob).mean(-1)


def effective(w: Tensor) -> Tensor:  # [..., B] -> [...]
    """Share of the rows that weights w leave to learn from: (Σ w)² / (B Σ w²), Kish 1965."""
    return w.sum(-1).square() / (w.shape[-1] * w.square().sum(-1)).clamp(min=1e-30)


def notice(metrics: Mapping[str, np.ndarray], c: Config) -> str:
    """What to say of a policy that learns from few rows; empty where there is nothing."""
    if not (metrics.get("effective", np.ones(1)) < _FEW).any():
        return ""
    return (
        f"the weights of the advantages leave less than {_FEW:.0%} of a minibatch to learn from "
        "(`effective`): values are large for this β; lower config.beta, to a tenth where rewards "
        "are not scaled, or scale them with --reward"
    )


class Agent(Learner):
    """Policy `pi`, V `v`, critics `q` with targets `q_bar`."""

    def __init__(self, spec: Spec, c: Config) -> None:
        init, self.head = nets.Init(spec), nets.head_of(c)
        actor = nets.CategoricalActor if spec.discrete else nets.GaussianActor
        self.pi = actor(init, c.hidden)
        self.q = nets.Critic(init, c.hidden, c.n_critics, c.norm, self.head)
        self.v = nets.Value(init, c.hidden)
        self.q_bar = Target(self.q)
        schedule = cosine(c.lr_decay_steps) if c.lr_decay_steps else None
        self.step_pi = Adam(self.pi, c.lr, schedule=schedule)
        self.step_q, self.step_v = Adam(self.q, c.lr), Adam(self.v, c.lr)
        self.act_noise = self.pi.noise

    def update(self, b: Batch, c: Config) -> dict[str, Tensor]:
        """One step of V, critics and policy, together, on `b`, `[S, B, ...]`; metrics `[S]` from
        before it."""
        with torch.no_grad():
            q = self.q_bar(b.s, b.a).amin(-2)  # [S, B]
            v2 = self.v(b.s2)
        v = self.v(b.s)
        adv = q - v.detach()
        y = self.head.point(b.r + c.gamma * b.cont * v2).unsqueeze(1)  # [S, 1, B, size]
        v_now, q_now, pi_now = step_jointly(  # every loss sees the other nets' old values only
            (self.step_v, v_loss(q, v, c.tau)),
            (self.step_q, head_loss(self.head, self.q.outputs(b.s, b.a), y)),
            (self.step_pi, pi_loss(self.pi(b.s).log_prob(b.a), adv, c.beta, c.adv_clip)),
        )
        self.q_bar.follow(self.q, c.polyak)
        kept = effective(weights(adv, c.beta, c.adv_clip))
        return {
            **{"v_loss": v_now, "q_loss": q_now, "pi_loss": pi_now},
            **{"adv": adv.mean(-1), "effective": kept},
        }

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The most likely action, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)
