"""Slates of items shown to users whose taste moves with their clicks: a synthetic simulator.

Items lie in groups: a group's vector points in a random direction with a length of 0.1 to 0.8, an
item's is its group's plus 0.1 times a random direction, everything times `sharpness`. A user begins
at the vector of a random group. Of a slate (i_1..i_m) a user at h clicks item k with a probability
proportional to exp(-|h - v_k|), nothing with one proportional to exp(bias). After a click on v the
user moves:
  linear  h <- memory h + (1 - memory) v
  gru     h <- a gated recurrent unit of fixed random weights, fed with v, scaled into the ball of
          the items
In the manner of the simulator of Eide, Leslie & Frigessi 2021 ("Dynamic Slate Recommendation with
Gated Recurrent Units and Thompson Sampling").
"""

from dataclasses import dataclass, field

import numpy as np

from rlkit.envs.bandits.counts import check_whole, whole

MOVES = ("linear", "gru")
_REACH = 0.8  # length of the longest group vector


def sphere(n: int, dim: int, rng: np.random.Generator) -> np.ndarray:
    """n uniform directions [n, dim]."""
    x = rng.standard_normal((n, dim))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class SlateWorld:
    """A catalogue and its users, drawn from `seed`."""

    items: int = 500
    groups: int = 20
    dim: int = 3
    slots: int = 8
    sharpness: float = 8.0
    bias: float = 0.0  # score of clicking nothing; an item at distance 0 is as attractive
    moves: str = "linear"
    memory: float = 0.8
    seed: int = 0
    group: np.ndarray = field(init=False)  # of every item [I]
    vectors: np.ndarray = field(init=False)  # of the items [I, d]
    centres: np.ndarray = field(init=False)  # of the groups [G, d]
    weights: tuple[np.ndarray, np.ndarray] = field(init=False)  # of the gru [d, 3d], [d, 3d]

    def __post_init__(self) -> None:
        check_whole(self, "items", "groups", "dim", "slots")
        if not 1 <= self.groups <= self.items or not 1 <= self.slots <= self.items:
            raise ValueError(
                f"need 1 <= groups {self.groups} <= items {self.items} and 1 <= slots "
                f"{self.slots} <= items"
            )
        if self.moves not in MOVES:
            raise ValueError(f"moves is {self.moves!r}; choose one of {', '.join(MOVES)}")
        if not 0 <= self.memory <= 1 or not self.sharpness > 0:
            raise ValueError("need memory in [0, 1] and sharpness > 0")
        rng = np.random.default_rng(self.seed)
        length = 0.1 + (_REACH - 0.1) * rng.random((self.groups, 1))
        centres = length * sphere(self.groups, self.dim, rng)
        group = np.arange(self.items) % self.groups
        vectors = centres[group] + 0.1 * sphere(self.items, self.dim, rng)
        weights = rng.standard_normal((2, self.dim, 3 * self.dim)) / np.sqrt(self.dim)
        own = {
            "group": group,
            "vectors": self.sharpness * vectors,
            "centres": self.sharpness * centres,
            "weights": (weights[0], weights[1]),
        }
        for name, value in own.items():
            object.__setattr__(self, name, value)

    def users(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Tastes [U, d] of new users."""
        return self.centres[rng.integers(self.groups, size=whole("count", count))].copy()

    def probabilities(self, taste: np.ndarray, slates: np.ndarray) -> np.ndarray:
        """Chances [U, 1 + m] of clicking nothing, or each item of slates [U, m]."""
        self.check(slates)
        scores = np.empty((len(slates), 1 + slates.shape[1]))
        scores[:, 0] = self.bias
        scores[:, 1:] = -np.linalg.norm(taste[:, None] - self.vectors[slates], axis=2)
        scores -= scores.max(1, keepdims=True)
        p = np.exp(scores)
        return p / p.sum(1, keepdims=True)

    def check(self, slates: np.ndarray) -> None:
        """Raise a ValueError naming the first user whose slate has an unknown or doubled item."""
        bad = ((slates < 0) | (slates >= self.items)).any(1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"slate of row {row} is {slates[row].tolist()}; there are items 0 to "
                f"{self.items - 1}"
            )
        ordered = np.sort(slates, axis=1)
        bad = (ordered[:, 1:] == ordered[:, :-1]).any(1)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(f"slate of row {row} is {slates[row].tolist()}: an item comes twice")

    def click(
        self, taste: np.ndarray, slates: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """(clicks [U], new tastes [U, d]): 0 for no click, k for the item of slot k from 1 on."""
        p = self.probabilities(taste, slates)
        clicks = (rng.random((len(p), 1)) > p[:, :-1].cumsum(1)).sum(1)
        some = clicks > 0
        seen = self.vectors[slates[some, clicks[some] - 1]]
        moved = taste.copy()
        moved[some] = self._moved(taste[some], seen)
        return clicks, moved

    def _moved(self, taste: np.ndarray, seen: np.ndarray) -> np.ndarray:
        if self.moves == "linear":
            return self.memory * taste + (1 - self.memory) * seen
        reach = self.sharpness * _REACH  # states lie in [-1, 1], items in a ball of this radius
        h, d = taste / reach, self.dim
        given, back = seen / reach @ self.weights[0], h @ self.weights[1]
        r, u = (
            1 / (1 + np.exp(-(given + back)[:, part])) for part in (slice(0, d), slice(d, 2 * d))
        )
        n = np.tanh(given[:, 2 * d :] + r * back[:, 2 * d :])
        return reach * ((1 - u) * n + u * h)

    def spread(self, slates: np.ndarray) -> float:
        """Mean distance between two items of one slate [U, m]."""
        v = self.vectors[slates]
        distance = np.linalg.norm(v[:, :, None] - v[:, None], axis=3)
        m = slates.shape[1]
        return float(distance.sum((1, 2)).mean() / max(m * (m - 1), 1))
