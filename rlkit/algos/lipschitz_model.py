"""One model and a smooth critic: "Is Model Ensemble Necessary? Model-based RL via a Single Model
with Lipschitz Regularized Value Function", Zheng, Wang, Xu & Huang 2023 (arXiv 2302.01244).

An ensemble helps because it smooths the value function: with Lipschitz constant L_V the true and
the model's Bellman backups differ by at most γ L_V E‖s' - ŝ'‖. So MBPO's loop (see `mbpo`) runs
with a single deterministic model, and the critics are kept smooth, in one of two ways:

    (1)  spectral:     W̄ = W / max(1, σ(W)/β) for every layer of the critics, σ the largest
                       singular value; then Lip(Q) ≤ Π_layers min(σ, β)
    (2)  robust:       L = L_TD + λ E_s Σ_j max_{|δ| ≤ ε} (Q_j(s + δ, a) - Q_j(s, a))²
         adversarial   δ = ε sign ∇_s Q_j(s, a), one step for each critic
         uniform       the worst of `draws` perturbations, uniform in the box

Q_j(s, a) in (2) is a constant, so that only the first term fits it to its target. ε is in standard
deviations of the minibatch's observations. In (1) σ comes from power iteration, one step an update
for critics and targets each, from vectors that are kept; the gradient flows through σ as well.

The paper's coefficients are not published; β = 10, λ = 0.1, ε = 0.1 are starting points. With
λ = 0 or β = ∞ this is MBPO with the same model. `method` "spectral" ignores λ, ε and `draws`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import q_loss, step_policy
from rlkit.algos.imagination.settings import ModelConfig
from rlkit.algos.imagination.spectral import iterate, spectral
from rlkit.algos.mbpo import RUN, source
from rlkit.algos.sac import alpha_loss, pi_loss
from rlkit.core.batch import Batch
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.target import Target
from rlkit.core.words.ranges import (
    Count,
    Naturals,
    NonNegative,
    Positive,
    PositiveShare,
    Real,
    Share,
    Widths,
    checked,
)

__all__ = ["RUN", "Agent", "Config", "source"]

FITS = ("online", "continuous")


@checked("n_elites <= n_models")
@dataclass(frozen=True)
class Config(ModelConfig):
    method: Literal["adversarial", "uniform", "spectral"] = (
        "adversarial"  # how critics are smoothed
    )
    weight: NonNegative = 0.1  # λ of eq. (2)
    radius: NonNegative = 0.1  # ε of eq. (2), in standard deviations of the observations
    draws: Count = 1  # perturbations the uniform form takes the worst of
    bound: Positive = 10.0  # β of eq. (1), largest singular value of a layer
    gamma: Share = 0.99  # γ, discount
    polyak: PositiveShare = 0.005  # step of the target critics towards the critics
    alpha: NonNegative = 1.0  # α, temperature; its first value when it is learnt
    learn_alpha: bool = True  # adapt α to the target entropy
    entropy: Real = -0.5  # H̄ a dimension: the target entropy is this times the dimensions
    lr: Positive = 3e-4  # learning rate of the policy
    lr_q: Positive = 3e-4  # learning rate of the critics
    lr_alpha: Positive = 3e-4  # learning rate of the temperature
    n_critics: Count = 2  # ensemble size of the critics
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of policy and critics
    rollout_schedule: Naturals = (20_000, 150_000, 1, 1)  # steps e0, e1, lengths k0, k1
    n_models: Count = 1  # ensemble size of the model
    n_elites: Count = 1  # members that predict
    deterministic: bool = True  # squared error instead of a Gaussian's likelihood


def perturbed(q: nets.Critic, s: Tensor, a: Tensor) -> Tensor:
    """Q_j at observations of its own: `[S, n, B, D]`, `[S, B, A]` -> `[S, n, B]`."""
    a = a.unsqueeze(1).expand(-1, s.shape[1], -1, -1)
    return q.mlp(torch.cat([s, a], -1)).squeeze(-1)


def steepest(q: nets.Critic, s: Tensor, a: Tensor, n: int) -> Tensor:
    """sign ∇_s Q_j(s, a) `[S, n, B, D]`; 0 where Q is flat."""
    s = s.detach().unsqueeze(1).expand(-1, n, -1, -1).clone().requires_grad_()
    (slope,) = torch.autograd.grad(perturbed(q, s, a).sum(), s)
    return slope.sign()


def robust_loss(
    q: nets.Critic, s: Tensor, a: Tensor, now: Tensor, delta: Tensor
) -> Tensor:  # now [S, n, B], delta [S, n, B, D] -> [S]
    """Eq. (2)'s second term: squared change of each Q_j from `now` under its own perturbation."""
    return (perturbed(q, s.unsqueeze(1) + delta, a) - now).square().mean(-1).sum(-1)


