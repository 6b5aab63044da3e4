"""Environments of envpool: refused where they are not the same task, else rows of their own."""

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import TransformReward

import rlkit
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.envs.make import make
from rlkit.envs.pooled import Pooled, check_pooled
from rlkit.run.collecting.collector import Collector
from rlkit.run.env_task import of_env
from rlkit.run.settings.options import Options, resolve

CART = "CartPole-v1"


@pytest.fixture
def installed() -> None:
    pytest.importorskip("envpool")


def test_without_the_package_it_says_how_to_add_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "envpool", None)
    with pytest.raises(
        UsageError, match=r"envs_backend envpool needs more packages: .*\[envpool\]"
    ):
        rlkit.train("sac", env="Pendulum-v1", steps=100, envs_backend="envpool")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"algo": "bc", "dataset": "rlkit/pendulum/medium-v0"}, "for what collects"),
        ({"algo": "dqn", "env": CART, "levels": 5}, "levels need --envs-backend gymnasium"),
        ({"algo": "sb3:ppo", "env": CART}, "collects by itself"),
    ],
)
def test_where_it_has_no_effect_it_is_refused(given: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(Options(**given, envs_backend="envpool"))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("env", "message"),
    [
        (make("rlkit/CartPolePositions-v1"), "no environment 'rlkit/CartPolePositions-v1'"),
        (make("Pendulum-v1", g=9.0), "Pendulum-v1 is wanted with arguments"),
        (TransformReward(make(CART), abs), "CartPole-v1 is wanted with arguments or wrappers"),
        (make("Ant-v5", include_cfrc_ext_in_observation=False), "with arguments"),
    ],
)
def test_only_the_task_as_it_is_is_taken(env: gymnasium.Env, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_pooled(env)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", [CART, "Pendulum-v1", "Hopper-v5"])
def test_a_row_is_the_same_in_any_company_and_order(name: str) -> None:
    many, one = Pooled(lambda: make(name), 3), Pooled(lambda: make(name), 1)
    first, alone = many.begin([3, 4, 5]), one.begin([4])
    np.testing.assert_array_equal(first[1], alone[0])
    ended = 0
    many.action_space.seed(0)
    for t in range(300):
        actions = np.array([many.action_space.sample() for _ in range(3)])
        rows = np.array([2, 1, 0]) if t % 2 else np.arange(3)
        ours, theirs = many.step(actions, rows), one.step(actions[1:2], np.array([0]))
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(x[1], y[0])
        for row in rows[ours.terminated | ours.truncated]:
            new = many.reset(int(row), 0)
            if row == 1:
                np.testing.assert_array_equal(new, one.reset(0, 0))
                ended += 1
    assert ended
    many.close()
    one.close()


@pytest.mark.usefixtures("installed")
def test_steps_are_the_task_s_and_end_at_its_limit() -> None:
    """Pendulum has the same equations everywhere: steps from the same state agree."""
    pool, env = Pooled(lambda: make("Pendulum-v1"), 1), make("Pendulum-v1")
    obs = pool.begin([0])[0]
    env.reset(seed=0)
    env.unwrapped.state = np.array([np.arctan2(obs[1], obs[0]), obs[2]], np.float64)
    for t in range(200):
        action = np.array([np.sin(t)], np.float32)
        ours = pool.step(action[None], np.zeros(1, int))
        theirs, reward, _, truncated, _ = env.step(action)
        assert bool(ours.truncated[0]) == truncated == (t == 199)
        if t < 20:  # rounding grows from there
            np.testing.assert_allclose(ours.observations[0], theirs, atol=1e-4)
            np.testing.assert_allclose(ours.reward[0], reward, atol=1e-3)


@pytest.mark.usefixtures("installed")
def test_the_same_seeds_collect_the_same_and_a_resumed_one_begins_new_episodes() -> None:
    task = of_env(CART)

    def collected(seeds: tuple[int, ...]) -> tuple[Collector, list[np.ndarray]]:
        collector = Collector(task, Spec(task.obs, task.act, seeds), 2, pooled=True)
        collector.reset()
        steps = [collector.step(np.ones((len(seeds), 2), np.int64)).s2 for _ in range(40)]
        return collector, steps

    (_, first), (both, second), (_, other) = collected((1,)), collected((0, 1)), collected((2,))
    np.testing.assert_array_equal(np.array(first)[:, 0], np.array(second)[:, 1])
    assert not np.array_equal(first, other)
    tensors, meta = both.state()
    assert "envpool gives no state" in meta["unsupported"]
    before = both.episode.copy()
    assert "envpool" in both.load(tensors, meta)
    assert (both.episode == before + 1).all()


@pytest.mark.usefixtures("installed")
def test_a_training_learns_in_it() -> None:
    result = rlkit.train(
        "dqn",
        env=CART,
        steps=4_000,
        envs=4,
        warmup=500,
        eval_every=2_000,
        envs_backend="envpool",
        config={"hidden": (64, 64), "lr": 1e-3, "epsilon_updates": 1_000},
        quiet=True,
        engine="eager",
    )
    assert result.returns.mean() > 60  # a random policy returns 22
