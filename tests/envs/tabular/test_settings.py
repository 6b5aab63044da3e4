"""Every argument of every family is refused by name where it is none."""

import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rlkit.envs.tabular.families import FAMILIES
from rlkit.envs.tabular.grids import frozen_lake, maze, random_maze

NONE_AT_ALL = (None, "x", b"x", [1], {}, float("nan"), True, -1)
PLAIN = {"states": 5, "actions": 2, "successors": 2, "width": 3, "n": 4, "endogenous": 2,
         "exogenous": 2, "contexts": 2, "horizon": 2, "layout": 3, "size": 3}  # fmt: skip
# What may be below 0: prices, rewards.
SIGNED = {"r1", "r2", "price", "cost", "fixed", "holding", "step_reward", "goal_reward"}


def cases() -> Iterator[Any]:
    makers = {name: f"rlkit.envs.tabular.{module}" for name, module in FAMILIES.items()}
    for name, module in {**makers, "random_maze": "rlkit.envs.tabular.grids"}.items():
        make = getattr(importlib.import_module(module), name)
        for key, parameter in inspect.signature(make).parameters.items():
            if str(parameter.annotation) not in ("int", "float", "int | None"):
                continue
            more = [1.5] if "int" in str(parameter.annotation) else []
            for bad in [*NONE_AT_ALL, *more]:
                if (bad == -1 and key in SIGNED) or (bad is None and parameter.default is None):
                    continue
                yield pytest.param(make, key, bad, id=f"{name} {key}={bad!r}")


@pytest.mark.parametrize(("make", "key", "bad"), list(cases()))
def test_an_argument_that_is_none_is_refused_by_name(make: Any, key: str, bad: Any) -> None:
    others = {
        name: PLAIN[name]
        for name, p in inspect.signature(make).parameters.items()
        if p.default is p.empty and name != key
    }
    with pytest.raises(ValueError, match=rf"\b{key} must\b"):
        make(**others, **{key: bad})


@pytest.mark.parametrize("bad", [None, 1.5, b"SG", [1], [None], {}, [], "SG", np.zeros((2, 2))])
@pytest.mark.parametrize("make", [maze, frozen_lake])
def test_a_layout_that_is_no_text_is_refused(make: Any, bad: Any) -> None:
    with pytest.raises(ValueError, match=r"\b(layout|size) must be"):
        make(bad)


def test_whole_floats_and_rows_of_every_kind_are_taken() -> None:
    rows = random_maze(3.0, seed=1)  # type: ignore[arg-type]
    assert rows == random_maze(3, seed=1)
    kept = maze(rows)
    for same in (list(rows), np.array(rows)):
        np.testing.assert_array_equal(maze(same).col, kept.col)  # type: ignore[arg-type]
    assert maze(np.int64(3), seed=1).num_states == kept.num_states  # type: ignore[arg-type]
