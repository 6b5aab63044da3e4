"""O-DICE, Mao, Xu, Zhang & Zhan 2024 (arXiv 2402.00348): an orthogonal-gradient update of V.

    (1)  min_V E [(1 - λ) V(s) + λ f*(r + γ V(s') - V(s))],    ω* = f*'(r + γ V(s') - V(s))
         chi2: f(x) = (x - 1)², so f*(y) = y + y²/4 for y >= -2, else -1;  ω* = max(y/2 + 1, 0)
         kl:   f(x) = x log x,  so f*(y) = ω* = exp(y - 1)
    (2)  y_f = r + γ min_k V̄_k(s') - V(s)     forward residual,  g_f = ∇ λ E f*(y_f)
         y_b = r + γ V(s') - min_k V̄_k(s)     backward residual, g_b = ∇ λ η E f*(y_b)
    (3)  V descends along g_f + g_b - (<g_f, g_b> / <g_f, g_f>) g_f + ∇ (1 - λ) E V(s)
    (4)  L_π = -E w(s, a) log π(a|s),           w = max(y_f, 0) or ω*(y_f), at most `clip`,
                                                of each of the two heads, then their mean

`update_rule`: "orthogonal" is (3), "semi" leaves g_b out, "true" descends on (1) itself. The
product and the norm in (3) are over all parameters of a lane's twin V. All losses see the values
from before the step.

Where V has settled E ω* = (1 - λ) / λ, so that the mean residual is 2 ((1 - λ) / λ - 1) with chi2:
0 at λ 0.5, -0.67 at the authors' 0.6, -1.5 at 0.8. With w = max(y_f, 0) ("advantage", theirs) a λ
well above 0.5 weighs few rows or none until residuals have spread that far, so λ is 0.5 here, and
`weighted` among the metrics is the share of rows with a weight; ω* ("ratio") still ranks actions
at any λ. Sparse rewards are shifted: by -1 (`--reward minus_one`), or to -3 and 1 by the authors;
locomotion's are scaled by the range of returns (`--reward return_range`).

Differs from the authors' code: the Gaussian's mean is a tanh unless `squash` is off; discrete
actions have a categorical policy; imitation cuts episodes at the stored flags, so a timed-out row
keeps its own next state. `heads` "mean" takes w of the heads' mean residual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from rlkit import nets
from rlkit.core.batch import Batch
from rlkit.core.flat import inner
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.target import Target
from rlkit.core.words.ranges import (
    Count,
    Natural,
    NonNegative,
    Positive,
    PositiveShare,
    Share,
    Widths,
    checked,
)

if TYPE_CHECKING:
    from rlkit.data.store import EpisodeStore

_FEW = 0.01  # share of rows with a weight that a policy does not learn from
Divergence = Literal["chi2", "kl"]

FITS = ("offline", "then-online", "continuous", "discrete")


@checked()
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99  # γ, discount
    lam: Share = 0.5  # λ, weight of the residuals against V itself; the authors' default is 0.6
    eta: NonNegative = 1.0  # η, weight of the backward gradient
    f: Divergence = "chi2"  # divergence from the data's distribution
    update_rule: Literal["orthogonal", "semi", "true"] = "orthogonal"  # how V descends
    weight: Literal["advantage", "ratio"] = "advantage"  # of an action in (4): max(y, 0) or ω*
    heads: Literal["each", "mean"] = "each"  # the weight is of each head, or of their mean
    clip: Positive = 100.0  # upper bound of that weight
    squash: bool = True  # the policy's mean is a tanh; continuous actions
    imitate: bool = False  # take rewards as 0: the data are an expert's
    episodes: Natural = 1  # imitation: so many first episodes of the data are learnt from; 0 is all
    polyak: PositiveShare = 0.005  # step of the target V towards V
    lr: Positive = 2e-4  # learning rate of both nets
    weight_decay: NonNegative = 1e-4  # of the policy, added to its gradient (L2)
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of V
    hidden_pi: Widths = (1024, 1024)  # widths of the policy
    norm: nets.Norm = "before"  # LayerNorm in V


PRESETS = {  # name -> fields of Config, options of the run
    # what the authors' command line defaults to
    "released": ({"lam": 0.6, "squash": False}, {}),
    # from one episode of an expert, with the authors' numbers
    "imitation": (
        {"imitate": True, "lam": 0.4, "lr": 1e-4, "norm": "none", "weight_decay": 1e-5},
        {"normalise_obs": True},
    ),
}


def select(store: EpisodeStore, c: Config) -> EpisodeStore:
    """The episodes to learn from."""
    return store.select(range(c.episodes)) if c.imitate and c.episodes else store


def notice(metrics: Mapping[str, np.ndarray], c: Config) -> str:
    """What to say of a policy that learns from next to no row; empty where there is nothing."""
    if not (metrics.get("weighted", np.ones(1)) < _FEW).any():
        return ""
    advice = "lower config.lam (0.5)" + ("" if c.weight == "ratio" else ", or take weight ratio")
    return (
        f"fewer than {_FEW:.0%} of the rows have a weight (`weighted`), the policy hardly learns: "
        f"{advice}"
    )


def conjugate(y: Tensor, f: Divergence) -> Tensor:
    """f*(y) of eq. (1), f's conjugate over ratios that are not negative."""
    if f == "kl":
        return (y - 1).exp()
    y = y.clamp(min=-2)
    return y + y.square() / 4


