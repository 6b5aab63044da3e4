"""A training whose collected rewards hold a bonus."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlkit.core.errors import UsageError
from rlkit.eval.records import read_progress
from rlkit.run import loops
from rlkit.run.session import Session
from rlkit.run.settings.options import Options, resolve
from rlkit.run.train import resume, train

SMALL: dict[str, Any] = {"hidden": (8,), "batch_size": 8, "n_step": 1}


def options(**given: Any) -> Options:
    usual: dict[str, Any] = {"env": "CartPole-v1", "steps": 40, "warmup": 10, "seeds": (0, 1)}
    usual |= {"eval_episodes": 0, "log_every": 20, "quiet": True, "config": SMALL}
    return resolve(Options("dqn", **usual | given))


def test_rewards_that_are_stored_hold_the_bonus_and_a_column_tells_it_apart() -> None:
    session = Session(options(bonus="count:0.5", bonus_scale=0.3, envs=2))
    logged = [e for e in loops.run(session) if hasattr(e, "values")]
    assert session.replay is not None
    rows, part = session.replay.rows("r"), session.replay.rows("bonus")
    torch.testing.assert_close(rows - part, torch.ones_like(rows))  # CartPole's own
    assert float(part.max()) == pytest.approx(0.3)
    assert (part > 0).all()
    assert part.unique().numel() > 5
    # what is told of training episodes is the task's own
    ended = logged[-1].values
    assert np.allclose(ended["train_return"], ended["train_length"], equal_nan=True)
    assert ended["bonus"] == pytest.approx(part[:, -20:].mean(1).numpy() / 0.3, rel=1e-5)
    session.close()


@pytest.mark.parametrize("bonus", ["count*episode", "e3b*noveld"])
def test_a_resumed_bonus_goes_on_bit_for_bit(
    bonus: str, tmp_path: Path, digests: Callable[[Path], dict[str, str]]
) -> None:
    given: dict[str, Any] = {"bonus": bonus, "workers": 1, "eval_episodes": 1, "eval_every": 20}
    whole = train(options(**given, out=str(tmp_path / "whole"))).folder
    part = train(options(**given, steps=20, out=str(tmp_path / "part"))).folder
    resume(part, 40, quiet=True)
    assert digests(part) == digests(whole)


def test_agents_of_stable_baselines3_get_it_too(tmp_path: Path) -> None:
    def reward(scale: float) -> float:
        config = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "hidden": (8,)}
        given: dict[str, Any] = {"env": "CartPole-v1", "steps": 40, "envs": 2, "log_every": 40}
        given |= {"eval_episodes": 0, "quiet": True, "config": config}
        given |= {"bonus": "episode", "bonus_scale": scale, "out": str(tmp_path / f"{scale}")}
        return read_progress(train(Options("sb3:ppo", **given)).folder / "progress.jsonl")[-1][
            "value_loss"
        ][0]

    assert reward(10.0) > 10 * reward(0.0)  # returns are eleven times as large


def test_a_dataset_alone_collects_nothing() -> None:
    with pytest.raises(UsageError, match="bonus is for what collects"):
        resolve(Options("iql", dataset="rlkit/pendulum/medium-v0", bonus="count"))
    for algo in ("spo", "pebble", "heron"):
        with pytest.raises(UsageError, match=f"{algo} learns from rewards of its own making"):
            resolve(Options(algo, env="Pendulum-v1", bonus="count"))
    with pytest.raises(UsageError, match="gail learns from rewards of its own making"):
        resolve(Options("gail", dataset="rlkit/pendulum/medium-v0", env="Pendulum-v1", online=True,
                        bonus="count"))  # fmt: skip
    with pytest.raises(UsageError, match="unknown bonus 'counts'"):
        options(bonus="counts")
