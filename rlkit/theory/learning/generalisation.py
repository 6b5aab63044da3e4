"""Why a model can generalise better than values: the set-inclusion argument on an exact toy.

For a class of models and data D, the values of the models that agree with D are among the optimal
values of the class that satisfy the Bellman equation on D, and may be strictly fewer (Young,
Ramesh, Kirsch & Schmidhuber 2023, "The benefits of model-based generalization in RL"). Here the
class is small enough to list: states are pairs of bits, each bit moves by its own function of
itself and the action, and the reward is known.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import as_integers, as_reals, check_fraction, check_gamma, settings


class ModelClass(NamedTuple):
    """All candidate deterministic models: moves [M, S, A], their optimal q [M, S, A].

    `values` [V, S, A] are the distinct ones and `which` [M] says which model has which.
    """

    moves: Array
    rewards: Array
    gamma: float
    q: Array
    values: Array
    which: Array

    def model(self, index: int) -> FiniteMDP:
        """The candidate as a FiniteMDP."""
        return FiniteMDP.from_dense(np.eye(self.moves.shape[1])[self.moves[index]], self.rewards)


class Candidates(NamedTuple):
    """What data leave possible: models [m] (indices), their distinct values, and the distinct
    values that satisfy the Bellman equation on the data (indices into `ModelClass.values`)."""

    models: Array
    model_values: Array
    bellman_values: Array

    @property
    def narrowed(self) -> int:
        """How many values the model route rules out that the value route cannot."""
        return self.bellman_values.size - self.model_values.size


def factored_bits(gamma: float = 0.9) -> ModelClass:
    """Two bits, two actions, x_i' = f_i(x_i, a) with 16 functions each: 256 models.

    The reward is x_1 and x_2, whatever the action. State s = 2 x_1 + x_2.
    """
    # Function k sends (bit, action) to binary digit 2 bit + action of k.
    table = (np.arange(16)[:, None] >> np.arange(4)) & 1  # [16, 4]
    s, a = np.arange(4)[:, None], np.arange(2)
    first, second = table[:, 2 * (s >> 1) + a], table[:, 2 * (s & 1) + a]  # [16, S, A]
    moves = (2 * first[:, None] + second[None]).reshape(256, 4, 2)
    return model_class(moves, np.repeat(np.array([0.0, 0, 0, 1])[:, None], 2, 1), gamma)


def all_models(states: int, actions: int, rewards: Array, gamma: float = 0.9) -> ModelClass:
    """Every deterministic model of that size: S^(S A) of them. ValueError beyond a million."""
    pairs = states * actions
    count = states**pairs
    if count > 1_000_000:
        raise ValueError(f"{states} states and {actions} actions have {count} models")
    digits = np.arange(count)[:, None] // states ** np.arange(pairs) % states
    return model_class(digits.reshape(count, states, actions), np.asarray(rewards, float), gamma)


@settings(gamma=check_fraction)
def model_class(moves: Array, rewards: Array, gamma: float) -> ModelClass:
    """Optimal values of deterministic models [M, S, A] with one reward table [S, A]."""
    moves, rewards = as_integers("moves", moves), as_reals("rewards", rewards)
    gamma = check_gamma(gamma)
    if moves.ndim != 3 or moves.shape[1:] != rewards.shape or gamma == 1.0:
        raise ValueError(
            f"need moves [M, S, A], rewards [S, A] and gamma < 1, got {moves.shape}, "
            f"{rewards.shape}, {gamma}"
        )
    if moves.size and (moves.min() < 0 or moves.max() >= moves.shape[1]):
        raise ValueError(f"moves must lie in 0..{moves.shape[1] - 1}")
    q = _optimal_q(moves, rewards, gamma)
    values, which = _distinct(q.reshape(len(q), -1))
    return ModelClass(moves, rewards, gamma, q, values.reshape(-1, *rewards.shape), which)


def candidates(models: ModelClass, truth: int, states: Array, actions: Array) -> Candidates:
    """What observing the moves of model `truth` at the listed (state, action) pairs leaves open."""
    s, a = np.asarray(states, np.int64), np.asarray(actions, np.int64)
    if s.shape != a.shape or s.ndim != 1:
        raise ValueError(f"states and actions must be lists of equal length: {s.shape}, {a.shape}")
    after = models.moves[truth, s, a]
    agree = np.flatnonzero((models.moves[:, s, a] == after).all(1))
    q = models.values
    target = models.rewards[s, a] + models.gamma * q[:, after].max(2)
    fits = np.flatnonzero((np.abs(q[:, s, a] - target) <= 1e-9 * _size(models)).all(1))
    return Candidates(agree, np.unique(models.which[agree]), fits)


def _size(models: ModelClass) -> float:
    return max(1.0, float(np.abs(models.values).max()))


def _optimal_q(moves: Array, rewards: Array, gamma: float) -> Array:
    """Policy iteration on all models at once; deterministic moves make evaluation exact."""
    count, n, _ = moves.shape
    index = np.arange(count)[:, None]
    policy = np.zeros((count, n), np.int64)
    while True:
        step = np.take_along_axis(moves, policy[:, :, None], 2)[:, :, 0]  # [M, S]
        chain = np.zeros((count, n, n))
        chain[index, np.arange(n), step] = 1.0
        gained = rewards[np.arange(n), policy]
        v = np.linalg.solve(np.eye(n) - gamma * chain, gained[:, :, None])[:, :, 0]
        q = rewards + gamma * v[index[:, :, None], moves]
        held = np.take_along_axis(q, policy[:, :, None], 2)[:, :, 0]
        better = q.max(2) > held + 1e-10 * max(1.0, float(np.abs(v).max()))
        if not better.any():
            return q
        policy = np.where(better, q.argmax(2), policy)


def _distinct(rows: Array) -> tuple[Array, Array]:
    """Distinct rows up to rounding, and which one each row is."""
    _, first, which = np.unique(np.round(rows, 8), axis=0, return_index=True, return_inverse=True)
    return rows[first], which.ravel()
