"""Cells that are bandit policies on rlkit's simulators; the score is minus the pseudo-regret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.errors import UsageError
from rlkit.core.nearest import suggestion
from rlkit.eval.records import Episode
from rlkit.sweep.kinds.records import begin, finish

TASK = ("bandit",)
_DEFAULTS = {"steps": 10_000, "runs": 100, "checkpoints": 20}
KNOWN = {"bandit", "policy", *_DEFAULTS}


def resolve(given: dict[str, Any], seed: int) -> dict[str, Any]:
    """`bandit` and `policy` are written as for `rlkit bandit`; `steps` is the horizon, and a cell
    is the mean of `runs` runs."""
    from rlkit.algos.bandits.simulation import simulate
    from rlkit.run.bandit_environments import read_environment, read_policies

    for name in given:
        if name not in KNOWN:
            raise UsageError(f"unknown option {name!r}{suggestion(name, KNOWN)}")
    options = _DEFAULTS | given
    for name in _DEFAULTS:
        if not isinstance(options[name], int) or options[name] < 1:
            raise UsageError(f"{name} is {options[name]!r}; it must be an integer of at least 1")
    if len(policies := read_policies(options["policy"])) != 1:
        raise UsageError(f"policy {options['policy']!r} names {len(policies)} policies, not one")
    name, arguments = policies[0]
    env = read_environment(options["bandit"])[3]
    try:
        simulate(name, env=env, runs=1, horizon=min(options["steps"], 1000), seed=seed, **arguments)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return options


def lanes(options: dict[str, Any]) -> int:
    return 64


def alike(options: dict[str, Any]) -> dict[str, Any]:
    return options


def stacked(many: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return many[0]


def measured(options: dict[str, Any]) -> tuple[str, str]:
    return "-regret", "Rounds"


def datasets(options: dict[str, Any]) -> list[str]:
    return []


def work(
    folder: Path,
    options: dict[str, Any],
    seeds: Sequence[int],
    steps: int,
    told: Callable[[int], None],
) -> None:
    """A longer horizon is simulated from the start: some policies know theirs."""
    from rlkit.algos.bandits.simulation import simulate
    from rlkit.run.bandit_environments import read_environment, read_policies

    begin(folder, "bandit", options | {"steps": steps}, seeds)
    ((name, arguments),) = read_policies(options["policy"])
    env = read_environment(options["bandit"])[3]
    rounds = np.unique(np.linspace(0, steps, options["checkpoints"] + 1).astype(int)[1:])
    found = []
    for lane, seed in enumerate(seeds):
        one = simulate(
            name, env=env, runs=options["runs"], horizon=steps, seed=seed, checkpoints=rounds,
            **arguments,
        )  # fmt: skip
        regret = one.regret.mean(0)  # over runs
        found += [
            Episode(lane, seed, int(t), 0, -float(x), int(t), False)
            for t, x in zip(one.checkpoints, regret, strict=True)
        ]
        told(steps * (lane + 1) // len(seeds))
    finish(folder, found)
