"""Reward machines and temporal-logic tasks as product MDPs.

An automaton reads one label per transition (a number that a label table [S, A, S] gives). A reward
machine pays along its edges; a task automaton accepts by reaching a state (co-safe LTL) or by
visiting accepting states for ever again (omega-regular, limit-deterministic Buchi: the only
non-determinism are jumps, which the product turns into actions). Icarte et al. 2022; Hahn et al.
2019. State (s, u) of a product is s * U + u.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from rlkit.keywords import named
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.end_components import end_components
from rlkit.theory.planning.solvers import solve
from rlkit.theory.validate import (
    check_counts,
    check_fraction,
    check_gamma,
    check_positive,
    check_seed,
    settings,
)


class Automaton(NamedTuple):
    """Moves [U, labels] of the machine state, rewards [U, labels], accepting bool [U], jumps.

    Starts in state 0. A jump (u, u2) may be taken at will without a step of the MDP.
    """

    moves: Array
    rewards: Array
    accepting: Array
    jumps: tuple[tuple[int, int], ...] = ()


def reward_machine(moves: Array, rewards: Array) -> Automaton:
    """A reward machine. ValueError on shapes and moves out of range."""
    moves, rewards = np.asarray(moves, np.int64), np.asarray(rewards, np.float64)
    return _checked(Automaton(moves, rewards, np.zeros(len(moves), bool)))


def eventually(label: int, labels: int) -> Automaton:
    """F label: accept once the label has been read."""
    return sequence([label], labels)


def sequence(order: list[int], labels: int) -> Automaton:
    """F (l1 and then F (l2 ...)): accept once the labels were read in this order, with gaps."""
    n = len(order) + 1
    moves = np.repeat(np.arange(n)[:, None], labels, 1)
    for u, label in enumerate(order):
        moves[u, label] = u + 1
    return _checked(_acceptor(moves, n - 1))


def until(keep: list[int], goal: int, labels: int) -> Automaton:
    """(keep) U goal: only labels in `keep` may be read before the goal."""
    moves = np.repeat(np.arange(3)[:, None], labels, 1)  # 0 waiting, 1 done, 2 failed
    moves[0] = 2
    moves[0, keep] = 0
    moves[0, goal] = 1
    return _checked(_acceptor(moves, 1))


def infinitely_often(label: int, labels: int) -> Automaton:
    """G F label, as a Buchi automaton: state 1 says that the last label read was it."""
    moves = np.zeros((2, labels), np.int64)
    moves[:, label] = 1
    return _checked(_acceptor(moves, 1))


def eventually_always(label: int, labels: int) -> Automaton:
    """F G label: jump, when sure, into state 1, which any other label leaves for the sink 2."""
    moves = np.repeat(np.array([0, 2, 2])[:, None], labels, 1)
    moves[1, label] = 1
    return _checked(_acceptor(moves, 1)._replace(jumps=((0, 1),)))


def product(mdp: FiniteMDP, machine: Automaton, labels: Array) -> FiniteMDP:
    """The product MDP on S x U with the machine's rewards, started in (mu0, 0).

    `labels` [S, A, S] gives the label of each transition. Jumps become actions numbered from
    num_actions on. Termination ends the product too, without a label.
    """
    machine = _checked(machine)
    m, size = mdp.expanded(), len(machine.moves)
    names = np.asarray(labels, np.int64)
    if names.shape != (m.num_states, m.num_actions, m.num_states):
        raise ValueError(f"labels must be [S, A, S], got {names.shape}")
    if names.min() < 0 or names.max() >= machine.moves.shape[1]:
        raise ValueError(f"labels must lie in 0..{machine.moves.shape[1] - 1}")
    row = np.repeat(np.arange(m.num_rows), np.diff(m.row_ptr))
    s, a, s2 = m.state_of_row()[row], m.a_id[row].astype(np.int64), m.col.astype(np.int64)
    label, chance = names[s, a, s2], m.laws().data
    u = np.arange(size)[:, None]
    parts = [(s * size + u, np.broadcast_to(a, (size, a.size)),
              s2 * size + machine.moves[:, label], np.broadcast_to(chance, (size, a.size)),
              machine.rewards[:, label])]  # fmt: skip
    if m.stop is not None:
        ends = np.flatnonzero(m.stop > 0)
        wide = (size, ends.size)
        parts.append((m.state_of_row()[ends] * size + u, np.broadcast_to(m.a_id[ends], wide),
                      np.full(wide, -1), np.broadcast_to(m.stop[ends], wide),
                      np.zeros(wide)))  # fmt: skip
    every = np.arange(m.num_states)
    for k, (before, after) in enumerate(machine.jumps):
        ones = np.ones(every.size)
        parts.append((every * size + before, np.full(every.size, m.num_actions + k),
                      every * size + after, ones, 0 * ones))  # fmt: skip
    state, action, target, chance, paid = (
        np.concatenate([np.ravel(x) for x in column]) for column in zip(*parts, strict=True)
    )
    start = np.zeros((m.num_states, size))
    start[:, 0] = m.initial_law()
    return FiniteMDP.from_coo(
        state, action, target, chance, paid, m.num_states * size, start.ravel()
    )


def reach_probability(mdp: FiniteMDP, goal: Array) -> tuple[Array, Array]:
    """Largest probability of entering `goal` bool [S] from each state, and a policy, [S], [S]."""
    m = mdp.expanded()
    goal = np.asarray(goal, bool)
    p, owner = m.laws(), m.state_of_row()
    inside = goal[owner]
    # Entering pays once: in the goal every action stays for nothing.
    stay = sp.csr_array(
        (np.ones(inside.sum()), (np.flatnonzero(inside), owner[inside])), shape=p.shape
    )
    hit = np.where(inside, 0.0, p @ goal.astype(float))
    stop = None if m.stop is None else np.where(inside, 0.0, m.stop)
    moves = sp.diags_array((~inside).astype(float)) @ p + stay
    found = solve(FiniteMDP.from_sparse(moves, hit, m.mu0, stop, owner, m.a_id), 1.0, "pi")
    return np.where(goal, 1.0, np.clip(found.value, 0.0, 1.0)), found.policy


def satisfaction(mdp: FiniteMDP, machine: Automaton, labels: Array) -> tuple[Array, FiniteMDP]:
    """Largest probability of a co-safe task from each product state [S U], and the product."""
    both = product(mdp, machine, labels)
    goal = np.tile(machine.accepting, mdp.num_states)
    return reach_probability(both, goal)[0], both


def buchi_satisfaction(
    mdp: FiniteMDP, machine: Automaton, labels: Array
) -> tuple[Array, FiniteMDP]:
    """Largest probability of visiting accepting states for ever, from each product state.

    Staying for ever needs an end component, so this is the probability of reaching one that
    holds an accepting state. Terminating runs do not satisfy.
    """
    both = product(mdp, machine, labels)
    component, _ = end_components(both)
    accepting = np.tile(machine.accepting, mdp.num_states)
    # A jump is no step of time, but a component made of jumps alone cannot close on itself.
    good = np.unique(component[(component >= 0) & accepting])
    return reach_probability(both, np.isin(component, good) & (component >= 0))[0], both


@named
@settings(seed=check_seed)
def learn_counterfactual(
    mdp: FiniteMDP, machine: Automaton, labels: Array, gamma: float, steps: int, seed: int,
    alpha: float = 0.1, epsilon: float = 0.1, counterfactual: bool = True, max_length: int = 100,
) -> Array:  # fmt: skip
    """Q [S, U, A] by Q-learning on a reward machine; each step updates every machine state.

    The dynamics do not depend on the machine state, so one transition says what would have
    happened in all of them (CRM). `counterfactual` False updates the visited one only.
    """
    steps, max_length = check_counts(steps=steps, max_length=max_length)
    check_fraction("epsilon", epsilon)
    check_positive("alpha", alpha)
    machine, gamma = _checked(machine), check_gamma(gamma)
    if machine.jumps or not mdp.is_complete:
        raise ValueError("needs a machine without jumps and an MDP with all actions everywhere")
    p = mdp.dense()[0].cumsum(2)
    rng = np.random.default_rng(seed)
    size = len(machine.moves)
    q = np.zeros((mdp.num_states, size, mdp.num_actions))
    first, names, every = mdp.initial_law().cumsum(), np.asarray(labels), np.arange(size)
    s = u = -1
    for t in range(steps):
        if t % max_length == 0 or s < 0:
            s, u = int(np.searchsorted(first, rng.random() * first[-1])), 0
        explore = rng.random() < epsilon
        a = int(rng.integers(mdp.num_actions)) if explore else int(q[s, u].argmax())
        s2 = int(np.searchsorted(p[s, a], rng.random(), side="right"))
        ended = s2 >= mdp.num_states  # the missing mass
        which = every if counterfactual else every[u : u + 1]
        if ended:
            q[s, which, a] -= alpha * q[s, which, a]
            s = -1
            continue
        label = names[s, a, s2]
        target = machine.rewards[which, label] + gamma * q[s2, machine.moves[which, label]].max(1)
        q[s, which, a] += alpha * (target - q[s, which, a])
        s, u = s2, int(machine.moves[u, label])
    return q


def _acceptor(moves: Array, accept: int) -> Automaton:
    """Pays 1 on entering the accepting state from elsewhere."""
    entering = (moves == accept) & (np.arange(len(moves))[:, None] != accept)
    return Automaton(moves, entering.astype(float), np.arange(len(moves)) == accept)


def _checked(machine: Automaton) -> Automaton:
    size = len(machine.moves)
    if machine.moves.ndim != 2 or machine.moves.shape != machine.rewards.shape:
        raise ValueError(
            f"moves and rewards must be [U, labels]: {machine.moves.shape}, {machine.rewards.shape}"
        )
    wrong = (machine.moves < 0) | (machine.moves >= size)
    if wrong.any():
        u, label = np.argwhere(wrong)[0].tolist()
        raise ValueError(f"state {u} moves to {machine.moves[u, label]} on label {label}")
    if any(not (0 <= x < size) for jump in machine.jumps for x in jump):
        raise ValueError(f"jumps {machine.jumps} leave the {size} machine states")
    return machine
