"""Every setting of every public solver and learner is refused by name where it is none.

The walk finds them by itself: a function of `rlkit.theory` that takes one of the names below is
called with numbers that are none, and plain stand-ins for its other arguments. One that needs other
stand-ins says so in `GIVEN`, one that is not for a user's settings in `INNER`.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rlkit.theory
from rlkit.envs.tabular.chains import river_swim
from rlkit.theory.continuous.diffusions import (
    Brownian,
    GeometricBrownian,
    OrnsteinUhlenbeck,
)
from rlkit.theory.continuous.mean_variance import Market
from rlkit.theory.objectives.automata import eventually
from rlkit.theory.robust.r2pvi_settings import PutOption
from rlkit.theory.validate import check_count, check_positive, settings

_COUNTS = (
    "steps rounds sweeps episodes iterations epochs batch checkpoints replicates threads "
    "max_backups max_steps max_sweeps max_iterations horizon rank tasks count length limit k "
    "memory check n multiplier_every size"
)
COUNTS = set(_COUNTS.split())
SHARES = {"gamma", "lam"}
_NUMBERS = (
    "eps tolerance alpha beta eta tau temperature ridge scale delta epsilon omega kappa threshold "
    "rate rate_theta rate_phi rate_w decay merge radius norm floor cut forcing max_length planning "
    "span power offset curvature gradient_bound meta_eta diameter modulus smoothness risk v_max "
    "sigma spread strike"
)
NUMBERS = set(_NUMBERS.split())
# What may be 0 (no planning, no look-ahead), or a number that is no count.
ALLOWED = {
    ("learn_control", "episodes", 0),
    ("expected_iterates", "steps", 0),
    ("anderson_iteration", "memory", 0),
    ("modified_policy_iteration", "k", 0),
    ("learn_optimistic_q", "horizon", 2.5),
    ("turning_chain", "norm", -1),
}
INNER = {  # what only functions of the package call, with settings that are checked by then
    "solve_linear", "krylov", "sweep_limit", "value_bonus", "each", "solve_chain", "factor_chain",
    "merge_atoms", "make_plan", "quantiles", "anchored_iteration", "check_metric", "log_law",
    "game_descent.steps",  # a rule, not a number
}  # fmt: skip

SWIM = river_swim(4)
GAME = np.array([[0.0, 1.0], [-1.0, 0.0]])
POLICY = np.zeros(4, int)
STAND_INS: dict[str, Any] = {
    "mdp": SWIM, "model": SWIM, "policy": POLICY, "target": POLICY, "value": np.zeros(4),
    "features": np.eye(8), "payoff": GAME, "game": GAME, "A": GAME, "P": 0.5 + 0.5 * GAME,
    "preferences": 0.5 + 0.5 * GAME, "losses": np.zeros((3, 2)), "reward": np.zeros(8),
    "rewards": np.eye(8)[:2], "stock": np.linspace(-1, 1, 3), "divergence": "tv",
    "library": [POLICY], "num_states": 3, "states": 3, "actions": 2, "true_index": 0, "size": 3,
}  # fmt: skip
GIVEN: dict[str, dict[str, Any]] = {
    "td_learn": {"features": np.eye(4)},
    "td_system": {"features": np.eye(4)},
    "emphatic_system": {"features": np.eye(4)},
    "lstd": {"features": np.eye(4)},
    "recursive_lstd": {"features": np.eye(4)},
    "learn_counterfactual": {"machine": eventually(1, 2), "labels": np.zeros((4, 2, 4), int)},
    "markov_expressivity": {"accepted": [POLICY]},
    "equivalent_reward": {"R": np.zeros((4, 2, 4))},
    "best_cvar": {"plan": SimpleNamespace(stock=np.zeros(1), at_start=lambda: np.zeros(1))},
    "constrained": {"reward": np.zeros(8), "costs": np.eye(8)[:1], "limits": [1.0]},
    "solve_robust": {"kind": "tv", "radius": 0.1},
    "quadratic_stream": {"means": np.zeros((3, 2))},
}


def stand_in(name: str, hint: str) -> Any:
    if name in STAND_INS:
        return STAND_INS[name]
    if name in COUNTS or name == "seed":
        return 3
    if name in SHARES | NUMBERS:
        return 0.5
    return {"float": 1.0, "str": ""}.get(hint)


def bad_values(name: str) -> list[Any]:
    if name == "seed":
        return [-1, 1.5, float("nan"), "x", True, 2**63]
    more = [0, 2.5] if name in COUNTS else [1.5] if name in SHARES else []
    return [-1, float("nan"), "x", *more]


def cases() -> Iterator[Any]:
    """Function, setting, and a value that is none."""
    for module in pkgutil.walk_packages(rlkit.theory.__path__, "rlkit.theory."):
        found = importlib.import_module(module.name)
        for label, function in list(vars(found).items()):
            own = getattr(function, "__module__", None) == module.name
            if label.startswith("_") or not own or not inspect.isfunction(function):
                continue
            if module.name == "rlkit.theory.validate" or label in INNER:
                continue
            for name, parameter in inspect.signature(function).parameters.items():
                number = any(word in str(parameter.annotation) for word in ("int", "float"))
                if name not in COUNTS | SHARES | NUMBERS | {"seed"} or not number:
                    continue
                for bad in bad_values(name):
                    if f"{label}.{name}" in INNER or (label, name, bad) in ALLOWED:
                        continue
                    yield pytest.param(function, name, bad, id=f"{label} {name}={bad!r}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("function", "name", "bad"), list(cases()))
def test_a_setting_that_is_none_is_refused_by_name(
    function: Callable[..., Any], name: str, bad: Any
) -> None:
    label = function.__name__
    others = {
        other: stand_in(other, str(p.annotation))
        for other, p in inspect.signature(function).parameters.items()
        if p.default is p.empty
        and other != name
        and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        function(**others | GIVEN.get(label, {}) | {name: bad})


# --- settings held by a class ---------------------------------------------------------------------
CLASSES = {
    OrnsteinUhlenbeck: "kappa sigma beta",
    GeometricBrownian: "s horizon",
    Brownian: "horizon",
    Market: "sigma horizon temperature",
    PutOption: "horizon strike spread- size",
}


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_class_of_settings_checks_each_of_its_numbers(kind: type) -> None:
    fields = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    positive = CLASSES[kind].split()
    for name in fields:
        bad = [float("nan"), float("inf"), "x"]
        bad += [-1.0] if name in {word.rstrip("-") for word in positive} else []
        bad += [0.0] if name in positive else []
        for value in bad:
            with pytest.raises(ValueError, match=rf"^{name} must be"):
                kind(**{name: value})
            with pytest.raises(ValueError, match=rf"^{name} must be"):
                dataclasses.replace(kind(), **{name: value})


def test_their_methods_check_theirs() -> None:
    rng = np.random.default_rng(0)
    best = Market().optimal_policy()
    for bad in (-1, 2.5, "x", None):
        for law in (GeometricBrownian(), Brownian()):
            with pytest.raises(ValueError, match=r"^seed must be"):
                law.paths(3, 3, bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^seed must be"):
            OrnsteinUhlenbeck().paths(0.1, 3, 3, bad)  # type: ignore[arg-type]
    for bad in (0, -1, float("nan"), 2.5):
        for law in (GeometricBrownian(), Brownian()):
            with pytest.raises(ValueError, match=r"^steps must be"):
                law.paths(bad, 3, 0)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match=r"^count must be"):
                law.paths(3, bad, 0)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^steps must be"):
            OrnsteinUhlenbeck().paths(0.1, bad, 3, 0)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^steps must be"):
            GeometricBrownian().mean_square_increment(0.1, bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^count must be"):
            Market().simulate(best, 1.0, 3, bad, rng)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^episodes must be"):
            PutOption().collect(bad)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match=r"^starts must be"):
            PutOption().value(None, 0.5, bad)  # type: ignore[arg-type]


def test_checked_settings_arrive_as_they_are_checked() -> None:
    @settings(n=check_count, x=check_positive)
    def take(n: int, x: float | None = None) -> tuple[Any, Any]:
        return n, x

    assert take(1e3) == (1000, None)  # type: ignore[arg-type]
    assert take(2, x=None) == (2, None)
    assert take.__name__ == "take"
    with pytest.raises(ValueError, match="n must be a whole number"):
        take(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        take(1, y=2)  # type: ignore[call-arg]
