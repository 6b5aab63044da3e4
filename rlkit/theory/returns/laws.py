"""Laws of returns: categorical and quantile representations, their backups, distances, risk.

A backup maps laws of G' at the successors to the law of r + gamma G' at every row and projects it:
categorical laws split each atom between its two neighbours on a grid (mean preserving inside it),
quantile laws keep the midpoint quantiles (W1-optimal). Bellemare, Dabney & Rowland 2023.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike

from rlkit.theory.brief import brief
from rlkit.theory.evaluation import policy_law
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import check_between

SNAP = 1e-9  # a weight this close to 0 or 1 is rounding, not a split


class Outcomes(NamedTuple):
    """An MDP whose outcomes carry their own rewards: row [M] (sorted), p, r, s2 (-1: the end).

    FiniteMDP keeps mean rewards only; the law of a return needs each of them.
    """

    mdp: FiniteMDP
    row: Array
    p: Array
    r: Array
    s2: Array

    def __repr__(self) -> str:
        return brief(self)


def outcomes_of(mdp: FiniteMDP) -> Outcomes:
    """Outcomes of an MDP whose reward is certain given state and action."""
    m = mdp.expanded()
    row = np.repeat(np.arange(m.num_rows), np.diff(m.row_ptr))
    s2, p = m.col.astype(np.int64), m.laws().data
    if m.stop is not None:
        ends = np.flatnonzero(m.stop > 0)
        row, s2 = np.r_[row, ends], np.r_[s2, np.full(ends.size, -1)]
        p = np.r_[p, m.stop[ends]]
    live = np.flatnonzero(p > 0)
    order = live[np.argsort(row[live], kind="stable")]
    return Outcomes(m, row[order], p[order], m.r[row[order]], s2[order])


def outcomes_from_coo(
    s: ArrayLike, a: ArrayLike, s2: ArrayLike, p: ArrayLike, r: ArrayLike,
    num_states: int | None = None, mu0: ArrayLike | None = None,
) -> Outcomes:  # fmt: skip
    """Outcomes of transition lists; entries with the same (s, a, s2) but other rewards stay apart.

    s2 = -1 is termination. ValueError as `FiniteMDP.from_coo`.
    """
    s, a, s2, p, r = (np.asarray(x) for x in (s, a, s2, p, r))
    start = None if mu0 is None else np.asarray(mu0, np.float64)
    mdp = FiniteMDP.from_coo(s, a, s2, p, r, num_states, start)
    row = mdp.row_table()[np.asarray(s), np.asarray(a)]
    live = np.flatnonzero(np.asarray(p) > 0)
    order = live[np.argsort(row[live], kind="stable")]
    return Outcomes(
        mdp, row[order], np.asarray(p, np.float64)[order], np.asarray(r, np.float64)[order],
        np.asarray(s2, np.int64)[order],
    )  # fmt: skip


def under_policy(model: Outcomes, policy: Array) -> Outcomes:
    """The chain of a policy ([S] ids or [S, A] law): one row a state, mixed over actions."""
    law = policy_law(model.mdp, policy)
    owner = model.mdp.state_of_row()
    keep = law[model.row] > 0
    row, p = owner[model.row[keep]], (model.p * law[model.row])[keep]
    chain = FiniteMDP.from_coo(
        row, np.zeros_like(row), model.s2[keep], p, model.r[keep], model.mdp.num_states,
        model.mdp.mu0,
    )  # fmt: skip
    return Outcomes(chain, row, p, model.r[keep], model.s2[keep])


def split(grid: Array, x: Array) -> tuple[Array, Array, Array]:
    """Lower neighbour, weight of the upper one and distance outside the grid, each like x."""
    if grid.size == 1:
        return np.zeros(x.shape, np.int64), np.zeros(x.shape), np.abs(x - grid[0])
    low = np.clip(np.searchsorted(grid, x, side="right") - 1, 0, grid.size - 2)
    weight = np.clip((x - grid[low]) / (grid[low + 1] - grid[low]), 0.0, 1.0)
    weight = np.where(weight < SNAP, 0.0, np.where(weight > 1.0 - SNAP, 1.0, weight))
    return low, weight, np.maximum(0.0, np.maximum(grid[0] - x, x - grid[-1]))


class Plan(NamedTuple):
    """What stays the same from backup to backup: where each outcome leads on the stock grid.

    low [M, C] and its neighbour share the stock by `weight`; `stray` [M, C] is the mean distance
    that this moves the stock.
    """

    model: Outcomes
    gamma: float
    rewards: Array
    low: Array
    weight: Array
    stray: Array
    starts: Array
    maps: Any


def make_plan(
    model: Outcomes, gamma: float, law: Categorical | Quantile, stock: Array | None = None,
    scale: float = 1.0,
) -> Plan:  # fmt: skip
    """The plan of a backup with rewards `scale` r, stock c' = (c + r) / gamma on the grid."""
    rewards = scale * model.r
    if stock is None:
        shape = (rewards.size, 1)
        low, weight, stray = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape)
    else:
        low, weight, outside = split(stock, (stock[None] + rewards[:, None]) / gamma)
        gap = stock[np.minimum(low + 1, stock.size - 1)] - stock[low]
        stray = 2.0 * weight * (1.0 - weight) * gap + outside
    starts = np.flatnonzero(np.diff(model.row, prepend=-1))
    return Plan(model, gamma, rewards, low, weight, stray, starts, law.prepare(rewards, gamma))


