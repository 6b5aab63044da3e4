"""Modules of the user's own, on the command line: named there they are imported, in files only
with --trust."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from rlkit.algos.preference.teachers import ranking
from rlkit.cli.main import main
from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.spec import Spec
from rlkit.data.formats import minari_io
from rlkit.envs.make import make
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options, resolve

MODULE, PACKAGE = "rlkit_test_foreign", "rlkit_test_package"
ENVIRONMENT = """
import gymnasium
from gymnasium.envs.classic_control import PendulumEnv

class Mine(PendulumEnv):
    pass

gymnasium.register("Foreign-v0", f"{__name__}:Mine", max_episode_steps=5)
"""
SHORT = [
    *("--warmup", "4", "--eval-every", "8", "--eval-episodes", "1", "--workers", "1"),
    *("--engine", "eager", "--quiet", "--config.hidden", "8", "--config.batch-size", "4"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory whose modules nothing but their place makes known."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    monkeypatch.setattr(trust, "_named", {})
    yield tmp_path
    forget()


def forget() -> None:
    """What a new process would know."""
    gymnasium.registry.pop("Foreign-v0", None)
    for name in (MODULE, PACKAGE, f"{PACKAGE}.algo"):
        sys.modules.pop(name, None)
    trust._named.clear()


@pytest.mark.parametrize("what", ["environment", "algorithm"])
def test_resume_asks_for_trust(what: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if what == "environment":
        (here / f"{MODULE}.py").write_text(ENVIRONMENT)
        algo, env, foreign = "sac", f"{MODULE}:Foreign-v0", MODULE
    else:
        (here / PACKAGE).mkdir()
        (here / PACKAGE / "algo.py").write_text("from rlkit.algos.sac import Agent, Config\n")
        algo, env, foreign = f"{PACKAGE}.algo", "Pendulum-v1", f"{PACKAGE}.algo"
    assert main(["train", algo, "--env", env, "--steps", "8", "--out", "run", *SHORT]) == 0
    forget()
    capsys.readouterr()
    assert main(["resume", "run", "--steps", "12", "--quiet"]) != 0
    assert "--trust" in capsys.readouterr().err
    assert foreign not in sys.modules
    assert run_folder.steps(here / "run")[-1] == 8
    assert main(["resume", "run", "--steps", "12", "--quiet", "--trust"]) == 0
    assert run_folder.steps(here / "run")[-1] == 12


def test_a_sweep_finds_an_environment_of_the_current_directory(here: Path) -> None:
    (here / f"{MODULE}.py").write_text(ENVIRONMENT)
    (here / "one.toml").write_text(f"""
seeds = "0:1"
tasks.mine = {{ env = "{MODULE}:Foreign-v0" }}
[systems.sac]
algo = "sac"
steps = 8
warmup = 4
eval_episodes = 1
engine = "eager"
config = {{ hidden = [8], batch_size = 4 }}
""")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "rlkit", "sweep", "one.toml", "--workers", "1", "--quiet"],
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (episodes,) = (here / "runs/sweeps/one").rglob("episodes.csv")
    assert len(episodes.read_text().splitlines()) > 1


def test_a_check_reports_either_environment_that_a_dataset_names(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(here / "data"))
    env = make("Pendulum-v1")
    episode = {
        "obs": np.zeros((4, 3), np.float32) + np.arange(4, dtype=np.float32)[:, None] / 10,
        "action": np.array([[0.1], [0.2], [0.3]], np.float32),
        "reward": np.arange(3.0),
        "terminated": np.array([False, False, True]),
        "truncated": np.zeros(3, bool),
    }
    foreign = json.loads(env.spec.to_json())  # type: ignore[union-attr]
    foreign |= {"id": "Foreign-v0", "entry_point": f"{MODULE}:Mine"}
    for column in ("env_spec", "eval_env_spec"):
        name = f"tests/{column.replace('_', '-')}-v0"
        path = minari_io.write(
            [episode], name, observation_space=env.observation_space,
            action_space=env.action_space, env_spec=env.spec,
        )  # fmt: skip
        file = path / "data" / "metadata.json"
        assert main(["dataset", "check", name]) == 0
        file.write_text(json.dumps({**json.loads(file.read_text()), column: json.dumps(foreign)}))
        capsys.readouterr()
        assert main(["dataset", "check", name]) == 1
        said = capsys.readouterr()
        assert "entry point" in said.out
        assert "--trust" in said.out


@pytest.mark.parametrize(
    ("algo", "config"),
    [
        ("spo", {"teacher": f"{MODULE}:judge+mistaken:0.1"}),
        ("heron", {"factors": f"{MODULE}:rank"}),
        ("heron", {"agent": "mopo", "given": f"termination={MODULE}:rule"}),
        ("heron", {"agent": "mopo", "given": f"termination='\\x72{MODULE[1:]}:rule'"}),
        ("pebble", {"teacher": "regret", "advantages": f"{MODULE}:known"}),
        ("mbpo", {"termination": f"{MODULE}:rule"}),
    ],
)
def test_no_setting_of_a_file_names_code_in_disguise(
    algo: str, config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_named", {})
    values = {"algo": algo, "env": "Pendulum-v1", "config": config}
    if "given" in config:
        del values["env"]
        values["dataset"] = "x/y-v0"
    with pytest.raises(UsageError, match=r"config\..* names .*--trust"):
        Options.from_json(values)
    assert trust.named() == []
    resolve(Options(**values))  # a person's
    assert trust.named() == [MODULE]


@pytest.mark.parametrize("factors", [f"{MODULE}:1", f"{MODULE}:a:b", f"{MODULE}-x:f"])
def test_what_a_file_is_not_asked_about_is_not_imported(factors: str) -> None:
    with pytest.raises(UsageError, match="name nothing"):
        ranking.check(factors, Spec(3, 1))


def test_columns_of_a_dataset_are_no_code() -> None:
    """A run that ranks by one column is resumed and evaluated without trust."""
    for algo, config in (
        ("heron", {"factors": "columns:speed"}),
        ("vpl", {"users": "columns:speed"}),
        ("sf_regret", {"features": "columns:speed"}),
    ):
        Options.from_json({"algo": algo, "dataset": "x/y-v0", "config": config})
