"""Cells that are bandit policies on rlkit's simulators; the score is minus the pseudo-regret."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.errors import UsageError
from rlkit.eval.records import Episode
from rlkit.sweeps.kinds.whole import begin, check_counts, check_known, finish

TASK = ("bandit",)
_DEFAULTS = {"steps": 10_000, "runs": 100, "checkpoints": 20}
KNOWN = {"bandit", "policy", *_DEFAULTS}
WARM = (
    "rlkit.algos.bandits.simulation.by_name",
    "rlkit.algos.bandits.simulation.simulator",
)


def takes(given: dict[str, Any]) -> tuple[set[str], set[str]]:
    return KNOWN, set()


def resolve(given: dict[str, Any], seed: int) -> dict[str, Any]:
    """`bandit` and `policy` are written as for `rlkit bandit`; `steps` is the horizon, and a cell
    is the mean of `runs` runs."""
    from rlkit.algos.bandits.simulation.by_name import read_environment, read_policies
    from rlkit.algos.bandits.simulation.simulator import simulate

    check_known(given, KNOWN)
    options = _DEFAULTS | given
    check_counts(options, _DEFAULTS)
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


def measured(options: dict[str, Any]) -> tuple[str, str]:
    return "-regret", "Rounds"


def evaluations(options: dict[str, Any], steps: int) -> int:
    """How many a cell of so many steps has."""
    return min(options["checkpoints"], steps)


def work(
    folder: Path,
    options: dict[str, Any],
    seeds: Sequence[int],
    steps: int,
    told: Callable[[int], None],
) -> None:
    """A longer horizon is simulated from the start: some policies know theirs."""
    from rlkit.algos.bandits.simulation.by_name import read_environment, read_policies
    from rlkit.algos.bandits.simulation.simulator import simulate

    begin(folder, "bandit", options | {"steps": steps}, seeds)
    ((name, arguments),) = read_policies(options["policy"])
    env = read_environment(options["bandit"])[3]
    count = min(options["checkpoints"], steps)
    rounds = np.unique(np.linspace(0, steps, count + 1).astype(int)[1:])
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