class Categorical(NamedTuple):
    """Probabilities [..., m] on a fixed increasing grid `support` [m]."""

    support: Array

    @property
    def size(self) -> int:
        return self.support.size

    def point(self, x: float) -> Array:
        """The law of a sure x, [m]."""
        low, weight, _ = split(self.support, np.asarray(x, np.float64))
        law = np.zeros(self.size)
        law[low] = 1.0 - weight
        law[min(int(low) + 1, self.size - 1)] += weight
        return law

    def prepare(self, rewards: Array, gamma: float) -> list[tuple[Array, Any, Array]]:
        """For each distinct reward: its outcomes, the projection of r + gamma z, its W1 cost."""
        values, which = np.unique(rewards, return_inverse=True)
        out, m = [], self.size
        for k, value in enumerate(values):
            low, weight, outside = split(self.support, value + gamma * self.support)
            high = np.minimum(low + 1, m - 1)
            atoms = np.arange(m)
            to = sp.csr_array(
                (np.r_[1.0 - weight, weight], (np.r_[low, high], np.r_[atoms, atoms])), (m, m)
            )
            gap = self.support[high] - self.support[low]
            cost = 2.0 * weight * (1.0 - weight) * gap + outside
            out.append((np.flatnonzero(which == k), to, cost))
        return out

    def backup(self, plan: Plan, laws: Array) -> tuple[Array, Array]:
        """Row laws [L, C, m] from laws [S + 1, C, m] (the last: the end), and the W1 distance
        [L, C] by which the projection moved them."""
        s2, weight = plan.model.s2[:, None], plan.weight[:, :, None]
        high = np.minimum(plan.low + 1, laws.shape[1] - 1)
        mixed = (1.0 - weight) * laws[s2, plan.low] + weight * laws[s2, high]
        mixed *= plan.model.p[:, None, None]
        cost = np.empty(mixed.shape[:2])
        for members, to, price in plan.maps:
            block = mixed[members]
            cost[members] = block @ price
            flat = block.reshape(-1, self.size)
            mixed[members] = (to @ flat.T).T.reshape(block.shape)
        return np.add.reduceat(mixed, plan.starts), np.add.reduceat(cost, plan.starts)

    def expect(self, laws: Array, utility: Callable[[Array], Array], stock: Array) -> Array:
        """E f(c + G) for laws [..., C, m] and stocks [C], [..., C]."""
        return np.einsum("...cm,cm->...c", laws, utility(stock[:, None] + self.support))

    def mean(self, laws: Array) -> Array:
        return laws @ self.support

    def distance(self, first: Array, second: Array) -> Array:
        """W1 between laws, [...]."""
        steps = np.diff(self.support)
        return np.abs(np.cumsum(first - second, -1)[..., :-1]) @ steps

    def cramer(self, first: Array, second: Array) -> Array:
        """Cramer distance: l2 norm of the difference of distribution functions, [...]."""
        steps = np.diff(self.support)
        return np.sqrt(np.cumsum(first - second, -1)[..., :-1] ** 2 @ steps)

    def atoms(self, law: Array) -> tuple[Array, Array]:
        """Values and probabilities of one law [m]."""
        return self.support, law


