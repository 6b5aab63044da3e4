import numpy as np
import pytest
from minigrid.core.world_object import Key, Lava, Wall

from rlkit.envs.make import make
from rlkit.envs.minigrid_planner import DROP, FORWARD, RIGHT, Planner, plan_length

TASKS = ("MiniGrid-DoorKey-5x5-v0", "MiniGrid-Empty-Random-5x5-v0")


def run(env, planner: Planner, limit: int = 60) -> tuple[int, float]:
    """Steps and return of the planner from the present state."""
    for step in range(1, limit + 1):
        _, reward, terminated, _, _ = env.step(planner.action(env))
        if terminated:
            return step, float(reward)
    raise AssertionError("no goal reached")


@pytest.mark.parametrize("task", TASKS)
def test_it_reaches_every_goal_in_the_steps_it_planned(task: str) -> None:
    env, planner = make(task), Planner()
    for seed in range(25):
        env.reset(seed=seed)
        planned = plan_length(env)
        steps, reward = run(env, planner)
        assert steps == planned
        np.testing.assert_allclose(reward, 1 - 0.9 * steps / env.unwrapped.max_steps)


def test_in_an_empty_room_the_plan_is_as_long_as_the_way_and_its_turns() -> None:
    for direction, turns in enumerate((1, 1, 2, 2)):  # to (3, 3) from (1, 1): right and down
        env = make("MiniGrid-Empty-5x5-v0", agent_start_dir=direction)
        env.reset(seed=0)
        assert plan_length(env) == 4 + turns


def test_it_recovers_from_random_actions_of_every_kind() -> None:
    env, planner, rng = make("MiniGrid-DoorKey-5x5-v0"), Planner(), np.random.default_rng(0)
    solved = 0
    for seed in range(40):
        env.reset(seed=seed)
        ended = any(env.step(int(rng.integers(7)))[2] for _ in range(60))
        if not ended:
            run(env, planner)
            solved += 1
    assert solved > 20


def test_it_fetches_a_key_dropped_on_the_way_and_needs_the_right_colour() -> None:
    env, planner = make("MiniGrid-DoorKey-5x5-v0"), Planner()
    env.reset(seed=0)
    core = env.unwrapped
    while core.carrying is None:
        env.step(planner.action(env))
    before = plan_length(env)
    for action in (RIGHT, DROP):
        env.step(action)
    if core.carrying is None:  # dropped: it has to be picked up again
        assert plan_length(env) > before
    run(env, planner)
    env.reset(seed=0)
    cells = [(x, y) for x in range(5) for y in range(5) if isinstance(core.grid.get(x, y), Key)]
    core.grid.set(*cells[0], Key("red"))
    with pytest.raises(ValueError, match="no goal cell can be reached"):
        planner.action(env)


def test_it_walks_around_lava_and_walls() -> None:
    env = make("MiniGrid-Empty-6x6-v0")
    env.reset(seed=0)
    core = env.unwrapped
    straight = plan_length(env)
    for y, thing in ((1, Lava()), (2, Wall()), (3, Lava())):
        core.grid.set(2, y, thing)
    assert plan_length(env) == straight + 1  # first down, then along the last row: one more turn
    _, reward = run(env, Planner())
    assert reward > 0
    for y in range(1, 5):
        core.grid.set(2, y, Lava())
    core.agent_pos = (1, 1)
    with pytest.raises(ValueError, match="no goal cell"):
        Planner().action(env)


def test_noise_is_the_share_of_uniform_actions() -> None:
    env, planner = make("MiniGrid-Empty-Random-5x5-v0"), Planner()
    env.reset(seed=1)
    best = planner.action(env)

    def share(noise: float) -> float:
        rng = np.random.default_rng(0)
        return float(np.mean([planner.noisy_action(env, noise, rng) == best for _ in range(4000)]))

    assert share(0.0) == 1.0
    np.testing.assert_allclose(share(1.0), 1 / 7, atol=0.02)
    np.testing.assert_allclose(share(0.5), 0.5 + 0.5 / 7, atol=0.03)


def test_the_plan_is_the_same_in_any_planner() -> None:
    env = make("MiniGrid-DoorKey-5x5-v0")
    experienced = Planner()
    for seed in range(10):
        env.reset(seed=seed)
        assert experienced.action(env) == Planner().action(env)
        run(env, experienced)


def test_forward_is_planned_when_the_goal_is_ahead() -> None:
    env = make("MiniGrid-Empty-5x5-v0", agent_start_pos=(2, 3))
    env.reset(seed=0)
    assert Planner().action(env) == FORWARD
    assert plan_length(env) == 1
