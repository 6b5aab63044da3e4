"""What an agent that looks back is given, step by step."""

import numpy as np
import pytest
import torch

from rlkit.core.history import Memory
from rlkit.core.spec import Discrete, Spec


def rows(*values: float) -> np.ndarray:
    return np.array([values])


def test_the_last_steps_come_back_in_order_and_a_new_episode_begins_empty() -> None:
    memory = Memory(Spec(1, Discrete(9)), 3)
    seen = []
    for t in range(5):
        now = rows(t, t if t < 3 else t - 3)  # the second episode ends after three steps
        past = memory.recall(now.astype(int), rows(10.0 * t, -1.0))
        seen.append(past)
        memory.keep(torch.full((1, 2, 1), float(t)), torch.full((1, 2), t))
    first, second = seen[4].s[0, 0, :, 0].tolist(), seen[4].s[0, 1, :, 0].tolist()
    assert (first, second) == ([1.0, 2.0, 3.0], [0.0, 0.0, 3.0])
    assert seen[4].a[0].tolist() == [[1, 2, 3], [0, 0, 3]]
    assert seen[4].mask[0].tolist() == [[True] * 3, [False, False, True]]
    assert seen[4].r[0].tolist() == [[20.0, 30.0, 40.0], [0.0, 0.0, -1.0]]
    assert seen[4].gained[0].tolist() == [100.0, -1.0]
    assert seen[4].t[0].tolist() == [4, 1]
    assert not seen[3].mask[0, 1].any()
    assert seen[3].gained[0, 1] == 0  # the reward of a last step belongs to no later episode


def test_actions_are_kept_as_they_are_executed() -> None:
    memory = Memory(Spec(2, 1), 1)
    memory.recall(rows(0), rows(0.0))
    memory.keep(torch.zeros(1, 1, 2), torch.full((1, 1, 1), 1.7))
    assert memory.recall(rows(1), rows(0.5)).a.item() == 1


def test_an_episode_of_which_nothing_was_kept_cannot_go_on() -> None:
    memory = Memory(Spec(2, 1), 4)
    with pytest.raises(ValueError, match="begin it with t 0"):
        memory.recall(rows(3), rows(0.0))
    with pytest.raises(ValueError, match="at least 1 step"):
        Memory(Spec(2, 1), 0)
