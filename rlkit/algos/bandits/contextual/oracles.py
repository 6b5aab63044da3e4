"""Online regression oracles for contextual bandits: ridge, smoothed means, gradient-boosted trees.

An oracle is any object with `arms`, predict(obs) -> [B, K] expected rewards, learn(feedback),
state_dict / load_state_dict, and, where `intervals` is true, deviation(obs) -> [B, K]: the width of
its uncertainty per unit of confidence radius. Fits use no importance weights.
"""

from typing import Any, Protocol

import numpy as np

from rlkit.algos.bandits.contextual.ridge import ArmFeatures, RidgeModels
from rlkit.algos.bandits.interface import Feedback, Observation, check_context, join
from rlkit.envs.bandits.counts import whole


class Oracle(Protocol):
    """What an oracle-based policy asks of a regression oracle."""

    arms: int
    lanes: int  # parallel runs with a model each; 1 unless rows are told apart by their run
    intervals: bool

    def predict(self, obs: Observation) -> np.ndarray: ...

    def deviation(self, obs: Observation) -> np.ndarray: ...

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""

    def state_dict(self) -> dict[str, np.ndarray]: ...

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None: ...


class RidgeOracle:
    """Ridge regression, one shared model over x_a [B, K, d] or one model an arm (disjoint)."""

    lanes = 1
    intervals = True

    def __init__(
        self,
        arms: int,
        dim: int,
        *,
        disjoint: bool = True,
        per_arm: bool | None = None,
        ridge: float = 1.0,
    ) -> None:
        self.arms = arms
        self.features = ArmFeatures(arms, dim, disjoint, per_arm)
        self.models = RidgeModels(arms if disjoint else 1, dim, ridge)

    def _context(self, obs: Observation) -> np.ndarray:
        return check_context(obs, self.arms, self.features.dim, self.features.per_arm)

    def predict(self, obs: Observation) -> np.ndarray:
        return self.features.means(self._context(obs), self.models)

    def deviation(self, obs: Observation) -> np.ndarray:
        return self.features.deviations(self._context(obs), self.models)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        x = self._context(feedback.observation)
        rows, model = self.features.chosen(x, np.asarray(feedback.action))
        self.models.add_rows(rows, model, np.asarray(feedback.reward, np.float64))

    def state_dict(self) -> dict[str, np.ndarray]:
        return self.models.state_dict()

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.models.load_state_dict(state)


