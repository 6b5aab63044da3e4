"""Conservative Q-Learning on soft actor-critic, Kumar et al. 2020 (arXiv 2006.04779); with
`calibrated` it is Cal-QL, Nakamoto et al. 2023 (arXiv 2303.05479).

    (1)  y = r + γ min_j Q̄_j(s', a'),   a' ~ π(s');  best of n such a' with `max_backup`
    (2)  P_j = T logsumexp(Z_j / T) - Q_j(s, a),   over n actions each of three sources:
         Z = [Q(s, u) + A log 2;  Q(s, ã') - log π(ã'|s');  Q(s, ã) - log π(ã|s)]
         u uniform on [-1, 1]^A, ã ~ π(s), ã' ~ π(s')
    (3)  L_Q = E Σ_j [(Q_j(s, a) - y)² + α P_j]
    (4)  Lagrange: α' rises while E P_j > gap, and α' (P_j - gap) replaces α P_j
    Cal-QL: in (2) the last two sources use max(Q, V^μ), V^μ the data's return to go, before log π
            is subtracted. Rows of truncated episodes know a lower bound of it only.

The policy's loss is SAC's. Actions drawn for (2) and their densities are constants in (3). Without
`importance` the data's action joins the raw values, and log of their number is not subtracted.
Differs from CORL: densities are of the actions drawn (theirs are of fresh ones in `log_prob`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.sac import alpha_loss, pi_loss
from rlkit.core.batch import Batch
from rlkit.core.lanes import against
from rlkit.core.optim import Adam, step_jointly
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.target import Target


@dataclass(frozen=True)
class Config:
    gamma: float = 0.99  # γ, discount
    alpha: float = 5.0  # α, weight of the conservative term; 10 in CORL's locomotion runs
    temperature: float = 1.0  # T of the soft maximum
    n_actions: int = 10  # n, actions drawn of each source
    importance: bool = True  # weigh the drawn actions by their densities
    calibrated: bool = False  # Cal-QL: bound the policy's values below by the data's returns
    lagrange: bool = False  # adapt the weight so that the gap stays at `gap`
    gap: float = 0.8  # target of P_j when it is adapted
    max_backup: bool = False  # the best of n next actions in (1)
    entropy: float = -1.0  # H̄ a dimension, target entropy of the policy
    polyak: float = 0.005  # step of the target critics towards the critics
    lr: float = 1e-4  # learning rate of policy and temperature
    lr_q: float = 3e-4  # learning rate of the critics and of the Lagrange weight
    n_critics: int = 2  # ensemble size
    batch_size: int = 256  # B, transitions an update
    hidden: tuple[int, ...] = (256, 256)  # widths of the policy
    hidden_q: tuple[int, ...] = (256, 256, 256)  # widths of the critics; three layers pay
    norm: nets.Norm = "none"  # LayerNorm in the critics


def penalty(z: Tensor, q: Tensor, temperature: float | Tensor) -> Tensor:
    """Soft maximum over drawn actions minus the data's value; `[.., n, B, K]`, `[.., n, B]`."""
    t = against(temperature, z)
    return (t * (z / t).logsumexp(-1, keepdim=True)).squeeze(-1) - q


