"""Commands and names that pages tell exist: those of pages that are made, too."""

from __future__ import annotations

import dataclasses
import importlib
import re

import command_pages

from rlkit.cli.arguments import options
from rlkit.cli.main import COMMANDS
from rlkit.run.settings import fits
from rlkit.sweeps import sweep_file

from ..cli.named_commands import Text, lines
from ..cli.test_named_commands import RLKIT, faults
from ..cli.test_named_commands import reading as reading  # ends commands where they are read
from .pages import DOCS, ROOT, pages, written

# Names in the code of other libraries' pages, and places that a reader fills in.
_NOT_OURS = re.compile(r"rlkit/|rlkit\.(?:onnx|toml)")


def test_commands_of_pages_that_are_made_exist() -> None:
    """Those of pages written by hand are looked at with the README's."""
    found = [
        line
        for name, text in pages().items()
        if name not in written() and not name.startswith("reference/") and name != "changelog.md"
        for line in lines(RLKIT, Text(name, re.sub(r"\?\?\? note.*", "", text, flags=re.S), False))
    ]
    assert {f"algorithms/{name}.md" for name in fits.algorithms()} <= {line.where for line in found}
    wrong = [f"{line.where}: {line.words}: {why}" for line in found if (why := faults(line))]
    assert not wrong, "\n".join(wrong)


def _exists(dotted: str) -> bool:
    """Whether a dotted name can be had by importing and asking."""
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ImportError:
            continue
        try:
            for part in parts[count:]:
                found = getattr(found, part)
        except AttributeError:
            return False
        return True
    return False


def test_names_of_ours_that_pages_tell_exist() -> None:
    told = {
        (name, dotted)
        for name, text in written().items()
        for dotted in re.findall(r"`(rlkit(?:\.\w+)+)[`(]", text)
        if not _NOT_OURS.match(dotted)
    }
    assert len(told) > 12
    assert not {(name, dotted) for name, dotted in told if not _exists(dotted)}


def test_files_of_the_repository_that_pages_tell_exist() -> None:
    pattern = r"`((?:examples|benchmarks|tests|docs|rlkit)/[\w/-]+\.(?:py|md|toml))`"
    told = {(name, path) for name, text in pages().items() for path in re.findall(pattern, text)}
    assert ("coming-from.md", "examples/callback.py") in told
    assert not {(name, path) for name, path in told if not (ROOT / path).exists()}
    assert (DOCS / "assets/katex/katex.min.js").exists()


def test_settings_that_the_tables_of_words_tell_exist() -> None:
    known: set[str] = set()
    for name in fits.algorithms():
        config = importlib.import_module(f"rlkit.algos.{name}").Config
        known |= {field.name for field in dataclasses.fields(config)}
    text = written()["coming-from.md"]
    told = set(re.findall(r"`(?:--)?config\.([\w-]+)`", text))
    assert len(told) > 15
    assert {name.replace("-", "_") for name in told} <= known


def test_the_page_of_the_command_line_has_every_option_of_every_command() -> None:
    found = command_pages.commands()
    told = {one.name.split()[1] for one in found} | {"train"}
    assert told == set(COMMANDS)
    for one in found:
        module, _, form = one.form.partition(".")
        kind = getattr(importlib.import_module(f"rlkit.cli.{module}"), form)
        known = {option.name for option in one.options if not option.positional}
        assert known == set(options(kind)) - {"--help"}, one.name
        made = {field.name: field for field in dataclasses.fields(kind)}
        assert len(made) == len(one.options)
        for option, field in zip(one.options, made.values(), strict=True):
            assert option.help, (one.name, option.name)
            assert option.required == (field.default is dataclasses.MISSING)
            assert option.required or eval(option.default) == field.default
    page = written()["reference/command-line.md"]
    assert all(f"`rlkit {name}" in page for name in COMMANDS)


def test_the_reference_of_sweep_files_has_every_key_and_every_option() -> None:
    page = written()["how-to/sweep-files.md"]
    for key in sweep_file.TOP:
        assert re.search(rf"\[?\[?\b{key}\b", page), key
    (sweep,) = [one for one in command_pages.commands() if one.name == "rlkit sweep"]
    for option in sweep.options:
        told = option.name in page or option.name in ("--quiet", "--keep-going")
        assert told or option.positional, option.name
