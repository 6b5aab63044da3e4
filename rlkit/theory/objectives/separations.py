"""Separating examples between objective formalisms, each with a certificate that is computed.

No formalism expresses everything: for each pair here one objective orders or attains what the
other cannot, on a concrete small MDP (after Subramani et al. 2024, "On the expressivity of
objective-specification formalisms in reinforcement learning", and Abel et al. 2021).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rlkit.theory.evaluation import evaluate_policy, occupancy, policy_model
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.objectives.automata import (
    Automaton,
    buchi_satisfaction,
    infinitely_often,
    product,
)
from rlkit.theory.objectives.automata import reward_machine as _reward_machine
from rlkit.theory.objectives.occupancy import chebyshev, markov_expressivity, maximum_entropy
from rlkit.theory.planning.average_reward import average_value
from rlkit.theory.planning.solvers import solve
from rlkit.theory.returns.distributional import exact_laws
from rlkit.theory.returns.laws import cvar, outcomes_from_coo
from rlkit.theory.validate import check_fraction, settings


class Separation(NamedTuple):
    """`expresses` does what `fails` cannot; certificate: numbers that prove it; holds: whether
    they do."""

    name: str
    expresses: str
    fails: str
    certificate: dict[str, float]
    holds: bool


def two_switches() -> FiniteMDP:
    """Two states visited at random, two actions without effect: policies are pairs of actions."""
    return FiniteMDP.from_dense(np.full((2, 2, 2), 0.5), np.zeros((2, 2)))


def exclusive_or(gamma: float = 0.9) -> Separation:
    """Accept the policies (0, 1) and (1, 0): no Markov reward prefers exactly them."""
    mdp = two_switches()
    xor = markov_expressivity(mdp, gamma, [np.array([0, 1]), np.array([1, 0])]).margin
    both = markov_expressivity(mdp, gamma, [np.array([1, 1])]).margin
    return Separation(
        "exclusive or", "task (set of policies)", "Markov reward",
        {"xor margin": xor, "and margin": both}, xor < 1e-9 and both > 0.5,
    )  # fmt: skip


def alternation(gamma: float = 0.9) -> Separation:
    """One state, pay for alternating actions: a reward machine's optimum needs memory, and every
    Markov policy, which is what Markov rewards have as optima, is worse."""
    mdp = FiniteMDP.from_dense(np.ones((1, 2, 1)), np.zeros((1, 2)))
    both = product(mdp, *_alternating())
    best = float(both.initial_law() @ solve(both, gamma, "pi").value)
    # Memoryless policies take one law p in all machine states; a grid holds the best, p = 1/2.
    values = [
        float(both.initial_law() @ evaluate_policy(both, np.tile([1 - p, p], (3, 1)), gamma))
        for p in np.linspace(0.0, 1.0, 41)
    ]
    return Separation(
        "alternation", "reward machine", "Markov reward (memoryless optima)",
        {"with memory": best, "best memoryless": max(values)}, best > max(values) + 0.1,
    )  # fmt: skip


def _alternating() -> tuple[Automaton, Array]:
    """State 0: start, 1 + a: the last action was a. Labels are actions."""
    moves = np.tile([1, 2], (3, 1))
    rewards = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    return _reward_machine(moves, rewards), np.arange(2).reshape(1, 2, 1)


def spread_out(gamma: float = 0.9) -> Separation:
    """Enter one of two rooms for good, evenly in the long run: a function of the occupancy wants
    a coin flip, and every deterministic policy, which any reward has among its optima, is worse."""
    mdp = FiniteMDP.from_coo(
        np.array([0, 0, 1, 2]), np.array([0, 1, 0, 0]), np.array([1, 2, 1, 2]), np.ones(4),
        np.zeros(4), mu0=np.eye(3)[0],
    )  # fmt: skip
    plan, gap = maximum_entropy(mdp, gamma)

    def entropy(policy: Array) -> float:
        d = np.add.reduceat(occupancy(mdp, policy, gamma), mdp.sa_ptr[:-1])
        return -float(d[d > 0] @ np.log(d[d > 0]))

    fixed = max(entropy(np.array([a, 0, 0])) for a in (0, 1))
    return Separation(
        "spread out", "concave function of occupancy", "Markov reward",
        {"randomised": plan.value, "deterministic": fixed, "gap": gap},
        plan.value > fixed + 0.1 and gap < 1e-3,
    )  # fmt: skip


def worst_of_two(gamma: float = 0.9) -> Separation:
    """Maximin of two rewards that exclude each other: only mixing attains it, and no weights make
    the mixture better than both of its parts."""
    mdp = FiniteMDP.from_dense(np.ones((1, 2, 1)), np.zeros((1, 2)))
    rewards = np.eye(2)
    mixed = chebyshev(mdp, gamma, rewards).value
    pure = [rewards @ occupancy(mdp, np.array([a]), gamma) for a in (0, 1)]
    even = rewards @ occupancy(mdp, np.full((1, 2), 0.5), gamma)
    # Largest advantage of the mixture over the better part, over all weights on a grid.
    edge = max(w @ even - max(w @ x for x in pure)
               for w in np.c_[np.linspace(0, 1, 101), np.linspace(1, 0, 101)])  # fmt: skip
    best = max(float(x.min()) for x in pure)
    return Separation(
        "worst of two", "maximin of rewards", "scalarised Markov reward",
        {"mixed": mixed, "best deterministic": best, "edge of the mixture": float(edge)},
        mixed > best + 0.1 and edge <= 1e-12,
    )  # fmt: skip


def delay(gamma: float = 0.9) -> Separation:
    """Limit average and discount disagree both ways.

    Policies that pay 1 for ever after a delay or at once have one average and two discounted
    values; a first payment can make discounted values equal while averages differ.
    """
    n = 4
    s2 = np.array([1, 2, 3, 3])
    late = _chain(s2, np.array([0.0, 0, 0, 1]))
    soon = _chain(s2, np.ones(n))
    gains = [float(average_value(*policy_model(m, np.zeros(n, int)))[0][0]) for m in (late, soon)]
    values = [float(evaluate_policy(m, np.zeros(n, int), gamma)[0]) for m in (late, soon)]
    # Paid once what the late stream is worth: the same value, the average 0.
    once = _chain(s2, np.array([values[0], 0, 0, 0]))
    other = float(average_value(*policy_model(once, np.zeros(n, int)))[0][0])
    same = float(evaluate_policy(once, np.zeros(n, int), gamma)[0])
    numbers = {"average late": gains[0], "average soon": gains[1], "discounted late": values[0],
               "discounted soon": values[1], "average once": other,
               "discounted once": same}  # fmt: skip
    holds = (abs(gains[0] - gains[1]) < 1e-9 and values[1] > values[0] + 0.1
             and abs(same - values[0]) < 1e-9 and abs(other - gains[0]) > 0.5)  # fmt: skip
    return Separation("delay", "limit average", "discounted reward", numbers, holds)


def _chain(s2: Array, r: Array) -> FiniteMDP:
    return FiniteMDP.from_dense(np.eye(s2.size)[s2][:, None], r[:, None], np.eye(s2.size)[0])


@settings(gamma=check_fraction)
def patience(gamma: float = 0.9) -> Separation:
    """Visit the goal for ever: a risky shortcut pays sooner, and a discounted reward takes it.

    For every discount the detour can be made long enough, so no fixed discount of "1 at the
    goal" expresses "infinitely often".
    """
    risk = 0.2
    detour = int(np.ceil(np.log(1.0 - risk) / np.log(gamma))) + 1  # gamma^detour < 1 - risk
    goal, lost = detour + 1, detour + 2
    n = lost + 1
    s = np.array([0, 0, 0, *range(1, detour + 1), goal, lost])
    a = np.array([0, 1, 1, *[0] * (n - 1)])
    s2 = np.array([1, goal, lost, *range(2, detour + 1), goal, goal, lost])
    p = np.array([1.0, 1 - risk, risk, *np.ones(n - 1)])
    mdp = FiniteMDP.from_coo(s, a, s2, p, (s == goal).astype(float), n, np.eye(n)[0])
    labels = np.zeros((n, mdp.num_actions, n), np.int64)
    labels[:, :, goal] = 1
    chance, _ = buchi_satisfaction(mdp, infinitely_often(1, 2), labels)
    choice = int(solve(mdp, gamma, "pi").policy[0])
    return Separation(
        "patience", "LTL (infinitely often)", "discounted Markov reward",
        {"best chance": float(chance[0]), "chance of the discounted optimum": 1 - risk * choice},
        chance[0] > 1 - 1e-9 and choice == 1,
    )  # fmt: skip


def caution() -> Separation:
    """A sure 1 and an even chance of 0 or 2: equal means, unequal tails; any function of the
    expected return ties them, one of the law of the return does not."""
    model = outcomes_from_coo([0, 0, 0], [0, 1, 1], [-1, -1, -1], [1.0, 0.5, 0.5], [1.0, 0.0, 2.0])
    laws = [exact_laws(model, np.array([a]), 1.0, 1)[0] for a in (0, 1)]
    means = [float(v @ w) for v, w in laws]
    tails = [cvar(v, w, 0.25) for v, w in laws]
    return Separation(
        "caution", "function of the return law", "expected Markov reward",
        {"mean sure": means[0], "mean lottery": means[1], "tail sure": tails[0],
         "tail lottery": tails[1]},
        abs(means[0] - means[1]) < 1e-12 and tails[0] > tails[1] + 0.5,
    )  # fmt: skip


SEPARATIONS: tuple[Callable[[], Separation], ...] = (
    exclusive_or, alternation, spread_out, worst_of_two, delay, patience, caution,
)  # fmt: skip


def blackwell_optimal(mdp: FiniteMDP, gammas: Array | None = None) -> Array | None:
    """The deterministic policy [S] optimal at all given discounts near 1, or None.

    Enumerates policies, so it is meant for small models. Default discounts .99, .999, .9999.
    """
    options = [mdp.a_id[a:b] for a, b in itertools.pairwise(mdp.sa_ptr)]
    if np.prod([float(o.size) for o in options]) > 1e5:
        raise ValueError("more than 1e5 policies to enumerate")
    alive = [np.array(p) for p in itertools.product(*options)]
    for gamma in (0.99, 0.999, 0.9999) if gammas is None else gammas:
        best = solve(mdp, gamma, "pi").value
        slack = 1e-9 * max(1.0, float(np.abs(best).max()))
        alive = [p for p in alive if (evaluate_policy(mdp, p, gamma) >= best - slack).all()]
    return alive[0] if alive else None
