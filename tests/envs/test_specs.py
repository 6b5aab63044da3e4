"""Environments that files describe: nothing a file names runs unless a person asked for it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec, WrapperSpec

from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.envs import specs
from rlkit.envs.make import make


def spec_of(entry_point: str, env_id: str = "Pendulum-v1", **given: Any) -> EnvSpec:
    return EnvSpec(env_id, entry_point=entry_point, **given)


@pytest.mark.parametrize(
    "entry_point",
    [
        "os:system",
        "subprocess:run",
        "rlkit_test_evil:Env",
        "gymnasium:make",  # a function: its arguments would name a module
        "gymnasium.envs.registration:load_env_creator",
        "gymnasium.wrappers:TimeLimit",  # no environment
        "rlkit.core.files.replacing:os",
        "rlkit.data.formats.minari_io:shutil",
        "rlkit.envs.specs:EnvSpec",
        "gymnasium.absent:Env",
        "nonsense",
        "",
    ],
)
def test_a_foreign_entry_point_is_refused(entry_point: str) -> None:
    with pytest.raises(UsageError, match=r"not what is registered under that id here.*--trust"):
        make(spec_of(entry_point))


def test_a_module_that_is_refused_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rlkit_test_evil.py").write_text("raise SystemExit\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="--trust"):
        make(spec_of("rlkit_test_evil:Env"))
    wrapper = WrapperSpec("Evil", "rlkit_test_evil:Wrapper", {})
    with pytest.raises(UsageError, match="has the wrapper 'rlkit_test_evil:Wrapper'"):
        make(dataclasses.replace(gymnasium.spec("Pendulum-v1"), additional_wrappers=(wrapper,)))
    with pytest.raises(UsageError, match="would import module 'rlkit_test_evil'"):
        specs.vouch_name("rlkit_test_evil:Name-v0")
    assert "rlkit_test_evil" not in sys.modules


def test_a_wrapper_that_writes_files_is_refused(tmp_path: Path) -> None:
    video = WrapperSpec("RecordVideo", "gymnasium.wrappers:RecordVideo", {"video_folder": "x"})
    spec = dataclasses.replace(gymnasium.spec("Pendulum-v1"), additional_wrappers=(video,))
    with pytest.raises(UsageError, match="RecordVideo, which writes files"):
        specs.vouch(spec)


def test_what_gymnasium_ships_counts_with_any_arguments_and_id() -> None:
    entry = "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    env = make(spec_of(entry, "Elsewhere-v3", kwargs={"g": 9.0}, max_episode_steps=7))
    assert env.unwrapped.g == 9.0
    again = make(specs.from_text(specs.to_text(env.spec) or "", "a test"))
    assert (again.unwrapped.g, again.spec.max_episode_steps) == (9.0, 7)


class Own(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)


@pytest.fixture
def own() -> Any:
    gymnasium.register("rlkit-test/Own-v0", entry_point=Own)
    gymnasium.register("rlkit-test/Hidden-v0", entry_point=lambda: Own())
    yield
    del gymnasium.registry["rlkit-test/Own-v0"], gymnasium.registry["rlkit-test/Hidden-v0"]


def test_what_is_registered_here_counts_under_its_id_alone(own: None) -> None:
    text = specs.to_text(gymnasium.spec("rlkit-test/Own-v0"))
    assert text is not None
    specs.vouch(specs.from_text(text, "a test"))
    other = dataclasses.replace(specs.from_text(text, "a test"), id="rlkit-test/Other-v0")
    with pytest.raises(UsageError, match="--trust"):
        specs.vouch(other)
    with trust.trusting():
        specs.vouch(other)


def test_trusted_code_of_the_current_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import gymnasium\n\nclass Near(gymnasium.Env):\n    observation_space = "
    text += "action_space = gymnasium.spaces.Discrete(2)\n"
    (tmp_path / "rlkit_test_near.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])  # as a console script
    with pytest.raises(UsageError, match="--trust"):
        make(spec_of("rlkit_test_near:Near", "Near-v0"))
    assert str(tmp_path) not in sys.path
    with trust.trusting():
        assert make(spec_of("rlkit_test_near:Near", "Near-v0")).spec.id == "Near-v0"


def test_children_learn_what_they_can_make(own: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {one.id: one for one in specs.registered()}
    assert "Hopper-v5" not in told
    assert told["rlkit-test/Own-v0"].text is not None
    assert told["rlkit-test/Hidden-v0"][1:] == (None, __name__)
    monkeypatch.setattr(sys.modules[__name__], "__name__", "__main__")
    monkeypatch.setattr(Own, "__module__", "__main__")
    assert not specs.is_shared("rlkit-test/Own-v0")
    assert specs.is_shared("Hopper-v5")


def test_arguments_that_json_cannot_hold_leave_the_id() -> None:
    spec = gymnasium.spec("Pendulum-v1")
    for kwargs in ({"g": {1, 2}}, {"g": len}, {"g": {1: 2}}):
        assert specs.to_text(dataclasses.replace(spec, kwargs=kwargs)) is None
    assert specs.to_text(dataclasses.replace(spec, kwargs={"g": (1, 2)})) is not None
    assert specs.to_text(None) is None


@pytest.mark.parametrize("text", ["{}", "[]", "not JSON", '{"id": 3}'])
def test_a_damaged_description_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=r"config.json describes no environment"):
        specs.from_text(text, "config.json")
