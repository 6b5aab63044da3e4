"""Whether environments are separate or one kernel's shows nowhere but in the time."""

import gymnasium
import numpy as np
import pytest

from rlkit.envs import worlds as module
from rlkit.envs.make import make
from rlkit.envs.snapshot import SnapshotUnsupported
from rlkit.envs.worlds import Gridded, Separate, worlds

NAME = "MiniGrid-DoorKey-5x5-v0"


def separate(n: int) -> Separate:
    made = Separate(lambda: make(NAME), [make(NAME)])
    made.ensure(n)
    return made


def test_both_kinds_give_the_same() -> None:
    ours, theirs = worlds(lambda: make(NAME), 3), separate(3)
    assert isinstance(ours, Gridded)
    for row in range(3):
        np.testing.assert_array_equal(ours.reset(row, row + 5), theirs.reset(row, row + 5))
    rng, ended = np.random.default_rng(0), 0
    ours.ensure(4)
    for t in range(700):
        rows = np.array([0, 2]) if t % 3 else np.arange(3)
        actions = rng.integers(7, size=len(rows))
        a, b = ours.step(actions, rows), theirs.step(actions, rows)
        np.testing.assert_array_equal(a.observations, b.observations)
        for x, y in zip(a[1:], b[1:], strict=True):
            np.testing.assert_array_equal(x, y)
        for row in rows[a.terminated | a.truncated]:
            ended += 1
            np.testing.assert_array_equal(ours.reset(row, t), theirs.reset(row, t))
    assert ended > 3


def test_a_snapshot_is_taken_up_by_its_own_kind_alone() -> None:
    ours, theirs = worlds(lambda: make(NAME), 2), separate(2)
    for world in (ours, theirs):
        world.reset(0, 1)
        world.reset(1, 2)
        saved = world.snapshot(0)
        world.restore(1, saved)
        two = world.step(np.array([2, 2]), np.arange(2))
        np.testing.assert_array_equal(two.observations[0], two.observations[1])
    with pytest.raises(SnapshotUnsupported, match="package's own"):
        ours.restore(0, theirs.snapshot(0))
    with pytest.raises(SnapshotUnsupported, match="by a kernel"):
        theirs.restore(0, ours.snapshot(0))
    damaged = ours.snapshot(0)
    damaged["arrays"]["cells"] = damaged["arrays"]["cells"][:2]
    with pytest.raises(ValueError, match="damaged: cells"):
        ours.restore(0, damaged)


@pytest.mark.parametrize(
    "made",
    [
        lambda: make("CartPole-v1"),
        lambda: make("MiniGrid-MemoryS7-v0"),
        lambda: make(NAME, render_mode="rgb_array"),
        lambda: make(NAME, max_episode_steps=5),
        lambda: gymnasium.wrappers.TransformReward(make(NAME), lambda r: r + 1),
    ],
)
def test_what_is_changed_or_drawn_stays_separate(made: object) -> None:
    assert isinstance(module.worlds(made, 1), Separate)  # type: ignore[arg-type]
