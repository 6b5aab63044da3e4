"""Prioritised replay, Schaul et al. 2016 (arXiv 1511.05952), proportional variant.

    (1)  P(i) = p_i^α / Σ_k p_k^α,       p_i = |δ_i| + ε
    (2)  w_i = (N P(i))^-β / max_j w_j,  j over the minibatch

A new row gets the largest priority that the replay holds (1 in an empty one), so that it is seen
soon. A minibatch of B takes one row from each of B equal slices of Σ p^α. β rises linearly to 1.

Differs from the paper: it leaves open what the maximum in (2) is taken over; ours is the minibatch,
as in most code. The maximum for new rows is that of the rows still there, not of all ever seen.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.jit import njit
from rlkit.core.streams import Streams
from rlkit.data.sampling.samplers import Mixed, NStep, Uniform

EPSILON = 1e-6  # ε, so that a row without error may still be drawn


class Prioritised:
    """Rows with chance proportional to priority^alpha, each lane by its own priorities.

    `rows` turns indices into batches (`NStep` for n-step returns) and names the replay and the
    stream of random numbers; its own way of drawing is not used. A batch's `w` holds the weights
    (2), where `beta` is their first exponent and `beta_steps` the update from which on it is 1.
    `alpha` and `beta` are numbers or tensors `[S, 1]`.

    Rows that were added are found at every call, however many. Raises ValueError for exponents
    outside [0, 1] and for rows of two replays.
    """

    def __init__(
        self,
        rows: Uniform | NStep | Mixed,
        streams: Streams,
        *,
        alpha: float | Tensor = 0.6,
        beta: float | Tensor = 0.4,
        beta_steps: int = 100_000,
    ) -> None:
        if isinstance(rows, Mixed):
            raise ValueError(
                "prioritised replay ranks the rows of one place, not of a dataset and an "
                "environment; give prioritised=False"
            )
        self.rows, self.streams = rows, streams
        self.replay, self.batch_size, self.name = rows.replay, rows.batch_size, rows.name
        spec = self.replay.spec
        self._alpha = _per_lane("alpha", alpha, spec.lanes)
        self._beta = _per_lane("beta", beta, spec.lanes)
        if beta_steps < 1:
            raise ValueError(f"beta_steps {beta_steps} must be positive")
        self.beta_steps = beta_steps
        self._first_leaf = 1 << (self.replay.capacity - 1).bit_length()
        # nodes k have children 2k and 2k + 1; sums and maxima of p^α
        self._sums = np.zeros((spec.lanes, 2 * self._first_leaf))
        self._maxima = np.zeros_like(self._sums)
        self._seen = 0  # steps of the ring that had been written at the last look
        self._slots = self.replay.capacity // self.replay.envs
        leaves = torch.from_numpy(self._sums[:, self._first_leaf :])
        self._on_host = torch.device(spec.device).type == "cpu"
        # p^α where batches are made: on a CPU the leaves themselves
        self._leaves = leaves if self._on_host else leaves.to(spec.device)
        # N / Σ p^α and -β of each lane, read by `batch`
        self._scale = torch.ones(2, spec.lanes, 1, dtype=torch.float64, device=spec.device)

    def indices(self, step: int, count: int = 1) -> Tensor:
        """Rows `[count, S, B]` by the priorities of now; β is that of `step`."""
        self._look()
        if self.replay.size == 0:
            raise ValueError("the replay is empty; add transitions before drawing batches")
        u = self.streams.draw(self.name, "uniform", step, (self.batch_size,), count)
        out = np.empty(u.shape, np.int64)
        _draw(self._sums, self._first_leaf, u, out)
        share = min(1.0, step / self.beta_steps)
        beta = self._beta + (1 - self._beta) * share
        scale = np.stack((self.replay.size / self._sums[:, 1], -beta))
        self._scale.copy_(torch.from_numpy(scale).unsqueeze(-1))
        return torch.from_numpy(out).to(self.replay.spec.device)

    def batch(self, index: Tensor) -> Batch:
        """The rows `[S, B]` with their importance weights `w`."""
        batch = self.rows.batch(index)
        scale, exponent = self._scale
        w = (self._leaves.gather(1, index) * scale) ** exponent
        w = w / w.amax(-1, keepdim=True)
        return batch._replace(w=w.to(batch.r.dtype))

    def learned(self, index: Tensor, priority: Tensor) -> None:
        """New errors |δ| `[S, B]` of rows `[S, B]`; rows overwritten since the last draw keep the
        priority of what is new in them. Raises ValueError where an error is not finite."""
        rows = index.cpu().numpy()
        values = priority.detach().double().cpu().numpy()
        if not np.isfinite(values).all():
            lane = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise ValueError(
                f"priorities of seed {self.replay.spec.seeds[lane]} are not finite: its training "
                "has diverged; lower its learning rate"
            )
        fresh = self._look()
        powers = (np.abs(values) + EPSILON) ** self._alpha[:, None]
        if fresh.size:
            powers[np.isin(rows, fresh)] = -1  # not written
        self._set(rows, powers)

    def state_dict(self) -> dict[str, Tensor]:
        """p^α of every row filled at the last look, and the steps that were written then."""
        size = min(self._seen, self._slots) * self.replay.envs
        leaves = torch.from_numpy(self._sums[:, self._first_leaf :][:, :size])
        return {"powers": leaves.clone(), "seen": torch.tensor(self._seen)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores draws bit for bit. Raises ValueError, changing nothing, when the state does not
        fit the replay."""
        powers, seen = state["powers"], state["seen"]
        if seen.ndim:
            raise ValueError("priorities are of a version before 0.2; resume with that one")
        shape = (len(self._sums), min(int(seen), self._slots) * self.replay.envs)
        if tuple(powers.shape) != shape:
            raise ValueError(
                f"priorities have shape {tuple(powers.shape)}; {shape} is expected "
                "(seeds, capacity or environments differ)"
            )
        self._sums[:], self._maxima[:] = 0, 0
        self._set(np.broadcast_to(np.arange(shape[1]), shape), powers.double().cpu().numpy())
        self._seen = int(seen)

    # --- inside -------------------------------------------------------------------------------
    def _look(self) -> np.ndarray:
        """Rows added since the last look, which get the largest priority of the others."""
        new = min(self.replay.written - self._seen, self._slots)
        if new == 0:
            return np.empty(0, np.int64)
        self._seen = self.replay.written
        steps = (self._seen - new + np.arange(new)) % self._slots
        rows = (steps[:, None] * self.replay.envs + np.arange(self.replay.envs)).reshape(-1)
        spread = np.tile(rows, (len(self._sums), 1))
        # what was overwritten counts no longer, before the maximum is taken
        _write(self._sums, self._maxima, self._first_leaf, spread, np.zeros(spread.shape))
        top = self._maxima[:, 1:2]
        self._set(spread, np.broadcast_to(np.where(top > 0, top, 1.0), spread.shape))
        return rows

    def _set(self, rows: np.ndarray, powers: np.ndarray) -> None:
        """Makes `powers [S, K]` the p^α of `rows [S, K]`; where negative, the row keeps its own."""
        # copies: contiguous and writable whatever they came from, so one compiled kernel serves
        rows, powers = np.array(rows, order="C"), np.array(powers, order="C")
        _write(self._sums, self._maxima, self._first_leaf, rows, powers)
        if not self._on_host:
            values = torch.from_numpy(np.take_along_axis(self._sums, rows + self._first_leaf, 1))
            device = self._leaves.device
            self._leaves.scatter_(1, torch.from_numpy(rows).to(device), values.to(device))


