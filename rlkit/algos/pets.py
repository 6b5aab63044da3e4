"""Probabilistic Ensembles with Trajectory Sampling (PETS), Chua, Calandra, McAllister & Levine 2018
(arXiv 1805.12114), "Deep Reinforcement Learning in a Handful of Trials using Probabilistic Dynamics
Models": no policy and no critic; every action is the first of a plan made in the model.

    (1)  L = Σ_e E [ω_e (μ_e - y)² e^(-l_e) + ω_e l_e] + 0.01 Σ (max_e - min_e) + ½ c ‖W‖²,
         y = (s' - s, r), ω_e the row's number of places in member e's bootstrap, Poisson(1)
    (2)  worth of a plan a_0 .. a_{H-1}:  mean over n members, K particles each, of
         Σ_t r_t Π_{k<t} (1 - p(end | s_{k+1})),   (s_{t+1} - s_t, r_t) ~ N(μ_e, Σ_e)(s_t, a_t)
    (3)  the plan by the cross-entropy method, see `imagination.planning`

p(end | s') is learnt: a task's rule of termination need not be known. A particle stays with its
member (TS∞). All numbers that a plan needs are drawn once for each lane, the same for all plans and
states: the action is a function of the state, and candidates are compared under common luck.

With `closeness` rows are weighed by how near they are to good episodes, the remedy of Lambert et
al. 2020 (arXiv 2002.04523) for the mismatch of likelihood and return, see `imagination.closeness`:
ω_e is then multiplied by the row's weight.

Differs from the paper: the reward is learnt too; a plan begins at 0, not at the plan before moved
by a step; (1) is minimised on minibatches as steps are taken, not anew after each episode; a row's
place in the bootstraps is a function of its number. Differs from mbrl-lib, whose sizes these are:
bounds of the log-variance are learnt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rlkit import nets
from rlkit.algos.imagination.closeness import LookingOn, LookingOnce
from rlkit.algos.imagination.fitting import likelihood, objective, places, squared_error
from rlkit.algos.imagination.planning import Plans, cross_entropy
from rlkit.core.batch import Batch
from rlkit.core.engine import Source
from rlkit.core.errors import UsageError
from rlkit.core.flat import inner
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam, step_jointly
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import (
    Count,
    NonNegative,
    Positive,
    PositiveShare,
    ProperShare,
    Widths,
    checked,
)
from rlkit.data.stock import Stock
from rlkit.nets.dynamics import Dynamics, Prediction

RUN = {"utd": 5.0, "warmup": 500}

FITS = ("online", "offline", "continuous")


@checked()
@dataclass(frozen=True)
class Config:
    horizon: Count = 15  # H, steps of a plan
    population: Count = 350  # candidates of a round
    rounds: Count = 5  # of the cross-entropy method
    elite: PositiveShare = 0.1  # share of the candidates that the next round is drawn around
    momentum: ProperShare = 0.1  # β of the rounds
    particles: Count = 4  # K, particles of each member
    n_models: Count = 5  # n, ensemble size
    deterministic: bool = False  # squared error instead of a Gaussian's likelihood
    bootstrap: bool = True  # members learn from bootstraps; all from all rows without
    closeness: NonNegative = 0.0  # κ: how fast weights fall with the distance from good episodes
    good: PositiveShare = 0.1  # share of the episodes that are good
    hidden: Widths = (200, 200, 200, 200)  # widths of the model
    hidden_end: Widths = (64, 64)  # widths of the net that predicts an episode's end
    lr: Positive = 1e-3  # learning rate of both
    decay: NonNegative = 1e-5  # c of (1)
    batch_size: Count = 256  # B, transitions an update
    model_every: Count = 250  # steps between looks at the inputs' statistics and the weights


_CARTPOLE = {"hidden": (200, 200, 200), "lr": 7.5e-4}
_CHEETAH = {"population": 400, "elite": 0.16, "momentum": 0.12, "horizon": 30}
# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "cartpole": (_CARTPOLE, {}),
    "halfcheetah": (_CHEETAH, {}),
}
_RARE = 5.0  # logits of an end begin below 0 by this


def end_loss(logit: Tensor, cont: Tensor) -> Tensor:  # [..., B] twice -> [...]
    """Cross-entropy of whether an episode ended."""
    ended = (cont == 0).to(logit)
    return F.binary_cross_entropy_with_logits(logit, ended, reduction="none").mean(-1)


def decayed(model: Dynamics, c: float | Tensor) -> Tensor:
    """½ c ‖W‖² of each lane `[S]`."""
    weights = list(model.weights)
    squares = inner(weights, weights)
    return 0.5 * (c.reshape(-1) if isinstance(c, Tensor) else c) * squares


class Agent(Learner):
    """The model, a net that predicts ends, and a planner; `act` plans anew at every state."""

    def __init__(self, spec: Spec, c: Config) -> None:
        self.model = Dynamics(spec, c.hidden, c.n_models, c.n_models, c.deterministic)
        self.ends = nets.Value(nets.Init(spec), c.hidden_end)
        self.plans = Plans(spec, c)
        self.step_model, self.step_ends = Adam(self.model, c.lr), Adam(self.ends, c.lr)
        self.seeds = torch.tensor(spec.seeds, device=spec.device)
        self.best = max(1, round(c.elite * c.population))
        self.momentum = c.momentum

    def update(self, b: Batch, c: Config) -> dict[str, Tensor]:
        """One step of the model and of the ends on `b`, `[S, B, ...]`; metrics `[S]` from before
        it."""
        x = torch.cat([b.s, b.a], -1)
        y = torch.cat([b.s2 - b.s, b.r.unsqueeze(-1)], -1).unsqueeze(1)
        omega = torch.ones_like(b.r).unsqueeze(1)
        if c.bootstrap and b.index is not None:
            omega = places(b.index, self.seeds, c.n_models).to(b.r)
        if b.w is not None:
            omega = omega * b.w.unsqueeze(1)
        error = squared_error if c.deterministic else likelihood
        told: list[Tensor] = []

        def weighed(prediction: Prediction, y: Tensor, rows: Tensor) -> Tensor:
            told.append(error(prediction, y, rows).detach())
            return omega * error(prediction, y, rows)

        loss = objective(self.model, x, y, omega, weighed) + decayed(self.model, c.decay)
        ended = end_loss(self.ends(b.s2) - _RARE, b.cont)
        step_jointly((self.step_model, loss), (self.step_ends, ended))
        return {"model_nll": told[0].mean((-2, -1)), "end_loss": ended.detach()}

    def worth(self, s: Tensor, plans: Tensor) -> Tensor:
        """Eq. (2) `[S, B, P]` of plans `[S, B, P, H, A]` from states `[S, B, D]`."""
        n, k = self.model.n, self.plans.luck.shape[-2]
        lanes, rows, many = plans.shape[:3]
        x = (
            s[:, None, :, None, None]
            .expand(-1, n, -1, many, k, -1)
            .reshape(lanes, n, -1, s.shape[-1])
        )
        alive = torch.ones_like(x[..., 0])
        total = torch.zeros_like(alive)
        for t in range(plans.shape[3]):
            a = plans[:, None, :, :, None, t].expand(-1, n, -1, -1, k, -1)
            told = self.model.predict(torch.cat([x, a.reshape(lanes, n, -1, a.shape[-1])], -1))
            luck = self.plans.luck[:, t].expand(-1, -1, rows * many, -1, -1).flatten(2, 3)
            drawn = told.mean + told.std * luck
            x, r = x + drawn[..., :-1], drawn[..., -1]
            total = total + alive * r
            logit = self.ends(x.flatten(1, 2)).view_as(alive) - _RARE
            alive = alive * (-logit).sigmoid()
        return total.view(lanes, n, rows, many, k).mean((1, 4))

    @torch.no_grad()
    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The first action of the best plan `[S, B, A]`; there is nothing to sample."""
        plan = cross_entropy(
            lambda plans: self.worth(s, plans),
            self.plans.candidates,
            s.shape[1],
            self.best,
            self.momentum,
        )
        return plan[:, :, 0]


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Real rows, weighed when asked. Raises UsageError for a dataset beside an environment."""
    if stock.data is not None and stock.replay is not None:
        raise UsageError(
            "the dynamics model is fitted to a dataset or to an environment's steps, not to both; "
            "give one of them"
        )
    kind = LookingOn if stock.data is None else LookingOnce
    return kind(stock, agent.model, c)
