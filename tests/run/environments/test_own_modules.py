"""`--env module:Name-v0` from the current directory, in this process and in those it starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from rlkit.cli.main import main
from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import resolve
from rlkit.run.settings.plan import split
from rlkit.run.train import resume

MODULE = "rlkit_test_module"
TEXT = """
import gymnasium
from gymnasium.envs.classic_control import PendulumEnv

gymnasium.register("Mine-v0", lambda: PendulumEnv(g=3.0), max_episode_steps=5)
"""
SHORT = [
    *("--steps", "8", "--warmup", "4", "--eval-every", "8", "--eval-episodes", "1"),
    *("--engine", "eager", "--quiet", "--config.hidden", "8", "--config.batch-size", "4"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a module that nothing but its place makes known."""
    (tmp_path / f"{MODULE}.py").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.setattr(trust, "_named", {})
    yield tmp_path
    forget()


def forget() -> None:
    """What a new process would know."""
    gymnasium.registry.pop("Mine-v0", None)
    sys.modules.pop(MODULE, None)
    trust._named.clear()


def test_a_module_of_the_current_directory_trains_in_processes_and_is_evaluated(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--env", f"{MODULE}:Mine-v0", "--seeds", "0:2", "--workers", "2", "--out", "run"]
    assert main(["train", "sac", *words, *SHORT]) == 0, capsys.readouterr().err
    assert len(run_folder.read_config(here / "run")["groups"]) == 2
    assert main(["export", "run", "--out", "policy.safetensors"]) == 0
    for what in ("run", "policy.safetensors"):
        forget()
        assert main(["eval", what, "--episodes", "1"]) == 2  # a file asks for the module
        assert "--trust" in capsys.readouterr().err
        assert MODULE not in sys.modules
        for more in (["--trust"], ["--env", f"{MODULE}:Mine-v0"]):
            forget()
            assert main(["eval", what, "--episodes", "1", *more]) == 0, capsys.readouterr().err
    forget()
    with pytest.raises(UsageError, match="--trust"):
        resume(here / "run", steps=12)


def test_a_module_that_fails_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / f"{MODULE}.py").write_text("import rlkit_test_absent\n")
    assert main(["train", "sac", "--env", f"{MODULE}:Mine-v0", *SHORT]) == 2
    assert f"cannot import '{MODULE}': No module named" in capsys.readouterr().err


def test_what_only_the_script_knows_is_trained_in_one_process(
    online: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlkit.run.settings.plan._cores", lambda: 4)
    maker: Any = lambda: None  # noqa: E731
    maker.__module__ = "__main__"
    gymnasium.register("rlkit-test/Script-v0", maker)
    given = {"env": "rlkit-test/Script-v0", "seeds": (0, 1), "config": {"hidden": (256, 256)}}
    try:
        assert split(resolve(online(**given))) == [[0, 1]]
        with pytest.raises(UsageError, match=r"registered by the running script.*module:Name-v0"):
            split(resolve(online(**given, workers=2)))
        assert split(resolve(online(**given | {"env": "Pendulum-v1"}))) == [[0], [1]]
    finally:
        del gymnasium.registry["rlkit-test/Script-v0"]
