"""Sequence Reinforcement Learning, Patel & Siegelmann 2025 (arXiv 2410.08979): SAC whose policy
decides J actions at once, in a recurrent layer that is fed with its own actions.

    (1)  π(a_1 .. a_J | s, a_0):  h_0 = W_2 relu(W_1 s),  h_j = GRU(a_{j-1}, h_{j-1}),  a_j ~ N(h_j)
    (2)  y = r + γ (min_i Q̄_i(s', a') - α log π(a' | s', a)),   a' the first action at s'
    (3)  L_Q = E Σ_i (Q_i(s, a) - y)²,                          values of single actions
    (4)  L_f = E |f(s, a) - s'|²,                               a model of the next state
    (5)  L_π = E Σ_j [α log π(a_j | ..) - min_i Q_i(ŝ_j, a_j)],  ŝ_1 = s, ŝ_{j+1} = f̄(ŝ_j, a_j)
    (6)  L_α = -log α · E [mean_j log π(a_j | ..) + H̄]

In (5), temporal recall, no gradient passes through the model. a_0 is the action before, 0 at an
episode's beginning. The policy acts without a model: it decides once in J steps and does not look
between (`closed`: in every step). J = 1 is SAC whose policy sees the action before. Scores over
frequencies of deciding: `rlkit.eval.frequency`. The paper has J of 2, 4, 8, 16.

Differs from the authors' code: the loop that collects is not in it, so deciding once in J steps
there is ours; the model learns from the same minibatch; (6) descends on log α.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.algos.common import q_loss, step_policy
from rlkit.algos.sac import alpha_loss, pi_loss
from rlkit.core.batch import Batch
from rlkit.core.history import Past
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
    Real,
    Share,
    Widths,
    checked,
)

if TYPE_CHECKING:
    from rlkit.core.engine import Source
    from rlkit.data.stock import Stock

FITS = ("online", "continuous")


@checked()
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99  # γ, discount
    length: Count = 8  # J, actions of a sequence
    closed: bool = False  # decide in every step, not once in J
    polyak: PositiveShare = 0.005  # step of the targets of critics and model
    alpha: NonNegative = 1.0  # α, temperature; its first value when it is learnt
    learn_alpha: bool = True  # adapt α to the target entropy
    entropy: Real = -1.0  # H̄ a dimension: the target entropy is this times the dimensions
    lr: Positive = 3e-4  # learning rate of the policy
    lr_q: Positive = 3e-4  # learning rate of the critics
    lr_alpha: Positive = 3e-4  # learning rate of the temperature
    lr_model: Positive = 3e-4  # learning rate of the model
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of the policy's net, the last one its GRU's
    hidden_q: Widths = (256, 256)  # widths of the critics
    hidden_model: Widths = (400, 300)  # widths of the model
    log_std: tuple[Real, Real] = (-20.0, 2.0)  # bounds of the policy's log standard deviation


# name -> fields of Config, options of the run; all else of the paper's are the defaults
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "pendulum": ({}, {"warmup": 1_000}),
    "mujoco": ({}, {"warmup": 10_000}),
}


def model_loss(told: Tensor, s2: Tensor) -> Tensor:  # [..., B, D] -> [...]
    """Squared error of the next state, eq. (4), a mean over its dimensions."""
    return (told - s2).square().mean((-2, -1))


class Model(nn.Module):
    """The next state `[S, B, D]` of a state and an action."""

    def __init__(self, init: nets.Init, hidden: tuple[int, ...]) -> None:
        super().__init__()
        if len(init.spec.obs) != 1:
            raise ValueError(f"srl predicts vectors, not observations of shape {init.spec.obs}")
        size = init.spec.obs_size
        self.mlp = nets.MLP(init, size + init.spec.act_size, hidden, size)

    def forward(self, s: Tensor, a: Tensor) -> Tensor:
        return self.mlp(torch.cat([s, a], -1))


class Agent(Learner):
    """Policy of sequences `pi`, critics `q` and model `model` with targets, a temperature."""

    act_noise = Draw("normal", "B", "A")

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.SequenceActor(init, c.hidden, c.log_std)
        self.q, self.model = nets.Critic(init, c.hidden_q, 2), Model(init, c.hidden_model)
        self.q_bar, self.model_bar = Target(self.q), Target(self.model)
        self.log_alpha = nets.Scalar(init, torch.as_tensor(c.alpha, dtype=torch.float64).log())
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.step_model = Adam(self.model, c.lr_model)
        self.step_alpha = Adam(self.log_alpha, c.lr_alpha)
        self.act_size, self.length, self.closed = spec.act_size, c.length, c.closed
        self.noise = {"next": Draw("normal", "B", "A"), "now": Draw("normal", "B", c.length, "A")}
        self.history = 1 if c.closed else c.length

    def update(self, b: Batch, c: Config) -> dict[str, Tensor]:
        """One step of all nets on `b`, `[S, B, ...]`, and the targets; metrics `[S]` before it."""
        assert b.noise is not None
        alpha = self.log_alpha().exp().detach()  # [S, 1]
        with torch.no_grad():
            a2, log_prob2 = self.pi(b.s2, b.a).sample_log_prob(b.noise["next"])
            v2 = self.q_bar(b.s2, a2).amin(-2) - alpha * log_prob2
            y = b.r + c.gamma * b.cont * v2
        metrics = {"q": y.mean(-1), "q_loss": self.step_q(q_loss(self.q(b.s, b.a), y))}
        metrics["model_loss"] = self.step_model(model_loss(self.model(b.s, b.a), b.s2))
        loss, log_prob = self.recall(b, alpha)
        entropy = -log_prob.detach()
        rise = alpha_loss(self.log_alpha(), -entropy, c.entropy * self.act_size)
        metrics["pi_loss"] = step_policy(self, loss, rise, c.learn_alpha)
        self.q_bar.follow(self.q, c.polyak)
        self.model_bar.follow(self.model, c.polyak)
        return metrics | {"entropy": entropy.mean(-1), "alpha": alpha.squeeze(-1)}

    def recall(self, b: Batch, alpha: Tensor) -> tuple[Tensor, Tensor]:
        """The loss (5) `[S]`, and log-densities `[S, B]`, a mean over the sequence."""
        assert b.noise is not None
        assert b.before is not None
        s, before, h = b.s, b.before, self.pi.begin(b.s)
        loss, total = torch.zeros_like(b.r[..., 0]), torch.zeros_like(b.r)
        for j in range(self.length):
            h = self.pi.step(before, h)
            before, log_prob = self.pi.of(h).sample_log_prob(b.noise["now"][:, :, j])
            loss = loss + pi_loss(self.q(s, before), log_prob, alpha)
            total = total + log_prob
            with torch.no_grad():
                s = self.model_bar(s, before)
        return loss, total / self.length

    def plan(self, s: Tensor, before: Tensor, count: int) -> Tensor:
        """The next `count` actions `[S, B, count, A]` at `s` after the action `before`, each the
        mode of its distribution."""
        h, actions = self.pi.begin(s), []
        for _ in range(count):
            h = self.pi.step(before, h)
            before = self.pi.of(h).mode
            actions.append(before)
        return torch.stack(actions, 2)

    def act(self, s: Tensor, noise: Tensor | None = None, past: Past | None = None) -> Tensor:
        """The action whose turn it is in the sequence decided in a step of `past` or now (without
        `past` `s` begins an episode); a sample when `noise` `[S, B, A]` is given."""
        if past is None:
            first = self.pi.begin(s)
            nothing = self.pi.of(first).mean * 0  # zeros, by operations that exported policies have
            d = self.pi.of(self.pi.step(nothing, first))
        else:
            d = self.pi.of(self.state(s, past))
        return d.mode if noise is None else d.sample(noise)

    def state(self, s: Tensor, past: Past) -> Tensor:
        """h_j `[S, B, H]` where j - 1 steps have passed since a sequence was decided."""
        steps = self.history
        done = torch.zeros_like(past.t) if self.closed else past.t % self.length  # [S, B]
        seen = torch.cat([past.s, s.unsqueeze(2)], 2)  # of it the decision saw number steps - done
        h = self.pi.begin(_at(seen, steps - done))
        for j in range(steps):
            after = self.pi.step(_at(past.a, (steps - done - 1 + j).clamp(max=steps - 1)), h)
            h = torch.where((j <= done).unsqueeze(-1), after, h)
        return h


def _at(x: Tensor, index: Tensor) -> Tensor:
    """`x` `[S, B, K, D]` at `index` `[S, B]`: `[S, B, D]`."""
    where = index.view(*index.shape, 1, 1).expand(-1, -1, 1, x.shape[-1])
    return x.gather(2, where).squeeze(2)


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Rows that were collected, with the action before each."""
    from rlkit.data.sampling.preceding import Preceded

    assert stock.replay is not None
    return Preceded(stock.replay, c.batch_size, stock.streams)
