"""Soft Actor-Critic, Haarnoja et al. 2018 (arXiv 1812.05905), with learnt temperature; ensembles
make it REDQ (Chen et al. 2021, arXiv 2101.05982), DroQ (Hiraoka et al. 2022, arXiv 2110.02034),
with half of each minibatch from a dataset RLPD (Ball et al. 2023, arXiv 2302.02948), and with a
dataset alone SAC-N and EDAC (An et al. 2021, arXiv 2110.01548): `PRESETS`.

    (1)  y = r + γ (min_j Q̄_j(s', a') - α log π(a'|s')),    a' ~ π(s')
    (2)  L_Q = E Σ_j (Q_j(s, a) - y)²
    (3)  L_π = E [α log π(ã|s) - min_j Q_j(s, ã)],           ã ~ π(s), reparameterised
    (4)  L_α = -log α · E [log π(ã|s) + H̄]

REDQ: the minimum in (1) is over `subset` critics drawn anew for each update, and (3) takes the mean
of all; policy and temperature move once in `actor_period` updates. DroQ: the critics' hidden units
are dropped with chance `dropout`, in the targets too, Linear → dropout → LayerNorm → ReLU. EDAC:
critics pay for being alike, so that few do for SAC-N's many,

    (5)  L_Q + η E Σ_{i≠j} ⟨ĝ_i, ĝ_j⟩ / (N - 1),             ĝ_j along ∇_a Q_j(s, a)

With a `head` other than scalar a critic's value is that of its head and (2) the head's loss to y,
or to the law of r + γ (Z - α log π), Z that of the critic whose mean is least (`nets.value_heads`;
Farebrother et al. 2024, arXiv 2403.03950). With `copies` K every critic is K nets: targets take the
minimum copy by copy, (3) the mean of the copies before it, and L_BIEV joins (2); preset `ggd`
(`nets.gaussian_errors`). Targets of `n_step` rewards have no entropies between, nor corrections for
the old policy of the steps after the first. Of images (`nets.encoders`) the policy sees what the
critics' convolutions see, which it does not train; preset `drq` is Kostrikov et al. 2021 (arXiv
2004.13649) with one shift an image.

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
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import head_loss, least, target_of, unheld
from rlkit.core.batch import Batch
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam, step_jointly
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
from rlkit.nets.value_heads import CopiesConfig

if TYPE_CHECKING:
    from rlkit.core.engine import Source
    from rlkit.data.stock import Stock

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
_TINY = 1e-10  # a critic that is flat in the action has no direction


def subset(x: Tensor, u: Tensor, m: int) -> Tensor:
    """The m members `[S, m, ...]` of `x` `[S, n, ...]` with the smallest `u` `[S, n]`."""
    members = u.argsort(-1)[:, :m].view(-1, m, *[1] * (x.dim() - 2))
    return x.gather(1, members.expand(-1, -1, *x.shape[2:]))


def pi_loss(  # [..., n, B] -> [...]
    qs: Tensor, log_prob: Tensor, alpha: Tensor, mean_critic: bool = False
) -> Tensor:
    """Entropy-regularised value of the policy's own actions, eq. (3), negated."""
    q = qs.mean(-2) if mean_critic else qs.amin(-2)
    return (alpha * log_prob - q).mean(-1)


def alpha_loss(log_alpha: Tensor, log_prob: Tensor, target: float | Tensor) -> Tensor:
    """Falls with log α while the entropy is below its target, eq. (4); `[..., B] -> [...]`."""
    return -(log_alpha * (log_prob + target)).mean(-1)


def alike(slopes: Tensor) -> Tensor:  # [..., n, B, A] -> [...]
    """What (5) adds, without η: the n members' mean likeness of direction to the others,
    summed. n for members that are alike, 0 for orthogonal ones, never below -n / (n - 1)."""
    n = slopes.shape[-3]
    unit = slopes / (slopes.norm(dim=-1, keepdim=True) + _TINY)
    pairs = unit.sum(-3).square().sum(-1) - unit.square().sum((-3, -1))  # [..., B], i ≠ j
    return pairs.mean(-1) / (n - 1)


