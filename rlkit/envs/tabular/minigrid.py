"""Small MiniGrid layouts as finite MDPs, by walking through every reachable state."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import numpy as np

from rlkit.theory.mdp import FiniteMDP


class EnumeratedGrid(NamedTuple):
    """The MDP and, per state, the key that `state_key` gives; state 0 is the layout's start."""

    mdp: FiniteMDP
    keys: list[tuple[Any, ...]]


def state_key(env: Any) -> tuple[Any, ...]:
    """Hashable full state of a MiniGrid environment, its step counter left out."""
    inner = env.unwrapped
    held = inner.carrying
    return (
        tuple(int(x) for x in inner.agent_pos),
        int(inner.agent_dir),
        None if held is None else (held.type, held.color),
        inner.grid.encode().tobytes(),
    )


def enumerate_minigrid(env: Any, seed: int = 0, max_states: int = 20_000) -> EnumeratedGrid:
    """FiniteMDP of all states reachable from `env.reset(seed=seed)`.

    MiniGrid's reward shrinks with the step count, which is no function of the state: here a
    rewarded end pays 1, any other end 0. ValueError if the layout moves on its own (random
    steps) or has more than `max_states` states. Episodes have no time limit.
    """
    env.reset(seed=seed)
    first = env.unwrapped
    first.max_steps = 2**31
    known: dict[tuple[Any, ...], int] = {state_key(first): 0}
    todo = [copy.deepcopy(first)]
    lists: tuple[list[float], ...] = ([], [], [], [], [])
    actions = int(first.action_space.n)
    while todo:
        here = todo.pop()
        s = known[state_key(here)]
        for a in range(actions):
            there = copy.deepcopy(here)
            before = there.np_random.bit_generator.state
            _, reward, terminated, _, _ = there.step(a)
            if there.np_random.bit_generator.state != before:
                raise ValueError(f"{env!r} draws random numbers in a step: it cannot be enumerated")
            target = -1
            if not terminated:
                key = state_key(there)
                if key not in known:
                    known[key] = len(known)
                    todo.append(there)
                    if len(known) > max_states:
                        raise ValueError(f"{env!r} has more than {max_states} states")
                target = known[key]
            row = (s, a, target, 1.0, float(terminated and reward > 0))
            for column, x in zip(lists, row, strict=True):
                column.append(x)
    s_, a_, t_, p_, r_ = (np.array(x) for x in lists)
    mdp = FiniteMDP.from_coo(s_, a_, t_, p_, r_, len(known), np.eye(len(known))[0])
    return EnumeratedGrid(mdp, list(known))