def _per_lane(name: str, value: float | Tensor, lanes: int) -> np.ndarray:
    """`[S]` of a number or a tensor `[S, 1]`."""
    array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    array = np.broadcast_to(array.astype(np.float64).reshape(-1), (lanes,))
    if not ((array >= 0) & (array <= 1)).all():
        raise ValueError(f"{name} is {array.tolist()}; it must lie between 0 and 1")
    return array


@njit(cache=True, nogil=True)
def _write(sums, maxima, first, rows, powers):
    """Sets leaves `rows [S, K]` to `powers [S, K]` (negative: not) and all above them anew."""
    for lane in range(rows.shape[0]):
        for k in range(rows.shape[1]):
            if powers[lane, k] < 0:
                continue
            node = first + rows[lane, k]
            sums[lane, node] = powers[lane, k]
            maxima[lane, node] = powers[lane, k]
            node //= 2
            while node > 0:
                # sums of children, never differences: a node is a function of its leaves alone
                sums[lane, node] = sums[lane, 2 * node] + sums[lane, 2 * node + 1]
                maxima[lane, node] = max(maxima[lane, 2 * node], maxima[lane, 2 * node + 1])
                node //= 2


@njit(cache=True, nogil=True)
def _draw(sums, first, u, out):
    """One row of each of B equal slices of the sum, at place `u [count, S, B]` of the slice."""
    count, lanes, batch = u.shape
    for n in range(count):
        for lane in range(lanes):
            for k in range(batch):
                at = (k + u[n, lane, k]) / batch * sums[lane, 1]
                node = 1
                while node < first:
                    node *= 2
                    # rounding may push `at` past the end; an empty half is never entered
                    if at >= sums[lane, node] and sums[lane, node + 1] > 0:
                        at -= sums[lane, node]
                        node += 1
                out[n, lane, k] = node - first
