"""Every command that README, documents, docstrings and messages name exists and can be parsed."""

from __future__ import annotations

import argparse
import functools
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import tyro

from rlkit.cli import arguments
from rlkit.cli.dataset_commands import dataset
from rlkit.cli.main import COMMANDS, run
from rlkit.cli.zoo_command import zoo
from rlkit.core.errors import UsageError
from rlkit.data.recipes import cards
from rlkit.run.settings.fits import algorithms

from .named_commands import ROOT, Line, Text, lines, texts

RLKIT = r"\brlkit (?!score\b)[a-z][\w-]*\b(?![\w:/.,=]|-)"
SCRIPT = r"\bpython (?:-m )?benchmarks[/.][\w/.]+"
ANYWHERE = {"--help", "--version", "--debug", "--preset"}
GROUPS = {"dataset": dataset, "zoo": zoo}  # commands of commands
# Groups of options and examples of names; options of git and of mlflow.
_OTHERS = {"--config", "--outer.inner", "--lr"}
_OTHERS |= {"--always", "--dirty", "--abbrev", "--backend-store-uri"}
_PLACEHOLDER = re.compile(r"X|[A-Z][A-Z_|.]*|\.\.\.?|\$\(?\w+\)?|<.*>|\{.*\}")
_OPTION = re.compile(r"(?<![\w{;-])(?<!var\()--[a-z][a-z-]*(?:\.[a-z][\w-]*)?(?![\w:-])")
_TEXTS = list(texts())


