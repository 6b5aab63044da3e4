"""Off-policy GAIL: discriminator-actor-critic, Kostrikov et al. 2019 (arXiv 1809.02925), with a
reward kept Lipschitz by a gradient penalty, Blondé, Strasser & Kalousis 2022 (arXiv 2006.16785).

    (1)  L_D = E_π BCE(D, 0) + E_expert BCE(D, ℓ) - ν E H(σ(D)) + λ E_x̂ (|∇_x̂ D| - k)²₊
         D(s, a) or D(s, s') a logit, ℓ ~ U(label_low, label_high), H the entropy of a coin;
         x̂ between a policy's and an expert's row, or near either of them
    (2)  r = -log(1 - σ(D)) >= 0  ("survival"),   or D itself  ("logit", AIRL's)
    (3)  TD3 on r, computed anew for every row with the D of now

Absorbing states (DAC): a terminal step leads to a state a_∞ that only leads to itself, for which
states have one more number, see `imitation.absorbing`.

Every minibatch holds B rows of the policy and B of the expert (`other`), a dataset read with
`--dataset` while the policy acts in `--env` (`--online`). Order of a step: D, then critics with the
new reward, then policy and targets.

Differs from the authors' code (2006.16785): returns of one step as in DAC, theirs of ten; Gaussian
exploration noise, theirs Ornstein-Uhlenbeck and in parameters; rates are constant; the action
needs no number of its own for a_∞; a_∞ takes no part in the penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from rlkit import nets
from rlkit.algos.imitation.absorbing import Rows, with_end
from rlkit.algos.imitation.discriminator import (
    Discriminator,
    classification_loss,
    coin_entropy,
    slope_penalty,
    slopes,
)
from rlkit.algos.td3 import target_action
from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.errors import UsageError
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
from rlkit.data.sampling.samplers import Paired, Uniform
from rlkit.data.stock import Stock

_CLIP = 40.0  # largest norm of the policy's and the critics' gradients
FITS = ("then-online", "continuous")
LEARNS_REWARD = True  # rewards of the replay reach no loss of the agent


@checked("label_low <= label_high")
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99  # γ, discount
    polyak: PositiveShare = 0.005  # step of the targets towards the nets
    smooth: NonNegative = 0.2  # standard deviation of the target action's noise
    smooth_clip: NonNegative = 0.5  # bound of that noise
    explore: NonNegative = 0.1  # standard deviation of the noise when acting to explore
    actor_period: Count = 2  # critic updates for one of policy and targets
    inputs: Literal["sa", "ss"] = "sa"  # what D sees: state and action, or two states
    reward: Literal["survival", "logit"] = "survival"  # r of eq. (2)
    absorbing: bool = True  # give the end of an episode a state
    label_low: NonNegative = 0.7  # smallest label of an expert's row
    label_high: NonNegative = 1.2  # largest
    entropy: NonNegative = 0.001  # ν, weight of the discriminator's entropy
    penalty: NonNegative = 10.0  # λ, weight of the gradient penalty
    slope: NonNegative = 1.0  # k, slope that is allowed
    one_sided: bool = True  # punish only slopes above k
    penalise: Literal["between", "expert", "policy"] = "between"  # where x̂ lies
    spread: NonNegative = 10.0  # standard deviation of x̂ around a row of "expert" or "policy"
    spectral: bool = True  # divide D's hidden weights by their largest singular value
    lr: Positive = 2.5e-4  # learning rate of policy and critics
    lr_d: Positive = 5e-4  # learning rate of D
    batch_size: Count = 64  # B, transitions of the policy an update, and as many of the expert
    hidden: Widths = (256, 256)  # widths of policy and critics
    hidden_d: Widths = (100, 100)  # widths of D
    norm: nets.Norm = "before"  # LayerNorm in policy and critics


def reward(logit: Tensor, form: str) -> Tensor:
    """r of eq. (2); -log(1 - σ(x)) is log(1 + e^x)."""
    return F.softplus(logit) if form == "survival" else logit


class Agent(Learner):
    """Policy `pi`, critics `q`, their targets, and a discriminator."""

    act_noise = nets.DeterministicActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.DeterministicActor(init, c.hidden, c.norm)
        init.spec = Spec(spec.obs_size + 1, spec.act, spec.seeds, spec.dtype, spec.device)
        self.q = nets.Critic(init, c.hidden, 2, c.norm)  # it sees the end, which no policy does
        second = spec.act_size if c.inputs == "sa" else spec.obs_size + 1
        self.halves = (spec.obs_size + 1, second)  # numbers of each half of what D sees
        self.d = Discriminator(init, sum(self.halves), c.hidden_d, c.spectral)
        self.pi_bar, self.q_bar = Target(self.pi), Target(self.q)
        self.step_pi, self.step_q = Adam(self.pi, c.lr, clip=_CLIP), Adam(self.q, c.lr, clip=_CLIP)
        self.step_d = Adam(self.d, c.lr_d)
        self.explore, self.periods = c.explore, {"actor": c.actor_period}
        self.noise = {"target": Draw("normal", "B", "A"), "label": Draw("uniform", "B")}
        if c.penalise == "between":
            self.noise["mix"] = Draw("uniform", "B", 2)
        else:
            self.noise["near"] = Draw("normal", "B", sum(self.halves))

    def update(self, b: Batch, c: Config, actor: bool = True) -> dict[str, Tensor]:
        """One step of discriminator and critics on `b`, whose `other` are an expert's rows, and of
        policy and targets when `actor`; metrics `[S]` from before it."""
        assert b.noise is not None
        assert b.other is not None
        ours, expert = with_end(b, c.absorbing), with_end(b.other, c.absorbing)
        metrics = self.discriminate(ours, expert, b.noise, c)
        with torch.no_grad():
            r = reward(self.d(self.seen(ours, c)), c.reward)  # [S, B + 1]
            a2 = target_action(self.pi_bar(b.s2).mode, b.noise["target"], c.smooth, c.smooth_clip)
            a2 = torch.cat([a2, torch.zeros_like(a2[:, :1])], 1)
            v2 = self.q_bar(ours.s2, (1 - ours.s2[..., -1:]) * a2).amin(-2)
            going = torch.cat([b.cont, torch.ones_like(b.cont[:, :1])], 1)
            y = r + c.gamma * (v2 if c.absorbing else going * v2)
        error = (self.q(ours.s, ours.a) - y.unsqueeze(1)).square()
        metrics["q_loss"] = self.step_q((ours.w.unsqueeze(1) * error).sum((1, 2)))
        metrics |= {"q": (ours.w * y).sum(-1), "reward": (ours.w * r).sum(-1)}
        if actor:
            q = self.q(ours.s[:, :-1], self.pi(b.s).mode)[:, 0]  # [S, B]
            metrics["pi_loss"] = self.step_pi(-q.mean(-1))
            self.pi_bar.follow(self.pi, c.polyak)
            self.q_bar.follow(self.q, c.polyak)
        return metrics

    def seen(self, rows: Rows, c: Config) -> Tensor:
        """What D sees of rows, `[S, B + 1, n]`."""
        return torch.cat([rows.s, rows.a if c.inputs == "sa" else rows.s2], -1)

    def discriminate(
        self, ours: Rows, expert: Rows, noise: dict[str, Tensor], c: Config
    ) -> dict[str, Tensor]:
        """One step of D on eq. (1)."""
        self.d.sharpen()
        x_ours, x_expert = self.seen(ours, c), self.seen(expert, c)
        d_ours, d_expert = self.d(x_ours), self.d(x_expert)
        width = c.label_high - c.label_low
        label = c.label_low + width * noise["label"]
        mean_label = torch.zeros_like(label[:, :1]) + c.label_low + width / 2  # of a_∞'s row
        loss = classification_loss(d_ours, 0.0, ours.w)
        loss = loss + classification_loss(d_expert, torch.cat([label, mean_label], 1), expert.w)
        entropy = (coin_entropy(d_ours, ours.w) + coin_entropy(d_expert, expert.w)) / 2
        norm = slopes(self.d, self.between(x_ours[:, :-1], x_expert[:, :-1], noise, c))
        steep = slope_penalty(norm, c.slope, c.one_sided)
        loss = loss - against(c.entropy, loss) * entropy + against(c.penalty, loss) * steep
        return {
            "d_loss": self.step_d(loss),
            "d_policy": (ours.w * d_ours).sum(-1).detach(),
            "d_expert": (expert.w * d_expert).sum(-1).detach(),
            "slope": norm.mean(-1).detach(),
        }

    def between(self, ours: Tensor, expert: Tensor, noise: dict[str, Tensor], c: Config) -> Tensor:
        """x̂ of eq. (1) `[S, B, n]`; both halves of a row have their own place in between."""
        if c.penalise == "between":
            places = zip(noise["mix"].split(1, -1), self.halves, strict=True)
            mix = torch.cat([place.expand(-1, -1, n) for place, n in places], -1)
            return mix * ours + (1 - mix) * expert
        rows = expert if c.penalise == "expert" else ours
        return rows + against(c.spread, rows) * noise["near"]

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The policy's action, moved by exploration noise when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(against(self.explore, noise) * noise)


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Rows the policies collected, with as many of the expert's as `other`."""
    if stock.data is None or stock.replay is None:
        raise UsageError(
            "gail compares an expert's dataset with what its policy does: give a dataset, an "
            "environment and --online, and no updates before its first step (pretrain)"
        )
    return Paired(
        Uniform(stock.replay, c.batch_size, stock.streams, "replay"),
        Uniform(stock.data, c.batch_size, stock.streams, "expert"),
    )
