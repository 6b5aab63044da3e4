"""Keywords of other libraries, answered with ours.

`rlkit.lazy` gives every public function of a package these answers, with `rlkit.arguments`.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection
from enum import Enum
from typing import Any, ParamSpec, TypeVar

from rlkit.arguments import checks_of

P = ParamSpec("P")
T = TypeVar("T")
_MARK = "__answers__"  # of functions that are wrapped

# What others say -> what it may be called here, the first that the function has.
_ELSEWHERE = {
    ("discount", "discount_factor", "discount_rate", "beta", "df"): ("gamma",),
    (
        "max_iter", "max_iters", "maxiter", "max_iterations", "n_iter", "num_iterations",
        "iterations", "iter", "max_steps", "max_sweeps", "max_backups", "budget", "n_iters",
    ): ("max_backups", "max_iterations", "max_steps", "max_sweeps", "sweeps", "steps", "rounds",
        "iterations"),
    ("tol", "tolerance", "epsilon", "eps", "atol", "theta", "delta", "precision", "threshold"):
        ("eps", "tolerance"),
    ("learning_rate", "lr", "step_size", "stepsize"): ("alpha", "eta"),
    ("exploration", "exploration_rate", "epsilon_greedy", "eps"): ("epsilon",),
    ("n_steps", "num_steps", "total_timesteps", "timesteps", "nsteps", "T", "max_steps",
     "n_rounds", "num_rounds", "rounds", "total_steps", "time_steps"):
        ("steps", "rounds", "horizon"),
    ("n_episodes", "num_episodes", "nepisodes", "n_eval_episodes", "num_eval_episodes"):
        ("episodes",),
    ("H", "n_stages", "num_stages", "stages", "max_episode_steps", "episode_length"):
        ("horizon", "max_steps"),
    ("lambda_", "lamb", "lmbda", "lambd", "trace_decay"): ("lam",),
    ("random_state", "random_seed", "rng", "seeds", "generator"): ("seed", "rng"),
    ("n_jobs", "num_threads", "n_threads", "workers", "num_workers", "n_workers", "jobs"):
        ("threads", "workers"),
    ("v_init", "v", "V", "V0", "initial_value", "init"): ("v0",),
    ("q_init", "initial_q", "Q0"): ("q0",),
    ("algorithm", "algo", "solver", "agent", "kind", "name", "method"):
        ("method", "algo", "rule", "kind", "name"),
    ("runs", "n_runs", "num_runs", "n_seeds", "num_seeds", "repeats", "n_repeats", "repetitions",
     "n_repetitions", "trials", "n_trials", "num_trials", "n_sims", "n_simulations", "replicates",
     "simulations"):
        ("runs", "replicates"),
    ("model", "env", "P", "transitions", "environment", "env_id", "env_name", "mdp", "task"):
        ("mdp", "model", "env", "env_id", "P"),
    ("pi",): ("policy", "target"),
    ("agent", "algo", "algorithm", "bandit"): ("policy",),
    ("verbose", "callback", "on_step", "callbacks"): ("progress", "report", "on_step", "quiet"),
    ("n_states", "num_states", "S", "nS", "n_s", "size"): ("states", "n", "size", "length"),
    ("n_actions", "num_actions", "A", "nA", "n_a"): ("actions", "A"),
    ("arms", "probs", "probabilities", "p", "ps", "mu"): ("means",),
    ("confidence", "confidence_level", "ci", "coverage", "conf"): ("level", "delta"),
    ("n_bootstrap", "n_resamples", "num_bootstrap", "bootstraps", "n_boot", "B"): ("reps",),
    ("data", "dataset_name", "name", "id", "dataset_id"): ("dataset", "dataset_id"),
    ("filename", "path", "file", "save_path", "output", "output_path", "out", "to"):
        ("path", "file", "out", "folder"),
    ("log_dir", "logdir", "run_dir", "directory", "dir", "run"): ("folder", "path", "out"),
    ("exist_ok", "force", "replace", "clobber", "overwrite"): ("overwrite", "force"),
    ("phi", "feature", "feature_matrix", "X"): ("features",),
    ("x", "y", "values", "results", "returns", "data"): ("scores",),
    ("regularization", "regularisation", "reg", "l2", "lambda_", "alpha"): ("ridge", "tau"),
    ("start_state", "initial_distribution", "d0", "rho", "initial"): ("start", "mu0"),
    ("reward", "R", "r"): ("rewards", "reward"),
    ("temperature", "temp"): ("tau", "beta", "temperature"),
}  # fmt: skip


def named(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, with a TypeError for an unknown keyword that says what it is called here, and
    the checks of `rlkit.arguments`."""
    parameters = inspect.signature(function).parameters
    known = frozenset(parameters)
    variadic = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    check = checks_of(function)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if not variadic and not known.issuperset(kwargs):
            refuse_unknown(function.__name__, kwargs, known)
        check(args, kwargs)
        return function(*args, **kwargs)

    setattr(checked, _MARK, True)
    return checked


