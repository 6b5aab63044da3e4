"""Keywords of other libraries, and words for options of another name, in every public function."""

from __future__ import annotations

import importlib
import inspect
import pickle
from pathlib import Path
from typing import Any

import pytest

import rlkit
from rlkit.lazy import listed

ROOT = Path(rlkit.__file__).parent


def functions() -> dict[str, Any]:
    """Every public function of a package, as a user gets it."""
    found = {}
    for file in sorted(ROOT.rglob("__init__.py")):
        package = ".".join(["rlkit", *file.parent.relative_to(ROOT).parts])
        for name in listed(str(file)):
            value = getattr(importlib.import_module(package), name)
            if inspect.isfunction(value):
                found[f"{package}.{name}"] = value
    return found


FUNCTIONS = functions()


def variadic(function: Any) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if not variadic(f)])
def test_an_unknown_keyword_is_answered(name: str) -> None:
    function = FUNCTIONS[name]
    with pytest.raises(TypeError, match=r"\(\) has no argument 'qqqq' \(it has "):
        function(qqqq=1)
    assert pickle.loads(pickle.dumps(function)) is function


@pytest.mark.parametrize(
    ("name", "theirs", "ours"),
    [
        ("bandits.simulate", "n_runs", "runs"),
        ("bandits.simulate", "T", "horizon"),
        ("bandits.simulate", "n_jobs", "threads"),
        ("bandits.simulate", "random_state", "seed"),
        ("theory.solve", "discount", "gamma"),
        ("theory.solve", "max_iter", "max_backups"),
        ("theory.learning.learn_control", "n_runs", "replicates"),
        ("theory.learning.learn_control", "discount_factor", "gamma"),
        ("theory.planning.diameter", "model", "mdp"),
        ("eval.bootstrap_interval", "n_resamples", "reps"),
        ("eval.bootstrap_interval", "confidence_level", "level"),
        ("eval.iqm", "x", "scores"),
        ("data.build", "overwrite", "force"),
        ("data.record", "n_episodes", "episodes"),
        ("export", "filename", "out"),
        ("load", "run_dir", "path"),
        ("resume", "n_steps", "steps"),
        ("envs.tabular.river_swim", "n_states", "n"),
    ],
)
def test_words_of_other_libraries(name: str, theirs: str, ours: str) -> None:
    package, _, last = f"rlkit.{name.replace('bandits', 'algos.bandits')}".rpartition(".")
    function = getattr(importlib.import_module(package), last)
    given: dict[str, Any] = {theirs: 1}
    if last == "simulate":
        given |= {"policy": "ucb1", "means": [0.1, 0.2]}
    if last == "solve":
        given |= {"mdp": rlkit.envs.tabular.river_swim()}
    with pytest.raises(TypeError, match=f"has no argument '{theirs}'; here it is '{ours}'"):
        function(**given)


@pytest.mark.parametrize(
    ("method", "ours"),
    [
        ("value_iteration", "vi"), ("policy_iteration", "pi"), ("Howard", "pi"),
        ("modified_policy_iteration", "mpi"), ("gauss_seidel", "gs"), ("linear_programming", "lp"),
        ("MPI", "mpi"),
    ],
)  # fmt: skip
def test_methods_by_their_other_names(method: str, ours: str) -> None:
    mdp = rlkit.envs.tabular.river_swim()
    with pytest.raises(ValueError, match=f"got '{method}'; did you mean '{ours}'"):
        rlkit.solve(mdp, method=method)


def test_policies_by_their_other_names() -> None:
    with pytest.raises(ValueError, match="no policy 'thompson_sampling'; did you mean 'ts_beta'"):
        rlkit.simulate("thompson_sampling", [0.1, 0.2])
    with pytest.raises(ValueError, match=r"solve: method is \['vi'\]; give text"):
        rlkit.solve(rlkit.envs.tabular.river_swim(), method=["vi"])  # type: ignore[arg-type]
