"""What is wanted of the law of c + G, the stock and the return to come (arXiv 2501.13028): E f with

    mean         x                  risk-neutral, whatever the stock
    shortfall    min(x, 0)          CVaR: max_c -c + E f(c + G) / τ over first stocks (`best_cvar`)
    homeostasis  -|x|               a return of -c, no more and no less
    quadratic    -x²                likewise
    exponential  -exp(-risk x)      entropic risk; γ = 1 only

Where γ < 1 the objective must look alike one step later, f(γ x) = γ^k f(x), which all but the last
have. Those of exact plans are in `theory.returns.stock`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from rlkit.core.lanes import against

Utility = Literal["mean", "shortfall", "homeostasis", "quadratic", "exponential"]


def utility_of(name: Utility, x: Tensor, risk: float | Tensor) -> Tensor:  # [S, ...] -> [S, ...]
    """f of what c + G is."""
    if name == "shortfall":
        return x.clamp(max=0)
    if name == "homeostasis":
        return -x.abs()
    if name == "quadratic":
        return -x.square()
    return -(-against(risk, x) * x).exp() if name == "exponential" else x


def best_cvar(agent: Any, s: Tensor, tau: float, stocks: Tensor) -> tuple[Tensor, Tensor]:
    """The largest CVaR_τ `[S]` that a shortfall agent sees from one observation `[obs]`, and the
    first stock `[S]` among `stocks` `[C]` to begin with so as to have it."""
    rows, stock = s.expand(agent.lanes, len(stocks), -1), stocks.expand(agent.lanes, -1)
    with torch.no_grad():
        value = agent.utilities(agent.outputs(agent.theta, rows, stock), stock).amax(-1)
    levels, best = (value / tau - stock).max(-1)
    return levels, stocks[best]
