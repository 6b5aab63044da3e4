"""Ridge regressions that are kept solved: one shared model, or one an arm."""

import numpy as np

from rlkit.envs.bandits.counts import whole

# Numbers in a temporary array: beyond some megabytes the system's pages cost more than the sums.
CHUNK = 2**17
MANY = 32  # models from which on products of features are formed once for all of them
RESOLVE_EVERY = 1000  # rows of a model after which the inverse is formed anew


class RidgeModels:
    """M ridge regressions of d features: V = lambda I + X'X, theta = V^-1 X'r.

    Rows are added by the Woodbury identity, in O(n d² + n³) for n rows of one model, or by a new
    solve where n >= d or round-off may have gathered.
    """

    def __init__(self, models: int, dim: int, ridge: float = 1.0) -> None:
        models, dim = whole("models", models), whole("dim", dim)
        if not ridge > 0:
            raise ValueError(f"ridge is {ridge}; it must be positive")
        self.ridge = float(ridge)
        self.precision = np.tile(ridge * np.eye(dim), (models, 1, 1))  # [M, d, d]
        self.inverse = np.tile(np.eye(dim) / ridge, (models, 1, 1))
        self.moment = np.zeros((models, dim))
        self.theta = np.zeros((models, dim))
        self.log_det = np.zeros(models)  # ln det(V / lambda)
        self.counts = np.zeros(models, np.int64)
        self.pending = np.zeros(models, np.int64)  # rows since the last new solve
        first, second = np.triu_indices(dim)
        self.upper = first * dim + second  # places of an upper triangle in a flat matrix
        self.twice = np.where(first == second, 1.0, 2.0)
        self.halves = np.empty((0, len(first)))  # of the inverses, once asked for
        self.changed = set(range(models))  # models whose half is not up to date

    def add(self, model: int, x: np.ndarray, r: np.ndarray) -> None:
        """Add rows x [n, d] with targets r [n] to one model."""
        n, dim = x.shape
        self.precision[model] += x.T @ x
        self.moment[model] += r @ x
        self.counts[model] += n
        self.changed.add(model)
        self.pending[model] += n
        if n >= dim or self.pending[model] >= RESOLVE_EVERY:
            self._solve(model)
            return
        u = x @ self.inverse[model]  # [n, d]
        small = np.eye(n) + u @ x.T
        gain = np.linalg.solve(small, u)
        self.theta[model] += (r - x @ self.theta[model]) @ gain
        self.inverse[model] -= u.T @ gain
        self.log_det[model] += np.linalg.slogdet(small)[1]

    def _solve(self, model: int) -> None:
        self.inverse[model] = np.linalg.inv(self.precision[model])
        self.theta[model] = np.linalg.solve(self.precision[model], self.moment[model])
        self.log_det[model] = np.linalg.slogdet(self.precision[model] / self.ridge)[1]
        self.pending[model] = 0

    def upper_halves(self) -> np.ndarray:
        """Upper triangles [M, d (d + 1) / 2] of V^-1, row by row, doubled off the diagonal."""
        if not len(self.halves):
            self.halves = np.empty((len(self.theta), len(self.upper)))
        for model in self.changed:
            self.halves[model] = self.inverse[model].ravel()[self.upper] * self.twice
        self.changed.clear()
        return self.halves

    def add_rows(self, x: np.ndarray, model: np.ndarray, r: np.ndarray) -> None:
        """Add rows x [n, d] with targets r [n], each to its model [n]."""
        for m in np.unique(model):
            own = model == m
            self.add(int(m), x[own], r[own])

    def state_dict(self) -> dict[str, np.ndarray]:
        names = ("precision", "inverse", "moment", "theta", "log_det", "counts", "pending")
        return {name: getattr(self, name).copy() for name in names}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        for name, value in state.items():
            own = getattr(self, name)
            if own.shape != value.shape:
                raise ValueError(f"{name} has shape {value.shape}; needed is {own.shape}")
            own[...] = value
        self.changed = set(range(len(self.theta)))


class ArmFeatures:
    """How contexts reach ridge models: shared (x_a [B, K, d], one model) or disjoint (one an arm).

    Disjoint models take one context [B, d] for all arms or, with `per_arm`, x_a [B, K, d].
    """

    def __init__(self, arms: int, dim: int, disjoint: bool, per_arm: bool | None = None) -> None:
        self.arms, self.dim, self.disjoint = whole("arms", arms), whole("dim", dim), disjoint
        self.per_arm = not disjoint if per_arm is None else per_arm
        if not disjoint and not self.per_arm:
            raise ValueError("a shared model needs one feature vector an arm: per_arm=True")

    def means(self, x: np.ndarray, models: RidgeModels) -> np.ndarray:
        """x' theta of every arm [B, K]."""
        if not self.disjoint:
            return x @ models.theta[0]
        return np.einsum("bkd,kd->bk", x, models.theta) if self.per_arm else x @ models.theta.T

    def deviations(self, x: np.ndarray, models: RidgeModels) -> np.ndarray:
        """sqrt(x' V^-1 x) of every arm [B, K]."""
        halves = self.disjoint and not self.per_arm and self.arms >= MANY
        size = max(1, CHUNK // (self.dim * (self.dim if halves else self.arms)))
        if len(x) <= size:
            squares = self._squares(x, models, halves)
        else:
            parts = [x[first : first + size] for first in range(0, len(x), size)]
            squares = np.concatenate([self._squares(part, models, halves) for part in parts])
        return np.sqrt(np.maximum(squares, 0.0, out=squares), out=squares)

    def _squares(self, x: np.ndarray, models: RidgeModels, halves: bool) -> np.ndarray:
        """x' V^-1 x of every arm [B, K]; with `halves` from products of two features."""
        if halves:
            products = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
            return products.take(models.upper, axis=1) @ models.upper_halves().T
        if not self.disjoint:
            return np.einsum("bkd,bkd->bk", x @ models.inverse[0], x)
        if self.per_arm:
            return np.einsum("kbd,bkd->bk", x.swapaxes(0, 1) @ models.inverse, x)
        return np.einsum("kbd,bd->bk", x @ models.inverse, x)

    def chosen(self, x: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Feature rows [B, d] of the chosen arms, and the model [B] each belongs to."""
        rows = x[np.arange(len(x)), action] if self.per_arm else x
        return rows, action if self.disjoint else np.zeros(len(x), np.int64)
