"""Fixed-point iterations of the Bellman operator: plain, anchored, momentum, Anderson.

Every driver takes the operator, a start and a `Watch`, and returns an `Iterate`: a backed-up
value T v with certified shifts around it. The operator keeps the greedy rows in `best`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlkit.theory.backup import Backup
from rlkit.theory.mdp import Array
from rlkit.theory.validate import check_count, check_fraction


class Iterate(NamedTuple):
    """v* lies in [value + low, value + high], and so does the value of the greedy rows."""

    value: Array
    low: float
    high: float


class Progress(NamedTuple):
    """What a progress callback sees: work done in full sweeps, bracket width, goal."""

    backups: float
    width: float
    eps: float


@dataclass
class Watch:
    """Stopping rule: bracket width <= eps, the budget, or the limit of float64."""

    operator: Backup
    eps: float
    max_backups: float
    report: Callable[[Progress], None] | None = None
    converged: bool = False
    width: float = np.inf
    reason: str = ""

    def backups(self) -> float:
        """Nonzeros touched so far, in full sweeps of the model."""
        return self.operator.touched / max(1, self.operator.mdp.nnz)

    def done(self, v: Array, low: float, high: float) -> bool:
        """Whether to stop with this bracket around T v."""
        self.width = high - low
        if self.report is not None:
            self.report(Progress(self.backups(), self.width, self.eps))
        if not np.isfinite(self.width):  # first: a width of minus infinity is no convergence
            self.reason = "the iteration diverged"
            return True
        if self.width <= self.eps:
            self.converged = True
            return True
        if self.backups() >= self.max_backups:
            self.reason = f"the budget of {self.max_backups:g} backups is spent"
            return True
        floor = self.operator.rounding_floor(v)
        if self.eps < floor and self.width <= 3 * floor:
            self.reason = f"float64 certifies no better than {floor:.2g} here"
            return True
        return False


def value_iteration(op: Backup, v: Array, watch: Watch) -> Iterate:
    """Jacobi value iteration v <- T v."""
    out = np.empty_like(v)
    while True:
        low, high = op.bracket(v, *op(v, out))
        if watch.done(v, low, high):
            return Iterate(out, low, high)
        v, out = out, v
        op.centre(v, low, high)


def anchored_iteration(
    op: Backup, v: Array, watch: Watch, beta: Callable[[int], float] | None = None
) -> Iterate:
    """Halpern iteration v_k = b_k v_0 + (1 - b_k) T v_{k-1} (Lee & Ryu, anchored VI).

    b_k = 1 / sum_{i<=k} gamma^(-2i), or `beta(k)`. Its worth is the residual guarantee for
    gamma near 1; for smaller gamma the anchor only delays.
    """
    anchor, out, k = v.copy(), np.empty_like(v), 0
    decay = op.gamma**2
    share = 1.0  # b_k obeys 1/b_k = 1 + gamma^-2 / b_{k-1} scaled; kept as gamma^(2k) * sum
    while True:
        low, high = op.bracket(v, *op(v, out))
        if watch.done(v, low, high):
            return Iterate(out, low, high)
        k += 1
        share = share * decay + 1.0  # gamma^(2k) * sum_{i<=k} gamma^(-2i)
        b = decay**k / share if beta is None else beta(k)
        np.multiply(out, 1.0 - b, out=v)
        v += b * anchor


def momentum_iteration(
    op: Backup, v: Array, watch: Watch, alpha: float = 0.5, safeguard: bool = True
) -> Iterate:
    """v_{k+1} = T(v_k + alpha (v_k - v_{k-1})), restarted when the residual grows.

    Without the safeguard it diverges on cyclic chains; the proofs need real spectra.
    """
    check_fraction("alpha", alpha)
    previous, point, out = v.copy(), v.copy(), np.empty_like(v)
    before = np.inf
    while True:
        ends = op(point, out)
        low, high = op.bracket(point, *ends)
        if watch.done(point, low, high):
            return Iterate(out, low, high)
        residual = max(abs(ends[0]), abs(ends[1]))
        if safeguard and residual > before:
            # A backup of a bad extrapolation is thrown away, and momentum starts afresh.
            point, previous, before = v.copy(), v.copy(), np.inf
            continue
        before = residual
        previous, v = v, out.copy()
        np.subtract(v, previous, out=point)
        point *= alpha
        point += v


def anderson_iteration(
    op: Backup, v: Array, watch: Watch, memory: int = 5, safeguard: bool = True
) -> Iterate:
    """Anderson acceleration (type II) of value iteration; memory 0 is value iteration.

    An extrapolation is kept only if it does not raise the sup-norm residual; otherwise a plain
    step is taken and the memory cleared (T is only piecewise linear).
    """
    memory = check_count("memory", memory, 0)
    out = np.empty_like(v)
    d_residual: list[Array] = []
    d_image: list[Array] = []
    old_residual = old_image = plain = None
    accepted = np.inf
    while True:
        ends = op(v, out)
        low, high = op.bracket(v, *ends)
        if watch.done(v, low, high):
            return Iterate(out, low, high)
        size = max(abs(ends[0]), abs(ends[1]))
        if safeguard and plain is not None and not size <= accepted:
            v, plain = plain, None
            d_residual, d_image = [], []
            old_residual = old_image = None
            continue
        accepted = size
        if memory == 0:
            v, out = out, v
            continue
        residual = out - v
        if old_residual is not None and old_image is not None:
            d_residual = [*d_residual, residual - old_residual][-memory:]
            d_image = [*d_image, out - old_image][-memory:]
        old_residual, old_image = residual, out
        plain, v, out = None, out.copy(), np.empty_like(out)
        if d_residual:
            plain = old_image
            v -= np.column_stack(d_image) @ _ridge_solution(np.column_stack(d_residual), residual)


def _ridge_solution(differences: Array, residual: Array) -> Array:
    """argmin_c |residual - differences c|^2 with a relative ridge of 1e-10."""
    gram = differences.T @ differences
    ridge = 1e-10 * np.trace(gram) / gram.shape[0]
    gram[np.diag_indices_from(gram)] += max(ridge, np.finfo(float).tiny)
    return np.linalg.lstsq(gram, differences.T @ residual, rcond=None)[0]
