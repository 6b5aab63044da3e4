"""Dueling environment: a preference matrix, its Condorcet winner and its minimax winner."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linprog

from rlkit.envs.bandits.armed import checked


@dataclass(frozen=True, eq=False)
class Dueling:
    """K arms with preferences [K, K]: P[i, j] is the probability that i beats j, P + P' = 1.

    Regret of a duel (i, j) is 1/2 [(p* P)_i - 1/2 + (p* P)_j - 1/2] with the minimax winner p*,
    which is the usual one against the Condorcet winner wherever there is one.
    """

    preferences: ArrayLike

    def matrix(self) -> np.ndarray:
        """P [K, K], checked."""
        p = checked(self.preferences, "preferences", 2, 0.0, 1.0)
        if p.shape[0] != p.shape[1]:
            raise ValueError(f"preferences must be square, got shape {p.shape}")
        wrong = np.argwhere(np.abs(p + p.T - 1.0) > 1e-9)
        if len(wrong):
            i, j = wrong[0]
            raise ValueError(f"preferences[{i}, {j}] + preferences[{j}, {i}] must be 1")
        return p

    def condorcet_winner(self) -> int | None:
        """The arm that beats every other with probability above 1/2, or None."""
        wins = (self.matrix() > 0.5).sum(1)
        best = int(wins.argmax())
        return best if wins[best] == len(wins) - 1 else None

    def minimax_winner(self) -> np.ndarray:
        """p* [K]: the mixture that no arm beats, from the linear program of the symmetric game."""
        p = self.matrix()
        arms = len(p)
        against = np.concatenate([-(p - 0.5).T, np.ones((arms, 1))], axis=1)  # v - (p A)_j <= 0
        total = np.append(np.ones(arms), 0.0)[None]
        solution = linprog(
            np.append(np.zeros(arms), -1.0),
            A_ub=against,
            b_ub=np.zeros(arms),
            A_eq=total,
            b_eq=[1.0],
            bounds=[(0, None)] * arms + [(None, None)],
        )
        weights = np.maximum(solution.x[:arms], 0.0)
        return weights / weights.sum()

    def exploitability(self, mixture: ArrayLike) -> float:
        """max_i (A p)_i with A = P - 1/2: how much the best answer to `mixture` wins by."""
        return float(((self.matrix() - 0.5) @ np.asarray(mixture, np.float64)).max())
