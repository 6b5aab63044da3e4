"""Latent MDPs: a hidden context picks the model of an episode; exact planning on beliefs.

Setting of "Horizon-Free and Variance-Dependent RL for Latent MDPs": M contexts share states,
actions and horizon; the context is revealed after the episode. A plan is a tree over (stage,
state, belief); alpha vectors hold the expected reward to come given each context.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rlkit.theory.brief import brief
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import check_count

# ahead(context, state, action, alpha of that context at the next states [S]) -> expectation
Ahead = Callable[[int, int, int, Array], float]


@dataclass(frozen=True, eq=False)
class LatentMDP:
    """M tabular models over common states and actions, horizon H.

    `P` [M, S, A, S], deterministic rewards `R` [M, S, A] in [0, 1], context weights `w` [M],
    initial laws `nu` [M, S]. Rewards are observed and tell contexts apart. ValueError naming the
    context, state and action of the first fault.
    """

    P: Array
    R: Array
    w: Array
    nu: Array
    horizon: int

    def __repr__(self) -> str:
        return brief(self)

    def __post_init__(self) -> None:
        for name in ("P", "R", "w", "nu"):
            array = np.array(getattr(self, name), np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.P.ndim != 4 or self.P.shape[1] != self.P.shape[3]:
            raise ValueError(f"P must have shape (M, S, A, S), got {self.P.shape}")
        contexts, states, actions, _ = self.P.shape
        for name, shape in (
            ("R", (contexts, states, actions)), ("w", (contexts,)), ("nu", (contexts, states)),
        ):  # fmt: skip
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must have shape {shape}, got {getattr(self, name).shape}")
        bad = ~(np.abs(self.P.sum(3) - 1.0) <= 1e-9 * states) | (self.P < 0).any(3)
        if bad.any():
            m, s, a = np.argwhere(bad)[0]
            raise ValueError(f"context {m}, state {s}, action {a}: not a probability law")
        outside = ~((self.R >= 0) & (self.R <= 1))
        if outside.any():
            m, s, a = np.argwhere(outside)[0]
            raise ValueError(f"context {m}, state {s}, action {a}: reward outside [0, 1]")
        for name in ("w", "nu"):
            law = getattr(self, name)
            if (law < 0).any() or not (np.abs(law.sum(-1) - 1.0) <= 1e-9).all():
                raise ValueError(f"{name} must hold probability laws")
        object.__setattr__(self, "horizon", check_count("horizon", self.horizon))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(M, S, A)."""
        return self.P.shape[0], self.P.shape[1], self.P.shape[2]

    @cached_property
    def mdp(self) -> FiniteMDP:
        """What an agent faces that is not told the context: `belief_process`."""
        return belief_process(self)

    def largest_return(self) -> float:
        """Largest total reward of any path in any context; horizon-free bounds want it <= 1."""
        total = np.zeros(self.P.shape[:2])
        for _ in range(self.horizon):
            best = np.where(self.P > 0, total[:, None, None, :], -np.inf).max(3)
            total = (self.R + best).max(2)
        return float(np.where(self.nu > 0, total, 0.0).max())


class BeliefPlanner:
    """Greedy planning on the tree of (stage, state, belief), memoised.

    Beliefs follow `model`; each context's alpha vector is reward + `ahead` of the next alpha
    vectors, cut at `cap`. With the plain expectation (the default) the plan is optimal for
    `model`, and alpha . belief its value. Nodes grow like (S A)^H: fine for M <= 3, S <= 5,
    H <= 6.
    """

    def __init__(self, model: LatentMDP, ahead: Ahead | None = None, cap: float = np.inf) -> None:
        self.model, self.cap = model, cap
        self._ahead = ahead or (lambda m, s, a, alpha: float(model.P[m, s, a] @ alpha))
        self._memo: dict[tuple[int, int, bytes], tuple[int, Array]] = {}
        self._by_reward: dict[tuple[int, int], list[tuple[float, Array]]] = {}

    def start(self, s: int) -> Array:
        """Belief after seeing the first state; the prior if the model rules the state out."""
        weight = self.model.w * self.model.nu[:, s]
        return weight / weight.sum() if weight.sum() > 0 else self.model.w.copy()

    def update(self, belief: Array, s: int, a: int, reward: float, s2: int) -> Array:
        """Belief after one step; what the model calls impossible leaves it as it was."""
        agree = np.abs(self.model.R[:, s, a] - reward) <= 1e-9
        return self._updates(belief, agree, s, a)[s2]

    def decide(self, h: int, s: int, belief: Array) -> tuple[int, Array]:
        """Action at stage h (0-based) and alpha [M] of following the plan from here on."""
        key = (h, s, np.round(belief, 12).tobytes())
        if key in self._memo:
            return self._memo[key]
        best, choice, found = -np.inf, 0, np.zeros(belief.size)
        for a in range(self.model.shape[2]):
            alpha = self._after(h, s, a, belief)
            score = float(belief @ alpha)
            if score > best + 1e-12:
                best, choice, found = score, a, alpha
        self._memo[key] = (choice, found)
        return choice, found

    def _after(self, h: int, s: int, a: int, belief: Array) -> Array:
        contexts, states, _ = self.model.shape
        alpha = np.zeros(contexts)
        for reward, agree in self._groups(s, a):
            following = np.zeros((states, contexts))
            if h + 1 < self.model.horizon:
                for s2, ahead in enumerate(self._updates(belief, agree, s, a)):
                    following[s2] = self.decide(h + 1, s2, ahead)[1]
            for m in np.flatnonzero(agree):
                value = reward + self._ahead(int(m), s, a, following[:, m])
                alpha[m] = min(self.cap, value)
        return alpha

    def _groups(self, s: int, a: int) -> list[tuple[float, Array]]:
        """Rewards that a step may show, each with the mask of contexts that pay it."""
        if (s, a) not in self._by_reward:
            rewards = self.model.R[:, s, a]
            self._by_reward[s, a] = [
                (float(x), np.abs(rewards - x) <= 1e-9) for x in np.unique(rewards)
            ]
        return self._by_reward[s, a]

    def _updates(self, belief: Array, agree: Array, s: int, a: int) -> Array:
        """Beliefs [S, M] after each next state."""
        weight = (belief * agree) * self.model.P[:, s, a].T
        mass = weight.sum(1)
        if mass.min() <= 1e-300:  # the model calls it impossible: keep the belief
            kept = belief * agree if (belief * agree).sum() > 1e-300 else belief
            weight = np.where(mass[:, None] > 1e-300, weight, kept)
            mass = weight.sum(1)
        return weight / mass[:, None]

    def value(self) -> float:
        """Expected value of the plan in its own eyes, over contexts and first states."""
        model = self.model
        total = 0.0
        for s in range(model.shape[1]):
            mass = model.w * model.nu[:, s]
            if mass.sum() > 0:
                total += float(mass @ self.decide(0, s, self.start(s))[1])
        return total


