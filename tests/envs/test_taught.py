"""`Taught`: tasks reach the environment, and returns of whole episodes reach the teacher."""

import warnings

import gymnasium
import minigrid  # noqa: F401  # registers its ids
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlkit.algos.bandits.teachers.mixtures import AlpGmm, Config, RandomTeacher
from rlkit.envs.minigrid import SymbolicView
from rlkit.envs.tasks.edge_of_reach import EdgeOfReach
from rlkit.envs.taught import Taught


class Notebook:
    """A teacher that deals out given tasks and writes everything down."""

    def __init__(self, tasks):
        self.tasks, self.told = list(tasks), []

    def sample(self):
        return np.array(self.tasks.pop(0))

    def update(self, task, outcome):
        self.told.append((task.tolist(), outcome))


def set_length(env, task):
    pole = env.unwrapped
    pole.length = float(task[0])
    pole.polemass_length = pole.masspole * pole.length


def test_every_episode_has_its_task_and_tells_its_return():
    notebook = Notebook([[0.3], [0.7], [0.5], [0.9]])
    env = Taught(gymnasium.make("CartPole-v1"), notebook, set_length)
    for number, length in enumerate((0.3, 0.7)):
        _, info = env.reset(seed=number)
        assert info["task"].tolist() == [length]
        assert env.unwrapped.length == length
        total, ended = 0.0, False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(0)
            total, ended = total + reward, terminated or truncated
        assert notebook.told[-1] == ([length], total)
    env.reset(seed=2)
    env.step(0)
    env.reset(seed=3)  # broken off: says nothing
    assert len(notebook.told) == 2
    assert env.unwrapped.length == 0.9
    env.close()


def test_truncated_episodes_count_and_are_told_once():
    notebook = Notebook([[0.5]])
    env = Taught(gymnasium.make("Pendulum-v1", max_episode_steps=3), notebook, lambda e, t: None)
    env.reset(seed=0)
    rewards = [env.step(np.zeros(1))[1] for _ in range(3)]
    assert notebook.told == [([0.5], pytest.approx(sum(rewards)))]
    env.step(np.zeros(1))
    assert len(notebook.told) == 1
    env.close()


def test_one_teacher_may_serve_a_vector_of_environments():
    teacher = AlpGmm([0.2], [1.5], Config(returns=(0.0, 50.0), fit_rate=20, components=(1, 2)))
    made = [lambda: Taught(gymnasium.make("CartPole-v1"), teacher, set_length) for _ in range(3)]
    envs = gymnasium.vector.SyncVectorEnv(made)
    envs.reset(seed=0)
    rng, ended = np.random.default_rng(0), 0
    for _ in range(500):
        _, _, terminated, truncated, _ = envs.step(rng.integers(2, size=3))
        ended += int((terminated | truncated).sum())
    assert teacher.episodes == ended > 20
    assert teacher.mixture is not None
    envs.close()


def test_the_spaces_and_the_seed_of_the_environment_stay():
    env = Taught(gymnasium.make("CartPole-v1"), RandomTeacher([0.4], [0.6]), set_length)
    plain = gymnasium.make("CartPole-v1")
    assert env.observation_space == plain.observation_space
    a, b = env.reset(seed=7)[0], plain.reset(seed=7)[0]
    np.testing.assert_array_equal(a, b)
    env.close()
    plain.close()


def test_it_is_made_again_from_its_spec_with_the_same_teacher():
    teacher = Notebook([[0.3], [0.7]])
    env = Taught(gymnasium.make("CartPole-v1"), teacher, set_length)
    again = gymnasium.make(env.spec)
    assert isinstance(again, Taught)
    assert again.teacher is teacher
    again.reset(seed=0)
    assert again.unwrapped.length == 0.3


@pytest.mark.parametrize("name", ["taught", "edge", "minigrid"])
def test_gymnasiums_check_passes_on_our_environments(name):
    gymnasium.register("rlkit-test/Edge-v0", EdgeOfReach)
    teacher = Notebook([[0.4]] * 99)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version")
        if name == "taught":
            warnings.filterwarnings("ignore", message=".*value is -?infinity")  # CartPole's own
            env = Taught(gymnasium.make("CartPole-v1"), teacher, set_length)
        elif name == "edge":
            env = gymnasium.make("rlkit-test/Edge-v0")
        else:
            env = SymbolicView(gymnasium.make("MiniGrid-Empty-5x5-v0"))
        check_env(env, skip_render_check=True)
    del gymnasium.registry["rlkit-test/Edge-v0"]
