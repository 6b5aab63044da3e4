"""What is public is listed in one place a package, found late, and has a docstring."""

from __future__ import annotations

import ast
import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest

import rlkit
from rlkit.lazy import listed

ROOT = Path(rlkit.__file__).parent
PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT.parent).parts) for path in ROOT.rglob("__init__.py")
)
FRONT = {
    "FiniteMDP", "Options", "Policy", "RlkitError", "UsageError", "compare", "dataset", "evaluate",
    "export", "load", "make", "report", "resume", "simulate", "solve", "sweep", "train", "video",
}  # fmt: skip


def test_the_front_door_is_this_list() -> None:
    assert set(rlkit.__all__) == FRONT
    assert set(dir(rlkit)) >= FRONT | {"algos", "theory", "data", "envs", "nets"}
    for name in FRONT:
        assert name in (rlkit.__doc__ or "") or name[0].isupper(), f"{name} is not in help(rlkit)"


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_says_what_is_in_it(name: str) -> None:
    package = importlib.import_module(name)
    assert package.__doc__
    if hasattr(package, "__dir__") and hasattr(package, "__getattr__"):
        modules = {path.stem for path in Path(package.__path__[0]).glob("[a-z]*.py")}
        assert set(dir(package)) >= modules
    names = listed(str(package.__file__))
    for public in names:
        value = getattr(package, public)
        assert inspect.getdoc(value) or not callable(value), f"{name}.{public} has no docstring"
        inside = importlib.util.find_spec(f"{name}.{public}")
        assert inside is None, f"{name}.{public} is a module as well"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'rlkit' has no attribute 'trian'"):
        rlkit.trian  # noqa: B018


def test_compare_takes_one_score_a_seed() -> None:
    found = rlkit.compare([1.0, 1.1, 0.9, 1.0], [3.0, 3.1, 2.9, 3.0])
    assert found.resolved
    assert float(found.difference.point) == pytest.approx(-2)


def test_solve_and_simulate() -> None:
    model = rlkit.FiniteMDP.from_dense(
        np.array([[[0.0, 1.0]], [[0.0, 1.0]]]), np.array([[0.0], [1.0]])
    )
    assert rlkit.solve(model, 0.5).value == pytest.approx([1, 2])
    assert rlkit.simulate("ucb1", [0.2, 0.8], runs=3, horizon=50).regret.shape[0] == 3


@pytest.mark.parametrize("path", sorted((ROOT / "algos").rglob("*.py")), ids=lambda path: path.stem)
def test_what_acts_and_learns_says_how(path: Path) -> None:
    """Agents, their `update` and `act`; policies of bandits, oracles and teachers."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.ClassDef) or node.name.startswith("_"):
            continue
        methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
        spoken = [n for n in methods if n.name in ("act", "learn", "update")]
        for part in [node, *spoken] if spoken else []:
            assert ast.get_docstring(part), f"{node.name}.{part.name} has no docstring"
        if node.name == "Agent":
            said = " ".join(ast.get_docstring(part) or "" for part in spoken)
            assert "[S" in said, "update and act tell no shapes"


@pytest.mark.parametrize(
    ("algo", "theirs", "ours"),
    [
        ("sac", "lr", "config={'lr': ...}"),
        ("sac", "learning_rate", "config={'lr': ...}"),
        ("sac", "net_arch", "config={'hidden': ...}"),
        ("sb3:sac", "lr", "config={'learning_rate': ...}"),
        ("sac", "total_timesteps", "'steps'"),
    ],
)
def test_words_of_other_libraries_are_answered(algo: str, theirs: str, ours: str) -> None:
    with pytest.raises(TypeError) as told:
        rlkit.train(algo, env="Pendulum-v1", **{theirs: 1})
    assert f"did you mean {ours}?" in str(told.value)


def test_an_environment_in_place_of_its_name() -> None:
    env = rlkit.make("Pendulum-v1")
    with pytest.raises(rlkit.UsageError, match=r"give its id.*module:Name-v0"):
        rlkit.train("sac", env=env)


@pytest.mark.filterwarnings("ignore:one run a task")
def test_a_result_stands_for_its_folder(tmp_path: Path) -> None:
    result = rlkit.train(
        "sac", env="Pendulum-v1", steps=8, warmup=4, eval_every=0, eval_episodes=1, quiet=True,
        engine="eager", out=str(tmp_path / "run"), config={"hidden": (8,), "batch_size": 4},
    )  # fmt: skip
    assert len(rlkit.evaluate(result, 2)) == 2
    assert rlkit.load(result).card.step == 8
    file = rlkit.export(result).path
    assert "difference" in str(rlkit.compare(result, result))
    with pytest.raises(rlkit.UsageError, match="nosuch is no run folder, or was never evaluated"):
        rlkit.compare(result, tmp_path / "nosuch")
    with pytest.raises(TypeError, match="has no argument 'n_eval_episodes'; did you mean 'epis"):
        rlkit.evaluate(result, n_eval_episodes=2)  # type: ignore[call-arg]
    with pytest.raises(rlkit.UsageError, match="checkpoint is for a run folder"):
        rlkit.evaluate(file, checkpoint="last")