def worst_of(
    q: nets.Critic, s: Tensor, a: Tensor, now: Tensor, delta: Tensor
) -> Tensor:  # now [S, n, B], delta [S, K, B, D] -> [S]
    """As `robust_loss`, with the worst of the same K perturbations for every critic."""
    moved = (s.unsqueeze(1) + delta).flatten(1, 2)  # [S, K B, D]
    change = q(moved, a.repeat(1, delta.shape[1], 1)).unflatten(-1, (-1, s.shape[1]))
    return (change - now.unsqueeze(2)).square().amax(2).mean(-1).sum(-1)


class Agent(Learner):
    """Policy `pi`, smooth critics `q` with targets `q_bar`, a temperature."""

    act_noise = nets.TanhGaussianActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.TanhGaussianActor(init, c.hidden)
        self.q = nets.Critic(init, c.hidden, c.n_critics)
        if c.method == "spectral":
            self.q = spectral(init, self.q, c.bound)
        self.q_bar = Target(self.q)
        self.log_alpha = nets.Scalar(init, torch.as_tensor(c.alpha, dtype=torch.float64).log())
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.step_alpha = Adam(self.log_alpha, c.lr_alpha)
        self.act_size = spec.act_size
        self.noise = {"next": Draw("normal", "B", "A"), "now": Draw("normal", "B", "A")}
        if c.method == "uniform":
            self.noise["perturb"] = Draw("uniform", c.draws, "B", spec.obs_size)

    def update(self, b: Batch, c: Config) -> dict[str, Tensor]:
        """One step of critics, policy and temperature on `b`, `[S, B, ...]`; metrics `[S]` from
        before it."""
        assert b.noise is not None
        if c.method == "spectral":
            iterate(self.q)
            iterate(self.q_bar.net)
        alpha = self.log_alpha().exp().detach()  # [S, 1]
        with torch.no_grad():
            a2, log_prob2 = self.pi(b.s2).sample_log_prob(b.noise["next"])
            v2 = self.q_bar(b.s2, a2).amin(-2) - alpha * log_prob2
            y = b.r + c.gamma * b.cont * v2  # [S, B]
        q = self.q(b.s, b.a)
        loss, metrics = q_loss(q, y), {"q": y.mean(-1)}
        if c.method != "spectral":
            rough = self.roughness(b, c, q.detach())
            loss = loss + against(c.weight, rough) * rough
            metrics["roughness"] = rough.detach()
        metrics["q_loss"] = self.step_q(loss)
        a, log_prob = self.pi(b.s).sample_log_prob(b.noise["now"])
        rise = alpha_loss(self.log_alpha(), log_prob.detach(), c.entropy * self.act_size)
        pi = pi_loss(self.q(b.s, a), log_prob, alpha)
        pi = step_policy(self, pi, rise, c.learn_alpha)
        self.q_bar.follow(self.q, c.polyak)
        entropy = -log_prob.detach().mean(-1)
        return metrics | {"pi_loss": pi, "entropy": entropy, "alpha": alpha.squeeze(-1)}

    def roughness(self, b: Batch, c: Config, now: Tensor) -> Tensor:
        """Second term of eq. (2) `[S]`, without λ."""
        assert b.noise is not None
        std = b.s.std(1, unbiased=False, keepdim=True).unsqueeze(1)  # [S, 1, 1, D]
        size = against(c.radius, std) * std
        if c.method == "uniform":
            return worst_of(self.q, b.s, b.a, now, size * (2 * b.noise["perturb"] - 1))
        return robust_loss(self.q, b.s, b.a, now, size * steepest(self.q, b.s, b.a, now.shape[1]))

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """tanh of the policy's mean, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)
