"""Value Gradient weighted Model-Based Reinforcement Learning (VaGraM), Voelcker, Liao, Garg &
Farahmand 2022 (arXiv 2204.01464), "Value Gradient weighted Model-Based Reinforcement Learning".

MBPO (see `mbpo`, whose loop and agent these are) with a model that is fitted where the value of the
next state depends on it, instead of where the data vary:

    (1)  g_m = ∇_{s'} V_m(s') at the real next state, a constant of the fit;
         V_m(s) = Q_m(s, π(s)), π(s) the policy's mean and a constant, for critics and targets
    (2)  L = E [ (1/M) Σ_m Σ_d (g_md (ŝ'_d - s'_d))² + (r̂ - r)² ]
    (3)  rows whose |g_m| exceeds the quantile `clip` of all rows are scaled down to it

with an ensemble of deterministic models; the same loss ranks its members and stops their fit. The
"taylor" form of (2) is IterVAML's to first order, (g_m · (ŝ' - s'))², which is level along all
directions but one. The first `plain_fits` fits add the mean squared error of all dimensions: the
first critics know nothing.

Differs from the authors' code: gradients of the critics are separate (theirs are running sums, as a
buffer is not cleared); (3) is taken over all rows, not over a minibatch, and does clip (theirs
leaves every norm below 1e5); the share of real rows is fixed where theirs falls from 1 to 0.05
during the first epochs; critics are MBPO's, of 2x256, without normalised features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import mbpo
from rlkit.algos.imagination.fitting import Loss, squared_error
from rlkit.algos.imagination.proposals import one_elite
from rlkit.algos.imagination.rollout import Hooks, Terminate
from rlkit.algos.imagination.source import Objective, Rows, minibatches
from rlkit.algos.sac import Agent
from rlkit.core.engine import Source
from rlkit.core.words.ranges import Count, Natural, PositiveShare, checked
from rlkit.data.stock import Stock
from rlkit.nets.dynamics import Prediction

__all__ = ["FITS", "PRESETS", "RUN", "Agent", "Config", "source"]

RUN = mbpo.RUN

FITS = ("online", "continuous")


@checked("subset <= n_critics", "n_elites <= n_models")
@dataclass(frozen=True)
class Config(mbpo.Config):
    form: Literal["gradient", "taylor"] = "gradient"  # of eq. (2)
    clip: PositiveShare = 0.95  # quantile of |g| beyond which rows are scaled down; 1: none
    plain_fits: Natural = 4  # first fits of the model that add the squared error
    deterministic: bool = True  # (2) is of means; a Gaussian's deviation would not be fitted
    batch_model: Count = 1024  # rows of a model update, for each member
    patience: Natural = 10  # epochs without progress before a fit ends


# name -> fields of Config, options of the run
PRESETS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "hopper": ({"rollout_schedule": (20_000, 150_000, 1, 5), "entropy": -0.333}, {}),
    "hopper_distracted": ({"entropy": -0.333}, {}),
}


def value_gradients(agent: Agent, s2: Tensor) -> Tensor:  # [S, B, D] -> [S, M, B, D]
    """g_m of eq. (1): of every critic, then of every target, each for itself."""
    with torch.no_grad():
        a2 = agent.act(s2)
    found = []
    with torch.enable_grad():
        s2 = s2.detach().requires_grad_()
        for critics in (agent.q, agent.q_bar):
            v = critics(s2, a2)  # [S, n, B]
            for m in range(v.shape[1]):
                (g,) = torch.autograd.grad(v[:, m].sum(), s2, retain_graph=m + 1 < v.shape[1])
                found.append(g)
    return torch.stack(found, 1)


def clipped(g: Tensor, share: float | Tensor) -> Tensor:  # [S, M, B, D] -> [S, M, B, D]
    """Eq. (3): rows longer than the quantile `share` of their critic's are as long as it."""
    norm = g.norm(dim=-1, keepdim=True)
    ranked = norm.squeeze(-1).sort(-1).values  # [S, M, B]
    share = torch.as_tensor(share, dtype=g.dtype, device=g.device).reshape(-1, 1, 1)
    place = (share * (g.shape[-2] - 1)).long().expand(*g.shape[:2], 1)
    most = ranked.gather(-1, place).unsqueeze(-1)  # [S, M, 1, 1]
    return g * (most / norm.clamp(min=torch.finfo(g.dtype).tiny)).clamp(max=1)


def weighted(g: Tensor, form: str) -> Loss:
    """Eq. (2) as a loss of a fit, for gradients `g [S, M, N, D]` of all its rows."""
    by_row = g.transpose(1, 2)  # [S, N, M, D]
    lanes = torch.arange(g.shape[0], device=g.device).view(-1, 1, 1)

    def loss(prediction: Prediction, y: Tensor, rows: Tensor) -> Tensor:
        error = prediction.mean - y  # [S, n, b, D + 1]
        slopes = by_row[lanes, rows]  # [S, n, b, M, D]
        moved = slopes * error[..., None, :-1]
        value = moved.sum(-1).square() if form == "taylor" else moved.square().sum(-1)
        return value.mean(-1) + error[..., -1].square()

    return loss


def objective(agent: Agent, c: Config) -> Objective:
    """What a fit minimises: eq. (2), in the beginning with the squared error."""

    def losses(rows: Rows, fits: int) -> tuple[Loss, Loss]:
        s2 = rows.s2.expand(agent._spec.lanes, -1, -1)
        chunks = [value_gradients(agent, part) for part in s2.split(8192, 1)]
        value_aware = weighted(clipped(torch.cat(chunks, 2), c.clip), c.form)

        def eased(prediction: Prediction, y: Tensor, index: Tensor) -> Tensor:
            return value_aware(prediction, y, index) + squared_error(prediction, y, index)

        loss = eased if fits < c.plain_fits else value_aware
        return loss, loss

    return losses


def source(stock: Stock, agent: Agent, c: Config) -> Source:
    """Real and imagined minibatches; with `real_ratio` 1 those of SAC.

    Raises ValueError for a model with deviations, and for a task whose termination rule is not
    known.
    """
    if not c.deterministic:
        raise ValueError("the loss of vagram is of the model's mean alone; leave deterministic on")

    def hooks(model: nets.Dynamics, end: Terminate) -> Hooks:
        return Hooks(one_elite(model), terminate=end)

    return minibatches(stock, agent, c, hooks, c.rollout_schedule, objective(agent, c))
