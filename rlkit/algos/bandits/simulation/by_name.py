"""The bandit environments that `rlkit bandit` knows by name, and how names with arguments are read.

An environment or a policy is written as a name, or as a name with keyword arguments in Python's
way: `armed(means=[0.9, 0.5], noise='gaussian')`, `eps_greedy(eps=0.05)`.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rlkit.algos.bandits.memory.planning import relaxation
from rlkit.algos.bandits.simulation.armed_policies import ARMED_POLICIES
from rlkit.algos.bandits.simulation.simulator import (
    CYCLE_POLICIES,
    DUELING_POLICIES,
    LINEAR_POLICIES,
)
from rlkit.core.errors import UsageError
from rlkit.core.words.nearest import suggestion
from rlkit.envs.bandits.armed import Armed, RandomMeans, Switching
from rlkit.envs.bandits.dueling import Dueling
from rlkit.envs.bandits.linear import LinearArms
from rlkit.envs.bandits.memory import (
    Blocking,
    LastSwitch,
    Rotting,
    Tallying,
    hidden_arm,
    recharging,
)


class Named(NamedTuple):
    """How an environment is made, its demonstration arguments, and policies to begin with."""

    make: Callable[..., Any]
    defaults: dict[str, Any]
    policies: str
    further: Callable[..., Any] | None = None  # takes the arguments that `make` passes on


_CLASSIC = "ucb1, kl_ucb, moss, imed, ts_beta, eps_greedy(eps=0.05)"
_ADVERSARIAL = "tsallis_inf, exp3_ix, ts_beta, ucb1, constant_step"
_FALL = np.linspace(0.9, 0.2, 50).round(4).tolist()
_FLAT = np.linspace(0.55, 0.5, 50).round(4).tolist()
_TALLIES = np.linspace(1.0, 0.2, 20).round(4).tolist()
_DECAY = [[0.8] * 2000 + [0.1], [0.6] * 3000 + [0.2], [0.4]]
_LADDER = (0.5 + 0.1 * np.subtract.outer(-np.arange(5), -np.arange(5))).round(4).tolist()

ENVIRONMENTS = {
    "armed": Named(Armed, {"means": [0.5, 0.4, 0.4, 0.4, 0.4]}, _CLASSIC),
    "random_means": Named(RandomMeans, {"arms": 10}, _CLASSIC),
    "switching": Named(
        Switching, {"means": [[0.6, 0.4], [0.4, 0.6]], "starts": [1, 3001]}, _ADVERSARIAL
    ),
    "tallying": Named(
        Tallying,
        {
            "losses": [_FALL, _FLAT, _FLAT, _FLAT],
            "weights": _TALLIES,
            "noise": "gaussian",
            "sigma": 0.1,
        },
        "tallying_elimination(burn_in=25), successive_elimination, ucb1, ts_gauss(sigma=0.1)",
    ),
    "hidden_arm": Named(
        hidden_arm,
        {"arms": 5, "memory": 20, "arm": 2},
        "tallying_elimination(burn_in=20), ucb1, exp3_ix, exp3_batched(batch=40)",
        Tallying,
    ),
    "last_switch": Named(
        LastSwitch,
        {
            "rested": [[0.5, 0.7, 0.9], [0.4, 0.8, 0.8], [0.3, 0.5, 0.6]],
            "played": [[0.4, 0.2, 0.1], [0.3, 0.3, 0.2], [0.3, 0.3, 0.3]],
        },
        "cycle_plan, cycle_online, ucb1, ts_beta",
    ),
    "recharging": Named(
        recharging,
        {"payoffs": [[0.0, 0.2, 0.9, 0.9], [0.0, 0.9, 0.9, 0.9], [0.1, 0.3, 0.3, 0.3]]},
        "cycle_plan, cycle_online, ucb1, ts_beta",
        LastSwitch,
    ),
    "blocking": Named(
        Blocking, {"means": [0.9, 0.7, 0.5, 0.3], "delays": [3, 2, 1, 0]}, "ucb1, ts_beta, random"
    ),
    "rotting": Named(
        Rotting,
        {"payoffs": [row + [row[-1]] * (3001 - len(row)) for row in _DECAY]},
        "raw_ucb, fewa, ucb1, ts_beta",
    ),
    "dueling": Named(Dueling, {"preferences": _LADDER}, "rucb, double_ts, sparring, uniform_duels"),
    "linear": Named(
        LinearArms,
        {"features": "per_round", "arms": 10, "dim": 5},
        "linucb, oful, lints, linear_greedy",
    ),
}
POLICIES = {
    **{name: spec.defaults if spec.fixed is None else {} for name, spec in ARMED_POLICIES.items()},
    **CYCLE_POLICIES,
    **{name: defaults for name, (_, defaults) in DUELING_POLICIES.items()},
    **{name: defaults for name, (_, _, defaults) in LINEAR_POLICIES.items()},
}


def read_calls(text: str, what: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, keyword arguments) of each of "name, name(key=value), ...".

    Raises UsageError for anything else; values are Python literals.
    """
    hint = f"write {what} as NAME or NAME(key=value, ...), with commas between several"
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise UsageError(f"cannot read {text!r}: {hint}") from None
    found = []
    for node in tree.elts if isinstance(tree, ast.Tuple) else [tree]:
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        if not isinstance(call.func, ast.Name) or call.args:
            raise UsageError(f"cannot read {ast.unparse(node)!r}: {hint}")
        arguments = {}
        for keyword in call.keywords:
            if keyword.arg in arguments:
                raise UsageError(f"{call.func.id}: {keyword.arg} is given twice")
            try:
                arguments[str(keyword.arg)] = ast.literal_eval(keyword.value)
            except ValueError:
                raise UsageError(
                    f"{call.func.id}: {keyword.arg}={ast.unparse(keyword.value)} is not a number, "
                    "a text in quotes, or a list of them"
                ) from None
        found.append((call.func.id, arguments))
    return found


