"""Off-policy learning: softmax policies trained on a decision log, one network a lane.

The policy ascends an estimate of its own value, J = mean over rows of
  ips  w (r - b)
  dm   sum_a pi(a|x) q(x, a)
  dr   sum_a pi(a|x) q(x, a) + w (r - q),      w = min(pi(a|x) / prob, cap)
with b a translation of the rewards (BanditNet: Joachims, Swaminathan & de Rijke 2018; the b whose
policy has the best snips solves the self-normalised problem, so give every lane its own), minus
  variance sqrt(Var(J) / n)                    POEM, Swaminathan & Joachims 2015
  imitation mean of -log pi(a|x)               the part of KL(pi_b || pi) that learning can change
Gradients run through the probabilities, so there is no sampling. A lane keeps the parameters of
its best epoch on held-out rows and stops to matter when it has not improved for `patience` epochs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor

from rlkit.algos.bandits.interface import Observation, available, check_context
from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog
from rlkit.core.flat import flatten
from rlkit.core.lanes import resolve
from rlkit.core.optim import Adam
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import generator
from rlkit.core.words.ranges import (
    Count,
    NonNegative,
    OpenShare,
    Positive,
    Range,
    Real,
    Widths,
    checked,
)
from rlkit.envs.bandits.counts import whole
from rlkit.nets.layers import MLP, Init

Objective = Literal["ips", "dm", "dr"]


@checked()
@dataclass(frozen=True)
class Config:
    objective: Objective = "dr"
    cap: Annotated[float, Range("not be negative", 0, finite=False)] = float(
        "inf"
    )  # of the weights
    translation: Real = 0.0  # b, subtracted from rewards of ips
    variance: NonNegative = 0.0  # weight of the standard error
    imitation: NonNegative = 0.0  # weight of the distance from the logging policy
    hidden: Widths = (100,)
    lr: Positive = 1e-3
    batch: Count = 200
    epochs: Count = 100
    patience: Count = 10  # epochs without a better held-out value after which a lane is done
    held_out: OpenShare = 0.1  # share of rows that choose the epoch
    per_arm: bool = False  # contexts [n, K, d] instead of [n, d]
    seeds: tuple[int, ...] = (0,)  # one lane each
    device: str = "cpu"
    dtype: torch.dtype = torch.float32


def row_values(
    pi: Tensor, action: Tensor, prob: Tensor, reward: Tensor, q: Tensor | None, c: Config
) -> Tensor:
    """The objective of every row [S, B] from probabilities pi [S, B, K] and rows [S, B]."""
    taken = pi.gather(-1, action[..., None]).squeeze(-1)
    w = torch.minimum(taken / prob, torch.as_tensor(c.cap, dtype=pi.dtype, device=pi.device))
    if c.objective == "ips":
        return w * (reward - c.translation)
    assert q is not None
    v = (pi * q).sum(-1)
    if c.objective == "dm":
        return v
    return v + w * (reward - q.gather(-1, action[..., None]).squeeze(-1))


class OffPolicyLearner:
    """Softmax policies over K arms for contexts of `dim` features; float options may be tuples."""

    def __init__(self, arms: int, dim: int, config: Config | None = None) -> None:
        c = config or Config()
        self.arms, self.dim = whole("arms", arms), whole("dim", dim)
        self.spec = Spec(dim, Discrete(arms), c.seeds, c.dtype, c.device)
        self.config = resolve(c, self.spec)
        self.net = MLP(Init(self.spec), dim, c.hidden, 1 if c.per_arm else arms)
        self.optimiser = Adam(self.net, self.config.lr)
        self.history = np.zeros((0, self.spec.lanes))  # held-out objective [epochs, S]

    def _tensor(self, values: Any) -> Tensor:
        return torch.as_tensor(values, dtype=self.spec.dtype, device=self.spec.device)

    def _policy(self, context: Tensor, mask: Tensor) -> Tensor:
        """Log-probabilities [S, B, K] of contexts [S, B, ...] and masks [S, B, K]."""
        if self.config.per_arm:
            logits = self.net(context.flatten(1, 2)).squeeze(-1).unflatten(1, mask.shape[1:])
        else:
            logits = self.net(context)
        return logits.masked_fill(~mask, -torch.inf).log_softmax(-1)

    @torch.no_grad()
    def probabilities(self, obs: Observation) -> np.ndarray:
        """The policy of every lane on the same rows [S, n, K]."""
        context = self._tensor(check_context(obs, self.arms, self.dim, self.config.per_arm))
        mask = torch.as_tensor(available(obs, self.arms), device=self.spec.device)
        lanes = self.spec.lanes
        log = self._policy(
            context.expand(lanes, *context.shape), mask.expand(lanes, *mask.shape)
        ).double()
        return log.softmax(-1).cpu().numpy()

    def fit(self, log: DecisionLog, q: np.ndarray | None = None) -> "OffPolicyLearner":
        """Train on `log`, with predicted rewards q [n, K] for dm and dr; returns itself.

        What lane k learns depends on its seed and its options alone.
        """
        c, lanes, n = self.config, self.spec.lanes, len(log)
        if log.arms != self.arms:
            raise ValueError(f"the log has {log.arms} arms, the learner {self.arms}")
        if c.objective != "ips" and (q is None or np.shape(q) != (n, self.arms)):
            raise ValueError(f"{c.objective} needs predicted rewards q of shape {(n, self.arms)}")
        bad = np.zeros(n, bool) if q is None else ~np.isfinite(q).all(1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(f"q of row {row} has NaN or infinite entries")
        context = check_context(log.observation, self.arms, self.dim, c.per_arm)
        columns = {
            "context": self._tensor(context),
            "mask": torch.as_tensor(log.mask, device=self.spec.device),
            "action": torch.as_tensor(np.asarray(log.table.action), device=self.spec.device),
            "prob": self._tensor(log.table.prob),
            "reward": self._tensor(log.table.reward),
        }
        if q is not None:
            columns["q"] = self._tensor(q)
        held = max(1, round(c.held_out * n))
        if held >= n:
            raise ValueError(f"the log has {n} rows; held_out leaves none of them to learn from")
        order = np.stack([generator(s, "off_policy/split").permutation(n) for s in self.spec.seeds])
        test, train = order[:, :held], order[:, held:]
        flat = flatten(self.net)
        best = torch.full((lanes,), -torch.inf, dtype=self.spec.dtype, device=self.spec.device)
        kept, since = flat.data.clone(), torch.zeros(lanes, device=self.spec.device)
        history = []
        for epoch in range(c.epochs):
            self._epoch(columns, train, epoch)
            with torch.no_grad():
                score = self._values(columns, test)[0].mean(-1)
                better = (score > best) & (since < c.patience)
                since = torch.where(better, torch.zeros_like(since), since + 1)
                best = torch.where(better, score, best)
                kept = torch.where(flat.per_lane(better.to(kept.dtype)) > 0, flat.data, kept)
            history.append(score.cpu().numpy())
            if bool((since >= c.patience).all()):
                break
        with torch.no_grad():
            flat.data.copy_(kept)
        self.history = np.array(history)
        return self

    def _values(self, columns: dict[str, Tensor], index: np.ndarray) -> tuple[Tensor, Tensor]:
        """Objective of rows [S, B], and their -log pi(a|x)."""
        rows = torch.as_tensor(index, device=self.spec.device)
        b = {name: column[rows] for name, column in columns.items()}
        log_pi = self._policy(b["context"], b["mask"])
        values = row_values(
            log_pi.exp(), b["action"], b["prob"], b["reward"], b.get("q"), self.config
        )
        return values, -log_pi.gather(-1, b["action"][..., None]).squeeze(-1)

    def _epoch(self, columns: dict[str, Tensor], train: np.ndarray, epoch: int) -> None:
        c = self.config
        order = np.stack(
            [
                generator(s, "off_policy/batches", epoch).permutation(rows)
                for s, rows in zip(self.spec.seeds, train, strict=True)
            ]
        )
        size = min(c.batch, order.shape[1])
        for first in range(0, order.shape[1] - size + 1, size):
            values, surprise = self._values(columns, order[:, first : first + size])
            error = ((values.var(-1) + 1e-12) / order.shape[1]).sqrt()
            loss = -values.mean(-1) + _lane(c.variance) * error
            self.optimiser(loss + _lane(c.imitation) * surprise.mean(-1))


def _lane(value: float | Tensor) -> float | Tensor:
    """An option, a number or one a lane [S, 1], as what multiplies a loss [S]."""
    return value.squeeze(-1) if isinstance(value, Tensor) else value


def classify(log: DecisionLog, make_classifier: Callable[[], Any], base: float = 0.0) -> Any:
    """A scikit-learn classifier of contexts into arms, weighted by (reward - base) / prob.

    Its accuracy under these weights is the ips value of its decisions (Beygelzimer & Langford
    2009); rows with a reward of `base` do not count, so rewards may not lie below it.
    """
    reward = np.asarray(log.table.reward, np.float64) - base
    if (reward < 0).any():
        row = int(np.flatnonzero(reward < 0)[0])
        raise ValueError(f"reward of row {row} lies below the base {base:g}")
    used = reward > 0
    if log.table.context is None or np.ndim(log.table.context) != 2:
        raise ValueError("classify needs a log with contexts [n, d]")
    if not used.any():
        raise ValueError(f"no reward lies above the base {base:g}: there is nothing to learn")
    weight = reward[used] / np.asarray(log.table.prob, np.float64)[used]
    x = np.asarray(log.table.context)[used]
    return make_classifier().fit(x, log.table.action[used], sample_weight=weight)
