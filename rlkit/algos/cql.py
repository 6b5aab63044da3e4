"""Conservative Q-Learning on soft actor-critic, Kumar et al. 2020 (arXiv 2006.04779).

    (1)  y = r + γ min_j Q̄_j(s', a'),   a' ~ π(s');  best of n such a' with `max_backup`
    (2)  P_j = T logsumexp(Z_j / T) - Q_j(s, a),   over n actions each of three sources:
         Z = [Q(s, u) + A log 2;  Q(s, ã') - log π(ã'|s');  Q(s, ã) - log π(ã|s)]
         u uniform on [-1, 1]^A, ã ~ π(s), ã' ~ π(s')
    (3)  L_Q = E Σ_j [(Q_j(s, a) - y)² + α P_j]
    (4)  Lagrange: α rises while E P_j > gap, and α (P_j - gap) replaces α P_j

With a `head` other than scalar Q_j is its value and the first term of (3) its loss (as in SAC).
The policy's loss is SAC's. Actions drawn for (2) and their densities are constants in (3). Without
`importance` the data's action joins the raw values, and log of their number is not subtracted.
Differs from CORL: densities are of the actions drawn (theirs are of fresh ones in `log_prob`); the
learnt α of (4) starts at `alpha`, where theirs starts at 1 and is multiplied by it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import head_loss, least, target_of
from rlkit.algos.sac import alpha_loss, pi_loss
from rlkit.core.batch import Batch
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam, step_jointly
from rlkit.core.spec import Spec
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
from rlkit.nets.action_values import of_action
from rlkit.nets.drawn import draw, draws, values
from rlkit.nets.value_heads import HeadConfig

FITS = ("offline", "then-online", "continuous")


@checked("low < high")
@dataclass(frozen=True)
class Config(HeadConfig):
    gamma: Share = 0.99  # γ, discount
    alpha: NonNegative = 5.0  # α, weight of the penalty, its first value if learnt; CORL has 10
    temperature: Positive = 1.0  # T of the soft maximum
    n_actions: Count = 10  # n, actions drawn of each source
    importance: bool = True  # weigh the drawn actions by their densities
    lagrange: bool = False  # adapt α so that the penalty stays at `gap`
    gap: Real = 0.8  # target of P_j when α is adapted
    max_backup: bool = False  # the best of n next actions in (1)
    entropy: Real = -1.0  # H̄ a dimension, target entropy of the policy
    polyak: PositiveShare = 0.005  # step of the target critics towards the critics
    lr: Positive = 1e-4  # learning rate of policy and temperature
    lr_q: Positive = 3e-4  # learning rate of the critics and of α
    n_critics: Count = 2  # ensemble size
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of the policy
    hidden_q: Widths = (256, 256, 256)  # widths of the critics; three layers pay
    norm: nets.Norm = "none"  # LayerNorm in the critics


@torch.no_grad()
def target(
    b: Batch,
    gamma: float | Tensor,
    q_bar: Target,
    pi: nets.TanhGaussianActor,
    best_of: Tensor | None = None,
) -> Tensor:
    """y of eq. (1) as the critics' head takes it `[S, 1, B, size]`; with `best_of` `[S, B, n, A]`
    from the best of these next actions."""
    assert b.noise is not None
    net: Any = q_bar.net
    if best_of is None:
        out2 = least(net.head, net.outputs(b.s2, pi(b.s2).sample(b.noise["next"])))
    else:
        k = best_of.shape[2]
        every = net.outputs(b.s2.repeat_interleave(k, 1), best_of.flatten(1, 2))
        low = least(net.head, every).unflatten(2, (-1, k))  # [S, 1, B, n, size]
        out2 = of_action(low, net.head.value(low).argmax(-1))
    return target_of(net.head, b.r, gamma * b.cont, out2)


def penalty(
    q_drawn: Tensor, log_prob: Tensor | None, q: Tensor, temperature: float | Tensor
) -> Tensor:
    """P_j of eq. (2) `[S, n, B]`; arguments as of `soft_maximum`."""
    return soft_maximum(q_drawn, log_prob, q, temperature) - q


def soft_maximum(
    q_drawn: Tensor, log_prob: Tensor | None, q: Tensor, temperature: float | Tensor
) -> Tensor:
    """The first term of eq. (2) `[S, n, B]`. `q_drawn` `[S, n, B, k]` and the log-densities
    `log_prob` `[S, B, k]` belong to the drawn actions, `q` `[S, n, B]` to the data's; without
    `log_prob` the data's action joins the maximum."""
    z = torch.cat([q_drawn, q.unsqueeze(-1)], -1)
    if log_prob is not None:
        z = q_drawn - log_prob.unsqueeze(1)
    t = against(temperature, z)
    return (t * (z / t).logsumexp(-1, keepdim=True)).squeeze(-1)