class Parsed(Exception):
    """Words have been read as `form`; what follows is not done."""

    def __init__(self, form: type) -> None:
        self.form = form


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands end where their words have been read."""
    read = tyro.cli

    def cli(form: type, args: Any, **rest: Any) -> None:
        read(form, args=args, **rest)
        raise Parsed(form)

    monkeypatch.setattr(tyro, "cli", cli)


@functools.cache
def subcommands(group: str) -> set[str]:
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("builtins.print", lambda text: said.append(text))
        GROUPS[group](["--help"])
    return set(re.findall(r"^  ([\w-]+) ", said[-1], re.M))


@functools.cache
def options(*path: str) -> set[str]:
    """Options of a command, with those of the configs of all algorithms for `train`."""
    if len(path) == 1 and path[0] in GROUPS:
        return set().union(*(options(*path, name) for name in subcommands(*path)))
    found = set(ANYWHERE)
    with pytest.MonkeyPatch.context() as patch:

        def cli(form: type, **rest: Any) -> None:
            raise Parsed(form)

        patch.setattr(arguments.tyro, "cli", cli)
        for name in algorithms() if path == ("train",) else ("X",):
            with pytest.raises(Parsed) as caught:
                run([*path, name])
            found |= set(arguments.options(caught.value.form))
    return found


def parse(words: list[str]) -> None:
    """Read a command line without acting on it. Raises UsageError."""
    if words[-1] in ("--help", "-h"):
        words = words[:-1]
    try:
        run(words)
    except Parsed:
        return


def filled(words: list[str]) -> list[str]:
    """With values for placeholders, and what is optional as if it were given."""
    found = [word.strip("[]") for word in words if word not in ("[options]", "...", "[...]")]
    found = [word.removesuffix("...") if word.endswith("...") else word for word in found]
    own = r"mine|[\w.]+\.\w+"  # an algorithm of the reader's
    if found[0] == "train" and (_PLACEHOLDER.fullmatch(found[1]) or re.fullmatch(own, found[1])):
        found[1] = "sac"
    out = []
    for word in found:
        name, equals, value = word.partition("=")
        if equals and _PLACEHOLDER.fullmatch(value):
            word = f"{name}=1"
        elif _PLACEHOLDER.fullmatch(word):
            word = "1"
        out.append("--config.lr" if word == "--config.FIELD" else word)
    if len(out) > 1 and out[-1].startswith("--") and words[-1] == "...":
        out.append("1")  # the value of the last option
    return out


def faults(line: Line) -> str:
    """What is wrong with a command of rlkit that is named; empty if nothing."""
    try:
        words = shlex.split(line.words)[1:]
    except ValueError:  # quotes of prose
        words = line.words.split()[1:]
    first = words[0]
    if first not in COMMANDS:
        wrong = line.whole or "--" in line.words  # else "rlkit reads ..." is a sentence
        return f"there is no command {first!r}" if wrong else ""
    path = [first]
    if first in GROUPS and len(words) > 1 and re.fullmatch("[a-z][a-z0-9-]*", words[1]):
        path.append(words[1])
        if words[1] not in subcommands(first):
            return f"there is no command '{first} {words[1]}'"
    if not line.whole:
        unknown = set(_OPTION.findall(line.words)) - options(*path)
        return f"no option {', '.join(sorted(unknown))}" if unknown else ""
    if "|" in words:  # a choice of commands
        known = COMMANDS if first not in GROUPS else subcommands(first)
        named = [word for word in words[len(path) - 1 :] if word != "|"]
        return "".join(f"there is no command {word!r} " for word in named if word not in known)
    if len(words) == len(path):  # its name alone
        return ""
    try:
        parse(filled(words))
    except UsageError as error:
        return str(error)
    return absent(words)


def absent(words: list[str]) -> str:
    """Files of the repository, budgets and recipes that a command names and that there are not."""
    for before, word in zip(["", *words], words, strict=False):
        ours = re.fullmatch(r"(benchmarks|examples|docs|tests)/[a-z0-9/_-]+\.\w+", word)
        if ours and before != "--out" and not (ROOT / word).exists():
            return f"there is no {word}"
        if re.fullmatch(r"rlkit/[a-z]+/[\w-]+", word) and word not in cards.all_recipes():
            return f"there is no recipe {word}"
    if words[0] in ("sweep", "report", "status") and (ROOT / words[1]).is_file():
        from rlkit.sweeps import sweep_file

        budget = words[words.index("--budget") + 1] if "--budget" in words else "full"
        try:
            sweep_file.check_budget(sweep_file.parse(ROOT / words[1]), budget, ROOT / words[1])
        except UsageError as error:
            return str(error)
    return ""


# --- what is named ------------------------------------------------------------------------------
def test_commands_that_are_named_exist() -> None:
    found = [line for text in _TEXTS for line in lines(RLKIT, text)]
    whole = [line for line in found if line.whole]
    assert len(whole) > 50
    assert len(found) - len(whole) > 20
    assert {"README.md", "Makefile"} <= {line.where for line in whole}
    wrong = [f"{line.where}: {line.words}: {why}" for line in found if (why := faults(line))]
    assert not wrong, "\n".join(wrong)


_ROOMS = {  # what a message of a room may advise, where it names no command
    "rlkit/cli/bandit_command.py": ("bandit",),
    "rlkit/cli/dataset_commands.py": ("dataset",),
    "rlkit/cli/dataset_files.py": ("dataset",),
    "rlkit/cli/report_command.py": ("report", "compare"),
    "rlkit/cli/runs_command.py": ("compare", "plot", "train"),
    "rlkit/cli/solve_command.py": ("solve",),
    "rlkit/cli/watch_commands.py": ("video", "watch"),
    "rlkit/cli/zoo_command.py": ("zoo",),
    "rlkit/zoo/": ("zoo",),
    "rlkit/cli/sweep_command.py": ("sweep", "status"),
    "rlkit/cli/arguments.py": ("train", "resume", "eval", "export", "solve", "dataset"),
    "rlkit/cli/": ("train", "resume", "eval", "export"),
    "rlkit/sweeps/": ("sweep", "status"),
    "rlkit/reports/": ("report", "compare", "watch"),
    "rlkit/data/": ("dataset", "train", "eval", "resume", "export"),
    "rlkit/": ("train", "resume", "eval", "export", "dataset"),
}


def test_options_that_messages_and_docstrings_advise_exist() -> None:
    wrong, count = [], 0
    for where, text, is_string in _TEXTS:
        if not (is_string and where.startswith("rlkit/")):
            continue
        room = next(room for room in _ROOMS if where.startswith(room))
        for match in _OPTION.finditer(text):
            before = text[: match.start()].rpartition("\n\n")[2]
            named = re.findall(rf"\b({'|'.join(COMMANDS)})(?: [A-Z][A-Z|]*)* $", before)
            named = named or re.findall(rf"\brlkit ({'|'.join(COMMANDS)})\b", before)[-1:]
            count += match[0] not in _OTHERS
            if match[0] not in _OTHERS and not any(
                match[0] in options(c) for c in named or _ROOMS[room]
            ):
                wrong.append(f"{where}: {match[0]} of {named or _ROOMS[room]}: {text!r}")
    assert count > 40
    assert not wrong, "\n".join(wrong)


def test_scripts_of_benchmarks_that_are_named_take_what_they_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = argparse.ArgumentParser.parse_args

    class Read(Exception):
        pass

    def parse_args(self: argparse.ArgumentParser, *args: Any) -> None:
        raise Read(read(self, *args))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    found = {line.words: line.where for text in _TEXTS for line in lines(SCRIPT, text)}
    wrong, modules = [], dict[Path, dict[str, Any]]()
    for words, where in found.items():
        script, *rest = words.split()[1:]
        path = ROOT / script
        if not path.is_file():
            wrong.append(f"{where}: {words}: there is no {script}")
            continue
        if path not in modules:
            monkeypatch.syspath_prepend(str(path.parent))
            modules[path] = runpy.run_path(str(path))
        rest = ["1" if _PLACEHOLDER.fullmatch(word) else word for word in rest]
        monkeypatch.setattr(sys, "argv", [script, *rest])
        try:
            modules[path]["main"]()
        except Read as stop:
            names = [name for name in getattr(stop.args[0], "names", []) if name != "1"]
            known = {*modules[path].get("CLAIMS", names), "all"}
            wrong += [f"{where}: {words}: no {name!r}" for name in names if name not in known]
        except SystemExit:
            wrong.append(f"{where}: {words}: not its arguments")
    assert len(found) > 30
    assert not wrong, "\n".join(wrong)


def test_chores_that_are_named_are_in_the_makefile() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    pattern = r"(?:`|^    |^\$ )make ([a-z-]+)(?:`|$| [A-Z]+=)"
    named = {
        (text.where, name)
        for text in _TEXTS
        if text.where != "Makefile"
        for name in re.findall(pattern, text.text, re.M)
    }
    assert ("README.md", "demo") in named
    assert not {one for one in named if one[1] not in known}


# --- that the checks can fail -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("see `rlkit trian sac --env X`", "no command 'trian'"),
        ("    rlkit train sac --env Hopper-v5 --learning-rate 1\n", "unknown option"),
        ("```bash\nrlkit resume runs/NAME --checkpoint STEP\n```", "unknown option '--checkpoint'"),
        ("    rlkit dataset built NAME", "no command 'dataset built'"),
        ("`rlkit train nothing --env X`", "unknown algorithm 'nothing'"),
        ("`rlkit train | resum`", "no command 'resum'"),
        ("go on with rlkit resume RUN --checkpoint 3 if you like", "no option --checkpoint"),
        ("`rlkit dataset build rlkit/hopper/medium-v9`", "no recipe"),
        ("`rlkit sweep benchmarks/bandits.toml --budget tiny`", "no budget 'tiny'"),
        ("`rlkit sweep benchmarks/nothing.toml`", "there is no benchmarks/nothing.toml"),
        ("`rlkit train sac --steps many`", "whole number"),
    ],
)
def test_what_does_not_exist_is_found(text: str, why: str) -> None:
    (line,) = lines(RLKIT, Text("some.md", text, False))
    assert why in faults(line)


@pytest.mark.parametrize(
    "text",
    [
        "`rlkit train NAME [options]`",
        "    rlkit train sac --env Hopper-v5 --steps 2e5   # half an hour\n",
        "`rlkit resume DIR [--steps N]` and rlkit shares nothing",
        "`rlkit plot RUN... [--out FILE]`",
        "`rlkit dataset build | list | show`",
    ],
)
def test_what_exists_passes(text: str) -> None:
    assert not any(faults(line) for line in lines(RLKIT, Text("some.md", text, False)))
