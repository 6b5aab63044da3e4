"""Reach-Aware Value Learning, Sims et al. 2024, "The Edge-of-Reach Problem in Offline Model-Based
Reinforcement Learning" (arXiv 2402.12527).

States that rollouts of k steps meet in their last step only are bootstrapped from but never learnt,
and their values, whatever they happen to be, spread; with the true dynamics as well, where MOPO's
penalty is zero. So the model is rolled out as it is (see `mbpo`), and an ensemble of critics that
disagree where they have not learnt is pessimistic about such states, as in EDAC (An et al. 2021,
arXiv 2110.01548):

    (1)  y = r + γ (min_j Q̄_j(s', a') - α log π(a'|s')),    a' ~ π(s')
    (2)  L_Q = E Σ_j (Q_j(s, a) - y)² + η E Σ_{i≠j} ⟨ĝ_i, ĝ_j⟩ / (N - 1),  ĝ_j along ∇_a Q_j
    (3)  L_π = E [α log π(ã|s) - min_j Q_j(s, ã)],           ã ~ π(s), reparameterised
    (4)  L_α = -log α · E [log π(ã|s) + H̄]

Without rollouts (`real_ratio` 1) this is EDAC, with η 0 SAC-N, with two critics SAC as well.

Differs from the authors' code: order of a step as in `sac`; weights begin as torch's (theirs have
hidden biases of 0.1 and last layers within 0.003); the model is fitted as `imagination.fitting`
says, without their 350 epochs at the least and without clipped inputs; `rollouts` is 10,000, not
50,000.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import q_loss
from rlkit.algos.imagination.rollout import Hooks, environment_end, one_elite
from rlkit.algos.imagination.source import minibatches
from rlkit.algos.sac import alpha_loss, pi_loss
from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.lanes import against
from rlkit.core.optim import Adam, step_jointly
from rlkit.core.ranges import (
    Count,
    Natural,
    NonNegative,
    NonNegatives,
    OpenShare,
    Positive,
    PositiveShare,
    Real,
    Several,
    Share,
    Widths,
    checked,
)
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.target import Target
from rlkit.data.stock import Stock

_TINY = 1e-10  # a critic that is flat in the action has no direction


@checked("n_elites <= n_models")
@dataclass(frozen=True)
class Config:
    n_critics: Several = 10  # N, ensemble size
    diversity: NonNegative = 1.0  # η of eq. (2)
    length: Count = 5  # k, steps of a rollout
    gamma: Share = 0.99  # γ, discount
    polyak: PositiveShare = 0.005  # step of the target critics towards the critics
    alpha: NonNegative = 1.0  # α, temperature; its first value when it is learnt
    learn_alpha: bool = True  # adapt α to the target entropy
    entropy: Real = -1.0  # H̄ a dimension: the target entropy is this times the dimensions
    lr: Positive = 3e-4  # learning rate of the policy
    lr_q: Positive = 3e-4  # learning rate of the critics
    lr_alpha: Positive = 3e-4  # learning rate of the temperature
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256, 256)  # widths of policy and critics
    real_ratio: Share = 0.05  # share of the dataset's rows in a minibatch; 1 is EDAC
    model_every: Count = 1000  # updates between rounds of rollouts
    rollouts: Count = 10_000  # states rolled out in a round
    retain: Count = 5  # rounds whose rows are kept
    n_models: Count = 7  # ensemble size of the model
    n_elites: Count = 5  # members that predict
    deterministic: bool = False  # squared error instead of a Gaussian's likelihood
    hidden_model: Widths = (200, 200, 200, 200)  # widths of the model
    lr_model: Positive = 1e-3  # learning rate of the model
    decay_model: NonNegatives = (2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4)  # of each layer's weights
    batch_model: Count = 256  # rows of a model update, for each member
    holdout: OpenShare = 0.2  # share of the rows kept for validation
    max_holdout: Count = 1000  # most rows kept for validation
    patience: Natural = 5  # epochs without progress before the fit ends
    max_epochs: Count = 200  # of the fit


def values_and_slopes(q: nets.Critic, s: Tensor, a: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Q_j(s, a) `[S, n, B]` and ∇_a Q_j(s, a) `[S, n, B, A]`; both can be differentiated again."""
    own = a.detach().unsqueeze(1).expand(-1, n, -1, -1).clone().requires_grad_()  # one a member
    x = torch.cat([s.unsqueeze(1).expand(-1, n, -1, -1), own], -1)
    qs = q.mlp(x).squeeze(-1)
    (slopes,) = torch.autograd.grad(qs.sum(), own, create_graph=True)
    return qs, slopes