class MeanOracle:
    """Smoothed means by (context, arm) for one-hot contexts [B, C]: (S + w p) / (N + w)."""

    lanes = 1
    intervals = True

    def __init__(
        self, contexts: int, arms: int, *, prior: float = 0.5, weight: float = 1.0
    ) -> None:
        if not weight > 0:
            raise ValueError(f"weight is {weight}; it must be positive")
        contexts, arms = whole("contexts", contexts), whole("arms", arms)
        self.arms, self.prior, self.weight = arms, prior, weight
        self.total, self.count = np.zeros((contexts, arms)), np.zeros((contexts, arms))

    def _which(self, obs: Observation) -> np.ndarray:
        return check_context(obs, self.arms, len(self.total), per_arm=False).argmax(1)

    def predict(self, obs: Observation) -> np.ndarray:
        which = self._which(obs)
        total = self.total[which] + self.weight * self.prior
        return total / (self.count[which] + self.weight)

    def deviation(self, obs: Observation) -> np.ndarray:
        return 1.0 / np.sqrt(self.count[self._which(obs)] + self.weight)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        place = self._which(feedback.observation), np.asarray(feedback.action)
        np.add.at(self.total, place, np.asarray(feedback.reward, np.float64))
        np.add.at(self.count, place, 1.0)

    def state_dict(self) -> dict[str, np.ndarray]:
        return {"total": self.total.copy(), "count": self.count.copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        self.total, self.count = np.array(state["total"]), np.array(state["count"])


class LeafWidths:
    """Uncertainty of boosted trees: the ridge width of the values in their leaves.

    With the shapes of M trees fixed, predictions are linear in the values of their leaves, with
    features phi that have a one for the leaf of every tree. Then sqrt(phi' V^-1 phi) with
    V = M I + sum phi phi' is how far predictions may move per unit of squared error spent: 1 in
    untouched leaves, 1 / sqrt(n + 1) where n rows share all leaves.

    Leaves are told apart by what their tree adds to a prediction, which is all that the public
    interface of scikit-learn shows of them.
    """

    def __init__(self, model: Any, x: np.ndarray) -> None:
        self.model = model
        added = self._added(x)
        self.values = []  # of each tree's leaves, rising
        for column in added.T:
            ordered = np.unique(column)
            self.values.append(ordered[np.diff(ordered, prepend=-np.inf) > 1e-9])
        self.first = np.cumsum([0, *map(len, self.values)])
        self.inverse = np.eye(self.first[-1]) / added.shape[1]
        self.rows = 0
        self.add(x)

    def _added(self, x: np.ndarray) -> np.ndarray:
        """What every tree adds to the predictions [n, M]; the first brings the mean along."""
        stages = np.stack(list(self.model.staged_predict(x)), 1)
        return np.diff(stages, axis=1, prepend=0.0)

    def leaves(self, x: np.ndarray) -> np.ndarray:
        """The number of the leaf in every tree [n, M], counted through all trees."""
        added = self._added(x)
        found = np.empty(added.shape, np.int64)
        for m, values in enumerate(self.values):
            middle = 0.5 * (values[1:] + values[:-1])
            found[:, m] = self.first[m] + np.searchsorted(middle, added[:, m])
        return found

    def add(self, x: np.ndarray) -> None:
        """Count further rows [n, d] in V."""
        for part in np.array_split(x, -(-len(x) // 256)):
            phi = np.zeros((len(part), len(self.inverse)))
            np.put_along_axis(phi, self.leaves(part), 1.0, axis=1)
            u = phi @ self.inverse
            self.inverse -= u.T @ np.linalg.solve(np.eye(len(part)) + u @ phi.T, u)
        self.rows += len(x)

    def deviation(self, x: np.ndarray) -> np.ndarray:
        """sqrt(phi' V^-1 phi) of rows [n, d]."""
        leaves = self.leaves(x)
        square = self.inverse[leaves[:, :, None], leaves[:, None, :]].sum((1, 2))
        return np.sqrt(np.maximum(square, 0.0))


class TreesOracle:
    """Histogram gradient-boosted trees on (context, arm as category), refitted from all rows.

    Refits once the rows have grown by the factor `growth`, and predicts `prior` before the first
    fit. The state is the rows themselves, so saving needs no pickle; fits are deterministic.
    `deviation` is that of `LeafWidths`, and 1 before the first fit.
    """

    lanes = 1
    intervals = True

    def __init__(
        self,
        arms: int,
        dim: int,
        *,
        prior: float = 0.5,
        first_fit: int = 50,
        growth: float = 1.25,
        **options: Any,
    ) -> None:
        first_fit = whole("first_fit", first_fit, 2)
        if not growth > 1:
            raise ValueError(f"growth is {growth}; it must exceed 1")
        self.arms, self.dim, self.prior = whole("arms", arms), whole("dim", dim), prior
        self.first_fit, self.growth = first_fit, growth
        self.options = {"max_iter": 60, "max_leaf_nodes": 15, "random_state": 0} | options
        self.parts: list[Feedback] = []
        self.fitted_rows = 0
        self.model: Any = None
        self.widths: LeafWidths | None = None  # of the present model, once they are asked for

    def _rows(self) -> int:
        return sum(len(part) for part in self.parts)

    def _fit(self, table: Feedback) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        model = HistGradientBoostingRegressor(categorical_features=[self.dim], **self.options)
        self.model = model.fit(self._inputs(table), table.reward)
        self.fitted_rows, self.widths = len(table), None

    @staticmethod
    def _inputs(table: Feedback) -> np.ndarray:
        return np.column_stack([np.asarray(table.context), table.action])

    def _every_arm(self, obs: Observation) -> np.ndarray:
        """Inputs [B K, d + 1] of every row with every arm."""
        context = check_context(obs, self.arms, self.dim, per_arm=False)
        arm = np.tile(np.arange(self.arms, dtype=np.float64), len(context))
        return np.column_stack([np.repeat(context, self.arms, axis=0), arm])

    def predict(self, obs: Observation) -> np.ndarray:
        x = self._every_arm(obs)
        if self.model is None:
            return np.full((len(obs), self.arms), self.prior)
        return self.model.predict(x).reshape(len(obs), self.arms)

    def deviation(self, obs: Observation) -> np.ndarray:
        x = self._every_arm(obs)
        if self.model is None:
            return np.ones((len(obs), self.arms))
        if self.widths is None or self.widths.rows < self._rows():
            self.parts = [join(self.parts)]
            rows = self._inputs(self.parts[0])
            if self.widths is None:
                self.widths = LeafWidths(self.model, rows[: self.fitted_rows])
            if self.widths.rows < len(rows):
                self.widths.add(rows[self.widths.rows :])
        return self.widths.deviation(x).reshape(len(obs), self.arms)

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""
        context = check_context(feedback.observation, self.arms, self.dim, per_arm=False)
        self.parts.append(Feedback(np.array(feedback.action), np.array(feedback.reward), context))
        if self._rows() >= max(self.first_fit, self.growth * self.fitted_rows):
            self.parts = [join(self.parts)]
            self._fit(self.parts[0])

    def state_dict(self) -> dict[str, np.ndarray]:
        table = join(self.parts) if self.parts else None
        return {
            "context": np.zeros((0, self.dim)) if table is None else np.asarray(table.context),
            "action": np.zeros(0, np.int64) if table is None else table.action,
            "reward": np.zeros(0) if table is None else table.reward,
            "fitted_rows": np.array(self.fitted_rows),
        }

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        table = Feedback(state["action"], state["reward"], state["context"])
        self.parts = [table] if len(table) else []
        self.model, self.widths, self.fitted_rows = None, None, int(state["fitted_rows"])
        if self.fitted_rows:
            self._fit(table.rows(slice(0, self.fitted_rows)))
