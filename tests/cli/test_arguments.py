"""Dataclasses become options; what is wrong is named with the nearest right one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from rlkit.algos import iql, sac
from rlkit.cli.arguments import comments, form_of, options, parse
from rlkit.cli.main import main
from rlkit.core.errors import UsageError

Output = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5  # of learning
    deep: bool = True
    sizes: tuple[int, ...] = (2, 3)


@dataclass(frozen=True)
class Outer:
    name: str | None = None  # of it
    count: int = 1
    loud: bool = False
    inner: Inner = Inner()


def made() -> type:
    inner = form_of(Inner, "Inner", lanes=True)
    return form_of(Outer, "Outer", replaced={"inner": (inner, inner)})


def test_values_arrive_with_their_types() -> None:
    line = "--name x --count 4 --loud --inner.rate 0.1,0.2 --inner.deep False --inner.sizes 9"
    given = parse(made(), line.split(), "it", "")
    assert (given.name, given.count, given.loud) == ("x", 4, True)
    assert (given.inner.rate, given.inner.deep, given.inner.sizes) == ((0.1, 0.2), False, (9,))
    given = parse(made(), ["--inner.rate=3"], "it", "")
    assert (given.name, given.inner.rate, given.inner.sizes) == (None, 3.0, (2, 3))


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "false", "False"])
def test_truth_is_written_as_python_json_or_toml_do(word: str) -> None:
    given = parse(made(), ["--inner.deep", word], "it", "")
    assert given.inner.deep is (word.lower() == "true")
    with pytest.raises(UsageError, match=r"--inner.deep.*'yes' is neither True nor False"):
        parse(made(), ["--inner.deep", "yes"], "it", "")


def test_comments_become_help(capsys: Output) -> None:
    assert comments(Inner) == {"rate": "of learning"}
    with pytest.raises(SystemExit):
        parse(made(), ["--help"], "it", "What it does.")
    said = capsys.readouterr().out
    for part in ("What it does.", "of learning", "of it", "--inner.sizes"):
        assert part in said


def test_options_of_nested_forms() -> None:
    flat = ["--help", "--name", "--count", "--loud"]
    assert options(made()) == [*flat, "--inner.rate", "--inner.deep", "--inner.sizes"]
    with pytest.raises(UsageError, match=r"unknown option '--inner.depe'; did you mean '--inner.d"):
        parse(made(), ["--inner.depe", "1"], "it", "")


@pytest.mark.parametrize("config", [iql.Config, sac.Config])
def test_every_field_of_a_config_is_an_option(config: type) -> None:
    inner = form_of(config, "Config", lanes=True)
    known = options(form_of(Outer, "Outer", replaced={"inner": (inner, inner)}))
    for field in dataclasses.fields(config):
        assert f"--inner.{field.name.replace('_', '-')}" in known
    assert comments(config).keys() == {field.name for field in dataclasses.fields(config)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train sac --env Hopper-v5 -q", "unknown option '-q'; did you mean '--quiet'"),
        ("train sac -e Hopper-v5", "'-e'; did you mean '--env'"),
        ("train sac -env Hopper-v5", "'-env'; did you mean '--env'"),
        ("train sac --env Hopper-v5 -n=5", "'-n'; did you mean '--steps'"),
        ("train sac --env Hopper-v5 -lr 1", "'-lr'; did you mean '--config.lr'"),
        ("train iql -d x", "'-d'; did you mean '--dataset' or '--device'"),
        ("resume runs/x -v", "'-v'; did you mean '--quiet'"),
        ("eval x -n 5", "'-n'; did you mean '--episodes'"),
        ("export x -o y", "'-o'; did you mean '--out'"),
        ("bandit -s 1", "'-s'; did you mean '--seed'"),
        ("sweep x.toml -j 2", "'-j'; did you mean '--workers'"),
        ("plot x -z", "rlkit plot: unknown option '-z'"),
    ],
)
def test_short_options_are_answered_with_ours(words: str, said: str, capsys: Output) -> None:
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