def alike(slopes: Tensor) -> Tensor:  # [..., n, B, A] -> [...]
    """Second term of eq. (2) without η: the n members' mean likeness of direction to the others,
    summed. n for members that are alike, 0 for orthogonal ones, never below -n / (n - 1)."""
    n = slopes.shape[-3]
    unit = slopes / (slopes.norm(dim=-1, keepdim=True) + _TINY)
    pairs = unit.sum(-3).square().sum(-1) - unit.square().sum((-3, -1))  # [..., B], i ≠ j
    return pairs.mean(-1) / (n - 1)


class Agent:
    noise = {"next": Draw("normal", "B", "A"), "now": Draw("normal", "B", "A")}
    act_noise = nets.TanhGaussianActor.noise

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.TanhGaussianActor(init, c.hidden, log_std_bounds=(-5.0, 2.0))
        self.q = nets.Critic(init, c.hidden, c.n_critics)
        self.q_bar = Target(self.q)
        self.log_alpha = nets.Scalar(init, torch.as_tensor(c.alpha, dtype=torch.float64).log())
        self.step_pi, self.step_q = Adam(self.pi, c.lr), Adam(self.q, c.lr_q)
        self.step_alpha = Adam(self.log_alpha, c.lr_alpha)
        self.act_size = spec.act_size

    def update(self, b: Batch, c: Config) -> dict[str, Tensor]:
        assert b.noise is not None
        alpha = self.log_alpha().exp().detach()  # [S, 1]
        with torch.no_grad():
            a2, log_prob2 = self.pi(b.s2).sample_log_prob(b.noise["next"])
            q2 = self.q_bar(b.s2, a2)  # [S, n, B]
            y = b.r + c.gamma * b.cont * (q2.amin(-2) - alpha * log_prob2)  # [S, B]
        q, slopes = values_and_slopes(self.q, b.s, b.a, c.n_critics)
        likeness = alike(slopes)
        loss = q_loss(q, y) + against(c.diversity, likeness) * likeness
        metrics = {
            "q_loss": self.step_q(loss),
            "q": y.mean(-1),
            "likeness": likeness.detach(),
            "q2_spread": q2.std(-2, unbiased=False).mean(-1),
        }
        a, log_prob = self.pi(b.s).sample_log_prob(b.noise["now"])
        pi = pi_loss(self.q(b.s, a), log_prob, alpha)
        if c.learn_alpha:
            target = c.entropy * self.act_size
            temperature = alpha_loss(self.log_alpha(), log_prob.detach(), target)
            pi, _ = step_jointly((self.step_pi, pi), (self.step_alpha, temperature))
        else:
            pi = self.step_pi(pi)
        self.q_bar.follow(self.q, c.polyak)
        entropy = -log_prob.detach().mean(-1)
        return metrics | {"pi_loss": pi, "entropy": entropy, "alpha": alpha.squeeze(-1)}

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """tanh of the policy's mean, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Real and imagined minibatches; with `real_ratio` 1 there is no model.

    Raises ValueError for a task whose termination rule is not known.
    """

    def hooks(model: nets.Dynamics) -> Hooks:
        end = environment_end(stock.env_id, stock.transforms, stock.spec)
        return Hooks(one_elite(model), terminate=end)

    return minibatches(stock, agent, c, hooks, (0, 1, c.length, c.length))