class Agent:
    act_noise = nets.TanhGaussianActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.TanhGaussianActor(init, c.hidden)
        self.q = nets.Critic(init, c.hidden_q, c.n_critics, c.norm)
        self.q_bar = Target(self.q)
        self.log_alpha, self.log_weight = nets.Scalar(init, 0.0), nets.Scalar(init, 0.0)
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.step_alpha = Adam(self.log_alpha, c.lr)
        self.step_weight = Adam(self.log_weight, c.lr_q)
        self.act_size = spec.act_size
        many = ("B", c.n_actions, "A")
        self.noise = {"now": Draw("normal", "B", "A"), "next": Draw("normal", "B", "A")}
        self.noise |= {"drawn": Draw("normal", *many), "drawn_next": Draw("normal", *many)}
        self.noise |= {"uniform": Draw("uniform", *many)}
        self.columns = ("mc_return",) if c.calibrated else ()

    def values(self, s: Tensor, a: Tensor, net: nets.Critic | Target) -> Tensor:
        """Q of several actions a state: `[S, B, obs]`, `[S, B, k, A]` -> `[S, n, B, k]`."""
        k = a.shape[2]
        return net(s.repeat_interleave(k, 1), a.flatten(1, 2)).unflatten(-1, (-1, k))

    def draw(self, s: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Actions `[S, B, k, A]` of the policy and their log-densities `[S, B, k]`."""
        d = self.pi(s)
        spread = nets.TanhNormal(d.mean.unsqueeze(2), d.log_std.unsqueeze(2))
        return spread.sample_log_prob(eps)

    def update(self, b: Batch, c: Config) -> dict[str, Tensor]:
        assert b.noise is not None
        alpha = self.log_alpha().exp().detach()  # [S, 1]
        with torch.no_grad():
            a_now, log_prob_now = self.draw(b.s, b.noise["drawn"])
            a_next, log_prob_next = self.draw(b.s2, b.noise["drawn_next"])
            if c.max_backup:
                v2 = self.values(b.s2, a_next, self.q_bar).amin(1).amax(-1)
            else:
                v2 = self.q_bar(b.s2, self.pi(b.s2).sample(b.noise["next"])).amin(-2)
            y = b.r + c.gamma * b.cont * v2  # [S, B]
            uniform = 2 * b.noise["uniform"] - 1
        q = self.q(b.s, b.a)
        conservative = self.conservative(
            b, c, q, torch.cat([uniform, a_next, a_now], 2), (log_prob_next, log_prob_now)
        ).mean(-1)  # [S, n]
        td = (q - y.unsqueeze(-2)).square().mean(-1)
        if c.lagrange:
            weight = self.log_weight().exp().clamp(max=1e6)
            excess = conservative - against(c.gap, conservative)
            self.step_weight(-(weight * excess.detach()).sum(-1))
            loss = (td + weight.detach() * excess).sum(-1)
        else:
            loss = (td + against(c.alpha, conservative) * conservative).sum(-1)
        q_now = self.step_q(loss)
        a, log_prob = self.pi(b.s).sample_log_prob(b.noise["now"])
        target = c.entropy * self.act_size
        pi_now, _ = step_jointly(
            (self.step_pi, pi_loss(self.q(b.s, a), log_prob, alpha)),
            (self.step_alpha, alpha_loss(self.log_alpha(), log_prob.detach(), target)),
        )
        self.q_bar.follow(self.q, c.polyak)
        return {
            "q_loss": q_now,
            "pi_loss": pi_now,
            "conservative": conservative.detach().mean(-1),
            "q": q.detach().mean((-2, -1)),
            "alpha": alpha.squeeze(-1),
        }

    def conservative(
        self, b: Batch, c: Config, q: Tensor, drawn: Tensor, log_probs: tuple[Tensor, Tensor]
    ) -> Tensor:
        """P_j of eq. (2) `[S, n, B]`; `drawn` holds the uniform, next and present actions."""
        z = self.values(b.s, drawn, self.q)  # [S, n, B, 3k]
        uniform, others = z[..., : c.n_actions], z[..., c.n_actions :]
        if c.calibrated:
            assert b.mc is not None
            others = torch.maximum(others, b.mc[:, None, :, None])
        if not c.importance:
            return penalty(torch.cat([uniform, others, q.unsqueeze(-1)], -1), q, c.temperature)
        others = others - torch.cat(log_probs, -1).unsqueeze(1)
        z = torch.cat([uniform + self.act_size * math.log(2), others], -1)
        return penalty(z, q, c.temperature)

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """tanh of the policy's mean, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)
