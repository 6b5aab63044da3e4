"""Every number of a Config has a range, which holds however the Config is made."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from rlkit.core.errors import UsageError
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.words.nearest import nearest
from rlkit.core.words.ranges import (
    Count,
    Natural,
    OpenShare,
    Positive,
    Real,
    Share,
    Widths,
    checked,
    read_finite,
    read_whole,
)


@checked("few <= many", "low < high")
@dataclass(frozen=True)
class Config:
    gamma: Share = 0.99
    tau: OpenShare = 0.7
    lr: Positive = 1e-3
    low: Real = -1.0
    high: Real = 1.0
    many: Count = 4
    few: Natural = 0
    hidden: Widths = (8, 8)
    norm: Literal["none", "before"] = "none"
    deep: bool = True
    rate: Positive | None = None
    name: str | None = None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gamma": 1.1}, r"gamma is 1.1; it must lie in \[0, 1\]"),
        ({"gamma": -0.1}, "gamma is -0.1"),
        ({"tau": 1.0}, "tau is 1.0; it must lie between 0 and 1"),
        ({"tau": 0}, "tau is 0; it must lie between"),
        ({"lr": 0.0}, "lr is 0.0; it must be positive"),
        ({"lr": math.inf}, "lr is inf; it must be positive"),
        ({"lr": math.nan}, "lr is nan"),
        ({"low": math.nan}, "low is nan; it must be a finite number"),
        ({"lr": "big"}, "lr is 'big'; it must be a number"),
        ({"lr": True}, "lr is True; it must be a number"),
        ({"lr": None}, "lr is None; it must be a number"),
        ({"many": 0}, "many is 0; it must be at least 1"),
        ({"many": 2.5}, "many is 2.5; it must be a whole number"),
        ({"many": True}, "many is True; it must be a whole number"),
        ({"many": (4, 5)}, r"many is \(4, 5\); it must be a whole number"),
        ({"few": 5}, "few is 5; it must not exceed many, which is 4"),
        ({"low": 1.0}, "low is 1.0; it must be below high, which is 1.0"),
        ({"low": (0.0, 2.0)}, "low is 2.0; it must be below high"),
        ({"tau": (0.5, 1.5)}, r"tau\[1\] is 1.5; it must lie between"),
        ({"hidden": (8, 0)}, r"hidden\[1\] is 0; it must be at least 1"),
        ({"hidden": 8}, r"hidden is 8; it takes several values, as in \(8,\)"),
        ({"norm": "befor"}, "unknown norm 'befor'; did you mean 'before'"),
        ({"deep": 1}, "deep is 1; it must be True or False"),
        ({"name": 3}, "name is 3; it must be a text"),
        ({"rate": 0.0}, "rate is 0.0; it must be positive"),
    ],
)
def test_what_lies_outside_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Config(**given)
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(Config(), **given)


def test_whole_numbers_and_sequences_take_their_form() -> None:
    c: Any = Config(many=1e2, hidden=[8, 4.0], few=np.int64(3), lr=np.float32(0.5))  # type: ignore[arg-type]
    assert (c.many, c.hidden, c.few, c.lr) == (100, (8, 4), 3, 0.5)
    assert [type(x) for x in (c.many, c.hidden[1], c.few, c.lr)] == [int, int, int, float]


def test_a_resolved_config_passes() -> None:
    resolved = resolve(Config(tau=(0.1, 0.9)), Spec(2, 1, (0, 1)))  # type: ignore[arg-type]
    assert tuple(resolved.tau.shape) == (2, 1)
    assert dataclasses.replace(resolved, many=5).many == 5


def test_without_lanes_a_number_is_one() -> None:
    @checked(lanes=False)
    @dataclass(frozen=True)
    class Plain:
        rate: Positive = 1.0

    with pytest.raises(UsageError, match=r"rate is \(1.0, 2.0\); it must be a number"):
        Plain(rate=(1.0, 2.0))  # type: ignore[arg-type]


def test_unknown_keywords_are_answered_with_ours() -> None:
    for theirs, ours in (("learning_rate", "lr"), ("discount", "gamma"), ("net_arch", "hidden")):
        with pytest.raises(TypeError, match=f"Config has no '{theirs}'; did you mean '{ours}'"):
            Config(**{theirs: 1})


@pytest.mark.parametrize("text", ["1e5", "100_000", "100000", "1E+5"])
def test_whole_numbers_as_one_writes_them(text: str) -> None:
    assert read_whole(text) == 100_000
    for wrong in ("1.5", "many", "nan", "inf", ""):
        with pytest.raises(ValueError, match="is not a whole number"):
            read_whole(wrong)
        with pytest.raises(ValueError, match="is not a finite number"):
            read_finite(wrong if wrong != "1.5" else "1.5.2")


@pytest.mark.parametrize(
    ("theirs", "valid", "ours"),
    [
        ("--learning-rate", ["--steps", "--config.lr"], "--config.lr"),
        ("--batch", ["--eval-episodes", "--config.batch-size"], "--config.batch-size"),
        ("tau", ["alpha", "polyak"], "polyak"),
        ("tau", ["tau", "polyak"], "tau"),
        ("n_envs", ["env", "envs"], "envs"),
        ("total_timesteps", ["log_every", "steps"], "steps"),
        ("learning_starts", ["warmup", "lr"], "warmup"),
        ("buffer_size", ["batch_size", "capacity"], "capacity"),
        ("target_update_interval", ["target_period", "polyak"], "target_period"),
        ("policy_delay", ["actor_period", "policy"], "actor_period"),
        ("ppo", ["mopo", "sb3:ppo"], "sb3:ppo"),
    ],
)
def test_words_of_other_libraries(theirs: str, valid: list[str], ours: str) -> None:
    assert nearest(theirs, valid) == ours


@checked(idle={"file": "words pairs"})
@dataclass(frozen=True)
class Asked:
    file: str | None = None
    words: str = "who"
    pairs: int = 3


def test_what_nothing_reads_beside_another_is_refused() -> None:
    for given in ({}, {"words": "me", "pairs": 4}, {"file": "x"}, {"file": "x", "pairs": 3}):
        Asked(**given)
    message = "words 'me', pairs 4 have no effect beside file 'x'; leave out one or the other"
    with pytest.raises(UsageError, match=message):
        Asked("x", "me", 4)
    with pytest.raises(UsageError, match="pairs 4 has no effect beside file 'x'"):
        Asked("x", pairs=4)
    with pytest.raises(UsageError, match="words 'me' has no effect"):
        dataclasses.replace(Asked("x"), words="me")
