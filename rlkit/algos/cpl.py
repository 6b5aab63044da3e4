"""Contrastive Preference Learning, Hejna et al. 2024 (arXiv 2310.13639): no reward, no values.

Regret preferences compare sums of optimal advantages, and under maximum entropy A*(s, a) =
α log π*(a|s), so the policy itself is the model of the choice. With ψ(σ) = Σ_t γ^t α log π(a_t|s_t)
of a segment σ, w the preferred one of a pair and l the other:

    (1)  L = E -log e^ψ(w) / (e^ψ(w) + e^(λ ψ(l)))                     0 < λ <= 1, conservative
    (2)  ψ with log π(a|s) - log π_ref(a|s) in the place of log π      `reference`, CPL_KL
    (3)  L + c L_BC, L_BC = -E log π(a|s) over all steps of the pair    `bc_coeff`, CPL_BC

The first `bc_steps` updates clone all segments (L_BC alone); then π_ref is the policy of that
moment, Adam begins anew, and (1) takes over. λ < 1 takes off that a constant added to every
log π changes nothing: then the loss also falls as both segments become more likely.

Differs from the authors' code: γ is there, and 1 by default, which is the code; labels are of fixed
pairs, not of all pairs of a ranked batch; no dropout; the rate warms up before the switch too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.preference.feedback import Preferences
from rlkit.algos.preference.links import biased_loss
from rlkit.algos.preference.offline import Feedback
from rlkit.algos.preference.statistics import discounted, total
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam, rising
from rlkit.core.spec import Spec
from rlkit.core.target import Target
from rlkit.core.words.ranges import Count, Natural, NonNegative, Positive, Share, Widths, checked
from rlkit.data.stock import Stock

FITS = ("offline", "continuous", "discrete")


@checked(idle={"preferences": "pairs length teacher advantages"})
@dataclass(frozen=True)
class Config:
    pairs: Count = 400  # pairs of segments a lane asks about
    length: Count = 64  # H, steps of a segment
    teacher: str = "regret"  # who answers: rational, noisy:1, mistaken:0.1, ...; regret is theory
    advantages: str | None = None  # .npy of A*(s, a) a row, for a teacher by regret; None: estimate
    preferences: str | None = None  # file of labelled pairs, instead of asking
    policy: Literal["deterministic", "gaussian", "tanh_gaussian"] = "deterministic"  # head
    alpha: Positive = 0.1  # α, temperature: a score is α Σ log π
    bias: NonNegative = 0.5  # λ, weight of the loser's score
    gamma: Share = 1.0  # γ within a segment
    bc_coeff: NonNegative = 0.0  # c, weight of cloning beside (1)
    reference: bool = False  # compare with the cloned policy, eq. (2)
    bc_steps: Natural = 20_000  # updates of cloning before the first comparison
    warmup_steps: Natural = 1_000  # updates over which the learning rate grows to lr
    lr: Positive = 1e-4  # learning rate
    batch_size: Count = 96  # B, pairs an update
    hidden: Widths = (256, 256)  # widths of the policy net


_HEADS = {
    "deterministic": nets.DeterministicActor,
    "gaussian": nets.GaussianActor,
    "tanh_gaussian": nets.TanhGaussianActor,
}


class Pairs(NamedTuple):
    """What `Agent` learns from: labelled pairs of segments."""

    s: Tensor  # [S, B, 2, H, *obs]
    a: Tensor  # [S, B, 2, H, A], or [S, B, 2, H] int64
    mask: Tensor  # [S, B, 2, H] bool, real steps
    y: Tensor  # [S, B], P(second preferred)
    w: Tensor  # [S, B], weight of the pair
    contrast: Tensor  # [S, B], 1: compare, eq. (1); 0: clone only
    noise: dict[str, Tensor] | None = None


def log_prob(d: Any, a: Tensor) -> Tensor:
    """log π(a|s) of a policy's distribution; -|π(s) - a|² for a deterministic one."""
    return -(d.mode - a).square().sum(-1) if isinstance(d, nets.Point) else d.log_prob(a)


def contrast_loss(score: Tensor, y: Tensor, bias: float | Tensor) -> Tensor:
    """Eq. (1) of scores ψ `[..., B, 2]`, for each pair `[..., B]`."""
    first, second = score.unbind(-1)
    return biased_loss(first, second, y, bias)


def clone_loss(log_probs: Tensor, mask: Tensor) -> Tensor:
    """-log π averaged over the steps of both segments, `[..., B, 2, H]` to `[..., B]`."""
    return -total(log_probs, mask).sum(-1) / mask.sum((-2, -1))


