"""Training of a dynamics ensemble: bootstraps, holdout, early stopping, elites.

As PETS (arXiv 1805.12114) in the form MBPO gave it (arXiv 1906.08253, jannerm/mbpo):

    (1)  L = Σ_e mean_{b,d} [(μ_e - y)² e^(-l_e) + l_e] + 0.01 Σ (max_e - min_e) + ½ Σ_k c_k ‖W_k‖²

with l the log-variance, max and min its learnt bounds, c_k the decay of layer k. Every member
has its own bootstrap of the training rows, drawn once a fit and shuffled every epoch. A lane stops
when none of its members has lowered its squared error on the held-out rows by 1 % for more than
`patience` epochs; each member goes back to its best epoch, and the best become elites. A lane that
has stopped is not touched by those that go on.

Differs from jannerm/mbpo: the bounds belong to each member, so that no member depends on another;
from mbrl-lib: snapshots are of single members, so elites have the scores they are ranked by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from rlkit.core.errors import RunError
from rlkit.core.streams import generator
from rlkit.nets.dynamics import Dynamics, Prediction

_PROGRESS = 0.99  # a holdout score must fall below this times the best so far
_BOUNDS_WEIGHT = 0.01  # pull on the bounds of the log-variance
_POISSON = (0.36788, 0.73576, 0.91970, 0.98101, 0.99634, 0.99941)  # P(at most k), k = 0, 1, ...


class FitConfig(Protocol):
    """What a fit reads of an algorithm's `Config`."""

    @property
    def batch_model(self) -> int: ...  # rows of an update, for each member
    @property
    def decay_model(self) -> tuple[float, ...]: ...  # c_k: one, or one a layer
    @property
    def holdout(self) -> float: ...  # share of the rows kept for validation
    @property
    def max_holdout(self) -> int: ...  # most rows kept for validation
    @property
    def patience(self) -> int: ...  # epochs without progress before a lane stops
    @property
    def max_epochs(self) -> int: ...  # of one fit


class Fitted(NamedTuple):
    """What a fit did, a lane each."""

    epochs: Tensor  # [S] epochs until it stopped
    score: Tensor  # [S] mean score of the elites on the held-out rows


Loss = Callable[[Prediction, Tensor, Tensor], Tensor]
"""(prediction, targets [S, n, b, D + 1], rows [S, n, b]) -> loss of every row [S, n, b].

`rows` number the data given to `fit`, for losses with weights or gradients kept by row."""


def likelihood(prediction: Prediction, y: Tensor, rows: Tensor) -> Tensor:
    """Gaussian negative log-likelihood without its constants, eq. (1)."""
    assert prediction.log_var is not None
    square = (prediction.mean - y).square()
    return (square * (-prediction.log_var).exp() + prediction.log_var).mean(-1)


def squared_error(prediction: Prediction, y: Tensor, rows: Tensor) -> Tensor:
    """Squared error of the mean: the loss of a deterministic model, and every model's score."""
    return (prediction.mean - y).square().mean(-1)


def places(index: Tensor, seeds: Tensor, n: int) -> Tensor:
    """How often rows `[S, B]` are in the bootstraps of n members `[S, n, B]`: Poisson(1) numbers,
    a function of the lane's seed `[S]`, the member and the row alone."""
    member = torch.arange(n, device=index.device).view(1, n, 1)
    h = (
        index.unsqueeze(1).expand(-1, n, -1) * 40503
        + member * 2246822
        + (seeds.view(-1, 1, 1) + 1) * 3266489
    )
    for _ in range(3):  # products of numbers below 2^32 and 2^30: nothing overflows
        h = ((h ^ (h >> 15)) & 0xFFFFFFFF) * 668265263
        h = (h ^ (h >> 29)) & 0xFFFFFFFF
    u = h.double() / 2**32
    return sum((u >= bound).to(torch.int64) for bound in _POISSON)  # type: ignore[return-value]


class LaneAdam:
    """Adam whose lanes count their own steps, so that some may stop while others go on.

    `lr` is a number or one per lane `[S, 1]`.
    """

    def __init__(self, model: Dynamics, lr: float | Tensor) -> None:
        self.params = list(model.parameters())
        self.names = [name for name, _ in model.named_parameters()]
        self.m = [torch.zeros_like(p) for p in self.params]
        self.v = [torch.zeros_like(p) for p in self.params]
        lanes = self.params[0].shape[0]
        self.steps = torch.zeros(lanes, dtype=torch.float32, device=self.params[0].device)
        rates = lr.reshape(-1).tolist() if isinstance(lr, Tensor) else [lr]
        self.lr = rates * (lanes // len(rates))

    @torch.no_grad()
    def apply(self, grads: Sequence[Tensor], lanes: Sequence[int]) -> None:
        """One step, in place, of these lanes along gradients `[S, ...]`."""
        for k in lanes:
            self.steps[k] += 1
            torch._fused_adam_(
                [p[k] for p in self.params],
                [g[k] for g in grads],
                [m[k] for m in self.m],
                [v[k] for v in self.v],
                [],
                [self.steps[k]] * len(self.params),
                lr=self.lr[k],
                beta1=0.9,
                beta2=0.999,
                weight_decay=0.0,
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )

    def state_dict(self) -> dict[str, Tensor]:
        """Moments of every parameter `[S, ...]` and the counts `[S]`."""
        m = {f"m.{name}": x for name, x in zip(self.names, self.m, strict=True)}
        v = {f"v.{name}": x for name, x in zip(self.names, self.v, strict=True)}
        return {**m, **v, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])


