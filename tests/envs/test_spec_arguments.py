"""Values inside an environment's description are checked before gymnasium sees them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.envs import specs
from rlkit.envs.make import make, make_described

INVERTED = "gymnasium.envs.mujoco.inverted_pendulum_v5:InvertedPendulumEnv"


def text_of(**changed: Any) -> str:
    return json.dumps(json.loads(gymnasium.spec("Pendulum-v1").to_json()) | changed)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kwargs": 5}, "kwargs is 5; an object is expected"),
        ({"kwargs": None}, "kwargs is None; an object"),
        ({"kwargs": [1]}, "kwargs is [1]; an object"),
        ({"id": 3}, "id is 3; a text"),
        ({"id": "not an id"}, "id"),
        ({"entry_point": 7}, "entry_point is 7; a text or null"),
        ({"max_episode_steps": "x"}, "max_episode_steps is 'x'; an integer or null"),
        ({"max_episode_steps": 1.5}, "max_episode_steps is 1.5"),
        ({"max_episode_steps": True}, "max_episode_steps is True"),
        ({"max_episode_steps": -1}, "max_episode_steps is -1; at least 1"),
        ({"max_episode_steps": 0}, "max_episode_steps is 0; at least 1"),
        ({"order_enforce": "no"}, "order_enforce is 'no'; true or false"),
        ({"disable_env_checker": 1}, "disable_env_checker is 1"),
        ({"nondeterministic": None}, "nondeterministic is None"),
        ({"reward_threshold": "high"}, "reward_threshold is 'high'"),
        ({"additional_wrappers": None}, "additional_wrappers is None"),
        ({"additional_wrappers": [3]}, "additional_wrappers[0] is 3"),
        ({"additional_wrappers": [{"name": "a"}]}, "additional_wrappers[0] has no entry"),
        (
            {"additional_wrappers": [{"name": "a", "entry_point": "a:b", "kwargs": 5}]},
            "additional_wrappers[0].kwargs is 5",
        ),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_shape_names_file_and_field(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as told:
        specs.from_text(text_of(**changed), "config.json")
    assert str(told.value).startswith("config.json describes no environment: ")
    assert words in str(told.value)


@pytest.mark.parametrize("text", [5, None, {}, "[" * 100_000])
def test_what_is_no_text_of_a_spec_is_named(text: Any) -> None:
    with pytest.raises(UsageError, match=r"^config.json describes no environment"):
        specs.from_text(text, "config.json")


def test_a_spec_of_an_earlier_gymnasium_is_read() -> None:
    text = text_of(apply_api_compatibility=False, autoreset=False)
    assert specs.from_text(text, "a test") == gymnasium.spec("Pendulum-v1")


@pytest.mark.parametrize(
    "kwargs",
    [
        {"xml_file": "/etc/passwd"},
        {"xml_file": "mine.xml"},
        {"model_path": "x"},
        {"texture_dir": "x"},
        {"frame_skip": "/etc/passwd"},
        {"frame_skip": "~/x"},
        {"frame_skip": "../x"},
        {"frame_skip": "a/../../x"},
        {"frame_skip": "C:\\x"},
        {"default_camera_config": {"inner": ["/x"]}},
        {"default_camera_config": {"some_file": "x"}},
    ],
)
def test_an_argument_that_names_a_file_needs_trust(kwargs: dict[str, Any]) -> None:
    spec = EnvSpec("Elsewhere-v0", entry_point=INVERTED, kwargs=kwargs)
    with pytest.raises(UsageError, match=r"has the argument .*which names a file.*--trust"):
        specs.vouch(spec)
    with trust.trusting():
        specs.vouch(dataclasses.replace(spec, kwargs={"xml_file": "mine.xml"}))


def test_a_wrapper_that_is_told_a_file_needs_trust() -> None:
    wrapper = WrapperSpec("T", "gymnasium.wrappers:TimeLimit", {"max_episode_steps": "/x"})
    spec = dataclasses.replace(gymnasium.spec("Pendulum-v1"), additional_wrappers=(wrapper,))
    with pytest.raises(UsageError, match="which names a file"):
        specs.vouch(spec)


def test_the_files_of_what_is_registered_here_are_its_own() -> None:
    name, kwargs = "rlkit-test/Filed-v0", {"xml_file": "/somewhere/mine.xml"}
    gymnasium.register(name, entry_point=INVERTED, kwargs=kwargs)
    try:
        specs.vouch(gymnasium.spec(name))
        with pytest.raises(UsageError, match="which names a file"):
            specs.vouch(dataclasses.replace(gymnasium.spec(name), kwargs={"xml_file": "/other"}))
    finally:
        del gymnasium.registry[name]


@pytest.mark.parametrize("trusted", [False, True])
def test_a_function_cannot_stand_in_a_file(trusted: bool) -> None:
    wrapper = WrapperSpec("TransformReward", "gymnasium.wrappers:TransformReward", {"func": "evil"})
    spec = dataclasses.replace(gymnasium.spec("Pendulum-v1"), additional_wrappers=(wrapper,))
    with trust.trusting(trusted), pytest.raises(UsageError, match="TransformReward takes a func"):
        make(spec)


def test_an_argument_that_is_not_taken_is_named() -> None:
    text = text_of(kwargs={"gravity": 9.0})
    with pytest.raises(UsageError, match=r"^file: .*gravity = 9.0, which PendulumEnv does not"):
        make_described(text, "file")


def test_what_an_environment_stumbles_over_is_one_line() -> None:
    with pytest.raises(UsageError, match=r"^file: environment 'Pendulum-v1' cannot be made"):
        make_described(text_of(kwargs={"render_mode": {"a": [1]}}), "file")


@pytest.mark.parametrize("value", ["x", "9.81", {"a": 1}])
def test_a_text_is_no_number(value: Any) -> None:
    with pytest.raises(UsageError, match=r"^file: .* g = .*where PendulumEnv takes a number"):
        make_described(text_of(kwargs={"g": value}), "file")