def optimal_value(model: LatentMDP) -> float:
    """Value of the best history-dependent policy, by exact belief planning."""
    return BeliefPlanner(model).value()


def informed_value(model: LatentMDP) -> float:
    """Value if the context were told at the start: an upper bound."""
    total = 0.0
    for m in range(model.shape[0]):
        v = np.zeros(model.shape[1])
        for _ in range(model.horizon):
            v = (model.R[m] + model.P[m] @ v).max(1)
        total += float(model.w[m] * (model.nu[m] @ v))
    return total


def evaluate_plan(truth: LatentMDP, planner: BeliefPlanner) -> float:
    """Exact value in `truth` of the policy of a planner whose beliefs may follow another model."""
    memo: dict[tuple[int, int, bytes], Array] = {}
    contexts, states, _ = truth.shape

    def alpha(h: int, s: int, belief: Array) -> Array:
        key = (h, s, np.round(belief, 12).tobytes())
        if key in memo:
            return memo[key]
        a, _ = planner.decide(h, s, belief)
        out = truth.R[:, s, a].copy()
        if h + 1 < truth.horizon:
            for m in range(contexts):
                for s2 in np.flatnonzero(truth.P[m, s, a] > 0):
                    seen = float(truth.R[m, s, a])
                    ahead = planner.update(belief, s, a, seen, int(s2))
                    out[m] += truth.P[m, s, a, s2] * alpha(h + 1, int(s2), ahead)[m]
        memo[key] = out
        return out

    total = 0.0
    for s in range(states):
        mass = truth.w * truth.nu[:, s]
        if mass.sum() > 0:
            total += float(mass @ alpha(0, s, planner.start(s)))
    return total


def belief_process(model: LatentMDP) -> FiniteMDP:
    """The process of (stage, state, belief) as a FiniteMDP that terminates after the horizon.

    Its optimal value at gamma = 1 and its `mu0` give `optimal_value`. States are numbered as they
    are met, stage by stage; they grow like (S A)^H.
    """
    planner = BeliefPlanner(model)
    numbers: dict[tuple[int, int, bytes], int] = {}
    nodes: list[tuple[int, int, Array]] = []

    def number(h: int, s: int, belief: Array) -> int:
        key = (h, s, np.round(belief, 12).tobytes())
        if key not in numbers:
            numbers[key] = len(nodes)
            nodes.append((h, s, belief))
        return numbers[key]

    first = model.w @ model.nu
    for k in np.flatnonzero(first):
        number(0, int(k), planner.start(int(k)))
    mu0 = first[first > 0]
    entries = []
    for node, (h, state, belief) in enumerate(nodes):  # which grows meanwhile
        for action in range(model.shape[2]):
            for reward, agree in planner._groups(state, action):
                chance = (belief * agree) @ model.P[:, state, action]
                after = planner._updates(belief, agree, state, action)
                for k in np.flatnonzero(chance):
                    last = h + 1 == model.horizon
                    following = -1 if last else number(h + 1, int(k), after[k])
                    entries.append((node, action, following, chance[k], reward))
    law = np.concatenate([mu0, np.zeros(len(nodes) - mu0.size)])
    s, a, s2, p, r = (np.array(column) for column in zip(*entries, strict=True))
    return FiniteMDP.from_coo(s, a, s2, p, r, len(nodes), law)
