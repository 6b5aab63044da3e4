"""Soft Actor-Critic with learnt temperature, Haarnoja et al. 2018 (arXiv 1812.05905), and what its
`PRESETS` make of it: REDQ (Chen et al. 2021, arXiv 2101.05982), DroQ (Hiraoka et al. 2022, arXiv
2110.02034), with half of each minibatch from a dataset RLPD (Ball et al. 2023, arXiv 2302.02948),
with a dataset alone SAC-N and EDAC (An et al. 2021, arXiv 2110.01548), of images DrQ with one shift
an image (`drq`, Kostrikov et al. 2021, arXiv 2004.13649).

    (1)  y = r + γ (min_j Q̄_j(s', a') - α log π(a'|s')),    a' ~ π(s')
    (2)  L_Q = E Σ_j (Q_j(s, a) - y)²
    (3)  L_π = E [α log π(ã|s) - min_j Q_j(s, ã)],           ã ~ π(s), reparameterised
    (4)  L_α = -log α · E [log π(ã|s) + H̄]
    (5)  L_Q + η E Σ_{i≠j} ⟨ĝ_i, ĝ_j⟩ / (N - 1),             ĝ_j along ∇_a Q_j(s, a)

REDQ: the minimum in (1) is over `subset` critics drawn anew for each update, and (3) takes the mean
of all; policy and temperature move once in `actor_period` updates. DroQ: the critics' hidden units
are dropped with chance `dropout`, in the targets too, Linear → dropout → LayerNorm → ReLU. EDAC:
critics pay for being alike by (5), so that few do for SAC-N's many.

With a `head` other than scalar a critic's value is that of its head and (2) the head's loss to y,
or to the law of r + γ (Z - α log π), Z that of the critic whose mean is least (`nets.value_heads`;
Farebrother et al. 2024, arXiv 2403.03950). With `copies` K every critic is K nets: targets take the
minimum copy by copy, (3) the mean of the copies before it, and L_BIEV joins (2); preset `ggd`
(`nets.gaussian_errors`). Targets of `n_step` rewards have no entropies between, nor corrections for
the old policy of the steps after the first. Of images (`nets.encoders`) the policy sees what the
critics' convolutions see, which it does not train.

Order of a step: critics, then policy and temperature together (both with the α from before the
step and the new critics), then targets. Differs from the paper: (4) descends on log α instead of
α, as most code does; the density of tanh uses the form without cancellation; RLPD's policy moves on
the last of several minibatches as in its authors' code; in EDAC's the temperature moves first, then
the policy, weights begin with hidden biases of 0.1 and last layers within 0.003. The numbers of
critics that EDAC's paper gives are 50 for Hopper, 10 for HalfCheetah and Walker2d, η 1 (5 for their
medium-expert data); SAC-N's 500 (200), 10 and 20.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import head_loss, least, multistep, several, step_policy, target_of, unheld
from rlkit.core.batch import Batch
from rlkit.core.lanes import against, in_use
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.target import Target
from rlkit.core.words.ranges import (
    Count,
    Natural,
    NonNegative,
    Positive,
    PositiveShare,
    ProperShare,
    Real,
    Share,
    Widths,
    checked,
)
from rlkit.nets.critics import alike, subset
from rlkit.nets.value_heads import CopiesConfig

FITS = ("online", "then-online", "offline", "continuous", "pixels")


@checked("subset <= n_critics", "low < high")
@dataclass(frozen=True)
class Config(CopiesConfig):
    gamma: Share = 0.99  # γ, discount
    polyak: PositiveShare = 0.005  # step of the target critics towards the critics
    alpha: NonNegative = 1.0  # α, temperature; its first value when it is learnt
    learn_alpha: bool = True  # adapt α to the target entropy
    entropy: Real = -1.0  # H̄ a dimension: the target entropy is this times the dimensions
    entropy_backup: bool = True  # the entropy term of (1)
    lr: Positive = 3e-4  # learning rate of the policy
    lr_q: Positive = 3e-4  # learning rate of the critics
    lr_alpha: Positive = 3e-4  # learning rate of the temperature
    actor_period: Count = 1  # critic updates for one of the policy
    n_critics: Count = 2  # N, ensemble size
    subset: Natural = 0  # M, critics drawn for the minimum of (1); 0: all
    mean_critic: bool = False  # (3) takes the mean of the critics, not their minimum
    diversity: NonNegative = 0.0  # η of (5)
    dropout: ProperShare = 0.0  # chance of a critic's hidden unit to be dropped
    n_step: Count = 1  # n, rewards in a target before the next value
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of the policy
    hidden_q: Widths = ()  # widths of the critics; empty: as the policy
    norm: nets.Norm = "none"  # LayerNorm in the critics
    log_std: tuple[Real, Real] = (-20.0, 2.0)  # bounds of the policy's log standard deviation


_OFTEN = {"actor_period": 20, "mean_critic": True}
_MANY = {"n_critics": 10, "hidden": (256, 256, 256), "log_std": (-5.0, 2.0)}
# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "redq": (_OFTEN | {"n_critics": 10, "subset": 2}, {"utd": 20.0}),
    "droq": (_OFTEN | {"dropout": 0.01, "norm": "before"}, {"utd": 20.0}),
    "rlpd": (
        _OFTEN | {"n_critics": 10, "subset": 2, "norm": "before", "entropy": -0.5},
        {"utd": 20.0, "online": True},
    ),
    "sac_n": (_MANY, {}),
    "edac": (_MANY | {"diversity": 1.0}, {}),
    "ggd": ({"head": "ggd", "copies": 5}, {}),
    "drq": (
        {"polyak": 0.01, "alpha": 0.1, "lr": 1e-3, "lr_q": 1e-3, "lr_alpha": 1e-3}
        | {"actor_period": 2, "batch_size": 512, "hidden": (1024, 1024), "log_std": (-10.0, 2.0)},
        {"shift": 4},
    ),
}


def pi_loss(qs: Tensor, log_prob: Tensor, alpha: Tensor, mean_critic: bool = False) -> Tensor:
    """Entropy-regularised value of own actions, eq. (3), negated; `[..., n, B] -> [...]`."""
    q = qs.mean(-2) if mean_critic else qs.amin(-2)
    return (alpha * log_prob - q).mean(-1)


def alpha_loss(log_alpha: Tensor, log_prob: Tensor, target: float | Tensor) -> Tensor:
    """Falls with log α while the entropy is below its target, eq. (4); `[..., B] -> [...]`."""
    return -(log_alpha * (log_prob + target)).mean(-1)


class Agent(Learner):
    """Policy `pi`, critics `q` with targets `q_bar`, a temperature."""

    act_noise = nets.TanhGaussianActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        if in_use(c.diversity) and c.n_critics < 2:
            raise ValueError(f"n_critics is {c.n_critics}; to differ there must be two at least")
        if c.copies > 1 and c.subset:
            raise ValueError(f"copies is {c.copies}; subset draws among single critics: give 0")
        init, self.head, self.widths = nets.Init(spec), nets.head_of(c), c.hidden_q or c.hidden
        self.pi = nets.TanhGaussianActor(init, c.hidden, log_std_bounds=c.log_std)
        self.q = nets.Critic(init, self.widths, c.n_critics, c.norm, self.head, c.copies)
        nets.share_sight(self.pi, self.q)
        self.q_bar = Target(self.q)
        self.log_alpha = nets.Scalar(init, torch.as_tensor(c.alpha, dtype=torch.float64).log())
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.step_alpha = Adam(self.log_alpha, c.lr_alpha)
        self.act_size, self.periods = spec.act_size, {"actor": c.actor_period}
        self.noise = {"next": Draw("normal", "B", "A"), "now": Draw("normal", "B", "A")}
        if c.subset:
            self.noise["subset"] = Draw("uniform", c.n_critics)
        if in_use(c.dropout):
            units = Draw("uniform", c.n_critics * c.copies, "B", sum(self.widths))
            self.noise |= {"drop_next": units, "drop": units, "drop_now": units}

    def masks(self, u: Tensor | None, c: Config) -> list[Tensor] | None:
        """Which hidden units of the critics stay, by uniform numbers; None: all."""
        return None if u is None else nets.dropout(u, c.dropout, self.widths)

    def update(self, b: Batch, c: Config, actor: bool = True) -> dict[str, Tensor]:
        """One step of the critics on `b`, `[S, B, ...]`, of policy and temperature when `actor`,
        and of the targets; metrics `[S]` from before it."""
        assert b.noise is not None
        alpha = self.log_alpha().exp().detach()  # [S, 1]
        with torch.no_grad():
            a2, log_prob2 = self.pi(b.s2).sample_log_prob(b.noise["next"])
            out2 = nets.outputs(self.q_bar, b.s2, a2, self.masks(b.noise.get("drop_next"), c))
            if c.subset:
                out2 = subset(out2, b.noise["subset"], c.subset)  # [S, M, 1, B, size]
            plus = -(alpha * log_prob2) if c.entropy_backup else 0.0
            y = target_of(self.head, b.r, c.gamma * b.cont, least(self.head, out2), plus)
        masks, metrics = self.masks(b.noise.get("drop"), c), {}
        if in_use(c.diversity):
            out, slopes = self.q.with_slopes(b.s, b.a, masks)
            likeness = alike(slopes)
            metrics["likeness"] = likeness.detach()
            loss = head_loss(self.head, out, y, c.biev) + against(c.diversity, likeness) * likeness
        else:
            loss = head_loss(self.head, self.q.outputs(b.s, b.a, masks), y, c.biev)
        metrics |= {"q": self.head.mean(y).mean((-2, -1)), "q_loss": self.step_q(loss)}
        if actor:
            a, log_prob = self.pi(b.s).sample_log_prob(b.noise["now"])
            qs = self.q(b.s, a, self.masks(b.noise.get("drop_now"), c))
            loss, entropy = pi_loss(qs, log_prob, alpha, c.mean_critic), -log_prob.detach()
            rise = alpha_loss(self.log_alpha(), -entropy, c.entropy * self.act_size)
            loss = step_policy(self, loss, rise, c.learn_alpha)
            metrics |= {"pi_loss": loss, "entropy": entropy.mean(-1), "alpha": alpha.squeeze(-1)}
        self.q_bar.follow(self.q, c.polyak)
        return metrics

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """tanh of the policy's mean, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)


def offline_notice(c: Config) -> str:
    """What to say of two critics that never meet the environment."""
    return "" if c.n_critics > 2 else unheld("--preset sac_n or edac", "cql", "iql", "td3_bc")


draws, source = several, multistep
