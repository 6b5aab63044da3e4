"""Hindsight on a ring whose rows tell where they come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rlkit.core.errors import UsageError
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.goals import goals
from rlkit.data.replay import Replay
from rlkit.data.sampling.hindsight import AHEAD, Hindsight
from rlkit.envs.make import make
from rlkit.envs.tasks.bit_flip import BitFlip

E = 2


class Line:
    """Goals of observations (goal, achieved, episode, t): 0 where they are equal, else -1."""

    desired, achieved, ends = slice(0, 1), slice(1, 2), True

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        return (achieved == desired).all(-1) - 1.0

    def terminated(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        return (achieved == desired).all(-1)


class Recording:
    """Writes steps of two lanes with two environments each, episodes of lengths of their own; what
    is achieved is a number that no other row has."""

    def __init__(self, replay: Replay) -> None:
        self.replay, self.written = replay, 0
        self.episode, self.t = np.zeros((2, E), int), np.zeros((2, E), int)

    def step(self, n: int = 1) -> None:
        for _ in range(n):
            length = 2 + (self.episode + np.array([[0, 1], [3, 2]])) % 4
            place = 1000.0 * np.arange(2)[:, None] + 500.0 * np.arange(E) + self.written
            last = self.t + 1 == length
            s2 = np.stack([np.full((2, E), -7.0), place, self.episode, self.t], -1)
            a = np.zeros((2, E), np.int64)
            self.replay.add(s2 - [0, 0, 0, 1], a, -np.ones((2, E)), last & False, last, s2)
            self.episode += last
            self.t = np.where(last, 0, self.t + 1)
            self.written += 1


def ring(capacity: int = 40) -> tuple[Recording, Hindsight]:
    spec = Spec(4, Discrete(3), (0, 5), dtype=torch.float64)
    replay = Replay(spec, capacity, envs=E, columns=(AHEAD,))
    source = Hindsight(replay, 300, Streams(spec.seeds), Line(), 4)
    return Recording(replay), source


def drawn(source: Hindsight, step: int = 0) -> Any:
    b = source.batch(source.indices(step)[0])
    return b._replace(s=b.s.clone(), s2=b.s2.clone(), r=b.r.clone(), cont=b.cont.clone())


@pytest.mark.parametrize("rows", [3, 17, 55])  # a part, the whole, and more than the ring holds
def test_goals_are_what_the_same_episode_came_to(rows: int) -> None:
    recording, source = ring()
    met: dict[tuple[int, int], set[tuple[float, float]]] = {}
    for k in range(rows):  # updates between the steps, as in a training
        recording.step()
        if k % 3 == 0:
            drawn(source, k)
    replay = source.replay
    everything = replay.rows("s2").numpy()  # [2, rows, 4]
    for step in range(30):
        b = drawn(source, step)
        assert (b.s[:, 240:, 0] == -7).all()  # a fifth keeps what it had
        assert (b.r[:, 240:] == -1).all()
        goal, place = b.s2[:, :240, 0].numpy(), b.s2[:, :240, 1].numpy()
        np.testing.assert_array_equal(b.s[:, :240, 0], goal)
        np.testing.assert_array_equal(b.r[:, :240], (goal == place) - 1.0)
        np.testing.assert_array_equal(b.cont[:, :240], goal != place)
        for k in range(2):
            for row, g in zip(b.s2[k, :240].numpy(), goal[k], strict=True):
                met.setdefault((k, int(row[1])), set()).add(float(g))
    for k in range(2):
        for e in range(E):
            own = everything[k, e::E]
            for row in own:
                later = own[(own[:, 2] == row[2]) & (own[:, 3] >= row[3])][:, 1]
                assert met[k, int(row[1])] == set(later.tolist())


def test_it_goes_on_from_its_state_and_where_a_recording_broke_off() -> None:
    recording, source = ring()
    recording.step(5)
    drawn(source)
    again = Hindsight(source.replay, 300, Streams((0, 5)), Line(), 4)
    again.load_state_dict(source.state_dict())
    source.replay.cut()  # new episodes begin
    recording.t[:], recording.episode[:] = 0, 50
    recording.step(3)
    for each in (source, again):
        b = drawn(each, 7)
        place, goal = b.s2[:, :240, 1].numpy(), b.s2[:, :240, 0].numpy()
        early = place % 500 < 5
        assert early.any()
        assert (goal[early] % 500 < 5).all()
        assert (goal[~early] % 500 >= 5).all()
    assert torch.equal(source.indices(3), again.indices(3))


def test_goals_of_environments() -> None:
    bits = make("rlkit/BitFlip-v0", bits=3)
    found = goals(bits, "bits")
    obs, _ = bits.reset(seed=0)
    inner: Any = bits.unwrapped
    np.testing.assert_array_equal(obs[found.achieved], inner.state)
    np.testing.assert_array_equal(obs[found.desired], inner.goal)
    pairs = np.eye(3)[[0, 1]], np.eye(3)[[0, 2]]
    assert found.reward(*pairs).tolist() == [0, -1]
    assert found.terminated(*pairs).tolist() == [True, False]
    with pytest.raises(UsageError, match="is not goal-conditioned"):
        goals(make("CartPole-v1"), "CartPole-v1")


def test_a_rule_without_batches_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BitFlip, "compute_reward", lambda self, a, d, info: -1.0)
    with pytest.raises(UsageError, match="needs one finite number a pair"):
        goals(make("rlkit/BitFlip-v0"), "bits")


def test_what_cannot_be_relabelled_is_refused() -> None:
    spec = Spec(4, 1)
    with pytest.raises(ValueError, match="with the column 'ahead'"):
        Hindsight(Replay(spec, 10), 4, Streams((0,)), Line(), 4)
    with pytest.raises(ValueError, match="k is 0"):
        Hindsight(Replay(spec, 10, columns=(AHEAD,)), 4, Streams((0,)), Line(), 0)