def show_call(name: str, arguments: dict[str, Any], width: int = 60) -> str:
    """`name(key=value)`, long values shortened to fit."""

    def value(v: Any) -> str:
        text = repr(v)
        return text if len(text) <= width else f"{text[: width - 3]}..."

    inside = ", ".join(f"{key}={value(v)}" for key, v in arguments.items())
    return f"{name}({inside})" if inside else name


def check_keys(name: str, given: dict[str, Any], known: list[str]) -> None:
    """Raise UsageError for an argument that `name` does not take, with the nearest one."""
    for key in given:
        if key not in known:
            raise UsageError(
                f"{name} has no argument {key!r}{suggestion(key, known)} "
                f"(it has: {', '.join(known) or 'none'})"
            )


def read_environment(text: str) -> tuple[str, dict[str, Any], dict[str, Any], Any]:
    """(name, arguments given, all arguments, environment). Raises UsageError for a bad one.

    Arguments that are not given are those of the demonstration. Last-switch environments count
    regret against the planning relaxation unless told otherwise.
    """
    calls = read_calls(text, "an environment")
    if len(calls) != 1:
        raise UsageError(f"one environment at a time, not {len(calls)}")
    name, given = calls[0]
    if name not in ENVIRONMENTS:
        raise UsageError(
            f"unknown environment {name!r}{suggestion(name, ENVIRONMENTS)} "
            f"(known: {', '.join(ENVIRONMENTS)})"
        )
    named = ENVIRONMENTS[name]
    known = [p for p in inspect.signature(named.make).parameters if p != "options"]
    if named.further is not None:
        more = inspect.signature(named.further).parameters
        known += [p for p in more if p not in known and p not in ("losses", "rested", "played")]
    check_keys(name, given, known)
    arguments = {**named.defaults, **given}
    try:
        env = named.make(**arguments)
        if isinstance(env, LastSwitch) and "reference" not in given:
            arguments["reference"] = relaxation(env.rested, env.played).value
            env = dataclasses.replace(env, reference=arguments["reference"])
        check(env)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{show_call(name, given)}: {error}") from None
    return name, given, arguments, env


def check(env: Any) -> None:
    """Raise the environment's own ValueError if its tables do not fit together."""
    if isinstance(env, Dueling):
        env.matrix()
    elif isinstance(env, LinearArms):
        env.tables()
    else:
        env.tables(1)


def read_policies(text: str) -> list[tuple[str, dict[str, Any]]]:
    """(name, arguments) of each policy, checked for unknown names and arguments and for doubles."""
    calls = read_calls(text, "policies")
    for i, (name, given) in enumerate(calls):
        if name not in POLICIES:
            raise UsageError(
                f"unknown policy {name!r}{suggestion(name, POLICIES)} "
                f"(known: {', '.join(POLICIES)})"
            )
        check_keys(name, given, list(POLICIES[name]))
        for key, value in given.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"{name}: {key}={value!r} is not a number")
        if calls.index((name, given)) != i:
            raise UsageError(f"{show_call(name, given)} is named twice")
    return calls
