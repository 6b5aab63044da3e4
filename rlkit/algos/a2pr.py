"""A2PR, Liu et al. 2024, "Adaptive Advantage-Guided Policy Regularization for Offline
Reinforcement Learning" (arXiv 2405.19909): TD3+BC that clones the better of two actions, the data's
and one that a generative model makes of the policy's own.

    (1)  y = r + γ min_j Q̄_j(s', ã),   y_V = r + γ min_j min(Q_j, Q̄_j)(s', ã),   ã as in TD3
    (2)  L_Q = E Σ_j (Q_j(s, a) - y)²,   L_V = E (V(s) - y_V)²
    (3)  L_G = E [w_G 1{A(a) > 0} mean_d (G(s, a)_d - a_d)² + ½ KL],   A(x) = Q_1(s, x) - V(s)
    (4)  â = G(s, π(s)),   ā = â where A(â) >= A(a), else a
    (5)  L_π = -λ E Q_1(s, π(s)) + w E 1{A(â) >= ε_A or A(a) > ε_A} mean_d (π(s)_d - ā_d)²

G is a conditional VAE; λ = α / E |Q_1(s, π(s))| as in TD3+BC, which is what stays without
`candidate` and `gate` and with w = 1. A in (3) to (5) has the stepped critics and V from before its
step. Where neither action has an advantage nothing holds the policy: it climbs Q alone.

As in the authors' code â codes the policy's action and is no sample of the prior, ε_A is 0, and the
gradient of (5) runs through â too, so that the policy may lean on the VAE (`detach` stops it). The
presets are for tasks of D4RL; they normalise observations (`--normalise-obs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import q_loss
from rlkit.algos.td3 import target_action
from rlkit.algos.td3_bc import value_loss
from rlkit.core.batch import Batch
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam, step_jointly
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

FITS = ("offline", "continuous")


@checked()
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99  # γ, discount
    alpha: NonNegative = 2.5  # α, weight of the value against cloning
    weight: NonNegative = 0.5  # w, weight of cloning where it holds
    weight_vae: NonNegative = 1.0  # w_G, weight of reconstruction against ½ KL
    threshold: Real = 0.0  # ε_A, advantage from which an action is worth cloning
    candidate: bool = True  # the VAE's action may take the data's place
    gate: bool = True  # clone only where an action has an advantage
    detach: bool = False  # no gradient runs through the VAE's action
    polyak: PositiveShare = 0.005  # step of the targets towards the nets
    smooth: NonNegative = 0.2  # σ̃, standard deviation of the target action's noise
    smooth_clip: NonNegative = 0.5  # c, bound of that noise
    lr: Positive = 3e-4  # learning rate of the policy
    lr_q: Positive = 3e-4  # learning rate of the critics and V
    lr_vae: Positive = 1e-3  # learning rate of the VAE
    actor_period: Count = 2  # critic updates for one of policy and targets
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256, 256)  # widths of the policy
    hidden_q: Widths = (256, 256, 256, 256)  # widths of the critics and V
    hidden_vae: Widths = (750, 750)  # widths of the VAE's two nets
    norm: nets.Norm = "none"  # LayerNorm in the critics


_NORMALISED = {"normalise_obs": True}
# name -> fields of Config, options of the run; the authors' for these data of D4RL
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "hopper_medium": ({"weight": 0.4, "gamma": 0.995}, _NORMALISED),
    "halfcheetah_medium": ({"weight": 1.0, "alpha": 40.0}, _NORMALISED),
    "walker2d_medium": ({"weight": 1.0, "weight_vae": 1.5}, _NORMALISED),
}


def vae_loss(coded: nets.Coded, a: Tensor, better: Tensor, weight: float | Tensor) -> Tensor:
    """Reconstruction of the actions `a` `[..., B, A]` that are `better` `[..., B]`, and ½ KL of
    all, eq. (3); `[...]`."""
    error = (coded.action - a).square().mean(-1)
    return (weight * better * error + 0.5 * coded.divergence).mean(-1)


def cloned(candidate: Tensor, a: Tensor, adv_candidate: Tensor, adv: Tensor) -> Tensor:
    """ā of eq. (4): of two actions `[..., B, A]` the one with the larger advantage `[..., B]`."""
    return torch.where((adv_candidate >= adv).unsqueeze(-1), candidate, a)


def cloning_loss(action: Tensor, wanted: Tensor, gate: Tensor) -> Tensor:  # [..., B, A] -> [...]
    """Squared error to the `wanted` actions where `gate` `[..., B]` is 1, 0 elsewhere, averaged
    over all rows, eq. (5) without w."""
    return (gate * (action - wanted).square().mean(-1)).mean(-1)


class Agent(Learner):
    """Policy `pi`, critics `q`, with targets `pi_bar` and `q_bar`, V `v`, autoencoder `vae`."""

    noise = {
        "target": Draw("normal", "B", "A"),
        "code": Draw("normal", "B", 2, "A"),  # of the data's actions
        "candidate": Draw("normal", "B", 2, "A"),  # of the policy's
    }
    act_noise = nets.DeterministicActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.DeterministicActor(init, c.hidden)
        self.q = nets.Critic(init, c.hidden_q, 2, c.norm)
        self.v = nets.Value(init, c.hidden_q)
        self.vae = nets.ActionVAE(init, c.hidden_vae)
        self.pi_bar, self.q_bar = Target(self.pi), Target(self.q)
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.step_v, self.step_vae = Adam(self.v, c.lr_q), Adam(self.vae, c.lr_vae)
        self.periods = {"actor": c.actor_period}

    def update(self, b: Batch, c: Config, actor: bool = True) -> dict[str, Tensor]:
        """One step of critics, V and autoencoder on `b`, `[S, B, ...]`, and of policy and targets
        when `actor`; metrics `[S]` from before it."""
        assert b.noise is not None
        with torch.no_grad():
            a2 = self.pi_bar(b.s2).mode
            a2 = target_action(a2, b.noise["target"], c.smooth, c.smooth_clip)
            v2 = self.q_bar(b.s2, a2).amin(-2)
            y = b.r + c.gamma * b.cont * v2
        metrics = {"q_loss": self.step_q(q_loss(self.q(b.s, b.a), y)), "q": y.mean(-1)}
        v = self.v(b.s)
        with torch.no_grad():
            y_v = b.r + c.gamma * b.cont * self.q(b.s2, a2).amin(-2).minimum(v2)
            adv = self.q(b.s, b.a)[:, 0] - v
        coded = self.vae(b.s, b.a, b.noise["code"].flatten(2))
        metrics["v_loss"], metrics["vae_loss"] = step_jointly(
            (self.step_v, (v - y_v).square().mean(-1)),
            (self.step_vae, vae_loss(coded, b.a, (adv > 0).to(v), c.weight_vae)),
        )
        metrics["better"] = (adv > 0).to(v).mean(-1)
        if actor:
            metrics |= self._step_policy(b, c, adv, v.detach())
            self.pi_bar.follow(self.pi, c.polyak)
            self.q_bar.follow(self.q, c.polyak)
        return metrics

    def _step_policy(self, b: Batch, c: Config, adv: Tensor, v: Tensor) -> dict[str, Tensor]:
        """One step of the policy, given A(a) and V of the data `[S, B]`."""
        assert b.noise is not None
        a = self.pi(b.s).mode
        candidate = self.vae(b.s, a, b.noise["candidate"].flatten(2)).action
        candidate = candidate.detach() if c.detach else candidate
        with torch.no_grad():
            adv_candidate = self.q(b.s, candidate)[:, 0] - v
        wanted = cloned(candidate, b.a, adv_candidate, adv) if c.candidate else b.a
        least = against(c.threshold, adv)
        worth = (adv_candidate >= least) | (adv > least)
        gate = worth.to(v) if c.gate else torch.ones_like(v)
        cloning = cloning_loss(a, wanted, gate)
        weight = against(c.weight, cloning)
        loss = value_loss(self.q(b.s, a)[:, 0], c.alpha) + weight * cloning
        return {
            "pi_loss": self.step_pi(loss),
            "cloning": cloning.detach(),
            "held": gate.mean(-1),
            "replaced": (adv_candidate >= adv).to(v).mean(-1),
        }

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The policy's action, moved by `noise` `[S, B, A]` when given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)