def answering(value: Any) -> Any:
    """A public function as `named` has it; a class with the checks of `rlkit.arguments` before its
    constructors and methods; anything else, and what is so already, as it is."""
    if inspect.isclass(value) and _MARK not in vars(value) and not _is_foreign(value):
        _check_methods(value)
    if not inspect.isfunction(value) or getattr(value, _MARK, False):
        return value
    return named(value)


def _is_foreign(kind: type) -> bool:
    """Whether others call its methods, from compiled code or millions of times: the core's, modules
    of torch, environments; or there is nothing to check: errors, choices."""
    if kind.__module__.startswith(("rlkit.core.", "rlkit.nets.")):
        return True
    homes = {base.__module__.partition(".")[0] for base in kind.__mro__} - {"rlkit", "typing"}
    return bool(homes - {"builtins", "abc", "collections"}) or issubclass(kind, Exception | Enum)


def _check_methods(kind: Any) -> None:
    setattr(kind, _MARK, True)
    for name, member in list(vars(kind).items()):
        bound = isinstance(member, staticmethod | classmethod)
        function = member.__func__ if bound else member
        if not inspect.isfunction(function) or getattr(function, _MARK, False):
            continue
        if name == "__init__" or not name.startswith("_"):
            whole = _checked(function, kind.__name__ if name == "__init__" else name)
            setattr(kind, name, type(member)(whole) if bound else whole)


def _checked(function: Callable[P, T], caller: str) -> Callable[P, T]:
    check = checks_of(function, caller)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        check(args, kwargs)
        return function(*args, **kwargs)

    setattr(checked, _MARK, True)
    return checked


def refuse_unknown(caller: str, given: Collection[str], known: Collection[str]) -> None:
    """TypeError for the first of the `given` keywords that is not `known`, naming a likely one."""
    for word in given:
        if word in known:
            continue
        right = translated(word, known)
        if right is None:
            near = difflib.get_close_matches(word, sorted(known), 1)
            right = near[0] if near else None
        hint = f"; here it is {right!r}" if right else f" (it has {', '.join(sorted(known))})"
        raise TypeError(f"{caller}() has no argument {word!r}{hint}")


def refuse_foreign(caller: str, word: str, known: Collection[str]) -> None:
    """TypeError for a keyword that is another library's word for one of the `known`."""
    if (right := translated(word, known)) is not None:
        raise TypeError(f"{caller}() has no argument {word!r}; here it is {right!r}")


def translated(word: str, known: Collection[str]) -> str | None:
    """What a keyword of another library is called among the `known`; None where none is meant."""
    if word in known:
        return None
    found = (ours for theirs, found in _ELSEWHERE.items() if word in theirs for ours in found)
    return next((ours for ours in found if ours in known), None)
