"""Keywords of other libraries, answered with ours."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# What others say -> what it may be called here, the first that the function has.
_ELSEWHERE = {
    ("discount", "discount_factor", "discount_rate", "beta", "df"): ("gamma",),
    (
        "max_iter", "max_iters", "maxiter", "max_iterations", "n_iter", "num_iterations",
        "iterations", "iter", "max_steps", "max_sweeps", "max_backups", "budget",
    ): ("max_backups", "max_iterations", "max_steps", "max_sweeps", "sweeps", "steps", "rounds"),
    ("tol", "tolerance", "epsilon", "eps", "atol", "theta", "delta", "precision", "threshold"):
        ("eps", "tolerance"),
    ("learning_rate", "lr", "step_size", "stepsize"): ("alpha", "eta"),
    ("exploration", "exploration_rate", "epsilon_greedy", "eps"): ("epsilon",),
    ("n_steps", "num_steps", "total_timesteps", "timesteps", "nsteps", "T"): ("steps", "horizon"),
    ("n_episodes", "num_episodes", "nepisodes"): ("episodes",),
    ("H", "n_stages", "num_stages", "stages"): ("horizon",),
    ("lambda_", "lamb", "lmbda", "lambd", "trace_decay"): ("lam",),
    ("random_state", "random_seed", "rng"): ("seed",),
    ("n_jobs", "num_threads", "n_threads", "workers", "num_workers"): ("threads",),
    ("v_init", "v", "V", "V0", "initial_value", "init"): ("v0",),
    ("q_init", "initial_q", "Q0"): ("q0",),
    ("algorithm", "algo", "solver"): ("method",),
    ("runs", "n_runs", "n_seeds", "num_seeds", "repeats"): ("replicates",),
    ("model", "env", "P"): ("mdp",),
    ("pi",): ("policy", "target"),
    ("verbose", "callback"): ("progress",),
}  # fmt: skip


def named(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, with a TypeError for an unknown keyword that says what it is called here."""
    parameters = inspect.signature(function).parameters
    known = frozenset(parameters)
    variadic = any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if not variadic and not known.issuperset(kwargs):
            refuse_unknown(function.__name__, kwargs, known)
        return function(*args, **kwargs)

    return checked


def refuse_unknown(caller: str, given: Collection[str], known: Collection[str]) -> None:
    """TypeError for the first of the `given` keywords that is not `known`, naming a likely one."""
    for word in given:
        if word in known:
            continue
        right = next((ours for ours in _translations(word) if ours in known), None)
        if right is None:
            near = difflib.get_close_matches(word, sorted(known), 1)
            right = near[0] if near else None
        hint = f"; here it is {right!r}" if right else f" (it has {', '.join(sorted(known))})"
        raise TypeError(f"{caller}() has no argument {word!r}{hint}")


def _translations(word: str) -> list[str]:
    return [ours for theirs, found in _ELSEWHERE.items() if word in theirs for ours in found]
