"""How smooth a model or a value function is, and what a model's errors cost in value.

For a value function with Lipschitz constant L the true and the model's Bellman backups differ by at
most γ L E‖s' - ŝ'‖ (Zheng et al. 2023, "Is Model Ensemble Necessary?"): a model may err where the
value is flat, and a rough value function makes small errors expensive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def local_lipschitz(
    f: Callable[[Tensor], Tensor], x: Tensor, iterations: int = 10
) -> Tensor:  # [S, B, D] -> [S, B]
    """Largest singular value of the Jacobian of `f` at every row of `x`, by power iteration.

    `f` maps each row for itself, `[S, B, D]` to `[S, B]` or `[S, B, K]`. For a scalar `f` it is
    the norm of the gradient, exactly; otherwise it is approached from below.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        y = f(x)
        y = y if y.dim() == x.dim() else y.unsqueeze(-1)
        probe = torch.ones_like(y).requires_grad_()
        (pulled,) = torch.autograd.grad(y, x, probe, create_graph=True)  # Jᵀ u, linear in u
    u = torch.arange(1, y.shape[-1] + 1, dtype=y.dtype, device=y.device).cos().expand_as(y)
    for _ in range(iterations):
        (v,) = torch.autograd.grad(y, x, u, retain_graph=True)
        v = v / v.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(v.dtype).tiny)
        (u,) = torch.autograd.grad(pulled, probe, v, retain_graph=True)  # J v
        size = u.norm(dim=-1)
        u = u / size.unsqueeze(-1).clamp(min=torch.finfo(u.dtype).tiny)
    return size.detach()


def value_error(
    v: Callable[[Tensor], Tensor], s2: Tensor, guess: Tensor
) -> Tensor:  # [S, B, D] twice -> [S, B]
    """|V(s') - V(ŝ')|: what the model's error in the next state costs."""
    with torch.no_grad():
        return (v(s2) - v(guess)).abs()


def value_gradient(v: Callable[[Tensor], Tensor], s2: Tensor) -> Tensor:  # [S, B, D] -> [S, B, D]
    """∇V at the real next states, as data."""
    with torch.enable_grad():
        s2 = s2.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(v(s2).sum(), s2)
    return gradient


def weighted_error(
    gradient: Tensor, s2: Tensor, guess: Tensor
) -> Tensor:  # [S, B, D] three times -> [S, B]
    """Σ_d (g_d (ŝ'_d - s'_d))²: a model's error weighted by what each dimension is worth, the
    surrogate of VaGraM (Voelcker et al. 2022, arXiv 2204.01464)."""
    return (gradient * (guess - s2)).square().sum(-1)


def taylor_error(
    gradient: Tensor, s2: Tensor, guess: Tensor
) -> Tensor:  # [S, B, D] three times -> [S, B]
    """(g · (ŝ' - s'))²: `value_error` squared to first order, as IterVAML has it; 0 for errors
    along which the value is level, however large."""
    return (gradient * (guess - s2)).sum(-1).square()


def value_of(agent: Any) -> Callable[[Tensor], Tensor]:
    """V(s) `[S, B]` of an agent with critics `q`: the least Q of the policy's own action."""

    def v(s: Tensor) -> Tensor:
        least: Tensor = agent.q(s, agent.act(s)).amin(-2)
        return least

    return v
