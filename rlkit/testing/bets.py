"""What an agent with a stock makes of the bets of `envs.tasks.stocked`: exact laws of returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from rlkit.theory.returns.laws import Outcomes

Law = dict[float, float]  # return -> probability


def observed(state: int, states: int, stock: float) -> Tensor:
    """What is seen `[states + 1]` of a state with this stock."""
    return torch.cat([torch.eye(states)[state], torch.tensor([stock])])


def law_of(agent: Any, model: Outcomes, lane: int, first: float) -> Law:
    """The exact law of the undiscounted return of a lane that begins in state 0 with the stock
    `first` and acts greedily; every path of the model must end."""
    law: Law = {}
    states = model.mdp.num_states
    pending = [(0, 0.0, 1.0)]
    while pending:
        state, paid, p = pending.pop()
        if state < 0:
            law[paid] = law.get(paid, 0.0) + p
            continue
        s = observed(state, states, first + paid)
        action = int(agent.act(s.expand(agent.lanes, 1, -1))[lane, 0])
        for k in np.flatnonzero(model.row == model.mdp.row_table()[state, action]):
            pending.append((int(model.s2[k]), paid + float(model.r[k]), p * float(model.p[k])))
    return law


def cvar(law: Law, tau: float) -> float:
    """Mean of the worst share `tau` of a law."""
    left, total = tau, 0.0
    for x in sorted(law):
        share = min(law[x], left)
        left, total = left - share, total + share * x
    return total / tau