class Agent(Learner):
    """Policy `pi`, critics `q` with targets `q_bar`, a temperature."""

    act_noise = nets.TanhGaussianActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        self.diverse = isinstance(c.diversity, Tensor) or c.diversity > 0
        if self.diverse and c.n_critics < 2:
            raise ValueError(f"n_critics is {c.n_critics}; to differ there must be two at least")
        if c.copies > 1 and c.subset:
            raise ValueError(f"copies is {c.copies}; subset draws among single critics: give 0")
        init, self.head = nets.Init(spec), nets.head_of(c)
        self.widths = c.hidden_q or c.hidden
        self.pi = nets.TanhGaussianActor(init, c.hidden, log_std_bounds=c.log_std)
        self.q = nets.Critic(init, self.widths, c.n_critics, c.norm, self.head, c.copies)
        nets.share_sight(self.pi, self.q)
        self.q_bar = Target(self.q)
        self.log_alpha = nets.Scalar(init, torch.as_tensor(c.alpha, dtype=torch.float64).log())
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.step_alpha = Adam(self.log_alpha, c.lr_alpha)
        self.act_size = spec.act_size
        self.periods = {"actor": c.actor_period}
        self.noise = {"next": Draw("normal", "B", "A"), "now": Draw("normal", "B", "A")}
        if c.subset:
            self.noise["subset"] = Draw("uniform", c.n_critics)
        self.drops = isinstance(c.dropout, Tensor) or c.dropout > 0
        if self.drops:
            units = Draw("uniform", c.n_critics * c.copies, "B", sum(self.widths))
            self.noise |= {"drop_next": units, "drop": units, "drop_now": units}

    def masks(self, b: Batch, name: str, c: Config) -> list[Tensor] | None:
        """Which hidden units of the critics stay."""
        assert b.noise is not None
        return nets.dropout(b.noise[name], c.dropout, self.widths) if self.drops else None

    def update(self, b: Batch, c: Config, actor: bool = True) -> dict[str, Tensor]:
        """One step of the critics on `b`, `[S, B, ...]`, of policy and temperature when `actor`,
        and of the targets; metrics `[S]` from before it."""
        assert b.noise is not None
        alpha = self.log_alpha().exp().detach()  # [S, 1]
        with torch.no_grad():
            a2, log_prob2 = self.pi(b.s2).sample_log_prob(b.noise["next"])
            out2 = nets.outputs(self.q_bar, b.s2, a2, self.masks(b, "drop_next", c))
            if c.subset:
                out2 = subset(out2, b.noise["subset"], c.subset)  # [S, M, 1, B, size]
            plus = -(alpha * log_prob2) if c.entropy_backup else 0.0
            y = target_of(self.head, b.r, c.gamma * b.cont, least(self.head, out2), plus)
        masks = self.masks(b, "drop", c)
        metrics = {}
        if self.diverse:
            out, slopes = self.q.with_slopes(b.s, b.a, masks)
            likeness = alike(slopes)
            loss = head_loss(self.head, out, y, c.biev)
            loss = loss + against(c.diversity, likeness) * likeness
            metrics["likeness"] = likeness.detach()
        else:
            out = self.q.outputs(b.s, b.a, masks)
            loss = head_loss(self.head, out, y, c.biev)
        metrics["q"] = self.head.mean(y).mean((-2, -1))
        metrics["q_loss"] = self.step_q(loss)
        if actor:
            a, log_prob = self.pi(b.s).sample_log_prob(b.noise["now"])
            qs = self.q(b.s, a, self.masks(b, "drop_now", c))
            loss = pi_loss(qs, log_prob, alpha, c.mean_critic)
            entropy = -log_prob.detach()
            if c.learn_alpha:
                rise = alpha_loss(self.log_alpha(), -entropy, c.entropy * self.act_size)
                loss, _ = step_jointly((self.step_pi, loss), (self.step_alpha, rise))
            else:
                loss = self.step_pi(loss)
            metrics |= {"pi_loss": loss, "entropy": entropy.mean(-1), "alpha": alpha.squeeze(-1)}
        self.q_bar.follow(self.q, c.polyak)
        return metrics

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """tanh of the policy's mean, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)


def draws(c: Config) -> bool:
    """Whether minibatches are those of `source`; single steps are the run's own."""
    return c.n_step > 1


def offline_notice(c: Config) -> str:
    """What to say of two critics that never meet the environment."""
    return "" if c.n_critics > 2 else unheld("--preset sac_n or edac", "cql", "iql", "td3_bc")


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Minibatches of n-step transitions."""
    from rlkit.data.sampling.multistep import multistep

    return multistep(stock, c.batch_size, c.n_step, c.gamma)
