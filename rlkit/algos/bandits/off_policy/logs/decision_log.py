"""Decision logs: context, action, propensity, reward; checked. `tables` reads them.

A log is a `Feedback` table (`rlkit.algos.bandits.interface`) of which every row has the probability
its action was taken with. A target policy is an array of probabilities [n, K], one row a decision,
as `policy.dist(log.observation)` returns them.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rlkit.algos.bandits.interface import Feedback, Observation, available, check_feedback
from rlkit.algos.bandits.off_policy.logs.coverage import Overlap, coverage
from rlkit.envs.bandits.counts import check_whole
from rlkit.envs.bandits.jit import dense

_SUM = 1e-6  # how far the probabilities of a row may be from one in all


@dataclass(frozen=True, eq=False)
class DecisionLog:
    """Logged decisions over K arms; a bad row raises a ValueError that names it.

    table     action [n], reward [n] and prob [n], with context [n, d] or [n, K, d], mask [n, K],
              position [n] and t [n] where they are known
    arms      K
    labels    what each arm was called in the source
    features  names of the columns of the context
    levels    the levels of every one-hot encoded column, to encode another log alike
    """

    table: Feedback
    arms: int
    labels: tuple[Any, ...] = ()
    features: tuple[str, ...] = ()
    levels: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        t, n = self.table, len(self.table)
        if not n:
            raise ValueError("the log has no rows")
        check_whole(self, "arms")
        for name in ("reward", "context", "mask", "prob", "t", "position"):
            column = getattr(t, name)
            if column is not None and len(column) != n:
                raise ValueError(f"{name} has {len(column)} rows, action has {n}")
        if t.prob is None:
            raise ValueError(
                "the log has no propensities: give every row the probability its action had when "
                "it was taken (prob)"
            )
        missing = np.isnan(np.asarray(t.prob, np.float64))
        if missing.any():
            raise ValueError(f"prob of row {first_row(missing)} is missing")
        if t.context is not None:
            if np.ndim(t.context) not in (2, 3) or (
                np.ndim(t.context) == 3 and np.shape(t.context)[1] != self.arms
            ):
                raise ValueError(
                    f"context has shape {np.shape(t.context)}; needed is [{n}, d] or "
                    f"[{n}, {self.arms}, d]"
                )
            bad = ~np.isfinite(np.asarray(t.context, np.float64)).reshape(n, -1).all(1)
            if bad.any():
                raise ValueError(f"context of row {first_row(bad)} has NaN or infinite entries")
        available(t.observation, self.arms)
        check_feedback(t, self.arms)
        if self.labels and len(self.labels) != self.arms:
            raise ValueError(f"{len(self.labels)} labels for {self.arms} arms")

    def __len__(self) -> int:
        return len(self.table)

    def __str__(self) -> str:
        return str(self.coverage())

    @property
    def observation(self) -> Observation:
        return self.table.observation

    @property
    def mask(self) -> np.ndarray:
        """Available arms [n, K]; all of them where the log names none."""
        return available(self.observation, self.arms)

    def rows(self, index: Any) -> "DecisionLog":
        """The log of the chosen rows."""
        return replace(self, table=self.table.rows(index))

    def uniform(self) -> np.ndarray:
        """The policy [n, K] that plays every available arm equally often."""
        return self.mask / self.mask.sum(1, keepdims=True)

    def coverage(self) -> Overlap:
        """How well the log covers the policy uniform on available arms."""
        prob = np.asarray(self.table.prob, np.float64)
        return coverage(self.uniform(), self.table.action, prob, self.mask.sum(1))


def first_row(bad: Any) -> int:
    """The number of the first row that is bad."""
    return int(np.flatnonzero(bad)[0])


@dense()
def _read_rows(p, action, mask, masked, taken):
    """Write p[i, action[i]] into `taken` [n]; the first row that is no policy, and its fault.

    Faults: 1 negative, NaN or infinite, 2 a sum other than one, 3 an arm that the mask rules out.
    One pass: a target is read from memory once, checks and all.
    """
    for i in range(p.shape[0]):
        total, least = 0.0, 0.0
        for a in range(p.shape[1]):
            x = np.float64(p[i, a])
            total += x
            least = min(least, x)
        if least < 0.0 or not total < np.inf:
            return i, 1
        if abs(total - 1.0) > _SUM:
            return i, 2
        if masked:
            for a in range(p.shape[1]):
                if p[i, a] > 0.0 and not mask[i, a]:
                    return i, 3
        taken[i] = p[i, action[i]]
    return -1, 0


def _at_position(log: DecisionLog, target: np.ndarray) -> np.ndarray:
    """A target of the shape [n, K]; one [n, K, L] over L positions is read at each row's."""
    p, n = np.asarray(target), len(log)
    if p.dtype not in (np.float32, np.float64):
        p = p.astype(np.float64)
    if p.ndim == 3 and p.shape[:2] == (n, log.arms):
        position = log.table.position
        if position is None:
            raise ValueError(f"target has shape {p.shape}, but the log has no positions")
        place = np.asarray(position)
        bad = (place < 0) | (place >= p.shape[2])
        if bad.any():
            row = first_row(bad)
            raise ValueError(
                f"position of row {row} is {place[row]}; the target has 0 to {p.shape[2] - 1}"
            )
        p = p[np.arange(n), :, place]
    if p.shape != (n, log.arms):
        raise ValueError(f"target has shape {p.shape}; needed is {(n, log.arms)}")
    return np.ascontiguousarray(p)


def read_target(log: DecisionLog, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `check_target` returns, in the target's own precision, and its probability of the
    logged action [n]."""
    p = _at_position(log, target)
    taken = np.empty(len(p))
    masked = log.table.mask is not None
    mask = log.mask if masked else np.ones((1, 1), bool)
    action = np.ascontiguousarray(log.table.action, np.int64)
    row, fault = _read_rows(p, action, np.ascontiguousarray(mask), masked, taken)
    if fault == 1:
        raise ValueError(f"target of row {row} has negative or NaN probabilities")
    if fault == 2:
        raise ValueError(f"target of row {row} sums to {p[row].sum():.6g}, not to one")
    if fault == 3:
        raise ValueError(f"target of row {row} plays an arm that its mask rules out")
    return p, taken


def check_target(log: DecisionLog, target: np.ndarray) -> np.ndarray:
    """A target policy as float64 [n, K]; one that is no policy on these rows raises with the row.

    A target [n, K, L] over L positions is read at the position of each row. Rows that do not sum
    to one are refused, never rescaled.
    """
    return read_target(log, target)[0].astype(np.float64, copy=False)


def importance_weights(log: DecisionLog, target: np.ndarray) -> np.ndarray:
    """w [n]: the target's probability of the logged action over the one it was taken with."""
    return read_target(log, target)[1] / np.asarray(log.table.prob, np.float64)