class Quantile(NamedTuple):
    """m equally likely atoms [..., m], the quantiles at (2i - 1) / 2m, increasing."""

    size: int

    def point(self, x: float) -> Array:
        return np.full(self.size, float(x))

    def prepare(self, rewards: Array, gamma: float) -> Array:
        return np.empty(0)

    def backup(self, plan: Plan, laws: Array) -> tuple[Array, Array]:
        """As `Categorical.backup`; the W1 distance is bounded by the range over 2m."""
        s2, m, stocks = plan.model.s2[:, None], self.size, laws.shape[1]
        high = np.minimum(plan.low + 1, stocks - 1)
        near = plan.rewards[:, None, None] + plan.gamma * laws[s2, plan.low]
        far = plan.rewards[:, None, None] + plan.gamma * laws[s2, high]
        share = np.stack([1.0 - plan.weight, plan.weight], 2) * plan.model.p[:, None, None] / m
        counts = np.diff(np.r_[plan.starts, plan.model.row.size])
        place = np.arange(plan.model.row.size) - np.repeat(plan.starts, counts)
        row = np.repeat(np.arange(counts.size), counts)
        values = np.zeros((counts.size, counts.max(), stocks, 2, m))
        weights = np.zeros((counts.size, counts.max(), stocks, 2))
        values[row, place] = np.stack([near, far], 2)
        weights[row, place] = share
        values = np.moveaxis(values, 1, 2).reshape(counts.size * stocks, -1)
        weights = np.repeat(np.moveaxis(weights, 1, 2).reshape(counts.size * stocks, -1), m, 1)
        out, spread = quantiles(values, weights, m)
        shape = (counts.size, stocks)
        return out.reshape(*shape, m), spread.reshape(shape) / (2.0 * m)

    def expect(self, laws: Array, utility: Callable[[Array], Array], stock: Array) -> Array:
        return utility(stock[:, None] + laws).mean(-1)

    def mean(self, laws: Array) -> Array:
        return laws.mean(-1)

    def distance(self, first: Array, second: Array) -> Array:
        """W1 between laws, [...]."""
        return np.abs(first - second).mean(-1)

    def atoms(self, law: Array) -> tuple[Array, Array]:
        return law, np.full(self.size, 1.0 / self.size)


def quantiles(values: Array, weights: Array, count: int) -> tuple[Array, Array]:
    """Midpoint quantiles [n, count] of weighted atoms [n, k] and the range of each row [n]."""
    order = np.argsort(values, axis=1, kind="stable")
    values = np.take_along_axis(values, order, 1)
    weights = np.take_along_axis(weights, order, 1)
    running = np.cumsum(weights, 1)
    running /= running[:, -1:]
    levels = (np.arange(count) + 0.5) / count
    # One search for all rows: row k occupies the interval [2k, 2k + 1].
    lift = 2.0 * np.arange(len(values))[:, None]
    found = np.searchsorted((running + lift).ravel(), (levels - 1e-12 + lift).ravel())
    out = values.ravel()[found].reshape(len(values), count)
    live = weights > 0
    high = np.where(live, values, -np.inf).max(1)
    return out, high - np.where(live, values, np.inf).min(1)


def cvar(values: Array, weights: Array, tau: float) -> float:
    """Mean of the worst `tau` share of a law with atoms `values`, tau in (0, 1]."""
    tau = check_between("tau", tau, 0.0, 1.0)
    order = np.argsort(values)
    share = np.asarray(weights, np.float64)[order]
    used = np.minimum(share, np.maximum(0.0, tau - np.r_[0.0, np.cumsum(share)[:-1]]))
    return float(used @ np.asarray(values)[order] / used.sum())
