"""Options are checked, named alike everywhere, and hashed by what decides the results."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rlkit.algos import iql
from rlkit.core.errors import UsageError
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.fits import algorithms
from rlkit.run.settings.options import Options, algorithm_config, resolve

BASE = Options("iql", dataset="rlkit/hopper/medium-replay-small-v1", seeds=(0, 1))


def test_options_survive_json() -> None:
    options = resolve(
        dataclasses.replace(BASE, config={"tau": [0.7, 0.9], "hidden": [32, 32]}, out="here")
    )
    assert options.config == iql.Config(tau=(0.7, 0.9), hidden=(32, 32))  # type: ignore[arg-type]
    text = json.dumps(options.to_json())
    assert Options.from_json(json.loads(text)) == options


@pytest.mark.parametrize(
    "change",
    [
        {"out": "elsewhere"},
        {"quiet": True},
        {"steps": 7},
        {"workers": 3},
        {"threads": 2},
        {"keep": 9},
        {"log_every": 3},
        {"checkpoint_every": 3},
        {"config": iql.Config()},
    ],
)
def test_the_hash_ignores_what_does_not_decide_results(change: dict[str, Any]) -> None:
    assert dataclasses.replace(BASE, **change).hash() == BASE.hash()


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": (0, 2)},
        {"env": "Hopper-v5"},
        {"config": {"tau": 0.8}},
        {"config": {"tau": (0.7, 0.8)}},
        {"normalise_obs": True},
        {"reward": "return_range"},
        {"eval_episodes": 3},
        {"engine": "eager"},
        {"utd": 2.0},
    ],
)
def test_the_hash_follows_what_decides_results(change: dict[str, Any]) -> None:
    assert dataclasses.replace(BASE, **change).hash() != BASE.hash()


def test_folders_are_named_after_algorithm_task_and_hash(tmp_path: Path) -> None:
    assert BASE.folder() == Path(f"runs/iql-rlkit_hopper_medium-replay-small-v1-{BASE.hash()}")
    online = Options("sac", env="Hopper-v5")
    assert online.folder() == Path(f"runs/sac-Hopper-v5-{online.hash()}")
    (tmp_path / "mine").mkdir()
    local = Options("iql", dataset=str(tmp_path / "mine"))
    assert local.folder() == Path(f"runs/iql-mine-{local.hash()}")
    assert Options("sac", env="Hopper-v5", out="x/y").folder() == Path("x/y")


def test_the_kind_follows_from_dataset_and_environment() -> None:
    assert BASE.kind == "offline"
    assert Options("sac", env="Hopper-v5").kind == "online"
    beside = dataclasses.replace(BASE, env="Hopper-v5", steps=10)
    assert beside.kind == "offline"  # the environment is where it is evaluated
    assert beside.total_steps == 10
    assert "iql-rlkit_hopper_medium-replay-small-v1" in beside.folder().name
    both = dataclasses.replace(beside, online=True, pretrain=5)
    assert both.kind == "finetune"
    assert both.total_steps == 15
    assert dataclasses.replace(BASE, steps=10).total_steps == 10


@pytest.mark.parametrize(
    ("algo", "steps", "warmup"),
    [("sac", 1_000, 250), ("sac", 20_000, 5_000), ("sac", 10**6, 5_000), ("dqn", 2_000, 500)],
)
def test_a_warm_up_that_nobody_asked_for_fits_the_steps(algo: str, steps: int, warmup: int) -> None:
    assert resolve(Options(algo, env="CartPole-v1", steps=steps)).warmup == warmup
    assert resolve(Options(algo, env="CartPole-v1", steps=steps, warmup=77)).warmup == 77
    assert BASE.hash() == dataclasses.replace(BASE, steps=8).hash()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": None}, "give a dataset"),
        ({"seeds": ()}, "seeds"),
        ({"seeds": (1, 1)}, "seeds"),
        ({"seeds": (-1,)}, "seeds"),
        ({"steps": 0}, "steps is 0"),
        ({"eval_every": -1}, "eval_every is -1"),
        ({"utd": -1.0}, "utd is -1"),
        ({"utd": float("nan")}, "utd is nan"),
        ({"env": "Hopper-v5", "online": True, "mix": 1.0}, "mix is 1.0"),
        ({"online": True}, "online needs an environment"),
        ({"env": "Hopper-v5", "pretrain": 5}, "pretrain is for .* --online"),
        ({"dataset": None, "env": "Hopper-v5", "utd": 0.0, "utd_later": 1.0}, "with utd 0"),
        ({"engine": "eagre"}, "did you mean 'eager'"),
        ({"reward": "rew"}, "unknown reward 'rew'"),
        ({"config": {"tua": 1.0}}, "no config field 'tua'; did you mean 'tau'"),
        ({"config": {"tau": (0.5, 0.6, 0.7)}}, "'tau' has 3 values for 2 seeds"),
        ({"config": 3}, "takes its Config or a dict"),
        ({"algo": "iqk"}, "unknown algorithm 'iqk'; did you mean 'iql'"),
        ({"dataset": None, "env": "Hopper-v5", "reward": "minus_one"}, "needs a dataset"),
    ],
)
def test_a_wrong_option_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        resolve(dataclasses.replace(BASE, **change))


def test_unknown_options_in_a_file_are_refused() -> None:
    with pytest.raises(UsageError, match="unknown option 'step'; did you mean 'steps'"):
        Options.from_json(BASE.to_json() | {"step": 3})


def test_algorithms_of_other_projects_are_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "rlkit_test_project"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text("from rlkit.algos.iql import Agent, Config\n")
    (package / "poor.py").write_text("Config = int\n")
    (package / "broken.py").write_text("import rlkit_test_absent\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [n for n in sys.modules if n.startswith("rlkit_test_project")]:
        monkeypatch.delitem(sys.modules, name)
    assert algorithm("rlkit_test_project.mine").Agent is iql.Agent
    with pytest.raises(UsageError, match="poor has no Agent"):
        algorithm("rlkit_test_project.poor")
    with pytest.raises(UsageError, match=r"cannot import .*rlkit_test_absent"):  # not misspelt
        algorithm("rlkit_test_project.broken")
    with pytest.raises(UsageError, match="unknown algorithm"):
        algorithm("rlkit_test_project.absent")
    with pytest.raises(UsageError, match="unknown algorithm"):
        algorithm("rlkit_test_nowhere.absent")


def test_shipped_algorithms_are_found_and_load() -> None:
    names = algorithms()
    assert {"bc", "iql", "sac"} <= set(names)
    for name in names:
        assert algorithm_config(name, None) == algorithm(name).Config()