class Agent(Learner):
    """A policy `pi` learnt from pairs of segments."""

    def __init__(self, spec: Spec, c: Config) -> None:
        actor = nets.CategoricalActor if spec.discrete else _HEADS[c.policy]
        self.pi = actor(nets.Init(spec), c.hidden)
        self.reference = Target(self.pi) if c.reference else None
        self.step_pi = Adam(self.pi, c.lr, schedule=rising(c.warmup_steps))
        self.act_noise = self.pi.noise

    def begin_contrast(self) -> None:
        """The switch from cloning to comparing: a new optimiser, and the reference is now."""
        self.step_pi.forget()
        if self.reference is not None:
            self.reference.follow(self.pi)

    def update(self, b: Pairs, c: Config) -> dict[str, Tensor]:
        """One step on pairs of segments (first cloning, then preferences); metrics `[S]` from
        before it."""
        s, a = b.s.flatten(1, 3), b.a.flatten(1, 3)
        log_pi = log_prob(self.pi(s), a).view(b.mask.shape)  # [S, B, 2, H]
        ratio = log_pi
        if self.reference is not None:
            with torch.no_grad():
                log_ref = log_prob(self.reference(s), a).view(b.mask.shape)
            ratio = log_pi - log_ref
        score = discounted(against(c.alpha, ratio) * ratio, b.mask, c.gamma)  # [S, B, 2]
        clone = clone_loss(log_pi, b.mask)
        compare = contrast_loss(score, b.y, c.bias) + c.bc_coeff * clone
        loss = b.w * (b.contrast * compare + (1 - b.contrast) * clone)
        decided = b.w * (b.y != 0.5)
        right = decided * ((score[..., 1] > score[..., 0]) == (b.y > 0.5))
        return {
            "pi_loss": self.step_pi(loss.mean(-1)),
            "clone_loss": clone.detach().mean(-1),
            "accuracy": right.sum(-1) / decided.sum(-1).clamp(min=1e-6),
        }

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The most likely action, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)


class Source:
    """Minibatches of answered pairs, each as likely as any other."""

    preferences: Preferences

    def __init__(self, stock: Stock, agent: Agent, c: Config) -> None:
        self.feedback = Feedback(stock, c, "cpl")
        self.stock, self.agent, self.batch_size = stock, agent, c.batch_size
        self.beginning, self.every = self.feedback.beginning, c.bc_steps
        shape, first = (stock.spec.lanes, c.batch_size), float(c.bc_steps == 0)
        self.contrast = torch.full(shape, first, device=stock.spec.device, dtype=stock.spec.dtype)

    def begin(self) -> None:
        self._take(self.feedback.gather())

    def _take(self, preferences: Preferences) -> None:
        self.preferences = preferences
        answered = (preferences.w > 0).expand(self.stock.spec.lanes, -1).cpu().numpy()
        self._count = answered.sum(1)
        self._order = np.argsort(~answered, axis=1, kind="stable")  # answered ones first

    def advance(self, step: int) -> dict[str, Tensor]:
        """At update `bc_steps`: from cloning to comparing."""
        if step == self.every:
            self.contrast.fill_(1)
            self.agent.begin_contrast()
        return {}

    def indices(self, step: int, count: int) -> Tensor:
        u = self.stock.streams.draw("batch", "uniform", step, (self.batch_size,), count)
        rank = (u * self._count[:, None]).astype(np.int64)  # [count, S, B]
        lane = np.arange(len(self._count))[:, None]
        return torch.from_numpy(self._order[lane, rank]).to(self.stock.spec.device)

    def batch(self, index: Tensor) -> Pairs:
        owners, n = self.preferences.y.shape
        flat = (index + n * torch.arange(owners, device=index.device).unsqueeze(-1)).reshape(-1)
        taken = (x.flatten(0, 1).index_select(0, flat) for x in self.preferences)
        s, a, mask, y, w = (x.unflatten(0, index.shape) for x in taken)
        return Pairs(s, a, mask, y, w, self.contrast)

    def state_dict(self) -> dict[str, Tensor]:
        answers = self.feedback.state_dict()
        return answers | {"contrast": self.contrast} if answers else {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.feedback.load_state_dict(state)
        assert self.feedback.preferences is not None
        self._take(self.feedback.preferences)
        self.contrast.copy_(state["contrast"])


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Cut segments from the dataset, ask about pairs of them, and feed the answers."""
    return Source(stock, agent, c)
