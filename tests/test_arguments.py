"""No public function takes a mask that it would lose, or a path that is none."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rlkit
from rlkit import arguments
from rlkit.algos.bandits import Feedback
from rlkit.algos.bandits.contextual import LinearPolicy
from rlkit.cli.main import main
from rlkit.core.errors import FileError, RlkitError, UsageError
from rlkit.envs.bandits.observation import Observation
from rlkit.envs.grid import maze
from rlkit.envs.tabular import find_model
from rlkit.lazy import listed

ROOT = Path(rlkit.__file__).parent


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public function that one path or name is enough for, and how it is called with it."""
    for file in sorted(ROOT.rglob("__init__.py")):
        package = ".".join(file.parent.relative_to(ROOT.parent).parts)
        module = importlib.import_module(package)
        for name in listed(str(file)):
            try:
                value = getattr(module, name)
            except ImportError:  # an extra that is not installed
                continue
            members = [("", value)] if inspect.isfunction(value) else []
            if inspect.isclass(value):
                members = [
                    (f".{k}", getattr(value, k))
                    for k, member in vars(value).items()
                    if isinstance(member, staticmethod | classmethod)
                ]
            for inner, function in members:
                parameters = list(inspect.signature(function).parameters.values())
                needed = [
                    p for p in parameters if p.default is p.empty and "VAR" not in p.kind.name
                ]
                one = needed or parameters[:1]
                if len(one) == 1 and (
                    "Path" in str(one[0].annotation)
                    or (one[0].name, one[0].annotation) == ("name", "str")
                ):
                    yield f"{package}.{name}{inner}", function


CALLS = dict(public())
NONE = {
    "nothing": None,
    "a number": 300,
    "bytes": b"runs/a",
    "a long name": "x" * 300,
    "a long path": "a/" * 3000,
    "a zero byte": "runs\0a",
}


def test_the_loaders_are_among_them() -> None:
    assert CALLS.keys() >= {
        *(
            f"rlkit.{name}"
            for name in ("load", "dataset", "evaluate", "export", "report", "resume")
        ),
        *("rlkit.FiniteMDP.load", "rlkit.Policy.load", "rlkit.data.read", "rlkit.zoo.load"),
    }


@pytest.mark.parametrize("value", NONE)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_path_is_refused_by_name(name: str, value: str) -> None:
    function = CALLS[name]
    refused = FileError if "long" in value else UsageError
    with pytest.raises(refused) as told:
        function(NONE[value])
    assert function.__name__ in str(told.value) or "give" in str(told.value)


def test_other_paths_of_a_call_are_looked_at_too(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"export: out 'x+\.\.\. has a name of 300 bytes"):
        rlkit.export(tmp_path, out="x" * 300)
    with pytest.raises(RlkitError, match="is not a run folder"):
        rlkit.export(tmp_path, out=None)


HIDING = np.ma.masked_greater(np.array([0.2, 0.8, 0.5]), 0.7)
DENSE = np.ma.masked_array([[0.0], [1.0]], [[False], [True]])
LINEAR = LinearPolicy(3, 3)
CHAIN = np.array([[[0.0, 1.0]], [[0.0, 1.0]]])


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("a", lambda: rlkit.compare(HIDING, [1.0, 2.0, 3.0])),
        ("means", lambda: rlkit.simulate("ucb1", HIDING, runs=1, horizon=5)),
        ("R", lambda: rlkit.FiniteMDP.from_dense(CHAIN, DENSE)),
        ("R", lambda: rlkit.FiniteMDP.from_dense(P=CHAIN, R=DENSE)),
        ("v0", lambda: rlkit.solve(rlkit.FiniteMDP.from_dense(CHAIN, DENSE.data), 0.5, v0=HIDING)),
    ],
)
def test_a_mask_is_not_lost(name: str, call: Callable[[], Any]) -> None:
    with pytest.raises(UsageError, match=rf"{name} is a masked array \(.*\) that hides 1 of its"):
        call()


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("a", lambda: rlkit.compare([HIDING] * 150, np.ones((150, 3)))),
        ("a", lambda: rlkit.compare([[HIDING]], np.ones((2, 3)))),
        ("obs", lambda: LINEAR.act(Observation(HIDING[None], None, 1), np.random.default_rng(0))),
        ("feedback", lambda: LINEAR.learn(Feedback(np.zeros(1, int), np.ones(1), HIDING[None]))),
    ],
)
def test_a_mask_inside_of_what_is_given_is_not_lost(name: str, call: Callable[[], Any]) -> None:
    with pytest.raises(UsageError, match=rf"{name} is a masked array|context is a masked array"):
        call()


@pytest.mark.parametrize("value", [None, 3, b"x", []])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: rlkit.make(x),
        lambda x: rlkit.simulate(x, [0.1, 0.2], runs=1, horizon=5),
        lambda x: find_model(x),
        lambda x: maze(x),
        lambda x: rlkit.sweep("sweep.toml", x or 3),
    ],
    ids=["make", "simulate", "find_model", "maze", "sweep"],
)
def test_what_is_no_text_is_refused_by_name(call: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(UsageError, match=r" is (None|3|b'x'|\[\]); give "):
        call(value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: rlkit.load(""),
        lambda: rlkit.load(path=""),
        lambda: rlkit.evaluate(""),
        lambda: rlkit.video(""),
        lambda: rlkit.export("", "policy.safetensors"),
        lambda: rlkit.export("run", ""),
        lambda: rlkit.resume(""),
        lambda: rlkit.sweep(""),
        lambda: rlkit.report("a", ""),
        lambda: rlkit.dataset(""),
        lambda: rlkit.FiniteMDP.load(""),
    ],
)
def test_an_empty_text_is_no_path(call: Callable[[], Any]) -> None:
    with pytest.raises(UsageError, match=r": \w+ is an empty text; give a (path|name)$"):
        call()


@pytest.mark.parametrize("words", ["eval|", "resume|", "export|", "report|a|", "sweep|", "solve|"])
def test_an_empty_word_of_the_command_line_is_said_to_be_one(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split("|")) == 2
    assert "is an empty text" in capsys.readouterr().err


def test_every_one_of_several_paths_has_its_own_name() -> None:
    with pytest.raises(UsageError, match="report: folders is None"):
        rlkit.report("a", None)  # type: ignore[arg-type]


def test_a_masked_array_that_hides_nothing_is_an_array() -> None:
    whole = np.ma.masked_array([1.0, 1.1, 0.9])
    assert rlkit.compare(whole, [3.0, 3.1, 2.9]).resolved


def test_what_is_checked_keeps_its_signature_and_its_words() -> None:
    def reader(path: str | Path, scores: Any, *more: Any, out: Path | None = None) -> None: ...

    check = arguments.checks_of(reader)
    check((Path("a"), HIDING.data, 1), {"out": None})
    for args, kwargs, words in (
        (("a", HIDING), {}, "reader: scores is a masked array"),
        (("a", 1, [HIDING]), {}, "reader: more is a masked array"),
        (("a", {"b": HIDING}), {}, "reader: scores is a masked array"),
        (("a", 1), {"out": 3}, "reader: out is 3; give text or a pathlib.Path"),
    ):
        with pytest.raises(UsageError, match=words):
            check(args, kwargs)
    assert "algo" in inspect.signature(rlkit.train).parameters
