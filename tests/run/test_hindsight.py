"""Trainings whose minibatches have goals in hindsight."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlkit
from rlkit.core.errors import UsageError
from rlkit.run import loops
from rlkit.run.session import Session
from rlkit.run.settings.options import Options, resolve
from rlkit.run.settings.plan import settled
from rlkit.run.train import train

Build = Callable[..., Options]
SMALL: dict[str, Any] = {"hidden": (8,), "batch_size": 20, "n_step": 1}


def flips(online: Build, **given: Any) -> Options:
    usual = {"algo": "dqn", "env": "rlkit/BitFlip-v0", "hindsight": 4, "envs": 2, "config": SMALL}
    return online(**usual | given)


def test_a_resumed_run_is_the_same_bit_for_bit(
    online: Build, digests: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    straight = flips(online, seeds=(0, 3), out=str(tmp_path / "straight"))
    train(straight)
    half = dataclasses.replace(straight, steps=60, out=str(tmp_path / "half"))
    train(half)
    rlkit.resume(half.folder(), steps=120, quiet=True)
    assert digests(half.folder()) == digests(straight.folder())


def test_a_bonus_stays_in_the_rewards(online: Build) -> None:
    session = Session(flips(online, bonus="count", bonus_scale=0.5, eval_every=0))
    for _ in loops.run(session):
        pass
    assert session.replay is not None
    b = session.source.batch(session.source.indices(5)[0])
    assert b.index is not None
    part = session.replay.column("bonus", b.index)
    reached = (b.s2[..., 10:20] == b.s2[..., 20:]).all(-1)
    np.testing.assert_allclose(b.r - part, reached.float() - 1, atol=1e-6)
    assert reached[:, :16].any()
    assert (b.cont == ~reached).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {}}, "dqn draws its minibatches itself"),
        ({"env": "CartPole-v1"}, "CartPole-v1 is not goal-conditioned"),
        # what no other setting would mend is said first
        ({"env": "CartPole-v1", "config": {}}, "CartPole-v1 is not goal-conditioned"),
        ({"env": "CartPol-v1", "config": {}}, "unknown environment 'CartPol-v1'"),
        ({"algo": "sb3:dqn", "config": None}, "rlkit's own agents"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str, online: Build) -> None:
    with pytest.raises(UsageError, match=message):
        settled(flips(online, **change))


def test_a_dataset_is_not_relabelled(offline: Build) -> None:
    with pytest.raises(UsageError, match="hindsight relabels what is collected"):
        resolve(offline(hindsight=4))


@pytest.mark.slow
def test_bits_are_flipped_with_hindsight_and_not_without(online: Build) -> None:
    reached = {}
    for k in (0, 4):
        config = {"hidden": (128,), "batch_size": 128, "n_step": 1, "gamma": 0.98, "lr": 1e-3}
        options = flips(online, hindsight=k, steps=12_000, warmup=500, eval_every=12_000, utd=0.5,
                        eval_episodes=60, config=config, capacity=12_000)  # fmt: skip
        session = Session(options)
        for _ in loops.run(session):
            pass
        reached[k] = np.mean([e.terminated for e in session.evaluate(0)])
        session.close()
    assert reached[4] >= 0.9
    assert reached[0] <= 0.2
