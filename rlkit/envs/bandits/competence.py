"""A student made of numbers: a grid of skills that unlock one another, to try teachers on."""

import numpy as np

from rlkit.envs.bandits.counts import whole


class CompetenceGrid:
    """`cells`^dim cubes of [0, 1]^dim; an episode in a cube returns its competence in [0, 1].

    A visit raises a cube's competence by 1/100, up to 1, if it is the corner cube or one of its
    neighbours with one or more coordinates lower by one has at least 3/4. The toy environment of
    Portelas et al. 2020.
    """

    def __init__(self, dim: int = 2, cells: int = 10) -> None:
        dim, cells = whole("dim", dim), whole("cells", cells)
        self.cells = cells
        self.visits = np.zeros((cells,) * dim, np.int64)  # that counted, up to 100
        self.steps = np.stack(np.meshgrid(*[[0, 1]] * dim, indexing="ij"), -1).reshape(-1, dim)[1:]

    def episode(self, task: np.ndarray) -> float:
        """The return of one episode on a task [dim], after what is learned from it."""
        place = np.minimum((np.asarray(task) * self.cells).astype(int), self.cells - 1)
        cell = tuple(place)
        before = place - self.steps
        lower = before[(before >= 0).all(1)]
        if not place.any() or any(self.visits[tuple(p)] >= 75 for p in lower):
            self.visits[cell] = min(100, self.visits[cell] + 1)
        return float(self.visits[cell]) / 100.0

    def mastered(self) -> float:
        """The share of cubes with a competence above 3/4."""
        return float((self.visits > 75).mean())
