"""Off-policy estimators for slates: m slots filled in order, one reward a slot.

With w_k the ratio of the slots' marginal probabilities pi_e(a_k|x) / pi_b(a_k|x), w_{1:k} that of
the prefixes (a_1..a_k), and r_k the reward of slot k, a row's value is
  standard     w_{1:m} sum_k r_k
  independent  sum_k w_k r_k                   unbiased if a slot's reward depends on its item only
  ranked       sum_k w_{1:k} r_k               ... on it and the items before it (cascade)
  cascade_dr   sum_k [w_{1:k} (r_k - Q_k) + w_{1:k-1} E_{a~pi_e} Q_k(a)],  w_{1:0} = 1
  pseudo_inverse  (sum_k r_k) 1_e' G^+ 1_slate  ... sums of unknown values of (slot, item)
Li et al. 2018 (independent), McInerney et al. 2020 (ranked), Kiyohara et al. 2022 (cascade_dr),
Swaminathan et al. 2017 (pseudo_inverse). Q_k is a model of the rewards of slots k to m together
given the prefix and the item of slot k; any Q_k leaves cascade_dr unbiased where ranked is.
Self-normalised versions divide each slot's weight by its mean over rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

NAMES = ("standard", "independent", "ranked", "cascade_dr")


@dataclass(frozen=True, eq=False)
class SlateLog:
    """Logged slates: items [n, m], rewards [n, m], and probabilities of what was shown [n, m].

    prefix [n, m]: the probability of items 1 to k in their order; its last column is the slate's.
    slot [n, m]: the marginal probability of the item in its slot; needed by `independent` only.
    """

    items: np.ndarray
    reward: np.ndarray
    prefix: np.ndarray
    slot: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.items)
        if len(shape) != 2 or 0 in shape:
            raise ValueError(f"items has shape {shape}; needed is [rows, slots]")
        reward = np.asarray(self.reward, np.float64)
        if reward.shape != shape:
            raise ValueError(f"reward has shape {reward.shape}, items {shape}")
        bad = ~np.isfinite(reward).all(1)
        if bad.any():
            raise ValueError(f"reward of row {_first(bad)} is not finite in every slot")
        _check(self.prefix, "prefix", shape, logged=True)
        if self.slot is not None:
            _check(self.slot, "slot", shape, logged=True)

    def __len__(self) -> int:
        return len(self.items)


def _first(bad: Any) -> int:
    return int(np.flatnonzero(bad)[0])


def _finite(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; needed is {shape}")
    if not np.isfinite(array).all():
        row = _first(~np.isfinite(array).reshape(len(array), -1).all(1))
        raise ValueError(f"{name} of row {row} has NaN or infinite entries")
    return array


def _check(prob: np.ndarray, name: str, shape: tuple[int, ...], logged: bool) -> np.ndarray:
    p = np.asarray(prob, np.float64)
    if p.shape != shape:
        raise ValueError(f"{name} has shape {p.shape}; needed is {shape}")
    bad = ~((p > 0 if logged else p >= 0) & (p <= 1 + 1e-9)).all(1)
    if bad.any():
        row = _first(bad)
        interval = "(0, 1]" if logged else "[0, 1]"
        raise ValueError(f"{name} of row {row} is {p[row].tolist()}; it must lie in {interval}")
    if name == "prefix":
        bad = (np.diff(p, axis=1) > 1e-9).any(1)
        if bad.any():
            raise ValueError(
                f"prefix of row {_first(bad)} rises from slot to slot: these are not prefixes "
                "(of conditional probabilities take the cumulative product)"
            )
    return p


def _known(slates: np.ndarray, items: int) -> np.ndarray:
    """Slates [n, m] of items 0 to K - 1; any other raises with its row."""
    shown = np.asarray(slates)
    bad = ((shown < 0) | (shown >= items)).any(1)
    if bad.any():
        row = _first(bad)
        raise ValueError(
            f"slate of row {row} is {shown[row].tolist()}; there are items 0 to {items - 1}"
        )
    return shown


def _indicators(slates: np.ndarray, items: int) -> np.ndarray:
    """[n, m K] with a one at (slot, item) of every item of slates [n, m]."""
    return np.eye(items)[_known(slates, items)].reshape(len(slates), -1)


def slate_values(
    log: SlateLog,
    name: str,
    *,
    prefix: np.ndarray | None = None,
    slot: np.ndarray | None = None,
    q_taken: np.ndarray | None = None,
    q_mean: np.ndarray | None = None,
    normalised: bool = False,
) -> np.ndarray:
    """The value of every slate [n], whose mean estimates the target's reward a slate.

    prefix, slot [n, m]: the target's probabilities of the logged items, as in `SlateLog`. q_taken,
    q_mean [n, m] (cascade_dr): Q_k at the logged item, and its mean over the target's choice there.
    """
    if name not in NAMES:
        raise ValueError(f"estimator is {name!r}; choose one of {', '.join(NAMES)}")
    shape, reward = np.shape(log.items), np.asarray(log.reward, np.float64)
    if name == "independent":
        if log.slot is None or slot is None:
            raise ValueError("independent needs slot probabilities of the log and of the target")
        w = _check(slot, "slot", shape, logged=False) / log.slot
    else:
        if prefix is None:
            raise ValueError(f"{name} needs the target's prefix probabilities")
        w = _check(prefix, "prefix", shape, logged=False) / log.prefix
        if name == "standard":
            w = np.repeat(w[:, -1:], shape[1], axis=1)
    if normalised:
        mean = w.mean(0)
        if not (mean > 0).all():
            raise ValueError(f"slot {_first(mean <= 0)} has no weight in any row of the log")
        w = w / mean
    if name != "cascade_dr":
        return (w * reward).sum(1)
    if q_taken is None or q_mean is None:
        raise ValueError("cascade_dr needs q_taken and q_mean")
    q_taken, q_mean = _finite("q_taken", q_taken, shape), _finite("q_mean", q_mean, shape)
    before = np.concatenate([np.ones((shape[0], 1)), w[:, :-1]], axis=1)
    return (w * (reward - q_taken) + before * q_mean).sum(1)


def pseudo_inverse_values(
    log: SlateLog, target: np.ndarray, moments: np.ndarray, items: int
) -> np.ndarray:
    """The value of every slate [n] by the pseudo-inverse estimator.

    target [n, m, K]: the target's marginal probability of every item in every slot. moments
    [m K, m K], or [n, m K, m K] by row: E[1 1'] of slates under the logging policy
    (`slate_moments`), 1 having a one at (slot, item).
    """
    n, m = np.shape(log.items)
    wanted = np.asarray(target, np.float64)
    if wanted.shape != (n, m, items):
        raise ValueError(f"target has shape {wanted.shape}; needed is {(n, m, items)}")
    bad = ~((wanted >= 0) & (wanted <= 1 + 1e-9)).all((1, 2))
    if bad.any():
        raise ValueError(f"target of row {_first(bad)} has entries outside [0, 1]")
    shown, size = _indicators(log.items, items), (m * items, m * items)
    given = _finite("moments", moments, size if np.ndim(moments) == 2 else (n, *size))
    inverse = np.linalg.pinv(given, hermitian=True)
    solved = np.einsum("...ij,...j->...i", inverse, shown)
    return np.asarray(log.reward, np.float64).sum(1) * (wanted.reshape(n, -1) * solved).sum(1)


def slate_moments(slates: np.ndarray, prob: np.ndarray, items: int) -> np.ndarray:
    """E[1 1'] [m K, m K] of a logging policy given by all its slates [N, m] and their prob [N]."""
    prob = np.asarray(prob, np.float64)
    if not (prob >= 0).all():
        raise ValueError(f"the probability of slate {_first(~(prob >= 0))} is no number from 0 on")
    if abs(prob.sum() - 1.0) > 1e-6:
        raise ValueError(f"the probabilities of the slates sum to {prob.sum():.6g}, not to one")
    shown = _indicators(slates, items)
    return (shown * prob[:, None]).T @ shown


def plackett_luce(scores: np.ndarray, slates: np.ndarray) -> np.ndarray:
    """Prefix probabilities [n, m] of slates [n, m] drawn from scores [n, K] without replacement.

    Slot k takes an item not yet shown with a probability proportional to exp(score).
    """
    logits = np.array(scores, np.float64)
    _known(slates, logits.shape[1])
    rows, logs = np.arange(len(logits)), np.empty(np.shape(slates))
    for k in range(np.shape(slates)[1]):
        chosen = np.asarray(slates)[:, k]
        top = logits.max(1, keepdims=True)
        total = top[:, 0] + np.log(np.exp(logits - top).sum(1))
        logs[:, k] = logits[rows, chosen] - total
        logits[rows, chosen] = -np.inf
    return np.exp(np.cumsum(logs, axis=1))
