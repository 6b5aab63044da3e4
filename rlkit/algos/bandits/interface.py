"""The batched bandit interface: observations, decisions, feedback tables, and their checks.

A batched policy is any object with
  act(obs, rng) -> Decision        one action a row with the probability it was drawn with
  dist(obs) -> [B, K] or None      exact probabilities, None where they can only be sampled
  learn(feedback) -> None          the only call that changes what was learned
  state_dict(), load_state_dict(d) plain arrays
`act` never changes the policy; randomness comes only from `rng`. Delay is the driver's affair.
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np

from rlkit.envs.bandits.observation import Observation


@dataclass(frozen=True, eq=False)
class Decision:
    """action [B] and prob [B], the probability it had; None where it can only be sampled."""

    action: np.ndarray
    prob: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Feedback:
    """Rows that came back: one column an attribute, all of length B.

    action [B] (or [B, 2] duels, [B, m] slates), reward of the same shape or [B]; prob is the
    probability at decision time (NaN where unknown); t the decision round, arrival_t the round it
    came back; run and position are free labels.
    """

    action: np.ndarray
    reward: np.ndarray
    context: np.ndarray | None = None
    mask: np.ndarray | None = None
    prob: np.ndarray | None = None
    t: np.ndarray | None = None
    arrival_t: np.ndarray | None = None
    run: np.ndarray | None = None
    position: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.action)

    @property
    def observation(self) -> Observation:
        return Observation(self.context, self.mask, len(self))

    def rows(self, index: Any) -> "Feedback":
        """The chosen rows of every column."""
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{n: c[index] for n, c in columns.items() if c is not None})


def join(parts: list[Feedback]) -> Feedback:
    """The rows of all tables in order."""
    columns: dict[str, Any] = {}
    for f in fields(Feedback):
        arrays = [getattr(part, f.name) for part in parts]
        columns[f.name] = None if arrays[0] is None else np.concatenate(arrays)
    return Feedback(**columns)


class Policy(Protocol):
    """What the driver and the tests ask of a batched policy."""

    arms: int

    def act(self, obs: Observation, rng: np.random.Generator) -> Decision:
        """A decision for each row of `obs`: arms `[B]`, and their probabilities where known."""

    def dist(self, obs: Observation) -> np.ndarray | None:
        """Probabilities of the arms `[B, K]` as the policy stands; None where it has none."""

    def learn(self, feedback: Feedback) -> None:
        """Take in rows of decisions with what they paid."""

    def state_dict(self) -> dict[str, np.ndarray]: ...

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None: ...


def _first_bad(bad: np.ndarray) -> int:
    return int(np.flatnonzero(bad.reshape(len(bad), -1).any(1))[0])


def available(obs: Observation, arms: int) -> np.ndarray:
    """The mask [B, K] of an observation, all true where it has none; an empty row raises."""
    if obs.mask is None:
        return np.ones((len(obs), arms), bool)
    mask = np.asarray(obs.mask, bool)
    if mask.shape != (len(obs), arms):
        raise ValueError(f"mask has shape {mask.shape}; the policy has {arms} arms")
    empty = np.asarray(~mask.any(1))
    if empty.any():
        raise ValueError(f"mask of row {_first_bad(empty)} is empty: no arm can be chosen there")
    return mask


def check_context(obs: Observation, arms: int, dim: int, per_arm: bool) -> np.ndarray:
    """The context as float64 [B, d] or [B, K, d]; wrong shapes and NaN raise with the row."""
    wanted = (len(obs), arms, dim) if per_arm else (len(obs), dim)
    if obs.context is None:
        raise ValueError(f"the policy needs a context of shape {wanted}")
    context = np.asarray(obs.context, np.float64)
    if context.shape != wanted:
        raise ValueError(f"context has shape {context.shape}; needed is {wanted}")
    finite = np.isfinite(context)
    if not finite.all():
        raise ValueError(f"context of row {_first_bad(~finite)} has NaN or infinite entries")
    return context


def check_feedback(feedback: Feedback, arms: int) -> Feedback:
    """The feedback, after refusing unknown or masked arms, NaN rewards, impossible propensities.

    The ValueError names the row; so does that of an empty mask. A NaN propensity is one unknown.
    """
    action, reward = np.asarray(feedback.action), np.asarray(feedback.reward, np.float64)
    if not np.issubdtype(action.dtype, np.integer):
        raise ValueError(f"actions must be integers, got {action.dtype}")
    bad = (action < 0) | (action >= arms)
    if bad.any():
        row = _first_bad(bad)
        raise ValueError(f"action of row {row} is {action[row]}; there are arms 0 to {arms - 1}")
    if len(reward) != len(action):
        raise ValueError(f"{len(reward)} rewards for {len(action)} actions")
    bad = ~np.isfinite(reward)
    if bad.any():
        raise ValueError(f"reward of row {_first_bad(bad)} is not a finite number")
    if feedback.prob is not None:
        prob = np.asarray(feedback.prob, np.float64)
        if len(prob) != len(action):
            raise ValueError(f"{len(prob)} probabilities for {len(action)} actions")
        bad = (prob <= 0) | (prob > 1 + 1e-9)
        if bad.any():
            row = _first_bad(bad)
            raise ValueError(f"prob of row {row} is {prob[row]}; it must lie in (0, 1]")
    if feedback.mask is not None and action.ndim == 1:
        bad = ~available(feedback.observation, arms)[np.arange(len(action)), action]
        if bad.any():
            row = _first_bad(bad)
            raise ValueError(f"action of row {row} is {action[row]}, which its mask rules out")
    return feedback


def greedy(scores: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Probabilities [B, K] of playing the largest available score, ties shared equally."""
    shown = np.where(mask, scores, -np.inf)
    best = shown == shown.max(1, keepdims=True)
    return best / best.sum(1, keepdims=True)


def uniform(mask: np.ndarray) -> np.ndarray:
    """Equal probabilities [B, K] over the available arms."""
    return mask / mask.sum(1, keepdims=True)


def draw(probabilities: np.ndarray, rng: np.random.Generator) -> Decision:
    """One action a row of probabilities [B, K], with its probability."""
    edges = np.cumsum(probabilities, axis=1)
    u = rng.random((len(edges), 1)) * edges[:, -1:]
    action = (u >= edges).sum(1)
    return Decision(action, probabilities[np.arange(len(action)), action])


def draw_greedy(scores: np.ndarray, mask: np.ndarray | None, rng: np.random.Generator) -> Decision:
    """What `draw` of `greedy` returns, in fewer steps where no scores [B, K] are tied."""
    shown = scores if mask is None else np.where(mask, scores, -np.inf)
    best = shown == shown.max(1, keepdims=True)
    if np.count_nonzero(best) > len(best):
        return draw(best / best.sum(1, keepdims=True), rng)
    rng.random((len(best), 1))  # ties or none, a row takes one number
    return Decision(best.argmax(1), np.ones(len(best)))


def play_largest(scores: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Decision:
    """The largest available score, ties broken at random; its probability is not known."""
    return Decision(draw_greedy(scores, mask, rng).action, None)


def sampled_dist(
    policy: Policy, obs: Observation, rng: np.random.Generator, draws: int = 1000
) -> np.ndarray:
    """Approximate probabilities [B, K] of any policy: shares of `draws` independent actions."""
    counts = np.zeros((len(obs), policy.arms))
    for _ in range(draws):
        counts[np.arange(len(obs)), policy.act(obs, rng).action] += 1
    return counts / draws
