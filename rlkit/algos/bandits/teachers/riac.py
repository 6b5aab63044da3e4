"""RIAC: a tree of boxes of tasks, sampled by how fast returns change inside them.

Baranes & Oudeyer 2009, in the form of the teachers of Portelas et al. 2020. Every box keeps its
latest returns; its alp is |mean of the older half - mean of the newer half| of them. A leaf with
more than `points` of them is cut in two: of `proposals` random cuts that leave both sides enough
points and width, the one of largest |S1| |S2| |alp1 - alp2|; without such a cut its oldest quarter
is dropped. A task comes
  with probability 7/10  from a box drawn by alp, uniformly
                   2/10  uniformly from all tasks
                   1/10  from a box drawn by alp: its task of least return, moved by a Gaussian
Boxes are drawn from the whole tree, or with `leaves_only` from its leaves.

Differs from the authors' code, as the paper has it: the sizes |S1| |S2| are numbers of points
(theirs is a constant, which `sizes=False` restores), and the halves of a cut box keep the alp of
their own points, not of the last cut tried.
"""

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike

from rlkit.algos.bandits.teachers.mixtures import Box
from rlkit.core.streams import generator
from rlkit.core.words.ranges import Count, NonNegative, Range, checked

Half = Annotated[float, Range("lie in [0, 0.5]", 0, 0.5)]


@checked(lanes=False)
@dataclass(frozen=True)
class Config:
    returns: tuple[float, float] = (0.0, 1.0)  # returns of the worst and the best student
    points: Annotated[int, Range("be at least 4", 4)] = (
        200  # a leaf is cut when it holds more; the newest of them make its alp
    )
    proposals: Count = 50  # random cuts tried
    least_points: Half = 0.05  # of a side of a cut, as a share of `points`
    least_width: Half = 1.0 / 15.0  # of a side of a cut, as a share of the whole box
    mutation: NonNegative = 0.1  # standard deviation of the Gaussian, as a share of the whole box
    leaves_only: bool = False
    sizes: bool = True  # the sizes of the sides count in the choice of a cut


@dataclass(eq=False)
class Node:
    """A box of the tree: low, high [D]; rows (place, return) of its newest points, oldest first."""

    low: np.ndarray
    high: np.ndarray
    rows: list[np.ndarray] = field(default_factory=list)
    alp: float = 0.0
    axis: int = -1  # of the cut; -1 at a leaf
    threshold: float = 0.0
    children: tuple[int, int] = (-1, -1)


def progress(rows: list[np.ndarray], most: int) -> float:
    """|mean of the older half - mean of the newer half| of the newest `most` returns."""
    returns = np.array([row[-1] for row in rows[-most:]])
    half = len(returns) // 2
    return abs(float(returns[:-half].mean() - returns[-half:].mean())) if half else 0.0


class Riac:
    """The teacher; see the module's text."""

    def __init__(
        self, low: ArrayLike, high: ArrayLike, config: Config | None = None, *, seed: int = 0
    ) -> None:
        c = self.config = config or Config()
        self.box, self.seed = Box(low, high, c.returns), seed
        self.samples, self.episodes = 0, 0
        dim = len(self.box.low)
        self.nodes = [Node(np.zeros(dim), np.ones(dim))]

    def sample(self) -> np.ndarray:
        rng = generator(self.seed, "teacher", self.samples)
        self.samples += 1
        mode, dim = rng.random(), len(self.box.low)
        if mode < 0.2:
            return self.box.task(rng.random(dim))
        nodes = [n for n in self.nodes if n.axis < 0 or not self.config.leaves_only]
        alp = np.array([node.alp for node in nodes])
        total = alp.sum()
        node = nodes[rng.choice(len(nodes), p=alp / total) if total > 0 else rng.integers(len(alp))]
        if mode < 0.3 and node.rows:
            worst = min(node.rows, key=lambda row: row[-1])[:-1]
            place = worst + self.config.mutation * rng.standard_normal(dim)
            return self.box.task(np.clip(place, node.low, node.high))
        return self.box.task(rng.uniform(node.low, node.high))

    def update(self, task: ArrayLike, outcome: float) -> None:
        """Take in what the student returned on `task` `[D]`."""
        row = np.append(self.box.place(task), self.box.scaled(outcome))
        self.episodes += 1
        i = 0
        while True:
            node = self.nodes[i]
            node.rows = [*node.rows[-self.config.points :], row]
            node.alp = progress(node.rows, self.config.points)
            if node.axis < 0:
                break
            i = node.children[int(row[node.axis] > node.threshold)]
        if len(node.rows) > self.config.points:
            self._cut(node)

    def _cut(self, node: Node) -> None:
        c, rng = self.config, generator(self.seed, "teacher cut", self.episodes)
        places = np.array([row[:-1] for row in node.rows])
        best, chosen = -1.0, None
        for _ in range(c.proposals):
            axis = int(rng.integers(len(node.low)))
            threshold = float(rng.uniform(node.low[axis], node.high[axis]))
            right = places[:, axis] > threshold
            sides = [[r for r, s in zip(node.rows, right, strict=True) if s == k] for k in (0, 1)]
            widths = (threshold - node.low[axis], node.high[axis] - threshold)
            if min(widths) < c.least_width or min(map(len, sides)) < c.least_points * c.points:
                continue
            gap = abs(progress(sides[0], c.points) - progress(sides[1], c.points))
            score = gap * (len(sides[0]) * len(sides[1]) if c.sizes else 1)
            if score > best:
                best, chosen = score, (axis, threshold, sides)
        if chosen is None:
            node.rows = node.rows[len(node.rows) // 4 :]
            return
        node.axis, node.threshold, sides = chosen
        node.children = (len(self.nodes), len(self.nodes) + 1)
        for k in (0, 1):
            low, high = node.low.copy(), node.high.copy()
            (high if k == 0 else low)[node.axis] = node.threshold
            self.nodes.append(Node(low, high, sides[k], progress(sides[k], c.points)))

    def state_dict(self) -> dict[str, np.ndarray]:
        counts = [len(node.rows) for node in self.nodes]
        rows = [row for node in self.nodes for row in node.rows]
        return {
            "counts": np.array([self.samples, self.episodes]),
            "boxes": np.array([[node.low, node.high] for node in self.nodes]),
            "alp": np.array([node.alp for node in self.nodes]),
            "cuts": np.array([[node.axis, node.threshold] for node in self.nodes]),
            "children": np.array([node.children for node in self.nodes]),
            "row_counts": np.array(counts),
            "rows": np.array(rows).reshape(len(rows), len(self.box.low) + 1),
        }

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.samples, self.episodes = (int(n) for n in state["counts"])
        groups = np.split(state["rows"], np.cumsum(state["row_counts"])[:-1])
        self.nodes = [
            Node(box[0].copy(), box[1].copy(), list(own.copy()), float(alp), int(cut[0]),
                 float(cut[1]), (int(pair[0]), int(pair[1])))
            for box, own, alp, cut, pair in zip(
                state["boxes"], groups, state["alp"], state["cuts"], state["children"], strict=True
            )
        ]  # fmt: skip