def ratio(y: Tensor, f: Divergence) -> Tensor:
    """ω*(y), the slope of f*: what the optimum multiplies the data's distribution by."""
    return (y - 1).exp() if f == "kl" else (y / 2 + 1).clamp(min=0)


def weights(y: Tensor, c: Config) -> Tensor:  # [S, 2, B] -> [S, B]
    """What (4) multiplies the likelihood by, from the heads' forward residuals."""
    y = y.mean(1, keepdim=True) if c.heads == "mean" else y
    w = ratio(y, c.f) if c.weight == "ratio" else y.clamp(min=0)
    return w.clamp(max=against(c.clip, w)).mean(1)


def orthogonal(forward: Sequence[Tensor], backward: Sequence[Tensor]) -> list[Tensor]:
    """What is left of `backward` without its part along `forward`, lane by lane, eq. (3)."""
    share = inner(forward, backward) / inner(forward, forward).clamp(min=1e-10)  # [S]
    return [b - against(share, f) * f for f, b in zip(forward, backward, strict=True)]


class Agent(Learner):
    """Policy `pi` and twin values `v` with targets `v_bar`; there is no critic."""

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = (
            nets.CategoricalActor(init, c.hidden_pi)
            if spec.discrete
            else nets.GaussianActor(init, c.hidden_pi, squash=c.squash)
        )
        self.v = nets.Value(init, c.hidden, 2, c.norm)
        self.v_bar = Target(self.v)
        self.step_pi, self.step_v = Adam(self.pi, c.lr), Adam(self.v, c.lr)
        self.act_noise, self.discrete = self.pi.noise, spec.discrete

    def update(self, b: Batch, c: Config) -> dict[str, Tensor]:
        """One step of V and policy on `b`, `[S, B, ...]`; metrics `[S]` from before it."""
        r = (torch.zeros_like(b.r) if c.imitate else b.r).unsqueeze(1)  # [S, 1, B]
        discount = (c.gamma * b.cont).unsqueeze(1)
        with torch.no_grad():
            low, low2 = (self.v_bar(s).amin(1, keepdim=True) for s in (b.s, b.s2))
        v = self.v(b.s)  # [S, 2, B]
        y = r + discount * low2 - v  # forward
        w = weights(y.detach(), c)  # [S, B]
        y_v = r + discount * self.v(b.s2) - v if c.update_rule == "true" else y
        push, pull = conjugate(y_v, c.f).mean((1, 2)), v.mean((1, 2))  # [S]
        push, pull = against(c.lam, push) * push, (1 - against(c.lam, pull)) * pull
        if c.update_rule == "orthogonal":
            back = conjugate(r + discount * self.v(b.s2) - low, c.f).mean((1, 2))
            self.descend(push, against(c.lam, back) * against(c.eta, back) * back, pull)
        else:
            self.step_v(push + pull)
        cloning = -(w * self.pi(b.s).log_prob(b.a)).mean(-1)
        size = inner(self.step_pi.flat.params, self.step_pi.flat.params)
        self.step_pi(cloning + against(c.weight_decay, size) * size / 2)
        self.v_bar.follow(self.v, c.polyak)
        return {
            "v_loss": (push + pull).detach(),
            "pi_loss": cloning.detach(),
            "adv": y.detach().mean((1, 2)),
            "weighted": (w > 0).to(w).mean(-1),
        }

    def descend(self, forward: Tensor, backward: Tensor, rest: Tensor) -> None:
        """One step of V along eq. (3), from the losses `[S]` of its three parts."""
        params = self.step_v.flat.params
        g_f = torch.autograd.grad(forward.sum(), params, retain_graph=True)
        g_b = torch.autograd.grad(backward.sum(), params)
        g = torch.autograd.grad(rest.sum(), params)
        parts = zip(g_f, orthogonal(g_f, g_b), g, strict=True)
        self.step_v.apply([x + y + z for x, y, z in parts])

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The most likely action, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        a = d.mode if noise is None else d.sample(noise)
        return a if self.discrete else a.clamp(-1, 1)
