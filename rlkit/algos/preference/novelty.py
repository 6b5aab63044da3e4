"""State entropy as a reward: how far a state is from those that were visited.

A particle estimate of the entropy of visited states grows with the log distance of each to its
k-th neighbour (Singh et al. 2003), so being far from all others is rewarded (PEBBLE, APT).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rlkit.core.streams import generator
from rlkit.data.replay import Replay

_CHUNK = 1024  # rows whose neighbours are looked for at once
_NEAREST = 1e-6  # distance below which a logarithm falls no further
_NO_SPREAD = 1e-6  # of the largest number: a deviation this small is rounding


def neighbour_distance(
    points: Tensor, visited: Tensor, k: int, same: Tensor | None = None
) -> Tensor:
    """Distance of `points [S, n, d]` to their k-th neighbour among `visited [S, m, d]`, `[S, n]`.

    `same [S, n, m]` marks a point among the visited as itself: that is no neighbour. With fewer
    neighbours than k the farthest counts.
    """
    # the plain form: the one by matrix products loses small distances to rounding
    apart = torch.cdist(points, visited, compute_mode="donot_use_mm_for_euclid_dist")
    if same is not None:
        apart = apart.masked_fill(same, torch.inf)
    nearest = apart.topk(min(k, apart.shape[-1]), dim=-1, largest=False).values
    return nearest.masked_fill(nearest.isinf(), 0.0).amax(-1)


class Novelty:
    """That distance for every row of a replay, to `neighbours` random visited states, in units of
    its standard deviation; with `log`, its logarithm.

    `look` draws the visited states anew and answers for all rows; `reward` answers for some.
    """

    def __init__(self, replay: Replay, k: int, neighbours: int, log: bool) -> None:
        self.replay, self.k, self.neighbours, self.log = replay, k, neighbours, log
        spec = replay.spec
        self.places = torch.zeros(spec.lanes, 0, dtype=torch.int64, device=spec.device)
        self.visited = torch.zeros(spec.lanes, 0, spec.obs_size, dtype=spec.dtype)
        self.visited = self.visited.to(spec.device)  # [S, m, d]
        self.std = torch.ones(spec.lanes, 1, dtype=spec.dtype, device=spec.device)

    def look(self, step: int) -> Tensor:
        """Rewards `[S, N]` of all rows; the states drawn depend on a lane's seed and `step`."""
        size, spec = self.replay.size, self.replay.spec
        drawn = [
            generator(seed, "novelty", step).choice(size, min(self.neighbours, size), replace=False)
            for seed in spec.seeds
        ]
        self.places = torch.from_numpy(np.stack(drawn)).to(spec.device)
        self.visited = self.replay.column("s", self.places).flatten(2)
        parts = range(0, size, _CHUNK)
        raw = torch.cat([self._raw(slice(at, min(at + _CHUNK, size))) for at in parts], 1)
        std = raw.std(1, keepdim=True, correction=0)
        flat = std <= _NO_SPREAD * raw.abs().amax(1, keepdim=True)
        self.std = torch.where(flat, torch.ones_like(std), std)
        return raw / self.std

    def reward(self, rows: slice) -> Tensor:
        """Rewards `[S, n]` of `rows`, by the states and the deviation of the last `look`."""
        return self._raw(rows) / self.std

    def _raw(self, rows: slice) -> Tensor:
        points = self.replay.rows("s")[:, rows].flatten(2)
        numbers = torch.arange(rows.start, rows.stop, device=points.device)
        same = numbers.view(1, -1, 1) == self.places.unsqueeze(1)
        distance = neighbour_distance(points, self.visited, self.k, same)
        return distance.clamp(min=_NEAREST).log() if self.log else distance

    def state_dict(self) -> dict[str, Tensor]:
        return {"places": self.places, "visited": self.visited, "std": self.std}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        device = self.replay.spec.device
        self.places, self.visited, self.std = (
            state[name].to(device) for name in ("places", "visited", "std")
        )
