"""Decision Transformer, Chen et al. 2021 (arXiv 2106.01345): no values; the policy is cloned given
the return that followed, and is asked for a high one.

    (1)  R_t = Σ_{k>=t} r_k, the return to go;   tokens (R_t / R_unit, s_t, a_t) of K steps in time
         order, each a linear map of its number(s) plus an embedding of t, then LayerNorm
    (2)  π(.|R_{t-K+1}, s_{t-K+1}, a_{t-K+1}, ..., R_t, s_t) from a causal transformer's token s_t
    (3)  L = E mean_d (π_d - a_d)², discrete: -E log π(a), over the real steps of windows
    (4)  acting: R_0 = R*, R_{t+1} = R_t - r_t

R* is `target` between the lowest and the highest return of the data (1 is the highest), or with
`relative` off the return itself, in units of the rewards that the agent sees. What return followed
need not be what the action earned: where luck decides, asking for a high return asks for luck, and
(2) gives the actions that were taken in lucky episodes (Yang et al. 2022, arXiv 2210.13435).
Without `condition` a 0 stands in the place of R, and this is cloning with a transformer.

As in the authors' code for Gym all weights decay and the rate warms up. Differs from it: R_unit is
by default the data's largest |return|, theirs is 1000; first weights are uniform on ±1/√in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rlkit import nets
from rlkit.core.errors import UsageError
from rlkit.core.history import Past, until
from rlkit.core.lanes import in_use
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam, rising
from rlkit.core.spec import Spec
from rlkit.core.streams import Draw
from rlkit.core.words.ranges import (
    Count,
    Natural,
    NonNegative,
    Positive,
    ProperShare,
    Real,
    checked,
    idle_beside,
)
from rlkit.core.words.windows import long_windows
from rlkit.nets.sequences.returns import Steps

if TYPE_CHECKING:
    from rlkit.core.engine import Source
    from rlkit.data.stock import Stock
    from rlkit.data.store import EpisodeStore

FITS = ("offline", "continuous", "discrete")


@checked()
@dataclass(frozen=True)
class Config:
    gamma = 1.0  # no field: returns to go are not discounted
    target: Real = 1.0  # R*, return that is asked for
    relative: bool = True  # R* is a share of the way from the data's lowest return to its highest
    unit: NonNegative = 0.0  # R_unit, return that counts as 1; 0: the data's largest |return|
    condition: bool = True  # on the return to go; without it this is cloning
    context: Count = 20  # K, steps that the policy sees
    max_steps: Count = 1000  # longest episode, times of which have an embedding
    width: Count = 128  # D of a token
    layers: Count = 3  # blocks of the transformer
    heads: Count = 1  # of its attention
    dropout: ProperShare = 0.1  # share dropped
    lr: Positive = 1e-4  # learning rate
    warmup_steps: Natural = 10_000  # updates over which the learning rate grows to lr
    weight_decay: NonNegative = 1e-4  # of all weights, apart from the gradient (AdamW)
    clip: Positive = 0.25  # bound of the gradient's norm
    batch_size: Count = 64  # B, windows an update

    def outset(self, rows: int, longest: int, steps: int) -> str:
        """What an update reads of a dataset, where windows are longer than the default."""
        return long_windows(self.batch_size, self.context, Config.context, 3, longest)


_NORMALISED = {"normalise_obs": True}
_GYM = {"relative": False, "unit": 1000.0, "context": 20}
# name -> fields of Config, options of the run; the authors' for the data of D4RL
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "hopper": (_GYM | {"target": 3600.0}, _NORMALISED),
    "halfcheetah": (_GYM | {"target": 12000.0}, _NORMALISED),
    "walker2d": (_GYM | {"target": 5000.0}, _NORMALISED),
    "cloning": ({"condition": False}, {}),
}


class Agent(Learner):
    """A policy `pi` given the return to go; the data's lowest and highest return, `low` and
    `high`, and R_unit, `unit`, are set by `aim`."""

    columns = ("t", "mc_return")

    def __init__(self, spec: Spec, c: Config) -> None:
        init = nets.Init(spec)
        self.pi = nets.ReturnConditioned(init, c.context, c.max_steps, c.width, c.layers, c.heads)
        self.low, self.high, self.unit = (nets.Scalar(init, x) for x in (0.0, 1.0, 1.0))
        grow = rising(c.warmup_steps)
        self.step_pi = Adam(self.pi, c.lr, clip=c.clip, weight_decay=c.weight_decay, schedule=grow)
        dropped = Draw("uniform", "B", self.pi.body.uniforms)
        self.noise = {"dropout": dropped} if in_use(c.dropout) else {}
        self.act_noise = (nets.CategoricalActor if spec.discrete else nets.DeterministicActor).noise
        self.history, self.context = max(1, c.context - 1), c.context
        self.condition, self.target, self.discrete = c.condition, c.target, spec.discrete

    @torch.no_grad()
    def aim(self, low: float, high: float, unit: float | Tensor) -> None:
        """From now on a target of 0 asks for the return `low` and 1 for `high`, and R_unit is
        `unit`, a number or one a lane `[S, 1]`."""
        for part, value in ((self.low, low), (self.high, high), (self.unit, unit)):
            part.value.copy_(torch.as_tensor(value))

    def policy(
        self, x: Steps, u: Tensor | None = None, dropout: float | Tensor = 0.0
    ) -> nets.Point | nets.Categorical:
        """The policy at every step of the windows, `[S, B, K, A]`."""
        scaled = x.to_go / self.unit().detach().unsqueeze(-1)
        shown = scaled if self.condition else torch.zeros_like(scaled)
        return self.pi(x._replace(to_go=shown * x.mask), u, dropout)

    def update(self, b: Steps, c: Config) -> dict[str, Tensor]:
        """One step on windows, `[S, B, K, ...]`; losses `[S]` from before it."""
        u = b.noise["dropout"] if b.noise else None
        d = self.policy(b, u, c.dropout)
        if isinstance(d, nets.Categorical):
            losses = -d.log_prob(b.a)
        else:
            losses = (d.mode - b.a).square().mean(-1)
        mean = (b.mask * losses).sum((-2, -1)) / b.mask.sum((-2, -1)).clamp(min=1)
        return {"pi_loss": self.step_pi(mean)}

    def act(self, s: Tensor, noise: Tensor | None = None, past: Past | None = None) -> Tensor:
        """The most likely action given R*, or a sample with `noise` `[S, B, A]`, after the steps
        of `past`; without them `s` begins an episode."""
        d = self.policy(self.window(s, past))
        every = d.mode if noise is None else d.sample(noise.unsqueeze(2))
        return every[:, :, -1]

    def window(self, s: Tensor, past: Past | None) -> Steps:
        """The window that ends with observations `s` `[S, B, *obs]`, its returns by eq. (4)."""
        low, lead = self.low(), s.shape[:2]
        to_go = (low + self.target * (self.high() - low)).expand(lead)
        zero = torch.zeros(lead, dtype=torch.int64, device=s.device)
        a = zero if self.discrete else s.new_zeros(*lead, self.pi.act_size)  # no token sees it
        here = torch.ones_like(zero, dtype=torch.bool)
        if past is None:
            return Steps._make([*(x.unsqueeze(2) for x in (s, a, to_go, zero, here)), None])
        to_go = to_go - past.gained
        earned = past.r.flip(-1).cumsum(-1).flip(-1)  # from each step on
        t = past.t.unsqueeze(-1) - torch.arange(self.history, 0, -1, device=s.device)
        then = (past.s, past.a, to_go.unsqueeze(-1) + earned, t.clamp(min=0), past.mask)
        pairs = zip((s, a, to_go, past.t, here), then, strict=True)
        return Steps._make([*(until(now, old, self.context) for now, old in pairs), None])


def notice(metrics: Mapping[str, Any], c: Config) -> str:
    """What of the return asked for nobody reads, or is no share though it should be, or ""."""
    if metrics:
        return ""
    asked = float(torch.as_tensor(c.target).abs().max())
    if c.condition and c.relative and asked > 10:
        return (
            f"target {asked:g} is {asked:g} times the way from the data's lowest return to its "
            "highest; to ask for that return itself give --config.relative False"
        )
    return idle_beside(c, "condition=False", "target relative unit")


def select(store: EpisodeStore, c: Config) -> EpisodeStore:
    """All episodes. Raises UsageError for one that is longer than `max_steps`."""
    longest = int(store.lengths.max())
    if longest > c.max_steps:
        raise UsageError(
            f"the longest episode has {longest:,} steps, config.max_steps is {c.max_steps:,}; "
            f"give --config.max-steps {longest}"
        )
    return store


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Windows of the dataset, begun at any row alike, padded on the left; the goals of `agent`."""
    from rlkit.data.sampling.windows import Window, Windows

    def steps(w: Window) -> Steps:
        return Steps(w.s, w.a, w.columns["mc_return"], w.columns["t"].long(), w.mask)

    assert stock.data is not None
    data = stock.data
    returns = data.rows("mc_return")[data.rows("t") == 0]
    low, high, largest = (float(x) for x in (returns.min(), returns.max(), returns.abs().max()))
    goals = (low, high) if c.relative else (0.0, 1.0)
    unit = torch.as_tensor(c.unit)
    agent.aim(*goals, torch.where(unit > 0, unit, largest or 1.0))
    return Windows(data, c.batch_size, stock.streams, c.context, pad="left", form=steps)
