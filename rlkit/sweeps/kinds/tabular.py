"""Cells that are learners or solvers of finite MDPs (`rlkit.theory`).

learner   of discounted control ("q", "sarsa", "dyna", ...): the score is the exact value of
          its greedy policy from the model's start, at checkpoints along `steps` transitions
learner   with a regret bound ("ucbvi-bf", "psrl", ...): episodes of `horizon` steps; the score
          is minus the pseudo-regret after `steps` episodes
solver    ("vi", "mpi", ...): the score is minus the backups it took to reach `eps`
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlkit.core.errors import RlkitError, UsageError
from rlkit.core.words.nearest import suggestion
from rlkit.eval.records import Episode
from rlkit.sweeps.kinds.whole import begin, check_counts, check_known, finish

TASK = ("mdp",)
_CONTROL: dict[str, Any] = {"gamma": 0.99, "steps": 100_000, "checkpoints": 20}
_EPISODIC = {"horizon": 20, "steps": 1_000, "checkpoints": 20}
_SOLVER = {"gamma": 0.99, "eps": 1e-6, "steps": 1}
KNOWN = {"mdp", "learner", "solver", "config", *_CONTROL, *_EPISODIC, *_SOLVER}
WARM = (
    "rlkit.envs.tabular.families",
    "rlkit.theory.evaluation",
    "rlkit.theory.learning.q_learning",
    "rlkit.theory.learning.regret.episodic",
    "rlkit.theory.planning.solvers",
)


def takes(given: dict[str, Any]) -> tuple[set[str], set[str]]:
    defaults, own = _of_system(given)
    return {"mdp", "solver" if "solver" in given else "learner", "config", *defaults}, own


def _of_system(given: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Options of a solver or a learner with their defaults, and the names its `config` may have."""
    from rlkit.theory.learning import q_learning
    from rlkit.theory.learning.regret import episodic
    from rlkit.theory.planning import solvers

    if "solver" in given:
        _one_of(given["solver"], "solver", solvers.METHODS)
        return _SOLVER, {"max_backups"}
    _one_of(given["learner"], "learner", [*q_learning.METHODS, *episodic.METHODS])
    control = given["learner"] in q_learning.METHODS
    defaults = _CONTROL if control else _EPISODIC
    function: Any = q_learning.learn_control if control else episodic.learn
    fixed = {"mdp", "method", "replicates", "seed", "threads", "episodes", *defaults}
    return defaults, set(inspect.signature(function).parameters) - fixed


def resolve(given: dict[str, Any], seed: int) -> dict[str, Any]:
    """`mdp` is written as for `rlkit solve`; `config` holds what the learner takes besides."""
    from rlkit.envs.tabular.families import find_model

    defaults, own = _of_system(given)
    known, _ = takes(given)
    check_known(given, known)
    options = defaults | {"config": {}} | given
    if "solver" in options:
        options["steps"] = 1  # whatever the sweep's learners are given
    check_known(options["config"], own, "config field")
    check_counts(options, ("steps", "horizon", "checkpoints"))
    if "gamma" in options and not 0 <= options["gamma"] <= 1:
        raise UsageError(f"gamma is {options['gamma']}; it must lie in [0, 1]")
    find_model(options["mdp"])
    if "learner" in options:
        try:  # refuses what does not fit before any cell starts
            _learn(options, seed, 2)
        except ValueError as error:
            raise UsageError(str(error)) from None
    return options


def lanes(options: dict[str, Any]) -> int:
    return 64


def measured(options: dict[str, Any]) -> tuple[str, str]:
    if "solver" in options:
        return "-backups", "Solutions"
    return ("value", "Environment steps") if "gamma" in options else ("-regret", "Episodes")


def evaluations(options: dict[str, Any], steps: int) -> int:
    """How many a cell of so many steps has."""
    return 1 if "solver" in options else min(options["checkpoints"], steps)


def work(
    folder: Path,
    options: dict[str, Any],
    seeds: Sequence[int],
    steps: int,
    told: Callable[[int], None],
) -> None:
    """A longer run begins anew: learners draw the same numbers again."""
    begin(folder, "tabular", options | {"steps": steps}, seeds)
    found: list[Episode] = []
    for lane, seed in enumerate(seeds):
        at, scores = _solve(options) if "solver" in options else _learn(options, seed, steps)
        found += [
            Episode(lane, seed, int(t), 0, float(x), int(t), False)
            for t, x in zip(at, scores, strict=True)
        ]
        told(steps * (lane + 1) // len(seeds))
    finish(folder, found)


def _learn(options: dict[str, Any], seed: int, steps: int) -> tuple[Any, Any]:
    """Steps or episodes `[C]`, and the score at each."""
    from rlkit.envs.tabular.families import find_model
    from rlkit.theory.evaluation import evaluate_policy
    from rlkit.theory.learning.q_learning import learn_control
    from rlkit.theory.learning.regret.episodic import learn

    mdp, config, method = find_model(options["mdp"]), options["config"], options["learner"]
    count = min(options["checkpoints"], steps)
    if "gamma" not in options:
        run = learn(mdp, options["horizon"], steps, method, seed=seed, **config)
        at = np.unique(np.linspace(0, steps, count + 1).astype(int)[1:])
        return at, -run.regret()[0, at - 1]
    gamma = options["gamma"]
    control = learn_control(
        mdp, steps, gamma=gamma, method=method, seed=seed, checkpoints=count, **config
    )
    start = mdp.initial_law()
    policies = [mdp.table(q).argmax(-1) for q in control.q[0]]
    return control.steps, [start @ evaluate_policy(mdp, policy, gamma) for policy in policies]


def _solve(options: dict[str, Any]) -> tuple[Any, Any]:
    from rlkit.envs.tabular.families import find_model
    from rlkit.theory import solve

    one = solve(
        find_model(options["mdp"]), options["gamma"], options["solver"], options["eps"],
        progress=False, **options["config"],
    )  # fmt: skip
    if not one.converged:
        raise RlkitError(f"{options['solver']} did not converge: {one.reason}")
    return [1], [-one.backups]


def _one_of(name: str, what: str, known: Any) -> None:
    if name not in known:
        near = suggestion(name, known)
        raise UsageError(f"unknown {what} {name!r}{near} (one of {', '.join(known)})")
