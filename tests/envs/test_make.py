from pathlib import Path

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium import spaces

from rlkit.data.spaces import flatten
from rlkit.envs.make import make


def test_a_plain_environment_is_gymnasiums_own() -> None:
    env = make("CartPole-v1", max_episode_steps=7)
    assert env.spec is not None
    assert env.spec.max_episode_steps == 7
    assert env.observation_space == gymnasium.make("CartPole-v1").observation_space


def test_minigrid_gives_the_symbolic_view() -> None:
    env = make("MiniGrid-DoorKey-5x5-v0")
    obs, _ = env.reset(seed=0)
    assert obs.shape == (7, 7, 3)
    assert obs.dtype == np.uint8
    assert env.observation_space.contains(obs)


def test_discrete_observations_are_flattened_by_the_rule_of_datasets() -> None:
    env = make("FrozenLake-v1", is_slippery=False)
    obs, _ = env.reset(seed=0)
    assert obs.shape == (16,)
    np.testing.assert_array_equal(obs, flatten(spaces.Discrete(16), np.array([0]))[0])


def test_an_environment_is_made_again_from_its_spec() -> None:
    for name in ("MiniGrid-Empty-Random-5x5-v0", "FrozenLake-v1", "CartPole-v1"):
        first = make(name)
        again = make(first.spec)
        assert str(again) == str(first)
        a, b = first.reset(seed=1)[0], again.reset(seed=1)[0]
        np.testing.assert_array_equal(a, b)
    plain = gymnasium.make(make("MiniGrid-Empty-5x5-v0").spec)  # as Minari does it
    assert plain.observation_space.shape == (7, 7, 3)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("hopper-v5", "Hopper-v5"),
        ("Hopper", "Hopper-v5"),
        ("HalfChetah-v5", "HalfCheetah-v5"),
        ("MiniGrid-DoorKey5x5-v0", "MiniGrid-DoorKey-5x5-v0"),
        ("minigrid-empty-5x5-v0", "MiniGrid-Empty-5x5-v0"),
    ],
)
def test_an_unknown_id_names_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(ValueError, match=f"unknown environment '{wrong}'; did you mean '{right}'"):
        make(wrong)


def test_a_module_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(ValueError, match="cannot import 'no_such_module'"):
        make("no_such_module:Env-v0")


def test_what_an_environment_misses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking() -> gymnasium.Env:
        raise gymnasium.error.DependencyNotInstalled("run `pip install opencv-python`")

    spec = gymnasium.envs.registration.EnvSpec("Lacking-v0", entry_point=lacking)
    monkeypatch.setitem(gymnasium.registry, "Lacking-v0", spec)
    with pytest.raises(ValueError, match=r"'Lacking-v0' cannot be made: run .pip install opencv"):
        make("Lacking-v0")


def test_mujocos_model_deprecations_reach_neither_terminal_nor_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    env = make("HalfCheetah-v5")
    env.reset(seed=0)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []
    assert mujoco.get_mju_user_warning() is None  # put back


class Unmade(gymnasium.Env):
    def __init__(self, fault: str = "ValueError") -> None:
        raise {"ValueError": ValueError, "KeyError": KeyError}[fault]("no such map")


@pytest.mark.parametrize(
    ("fault", "said"),
    [("ValueError", "no such map"), ("KeyError", "it has no entry 'no such map'")],
)
def test_what_an_environment_stumbles_over_names_it(fault: str, said: str) -> None:
    gymnasium.register("rlkit-test/Unmade-v0", entry_point=Unmade)
    try:
        with pytest.raises(
            ValueError, match=f"environment 'rlkit-test/Unmade-v0' cannot be made: {said}"
        ):
            make("rlkit-test/Unmade-v0", fault=fault)
    finally:
        del gymnasium.registry["rlkit-test/Unmade-v0"]
