"""Stock-augmented QR-DQN, of "Optimizing return distributions with distributional dynamic
programming", Pires, Rowland, Borsa, Guo, Khetarpal, Barreto, Abel, Munos & Dabney 2025 (arXiv
2501.13028).

    (1)  c' = (c + r) / γ                                   the stock: c + G = γ (c' + G')
    (2)  U(s, c, a) = (1/m) Σ_i f(c + θ_i(s, c, a))         E f of m quantiles of c + G
    (3)  a* = argmax_a U(s', c', a)                         of the online net, else of θ̄
    (4)  y_j = r + γ θ̄_j(s', c', a*)
    (5)  L = E Σ_i mean_j |τ_i - 1{u_ij < 0}| huber(u_ij),  u_ij = y_j - θ_i(s, c, a)

The stock c is the last number of an observation (`envs.tasks.stocked` appends it to those of any
environment). As (1) tells c' of any c, rows learn about other stocks than theirs: a share `relabel`
has one drawn from `stock_low`..`stock_high`. f(x) is x (`mean`), min(x, 0) (`shortfall`, for CVaR),
-|x| (`homeostasis`), -x² (`quadratic`) or -exp(-risk x) (`exponential`), see `stocked.utilities`.

Differs from the paper's agent: observations are vectors, and the net reads the stock as its
shares of the two nearest of `stock_bins` points, cut off beyond them (the utility has it whole): as
one number it is learnt about ten times as slowly. Adam and ε of DQN.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos.common import either_action, falling_epsilon, multistep, unheld
from rlkit.algos.stocked import checks
from rlkit.algos.stocked.utilities import Utility, utility_of
from rlkit.algos.stocked.utilities import best_cvar as best_cvar
from rlkit.core.batch import Batch
from rlkit.core.lanes import against
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.target import Target
from rlkit.core.words.ranges import Count, Positive, PositiveShare, Real, Share, Widths, checked
from rlkit.nets.action_values import of_action
from rlkit.nets.value_heads import QuantileHead

if TYPE_CHECKING:
    from gymnasium import Env

    from rlkit.core.engine import Source
    from rlkit.data.stock import Stock
    from rlkit.data.store import EpisodeStore

RUN = {"warmup": 1_000, "update_every": 4, "utd": 0.25}

FITS = ("online", "then-online", "offline", "discrete")
COUNTS_REWARD = True  # observations count what the environment has paid


@checked("stock_low < stock_high")
@dataclass(frozen=True)
class Config:
    gamma: PositiveShare = 0.99  # γ, discount
    utility: Utility = "shortfall"  # f of (2)
    risk: Positive = 1.0  # of the exponential utility
    stock_low: Real = -10.0  # least stock that the net tells from others
    stock_high: Real = 10.0  # largest
    stock_bins: Count = 41  # points from one to the other that it is read by; 1: unseen
    relabel: Share = 1.0  # share of rows that learn about another stock than their own
    bins: Count = 51  # m, quantiles
    double: bool = True  # a* of (3) by the online net
    n_step: Count = 1  # rewards in (4) before θ̄; the later ones are those of the row's own stock
    huber: Positive = 1.0  # where the loss turns linear
    target_period: Count = 100  # updates between moves of the target
    polyak: PositiveShare = 1.0  # size of such a move; 1 is a copy
    epsilon: Share = 1.0  # share of random actions at first
    epsilon_last: Share = 0.05  # in the end
    epsilon_updates: Count = 10_000  # updates until then
    lr: Positive = 5e-4  # learning rate
    batch_size: Count = 64  # B, transitions an update
    hidden: Widths = (128, 128)  # widths of the net
    norm: nets.Norm = "none"  # LayerNorm in the net


# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cvar": ({"utility": "shortfall"}, {}),
    "homeostasis": ({"utility": "homeostasis", "gamma": 1.0}, {}),
}


class Agent(Learner):
    """Quantiles `theta` of the return of every action from observation and stock."""

    noise = {"stock": Draw("uniform", "B", 2)}  # another stock, and whether to learn about it
    act_noise = Draw("uniform", "B", 2)  # whether to act at random, and how

    def __init__(self, spec: Spec, c: Config) -> None:
        if len(spec.obs) != 1:
            raise ValueError(f"observations must be vectors, the stock last, not {spec.obs}")
        if c.utility == "exponential" and torch.as_tensor(c.gamma).ne(1).any():
            raise ValueError("a step later the exponential utility is another: give gamma=1")
        self.head = QuantileHead(c.bins, c.huber)
        # Running statistics are of the observation; the stock's points are numbers of its own unit.
        self.running = spec.normaliser is not None
        if spec.normaliser is not None:
            spec.normaliser.users += 1
        seen = dataclasses.replace(spec, obs=(spec.obs[0] - 1 + c.stock_bins,), normaliser=None)
        self.bins = torch.arange(c.stock_bins, dtype=spec.dtype, device=spec.device)
        self.theta = nets.ActionValues(nets.Init(seen), c.hidden, c.bins, c.norm)
        self.theta_bar = Target(self.theta)
        self.step_theta = Adam(self.theta, c.lr)
        self.actions, self.lanes, self.c = spec.act_size, spec.lanes, c
        self.periods = {"target": c.target_period}

    def read(self, s: Tensor, stock: Tensor) -> Tensor:
        """What the net sees `[S, B, obs - 1 + stock_bins]` of observations `[S, B, obs]` with
        stocks `[S, B]` in place of their own; the rest by running statistics, if there are any."""
        place = nets.hats(stock, self.c.stock_low, self.c.stock_high, self.bins)
        rest = (self.normaliser(s) if self.running else s)[..., :-1]
        return torch.cat([rest, place], -1)

    def outputs(self, net: nets.ActionValues | Target, s: Tensor, stock: Tensor) -> Tensor:
        """Quantiles `[S, B, A, m]` of G from observations with these stocks."""
        out: Tensor = net(self.read(s, stock))
        return out

    def utilities(self, out: Tensor, stock: Tensor) -> Tensor:
        """U of every action `[S, B, A]`, eq. (2), of quantiles `[S, B, A, m]`."""
        total = out + stock.unsqueeze(-1).unsqueeze(-1)
        return utility_of(self.c.utility, total, self.c.risk).mean(-1)

    def target(self, b: Batch, stock: Tensor, c: Config) -> Tensor:
        """What the quantiles of (s, stock, a) are to say `[S, B, m]`, eqs. (1), (3), (4)."""
        discount, ended = c.gamma * b.cont, (b.cont == 0).to(b.cont)
        later = (stock + b.r) / (discount + ended)  # (1) over n steps; of an end nothing follows
        out = self.outputs(self.theta_bar, b.s2, later)
        judge = self.outputs(self.theta, b.s2, later) if c.double else out
        best = self.utilities(judge, later).argmax(-1)
        return self.head.target(b.r, discount, of_action(out, best))

    def update(self, b: Batch, c: Config, target: bool = False) -> dict[str, Tensor]:
        """One step on `b`, `[S, B, ...]`, and a copy to the targets when `target`; metrics `[S]`
        from before it."""
        own, drawn = b.s[..., -1], b.noise["stock"]  # type: ignore[index]
        low, high = (against(x, own) for x in (c.stock_low, c.stock_high))
        other = (drawn[..., 1] < against(c.relabel, own)).to(own)
        stock = own + other * (low + (high - low) * drawn[..., 0] - own)
        with torch.no_grad():
            y = self.target(b, stock, c)
        out = of_action(self.outputs(self.theta, b.s, stock), b.a)
        loss = self.step_theta(self.head.loss(out, y).mean(-1))
        out = out.detach()
        utility = utility_of(c.utility, out + stock.unsqueeze(-1), c.risk)
        if target:
            self.theta_bar.follow(self.theta, c.polyak)
        return {
            "q_loss": loss,
            "q": out.mean((-2, -1)),
            "utility": utility.mean((-2, -1)),
            "beyond": ((own < low) | (own > high)).to(own).mean(-1),
            "epsilon": self.epsilon(c).squeeze(-1).expand_as(loss),
        }

    def epsilon(self, c: Config) -> Tensor:
        """Share of random actions; `[]`, or `[S, 1]` where lanes differ in it."""
        return falling_epsilon(c, self.step_theta.steps)

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The action of largest U; with uniform `noise` `[S, B, 2]` a share ε at random."""
        stock = s[..., -1]
        greedy = self.utilities(self.outputs(self.theta, s, stock), stock).argmax(-1)
        return either_action(greedy, noise, self.epsilon(self.c), self.actions)


def select(store: EpisodeStore, c: Config) -> EpisodeStore:
    """All episodes. Raises UsageError where the last number of an observation is no stock."""
    checks.check_store(store, c.gamma)
    return store


def check_env(env: Env, c: Config, name: str) -> None:
    """Raises UsageError for an environment whose observations do not end in a stock."""
    checks.check_env(env, c.gamma, name)


notice = checks.notice


def offline_notice(c: Config) -> str:
    """What to say of values that never meet the environment."""
    return unheld("cql_discrete", "iql")


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Minibatches of n-step transitions. Raises UsageError for scaled rewards or observations of a
    dataset: the stock adds up rewards as the environment pays them."""
    checks.check_units(stock.transforms)
    return multistep(stock, agent, c)
