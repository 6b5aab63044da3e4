"""What an environment does wrong later than any check names it, whoever steps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlkit.core.errors import RunError
from rlkit.data.recorder import record, record_episode
from rlkit.envs.stepping import begun, closed, stepped
from rlkit.eval.rollout import reference_returns, rollout

SOUND = (np.zeros(2, np.float32), 1.0, False, False, {})


class Odd(gymnasium.Env[Any, Any]):
    """Sound for three steps; then `then` says what a step gives, or raises."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, then: Callable[[], Any], first: Any = SOUND[0]) -> None:
        self.then, self.first, self.t = then, first, 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.first, {}

    def step(self, action: Any) -> Any:
        self.t += 1
        return self.then() if self.t > 3 else SOUND


def fail() -> Any:
    raise KeyError("boom")


def given(**other: Any) -> Callable[[], Any]:
    names = ("obs", "reward", "terminated", "truncated", "info")
    return lambda: tuple(other.get(name, SOUND[k]) for k, name in enumerate(names))


BROKEN: dict[str, tuple[Callable[[], Any], str]] = {
    "raises": (fail, r"failed in step\(\): KeyError: 'boom'"),
    "four values": (lambda: SOUND[:4], r"failed in step\(\): ValueError: not enough values"),
    "nothing": (lambda: None, r"failed in step\(\): TypeError"),
    "no reward": (given(reward=None), r"failed in step\(\): TypeError"),
    "rewards": (given(reward=np.ones(2)), r"failed in step\(\): TypeError"),
    "words": (given(reward="much"), r"failed in step\(\): ValueError"),
    "ends": (given(terminated=np.array([True, False])), r"failed in step\(\): ValueError"),
    "no observation": (
        given(obs=None),
        r"the observation None, and its space declares shape \(2,\)",
    ),
    "short": (
        given(obs=np.zeros(1, np.float32)),
        r"ndarray of shape \(1,\), and its space declares",
    ),
    "a number": (given(obs=0.5), r"the observation 0.5, and its space declares shape \(2,\)"),
    "a row": (given(obs=np.zeros((1, 2), np.float32)), r"of shape \(1, 2\), and its space"),
    "ragged": (given(obs=[[1.0], [1.0, 2.0]]), r"failed in step\(\): ValueError"),
}


def still(obs: np.ndarray, slots: Any = None) -> np.ndarray:
    return np.zeros((*obs.shape[:2], 1), np.float32)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_step_that_goes_wrong_names_the_environment(fault: str) -> None:
    """One that would be spread over the right shape too: everybody who steps says so."""
    then, words = BROKEN[fault]

    def make() -> gymnasium.Env:
        return Odd(then)

    def act(obs: Any) -> np.ndarray:
        return np.zeros(1, np.float32)

    message = rf"environment <.*Odd.*> .*{words}"
    for play in (
        lambda: rollout(still, make, 1, [0]),
        lambda: reference_returns(make, 1, 0),
        lambda: record_episode(make(), act),
        lambda: record(make(), lambda obs: np.zeros((1, 1), np.float32), steps=9),
    ):
        with pytest.raises(RunError, match=message):
            play()


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (np.zeros(3, np.float32), r"from reset\(\) the observation ndarray of shape \(3,\)"),
        ("a", "'a'"),
    ],
)
def test_a_reset_that_goes_wrong_names_the_environment(first: Any, words: str) -> None:
    with pytest.raises(RunError, match=words):
        begun(Odd(fail, first), 0)


def test_what_is_sound_passes_as_numbers() -> None:
    env = Odd(given(obs=[0.5, 0.25], reward=np.float32(2), terminated=np.bool_(True)))
    env.t = 9
    obs, *told = stepped(env, 0)
    assert obs == [0.5, 0.25]
    assert told == [2.0, True, False]
    assert [type(x) for x in told] == [float, bool, bool]


@pytest.mark.parametrize("reward", [np.nan, np.inf, -np.inf, np.float32("nan")])
def test_a_reward_that_is_not_finite_names_the_environment(reward: Any) -> None:
    name = r"environment <.*Odd.*> returned from step\(\) the reward (nan|-?inf), which is not"

    def make() -> gymnasium.Env:
        return Odd(given(reward=reward))

    for play in (
        lambda: rollout(still, make, 1, [0]),
        lambda: reference_returns(make, 1, 0),
        lambda: record_episode(make(), lambda obs: np.zeros(1, np.float32)),
        lambda: record(make(), lambda obs: np.zeros((1, 1), np.float32), steps=9),
    ):
        with pytest.raises(RunError, match=name):
            play()
    assert stepped_to_the_fault(make(), finite=False)[1] == pytest.approx(reward, nan_ok=True)


@pytest.mark.parametrize(
    "obs", [np.array([0, np.nan], np.float32), {"a": np.array([np.inf])}, (0.0, float("nan"))]
)
def test_an_observation_that_is_not_finite_names_the_environment(obs: Any) -> None:
    with pytest.raises(RunError, match=r"from step\(\) the observation .*, which is not finite"):
        stepped_to_the_fault(Odd(given(obs=obs)))
    with pytest.raises(RunError, match=r"from reset\(\) the observation .*, which is not finite"):
        begun(Odd(fail, obs), 0)


def stepped_to_the_fault(env: Odd, **how: Any) -> Any:
    env.t = 9
    return stepped(env, 0, **how)


def test_a_close_that_fails_is_warned_of_by_name_and_costs_nothing() -> None:
    class Stuck(Odd):
        def close(self) -> None:
            raise OSError("the simulator is gone")

    def make() -> gymnasium.Env:
        return Stuck(given(terminated=True))

    words = r"environment <.*Stuck.*> failed in close\(\): OSError: the simulator is gone"
    with pytest.warns(RuntimeWarning, match=words):
        closed(make())
    with pytest.warns(RuntimeWarning, match=words):
        assert rollout(still, make, 1, [0])[0].length == 4
    with (
        pytest.warns(RuntimeWarning, match=words),
        pytest.raises(RunError, match=r"step\(\): KeyError: 'boom'"),
    ):
        rollout(still, lambda: Stuck(fail), 1, [0])
