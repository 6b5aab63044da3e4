"""Agents of a stock train where there is one, and are refused elsewhere before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from rlkit.core.errors import UsageError
from rlkit.data.formats import minari_io
from rlkit.data.recorder import record
from rlkit.envs.make import make
from rlkit.envs.tasks.stocked import Stocked
from rlkit.run.policies.evaluation import evaluate_run
from rlkit.run.preparing import prepare
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options, resolve
from rlkit.run.train import train

Register = Callable[..., str]
SMALL: dict[str, Any] = {"hidden": (8,), "batch_size": 8, "bins": 5, "stock_bins": 5}


def options(folder: Path, **given: Any) -> Options:
    config = {**SMALL, **given.pop("config", {})}
    shared: dict[str, Any] = {"steps": 40, "eval_every": 0, "eval_episodes": 1, "quiet": True}
    shared |= {"engine": "eager", "out": str(folder), "config": config}
    return Options("stock_dqn", **{**shared, **given})


def cart(gamma: float) -> gymnasium.Env:
    return Stocked(gymnasium.make("CartPole-v1").unwrapped, gamma)


def test_an_environment_without_a_stock_is_refused_and_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"environment CartPole-v1 does not tell .*Stocked"):
        train(options(tmp_path / "run", env="CartPole-v1", warmup=8, update_every=1, utd=1))
    assert not (tmp_path / "run").exists()


def test_stock_and_config_have_one_discount(tmp_path: Path, register: Register) -> None:
    name = register(cart, gamma=0.9)
    given: dict[str, Any] = {"env": name, "warmup": 8, "update_every": 1, "utd": 1}
    for gamma in (0.99, (0.9, 0.95)):
        with pytest.raises(UsageError, match=r"it counts with --config.gamma 0\.9"):
            train(options(tmp_path / "no", seeds=(0, 1)[: np.size(gamma)], **given,
                          config={"gamma": gamma}))  # fmt: skip
    train(options(tmp_path / "run", **given, config={"gamma": 0.9}))
    assert run_folder.steps(tmp_path / "run") == [40]


def test_a_bonus_would_not_be_in_the_stock(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="in the one and not in the other"):
        train(options(tmp_path / "run", env="rlkit/BetTwice-v1", bonus="count",
                      config={"gamma": 1.0}))  # fmt: skip


def recorded(name: str, env: gymnasium.Env) -> str:
    rng = np.random.default_rng(0)
    store = record(env, lambda obs: rng.integers(env.action_space.n, size=1), steps=60, seed=0)
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    minari_io.write(store, name, **spaces, env_spec=env.spec)
    return name


def test_recorded_stocks_are_learnt_from_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "data"))
    wrapped = Stocked(make("CartPole-v1"), 0.9)
    name = recorded("mine/stocked-v0", wrapped)
    run = train(options(tmp_path / "run", dataset=name, config={"gamma": 0.9})).folder
    assert len(evaluate_run(run, 2, "last")[0]) == 2  # in the wrapped environment
    with pytest.raises(UsageError, match=r"the dataset has no stock: .* --config.gamma 0\.9"):
        train(options(tmp_path / "no", dataset=name))
    plain = recorded("mine/plain-v0", make("CartPole-v1"))
    with pytest.raises(UsageError, match="the dataset has no stock: after the stock"):
        train(options(tmp_path / "no", dataset=plain))
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("rlkit/CatchPixels-v0", "stock_dqn takes no images"),
        ("Pendulum-v1", "stock_dqn is for discrete actions"),
    ],
)
def test_what_it_cannot_learn_is_said_before_the_stock_is_asked_for(env: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        prepare(resolve(Options("stock_dqn", env=env, steps=10)))
