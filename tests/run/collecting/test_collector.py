"""What enters the buffer is what the environments did."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlkit.core.errors import RunError
from rlkit.eval.rollout import episode_seed
from rlkit.run.collecting.collector import Collector
from rlkit.run.preparing import prepare
from rlkit.run.settings.options import Options
from rlkit.run.task import Task

SEEDS = (4, 9)


def task_of(env: str) -> Task:
    return prepare(Options("sac", env=env))[0]


def collector(env: str, seeds: tuple[int, ...] = SEEDS, envs: int = 2) -> Collector:
    task = task_of(env)
    made = Collector(task, task.spec(seeds), envs)
    made.reset()
    return made


def seen(seed: int, episode: int, env: int) -> int:
    """What Counter shows of the seed that this episode is reset with."""
    return episode_seed(seed, episode, 2 + env) % 1000


def test_final_observations_are_true_and_no_row_is_made_of_a_reset() -> None:
    collect = collector("rlkit-test/Counter-v0")
    actions = np.zeros((2, 2, 1), np.float32)
    for t in range(7):
        step = collect.step(actions)
        episode, at = divmod(t, 3)
        for k, seed in enumerate(SEEDS):
            for e in range(2):
                shown = seen(seed, episode, e)
                assert step.s[k, e].tolist() == [shown, at]
                assert step.s2[k, e].tolist() == [shown, at + 1]  # 3 at the end, not the reset's 0
        over = at == 2
        cut = over and episode % 2 == 1
        assert (step.terminated == (over and not cut)).all()
        assert (step.truncated == cut).all()
    assert collect.obs[0, 0].tolist() == [seen(4, 2, 0), 1]


def test_every_episode_of_a_lane_starts_alike_in_any_company() -> None:
    together, alone = collector("rlkit-test/Counter-v0"), collector("rlkit-test/Counter-v0", (9,))
    for _ in range(8):
        both = together.step(np.zeros((2, 2, 1), np.float32))
        one = alone.step(np.zeros((1, 2, 1), np.float32))
        assert np.array_equal(both.s[1], one.s[0])


def test_stored_actions_are_the_executed_ones_in_agent_units() -> None:
    collect = collector("rlkit-test/Counter-v0", envs=1)
    step = collect.step(np.array([[[0.25]], [[-7.0]]], np.float32))
    assert step.r.tolist() == [[0.5], [-2.0]]  # box [-2, 2]
    assert step.a[0, 0, 0] == pytest.approx(0.25)
    assert -1 < step.a[1, 0, 0] < -0.9999


def test_discrete_actions_are_counted_from_zero_for_the_agent() -> None:
    collect = collector("rlkit-test/Choice-v0", envs=1)
    step = collect.step(np.array([[0], [2]]))
    assert step.r.tolist() == [[-1.0], [1.0]]
    assert step.a.tolist() == [[0], [2]]
    assert step.s.shape == (2, 1, 1)
    assert step.terminated.all()


def test_training_returns_are_counted_once() -> None:
    collect = collector("rlkit-test/Counter-v0")
    for _ in range(7):
        collect.step(np.full((2, 2, 1), 0.5, np.float32))  # reward 1 a step
    finished = collect.take_finished()
    assert finished["train_return"].tolist() == [3.0, 3.0]
    assert finished["train_length"].tolist() == [3.0, 3.0]
    assert finished["train_episodes"].tolist() == [4, 4]
    assert np.isnan(collect.take_finished()["train_return"]).all()


@pytest.mark.parametrize("env", ["rlkit-test/Counter-v0", "Hopper-v5", "MiniGrid-Empty-5x5-v0"])
def test_a_restored_collector_continues_with_the_same_steps(env: str) -> None:
    collect = collector(env)
    rng = np.random.default_rng(0)
    spec = collect.spec

    def draw() -> np.ndarray:
        if spec.discrete:
            return rng.integers(spec.act_size, size=(2, 2))
        return rng.uniform(-1, 1, (2, 2, spec.act_size)).astype(np.float32)

    for _ in range(25):
        collect.step(draw())
    tensors, meta = collect.state()
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    actions = [draw() for _ in range(60)]  # several episodes
    expected = [collect.step(a) for a in actions]
    counted = collect.take_finished()

    other = collector(env)
    assert other.load(tensors, meta) == ""
    for a, step in zip(actions, expected, strict=True):
        for name, ours, theirs in zip(step._fields, other.step(a), step, strict=True):
            assert np.array_equal(ours, theirs), name
    for name, value in other.take_finished().items():
        assert np.array_equal(value, counted[name], equal_nan=True), name


def test_what_cannot_be_saved_is_named_and_new_episodes_begin() -> None:
    collect = collector("rlkit-test/Locked-v0")
    for _ in range(4):
        collect.step(np.zeros((2, 2, 1), np.float32))
    tensors, meta = collect.state()
    assert "lock" in meta["unsupported"]
    other = collector("rlkit-test/Locked-v0")
    assert "lock" in other.load(tensors, meta)
    assert other.obs[0, 1].tolist() == [seen(4, 2, 1), 0]  # episode 1 was interrupted
    assert (other.lengths == 0).all()


def test_a_diverged_policy_is_named() -> None:
    collect = collector("rlkit-test/Counter-v0")
    actions = torch.zeros(2, 2, 1).numpy()
    actions[1, 0] = np.nan
    with pytest.raises(RunError, match=r"policy of seed 9 .* diverged"):
        collect.step(actions)
