"""`solve`: one entry to every planner for discounted (and properly ending) finite MDPs."""

from __future__ import annotations

import inspect
import os
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rlkit.keywords import named, refuse_unknown
from rlkit.theory.backup import Backup
from rlkit.theory.brief import brief
from rlkit.theory.build import write_npz
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.asynchronous import gauss_seidel, prioritised_sweeping
from rlkit.theory.planning.iterations import (
    Iterate,
    Progress,
    Watch,
    anchored_iteration,
    anderson_iteration,
    momentum_iteration,
    value_iteration,
)
from rlkit.theory.planning.linear_program import linear_programming
from rlkit.theory.planning.policy_iteration import modified_policy_iteration, policy_iteration
from rlkit.theory.planning.undiscounted import total_reward
from rlkit.theory.validate import as_reals, check_choice, check_counts, check_gamma, check_positive

METHODS: dict[str, Callable[..., Iterate]] = {
    "vi": value_iteration,
    "gs": gauss_seidel,
    "ps": prioritised_sweeping,
    "pi": policy_iteration,
    "mpi": modified_policy_iteration,
    "anderson": anderson_iteration,
    "halpern": anchored_iteration,
    "momentum": momentum_iteration,
    "lp": linear_programming,
}
IN_PLACE = ("gs", "ps", "lp")  # need every successor stored
MAX_BACKUPS = 1e6


@dataclass(frozen=True)
class Solution:
    """Answer of `solve`: lower <= v* <= upper holds whether or not it converged.

    `policy` is the greedy policy; its loss is at most the width of the bracket. `backups` counts
    all work in full sweeps of the model, `touched` in nonzeros read.
    """

    value: Array  # [S], midpoint of the bounds (gamma = 1: value of the policy)
    policy: Array  # [S] int32 action ids
    lower: Array  # [S]
    upper: Array  # [S]
    backups: float
    converged: bool
    method: str
    gamma: float
    touched: int
    seconds: float
    reason: str  # why it stopped short, else ""
    mdp: FiniteMDP = field(repr=False)

    def __repr__(self) -> str:
        return brief(self)

    @property
    def gap(self) -> float:
        """Largest upper - lower."""
        return float((self.upper - self.lower).max())

    def q_table(self) -> Array:
        """r + gamma P value, [S, A], -inf where infeasible (one more backup)."""
        return self.mdp.q_table(self.value, self.gamma)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write value, policy, bounds and how they were found to an npz file (`numpy.load`)."""
        write_npz(
            path, value=self.value, policy=self.policy, lower=self.lower, upper=self.upper,
            gamma=np.array(self.gamma), method=np.array(self.method),
            converged=np.array(self.converged),
        )  # fmt: skip


@named
def solve(
    mdp: FiniteMDP, gamma: float = 0.99, method: str = "mpi", eps: float = 1e-6, *,
    max_backups: float = MAX_BACKUPS, v0: Array | None = None, threads: int = 1,
    progress: bool | Callable[[Progress], None] = False, **options: Any,
) -> Solution:  # fmt: skip
    """The optimal value and policy of a finite MDP, with certified bounds of width <= eps.

    Methods: vi, gs (option order), ps, pi (evaluation), mpi (k), anderson (memory, safeguard),
    halpern, momentum (alpha, safeguard), lp. gamma = 1 solves the total-reward problem for vi,
    mpi and pi alike and refuses models in which a policy may run for ever with reward.
    `progress` True prints a line a second to stderr after the first two; a callable gets
    `Progress` tuples. Warns (RuntimeWarning) and sets `converged` False when eps was not
    reached. ValueError on bad arguments.
    """
    gamma = check_gamma(gamma)
    if not isinstance(mdp, FiniteMDP):
        raise ValueError(f"solve needs a FiniteMDP, got {type(mdp).__name__}")
    check_choice("method", method, METHODS)
    check_positive("eps", eps)
    max_backups, threads = check_counts(max_backups=max_backups, threads=threads)
    own = list(inspect.signature(METHODS[method]).parameters)[3:]  # after operator, start, watch
    refuse_unknown("solve", options, {*own, *inspect.signature(solve).parameters} - {"options"})
    model = mdp.expanded() if method in IN_PLACE else mdp
    v = _start(v0, mdp.num_states)
    started = time.perf_counter()
    op = Backup(model, gamma, threads)
    report = _ProgressLines() if progress is True else progress or None
    watch = Watch(op, eps, max_backups, report)
    try:
        if gamma == 1.0:
            if method not in ("vi", "mpi", "pi"):
                raise ValueError(f"gamma = 1 is solved by vi, mpi or pi, not {method}")
            found = total_reward(op, watch)
        else:
            found = METHODS[method](op, v, watch, **options)
    finally:
        op.close()
        if isinstance(report, _ProgressLines):
            report.close()
    if not watch.converged:
        warnings.warn(
            f"solve(method={method!r}) stopped with bounds {watch.width:.3g} apart, wanted "
            f"{eps:g}: {watch.reason or 'it did not converge'}",
            RuntimeWarning,
            stacklevel=3,
        )
    lower, upper = found.value + found.low, found.value + found.high
    # At gamma = 1 the value is an exact solve; its bounds are one-sided and need not centre on it.
    middle = 0.5 * (found.low + found.high) if gamma < 1.0 else 0.0
    return Solution(
        value=found.value + (middle if np.isfinite(middle) else 0.0),
        policy=mdp.a_id[op.best], lower=lower, upper=upper, backups=watch.backups(),
        converged=watch.converged, method=method, gamma=gamma, touched=op.touched,
        seconds=time.perf_counter() - started, reason=watch.reason, mdp=mdp,
    )  # fmt: skip


def _start(v0: Array | None, size: int) -> Array:
    return np.zeros(size) if v0 is None else np.array(as_reals("v0", v0, (size,)))


class _ProgressLines:
    """Prints the bracket width and a guess of the time left, from the rate of contraction."""

    def __init__(self) -> None:
        self.begun = self.last = time.monotonic()
        self.history: list[tuple[float, float]] = []
        self.printed = False

    def __call__(self, step: Progress) -> None:
        now = time.monotonic()
        if np.isfinite(step.width) and step.width > 0:
            self.history.append((now, np.log(step.width)))
        if now - self.begun < 2.0 or now - self.last < 1.0:
            return
        self.last, self.printed = now, True
        (t0, w0), (t1, w1) = self.history[len(self.history) // 2], self.history[-1]
        rate = (w0 - w1) / (t1 - t0) if t1 > t0 else 0.0
        left = f"{(w1 - np.log(step.eps)) / rate:.0f} s left" if rate > 0 else "time left unknown"
        end = "\r" if sys.stderr.isatty() else "\n"
        line = f"{step.backups:.0f} backups, width {step.width:.3g} of {step.eps:g}, {left}"
        print(f"{line:<78}", end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.printed and sys.stderr.isatty():
            print(file=sys.stderr)