def over_all_rows(soft: Tensor, q: Tensor, b: Batch) -> Tensor:  # [S, n, B] twice -> [S, n]
    """Mean of P_j over the minibatch."""
    return (soft - q).mean(-1)


def lagrangian(
    conservative: Tensor, gap: float | Tensor, log_weight: nets.Scalar, step_weight: Adam
) -> Tensor:  # [S, n] -> [S]
    """Σ_j α (P_j - gap) of eq. (4), after a step that raises α where P_j exceeds the gap."""
    excess = conservative - against(gap, conservative)
    weight = log_weight().exp().clamp(max=1e6)  # [S, 1]
    step_weight(-(weight * excess.detach()).sum(-1))
    return (weight.detach() * excess).sum(-1)


# Q_j(s, a) of drawn actions [S, n, B, 3n] as (2) is to take them, and what to record of it [S]
Held = Callable[[Tensor, Batch], tuple[Tensor, dict[str, Tensor]]]
# soft maxima and data's values [S, n, B] -> E P_j [S, n]: which rows count for which
Average = Callable[[Tensor, Tensor, Batch], Tensor]


def as_they_are(q_drawn: Tensor, b: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """`Held` of CQL itself."""
    return q_drawn, {}


class Agent(Learner):
    """Policy `pi`, critics `q` with targets `q_bar`, a temperature, a weight of the penalty."""

    act_noise = nets.TanhGaussianActor.noise

    def __init__(
        self, spec: Spec, c: Any, held: Held = as_they_are, average: Average = over_all_rows
    ) -> None:
        init, self.head = nets.Init(spec), nets.head_of(c)
        self.pi = nets.TanhGaussianActor(init, c.hidden)
        self.q = nets.Critic(init, c.hidden_q, c.n_critics, c.norm, self.head)
        self.q_bar = Target(self.q)
        self.log_alpha = nets.Scalar(init, 0.0)
        first = torch.as_tensor(c.alpha, dtype=torch.float64).log() if c.lagrange else 0.0
        self.log_weight = nets.Scalar(init, first)
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.step_alpha = Adam(self.log_alpha, c.lr)
        self.step_weight = Adam(self.log_weight, c.lr_q)
        self.act_size = spec.act_size
        self.noise = draws(c.n_actions)
        self.held, self.average = held, average

    def update(self, b: Batch, c: Any) -> dict[str, Tensor]:
        """One step of critics, policy and temperature on `b`, `[S, B, ...]`; metrics `[S]` from
        before it."""
        assert b.noise is not None
        alpha = self.log_alpha().exp().detach()  # [S, 1], temperature
        drawn = draw(self.pi, b)
        y = target(b, c.gamma, self.q_bar, self.pi, drawn.next if c.max_backup else None)
        out = self.q.outputs(b.s, b.a)
        q = self.q.values(out)
        q_drawn, extra = self.held(values(self.q, b.s, drawn.actions), b)
        log_prob = drawn.log_prob if c.importance else None
        soft = soft_maximum(q_drawn, log_prob, q, c.temperature)
        conservative = self.average(soft, q, b)  # [S, n]
        if c.lagrange:
            weighed = lagrangian(conservative, c.gap, self.log_weight, self.step_weight)
        else:
            weighed = (against(c.alpha, conservative) * conservative).sum(-1)
        q_now = self.step_q(head_loss(self.head, out, y) + weighed)
        a, log_pi = self.pi(b.s).sample_log_prob(b.noise["now"])
        entropy = c.entropy * self.act_size
        pi_now, _ = step_jointly(
            (self.step_pi, pi_loss(self.q(b.s, a), log_pi, alpha)),
            (self.step_alpha, alpha_loss(self.log_alpha(), log_pi.detach(), entropy)),
        )
        self.q_bar.follow(self.q, c.polyak)
        gap = {"conservative": conservative.detach().mean(-1), **extra}
        level = {"q": q.detach().mean((-2, -1)), "alpha": alpha.squeeze(-1)}
        return {"q_loss": q_now, "pi_loss": pi_now, **gap, **level}

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """tanh of the policy's mean, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)
