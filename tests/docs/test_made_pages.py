"""Pages that are made say what the code says; the check of the built site finds what it must."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import algorithm_pages
import breaks
import outside
import pytest
import reference_pages
import sources

from rlkit.core.words.ranges import declared, range_of
from rlkit.run.settings import fits
from rlkit.run.settings.options import Options

from . import pages


def test_all_algorithms_have_a_page() -> None:
    assert sources.algorithms() == fits.algorithms()
    index = algorithm_pages.index()
    for name in fits.algorithms():
        assert sources.title(name) == fits.title(name)
        assert f"]({name}.md)" in index


@pytest.mark.parametrize("name", fits.algorithms())
def test_the_settings_of_a_page_are_those_of_the_config(name: str) -> None:
    module = importlib.import_module(f"rlkit.algos.{name}")
    shown = sources.settings(sources.ALGOS / f"{name}.py")
    made = module.Config()
    assert [one.name for one in shown] == [f.name for f in dataclasses.fields(module.Config)]
    for one in shown:
        assert eval(one.default) == getattr(made, one.name), one.name
        assert one.remark, f"{one.name} has no comment"
        if (allowed := range_of(declared(module.Config)[one.name])) is not None:
            low = allowed.low
            assert f"{low:g}" in one.allowed or low == float("-inf"), one
    page = algorithm_pages.page(name)
    for preset, (config, run) in getattr(module, "PRESETS", {}).items():
        (row,) = re.findall(rf"^\| `{preset}` \| (.+) \|$", page, re.M)
        assert all(f"{key} = {value!r}" in row for key, value in (config | run).items())


def test_equations_of_a_page_have_the_numbers_that_its_file_has() -> None:
    for path in sorted((pages.DOCS / "algorithms").glob("*.md")):
        tags = set(re.findall(r"\\tag\{(\d+)\}", path.read_text(encoding="utf-8")))
        text = sources.docstring(sources.ALGOS / f"{path.stem}.py")
        numbered = set(re.findall(r"^ +\((\d+)\) ", text, re.M))
        assert tags <= numbered, path.stem
        assert tags or path.stem in ("bc", "wsrl", "ravl"), path.stem


def test_a_page_shows_the_records_of_its_algorithm() -> None:
    """Those that the page of systems names for its file, and those that bear a part of its name."""
    systems = (pages.DOCS / "systems.md").read_text(encoding="utf-8")
    told = re.findall(r"<br>`(\w+)\.py` \|[^|]*\| `([\w-]+)` \|", systems)
    of_algorithms = [(name, record) for name, record in told if name in fits.algorithms()]
    assert ("decision_transformer", "systems-dt") in of_algorithms
    for name, record in [*of_algorithms, ("lipschitz_model", "learning-lipschitz-pendulum")]:
        assert f"](../results.md#{record})" in algorithm_pages.page(name), (name, record)
    assert "systems-dt" not in algorithm_pages.page("td3")
    assert "systems-history" not in algorithm_pages.page("cql")


def test_the_options_of_a_run_are_all_there() -> None:
    page = reference_pages.options()
    for field in dataclasses.fields(Options):
        assert f"\n| `{field.name}` | " in page, field.name


def test_the_reference_has_what_packages_list() -> None:
    for package in reference_pages.PACKAGES:
        module = importlib.import_module(package)
        listed = {name for name in dir(module) if not name.startswith("_")}
        assert reference_pages.public(package).keys() <= listed, package


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<script src="https://cdn.example/x.js"></script>', ["https://cdn.example/x.js"]),
        ('<link rel="stylesheet" href="//fonts.example/f.css">', ["//fonts.example/f.css"]),
        ("<style>@import 'https://x.example/a.css';</style>", ["https://x.example/a.css"]),
        ('<p style="background: url(https://x.example/b.png)">', ["https://x.example/b.png"]),
        ('<a href="https://minari.farama.org">Minari</a>', []),
        ('<link rel="canonical" href="https://x.example/">', []),
    ],
)
def test_what_a_page_loads_is_found(text: str, found: list[str]) -> None:
    assert outside.loaded(text) == found


def test_a_site_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@font-face { src: url(fonts/x.woff2) }")
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="a.css"><script src="https://cdn.example/x.js"></script>'
    )
    assert outside.faults(tmp_path) == [
        "a.css loads fonts/x.woff2, which is not there",
        "index.html loads https://cdn.example/x.js",
    ]


def test_what_ships_with_the_site_is_whole() -> None:
    """KaTeX and its fonts lie beside its style sheet."""
    assert not outside.faults(pages.DOCS / "assets")
    assert (pages.DOCS / "assets/katex/LICENSE").exists()


@pytest.mark.parametrize(
    ("html", "made"),
    [
        (
            "<td><code>rlkit.algos.bandits.open_bandit</code></td>",
            "<td><code>rlkit.<wbr>algos.<wbr>bandits.<wbr>open_<wbr>bandit</code></td>",
        ),
        (
            "<td><code>ScoreEstimatorOfMany</code></td>",
            "<td><code>Score<wbr>Estimator<wbr>Of<wbr>Many</code></td>",
        ),
        (
            "<td><code>open(name=&quot;examples/call_back.py&quot;)</code></td>",
            "<td><code>open(<wbr>name=&quot;examples/<wbr>call_<wbr>back.py&quot;)</code></td>",
        ),
        ("<td><code>learn_alpha</code></td>", "<td><code>learn_alpha</code></td>"),
        (
            "<p><code>rlkit.algos.bandits.logs</code></p>",
            "<p><code>rlkit.algos.bandits.logs</code></p>",
        ),
    ],
)
def test_long_names_in_tables_may_break_and_nothing_else(html: str, made: str) -> None:
    assert breaks.breakable(html) == made
    assert breaks.breakable(html).replace("<wbr>", "") == html
