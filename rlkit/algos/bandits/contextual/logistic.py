"""Ridge-penalised logistic regression of rewards 0 and 1 on context and action features.

p(x, a) = sigmoid(sum_j z_j(a) theta_j'(1, x)), z(a) = (1, features of a): every feature of the
action moves the intercept and the slopes. Fitted by Newton's method from scratch, with weights.
"""

import numpy as np

from rlkit.algos.bandits.interface import Observation, check_context

_STEPS = 50
_TOLERANCE = 1e-8  # largest change of a coefficient at which Newton's method stops


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))


class LogisticModel:
    """One model for K actions with features [K, F]; `ridge` holds it towards `prior`.

    The penalty is ridge / 2 on the squares of all coefficients but the first intercept, in units
    of rows: it counts for less the more rows there are.
    """

    def __init__(
        self, action_features: np.ndarray, dim: int, ridge: float = 10.0, prior: float = 0.5
    ) -> None:
        if not ridge > 0 or not 0 < prior < 1:
            raise ValueError(f"need ridge {ridge} > 0 and prior {prior} strictly in (0, 1)")
        features = np.asarray(action_features, np.float64)
        self.z = np.concatenate([np.ones((len(features), 1)), features], axis=1)  # [K, 1 + F]
        self.arms, self.dim, self.ridge = len(features), dim, ridge
        self.first = np.zeros((self.z.shape[1], 1 + dim))  # [1 + F, 1 + d]
        self.first[0, 0] = np.log(prior / (1 - prior))
        self.theta = self.first.copy()

    def predict(self, obs: Observation) -> np.ndarray:
        """Expected rewards [B, K]."""
        context = check_context(obs, self.arms, self.dim, per_arm=False)
        arms = self.z @ self.theta  # [K, 1 + d]
        return sigmoid(arms[:, 0] + context @ arms[:, 1:].T)

    def fit(
        self,
        context: np.ndarray,
        action: np.ndarray,
        reward: np.ndarray,
        weight: np.ndarray | None = None,
    ) -> "LogisticModel":
        """Replace the coefficients by those fitted to context [n, d], action, reward, weight [n].

        Without rows they are the prior again. Weights count as rows.
        """
        self.theta = self.first.copy()
        if not len(action):
            return self
        x = np.concatenate([np.ones((len(context), 1)), context], axis=1)
        z = self.z[action]
        rows = (z[:, :, None] * x[:, None, :]).reshape(len(x), -1)  # [n, (1 + F)(1 + d)]
        penalty = np.full(rows.shape[1], self.ridge)
        penalty[0] = 1e-6
        w = np.ones(len(x)) if weight is None else np.asarray(weight, np.float64)
        start = self.first.ravel()
        theta = start.copy()
        loss = self._loss(rows, reward, w, theta, start, penalty)
        for _ in range(_STEPS):
            p = sigmoid(rows @ theta)
            gradient = rows.T @ (w * (p - reward)) + penalty * (theta - start)
            curved = (rows * (w * p * (1 - p))[:, None]).T @ rows + np.diag(penalty)
            step = np.linalg.solve(curved, gradient)
            length = 1.0
            while length > 1e-6:  # halve until the loss falls: Newton may jump at the start
                new = self._loss(rows, reward, w, theta - length * step, start, penalty)
                if new <= loss + 1e-12 * abs(loss):
                    break
                length *= 0.5
            theta, loss = theta - length * step, new
            if np.abs(length * step).max() < _TOLERANCE:
                break
        self.theta = theta.reshape(self.theta.shape)
        return self

    @staticmethod
    def _loss(
        rows: np.ndarray,
        reward: np.ndarray,
        weight: np.ndarray,
        theta: np.ndarray,
        start: np.ndarray,
        penalty: np.ndarray,
    ) -> float:
        logit = rows @ theta
        losses = np.logaddexp(0.0, logit) - reward * logit
        return float(weight @ losses + 0.5 * penalty @ (theta - start) ** 2)
