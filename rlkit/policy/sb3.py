"""Policies both ways between rlkit and stable-baselines3.

`Predictor(policy)` gives a policy of ours stable-baselines3's `predict`, so `evaluate_policy` and
any code written for its models takes it. `actor(model)` makes a model of theirs (or anything with
such a `predict`) act in our rollout, evaluator and recorder. Neither needs stable-baselines3 to be
imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rlkit.policy.policy import Policy
from rlkit.policy.program import Array

if TYPE_CHECKING:
    from rlkit.eval.rollout import Slots


class Predicts(Protocol):
    """stable-baselines3's protocol of a policy."""

    def predict(
        self,
        observation: Any,
        state: tuple[Array, ...] | None = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
    ) -> tuple[Array, tuple[Array, ...] | None]: ...


class Predictor:
    """A policy of ours behind `predict`."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def predict(
        self,
        observation: Any,
        state: tuple[Array, ...] | None = None,
        episode_start: Array | None = None,
        deterministic: bool = False,
    ) -> tuple[Array, tuple[Array, ...] | None]:
        """Actions of one observation or of a batch, and `state` as it came: our policies have no
        memory. Like theirs it samples unless told to be `deterministic`."""
        return self.policy.act(observation, deterministic), state


class Actor:
    """Acts with a `predict`; carries the hidden state of a recurrent model from call to call."""

    def __init__(self, model: Predicts, deterministic: bool, normalise: Any) -> None:
        self.model, self.deterministic, self.normalise = model, deterministic, normalise
        self.state: tuple[Array, ...] | None = None

    def __call__(self, obs: Any, slots: Slots | None = None) -> Array:
        if slots is None:  # one observation, or a batch, as our recorder gives them
            return self._predict(obs, None)
        lanes, n = slots.t.shape
        start = (slots.t == 0).reshape(-1)
        actions = self._predict(obs.reshape(lanes * n, *obs.shape[2:]), start)
        return actions.reshape(lanes, n, *actions.shape[1:])

    def _predict(self, obs: Any, start: Array | None) -> Array:
        if self.normalise is not None:
            obs = self.normalise.normalize_obs(obs)
        actions, self.state = self.model.predict(
            obs, self.state if start is not None else None, start, self.deterministic
        )
        return np.asarray(actions)


def actor(model: Predicts, *, deterministic: bool = True, normalise: Any = None) -> Actor:
    """`act(obs, slots=None) -> actions` for `rlkit.eval.rollout` (`[S, n, *obs]` with slots) and
    for `rlkit.data.recorder` (one observation, or a batch).

    `normalise` is the `VecNormalize` a model was trained behind, if any. A recurrent model keeps
    its state in rollouts only; every episode begins with a fresh one.
    """
    return Actor(model, deterministic, normalise)