def fit(
    model: Dynamics,
    optimiser: LaneAdam,
    x: Tensor,
    y: Tensor,
    c: FitConfig,
    number: int,
    *,
    loss: Loss | None = None,
    score: Loss = squared_error,
) -> Fitted:
    """Epochs and scores `[S]` after training `model`, in place, on inputs `x [S, N, D + A]` and
    targets `y [S, N, D + 1]` (first axis 1: rows that all lanes share).

    `number` keys the randomness of this fit. `loss` is by default `likelihood`, of a
    deterministic model `squared_error`. Raises ValueError for fewer than two rows or decays that
    do not fit the layers, RunError when a lane's model has diverged.
    """
    loss = loss or (squared_error if model.deterministic else likelihood)
    seeds, count = model.spec.seeds, x.shape[1]
    if count < 2:
        raise ValueError(f"{count} rows to fit a model to; two are needed at least")
    decays = _decays(c.decay_model, len(model.weights))
    n_held = min(max(int(count * c.holdout), 1), c.max_holdout, count - 1)
    rngs = [generator(seed, "model/fit", number) for seed in seeds]
    held, bootstraps = [], []
    for k, rng in enumerate(rngs):
        order = rng.permutation(count)
        held.append(torch.from_numpy(order[:n_held]))
        train = order[n_held:].astype(np.int32)
        bootstraps.append(train[rng.integers(len(train), size=(model.n, len(train)))])
        model.normalise_by(k, x[k % len(x)][torch.from_numpy(order[n_held:]).to(x.device)])
    held_rows = torch.stack(held).to(x.device)  # [S, H]
    best = torch.full((len(seeds), model.n), torch.inf, dtype=x.dtype, device=x.device)
    snapshot = [p.detach().clone() for p in model.parameters()]
    epochs, idle = np.zeros(len(seeds), np.int64), np.zeros(len(seeds), np.int64)
    active = list(range(len(seeds)))
    for _ in range(c.max_epochs):
        for k in active:
            bootstraps[k] = rngs[k].permuted(bootstraps[k], axis=1)
        rows = np.stack(bootstraps)  # [S, n, T]
        for at in range(0, rows.shape[-1], c.batch_model):
            index = torch.from_numpy(rows[..., at : at + c.batch_model]).to(x.device).long()
            _step(model, optimiser, x, y, index, loss, decays, active)
        epochs[active] += 1
        with torch.no_grad():
            held_x, held_y = _take(x, held_rows), _take(y, held_rows)
            shared = held_rows.unsqueeze(1).expand(-1, model.n, -1)
            now = score(model.predict(held_x), held_y.unsqueeze(1), shared).mean(-1)  # [S, n]
        better = now < _PROGRESS * best
        going = torch.zeros(len(seeds), dtype=torch.bool, device=x.device)
        going[active] = True
        better &= going.unsqueeze(-1)
        best = torch.where(better, now, best)
        for kept, p in zip(snapshot, model.parameters(), strict=True):
            kept[better] = p.detach()[better]
        progress = better.any(-1).cpu().numpy()
        idle = np.where(progress, 0, idle + 1)
        active = [k for k in active if idle[k] <= c.patience]
        if not active:
            break
    with torch.no_grad():
        for kept, p in zip(snapshot, model.parameters(), strict=True):
            p.copy_(kept)
    n_elites = model.elites.shape[1]
    lowest = best.sort(stable=True, dim=-1)
    if not (usable := lowest.values[:, :n_elites].isfinite().all(-1)).all():
        seed = seeds[int((~usable).nonzero()[0, 0])]
        raise RunError(f"the dynamics model of seed {seed} has diverged; lower lr_model")
    model.elites.copy_(lowest.indices[:, :n_elites])
    trained = torch.from_numpy(epochs).to(x.device, x.dtype)
    return Fitted(trained, lowest.values[:, :n_elites].mean(-1))


def objective(
    model: Dynamics, x: Tensor, y: Tensor, rows: Tensor, loss: Loss
) -> Tensor:  # [S, n, b, ...] -> [S]
    """Eq. (1) without its decay: summed over members, so that each has the gradient it would have
    alone."""
    total = loss(model.predict(x), y, rows).mean(-1).sum(-1)
    if not model.deterministic:
        spread = (model.max_log_var - model.min_log_var).flatten(1).sum(-1)
        total = total + _BOUNDS_WEIGHT * spread
    return total


def _step(
    model: Dynamics,
    optimiser: LaneAdam,
    x: Tensor,
    y: Tensor,
    rows: Tensor,
    loss: Loss,
    decays: Sequence[float],
    active: Sequence[int],
) -> None:
    total = objective(model, _take(x, rows), _take(y, rows), rows, loss).sum()
    grads = torch.autograd.grad(total, optimiser.params)
    with torch.no_grad():
        decay = dict(zip(map(id, model.weights), decays, strict=True))
        for p, grad in zip(optimiser.params, grads, strict=True):
            if c := decay.get(id(p)):
                grad.add_(p, alpha=c)
    optimiser.apply(grads, active)


def _take(x: Tensor, rows: Tensor) -> Tensor:
    """`x [S or 1, N, W]` at `rows [S, ...]`: `[S, ..., W]`."""
    if x.shape[0] > 1:
        offset = torch.arange(x.shape[0], device=x.device) * x.shape[1]
        rows = rows + offset.view(-1, *[1] * (rows.dim() - 1))
    taken = x.reshape(-1, x.shape[-1]).index_select(0, rows.reshape(-1))
    return taken.view(*rows.shape, x.shape[-1])


def _decays(given: tuple[float, ...], layers: int) -> tuple[float, ...]:
    if len(given) not in (1, layers):
        raise ValueError(
            f"decay_model has {len(given)} values for {layers} layers; give one for all, "
            f"or {layers}"
        )
    return given * layers if len(given) == 1 else given
