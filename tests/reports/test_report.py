"""The report as written: well formed, self-contained, each number leading to its runs."""

from __future__ import annotations

import csv
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rlkit.eval import statistics as st
from rlkit.eval.statistics import Band, Interval
from rlkit.reports.cells import System
from rlkit.reports.curves import Line, Picture
from rlkit.reports.formats import charts
from rlkit.reports.report import write_report
from rlkit.reports.results import read
from rlkit.reports.sheets import decimals, number

from .run_folders import run_folder

ODD = "a<b>&\"c' | *x* [y]"
RNG = np.random.default_rng(3)
FINALS = RNG.normal([[100.0], [900.0]], 20.0, (2, 4)).round(2)  # [system, seed]


class Page(HTMLParser):
    """Tags in balance, what they link to, what text each table cell holds."""

    VOID = {"meta", "link", "br", "hr", "img", "input"}

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[tuple[str, str]] = []  # href, text
        self.sources: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if tag == "a":
            self.links.append((str(values["href"]), ""))
        self.sources += [str(values[k]) for k in ("src", "srcset", "data") if values.get(k)]
        assert tag not in ("script", "iframe", "link", "object")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)
        if "a" in self.open:
            href, text = self.links[-1]
            self.links[-1] = href, text + data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two systems on two tasks; one cell unfinished, one folder damaged, runs in two pieces."""
    root = tmp_path / "a sweep"
    for s, system in enumerate(("bc", "iql")):
        for task in ("hopper", ODD):
            returns = {seed: [0.0, 1.0, float(FINALS[s, seed])] for seed in range(3)}
            card = {"reference": [0.0, 1000.0], "steps": 30}
            run_folder(
                root, system, task, returns, spread=2.0, name=f"{system}-{len(task)}", **card
            )
            returns = {3: [0.0, 1.0, float(FINALS[s, 3])]}
            if (system, task) != ("iql", "hopper"):
                run_folder(root, system, task, returns, name=f"{system}-{len(task)} #2", **card)
            else:
                run_folder(root, system, task, {3: [5.0]}, name="begun", **card)
    (root / "runs" / "torn").mkdir()
    (root / "runs" / "torn" / "episodes.csv").touch()  # more than a start leaves
    return root


def check_links(page: Page, folder: Path) -> set[Path]:
    """Run folders linked to; every link leads somewhere."""
    runs = set()
    assert len(set(page.ids)) == len(page.ids)
    for href, _ in page.links:
        if href.startswith("#"):
            assert href[1:] in page.ids
        else:
            path = folder / unquote(href)
            assert path.is_dir(), href
            runs.add(path.resolve())
    return runs


def test_the_page_stands_alone_and_links_to_every_run(sweep: Path) -> None:
    out = sweep / "report"
    written = write_report(read(sweep), out)
    text = written.page.read_text(encoding="utf-8")
    page = Page(text)
    assert not page.sources
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)
    assert "url(" not in text
    assert "@import" not in text
    runs = check_links(page, out)
    assert runs == {path.resolve() for path in (sweep / "runs").iterdir()}
    assert "prefers-color-scheme:dark" in text
    assert "@media print" in text
    assert 'name="viewport"' in text


def test_every_number_of_a_table_is_a_link(sweep: Path) -> None:
    out = sweep / "report"
    text = write_report(read(sweep), out).page.read_text(encoding="utf-8")
    for section in ("totals", "improvement", "tasks"):
        body = text.partition(f'<section id="{section}">')[2].partition("</section>")[0]
        cells = re.findall(r'<td class="n[^"]*">(.*?)</td>', body)
        assert cells
        for cell in cells:
            assert cell in ("", "–") or "<a href=" in cell, cell
    shown = number(float(FINALS[0].mean()), 1)
    anchors = [href for href, words in Page(text).links if words == shown]
    assert len(anchors) == 2  # both tasks, each in two run folders: a place on the page
    assert all(href.startswith("#runs-0-") for href in anchors)
    iql = number(float(FINALS[1, :3].mean()), 1)
    assert iql in [words for _, words in Page(text).links]


def test_the_page_can_be_moved_with_the_sweep(sweep: Path, tmp_path: Path) -> None:
    text = write_report(read(sweep), sweep / "report").page.read_bytes()
    assert str(tmp_path).encode() not in text
    elsewhere = tmp_path / "else where" / "moved"
    shutil.copytree(sweep, elsewhere)
    check_links(Page((elsewhere / "report" / "report.html").read_text()), elsewhere / "report")
    # the same runs give the same bytes, wherever they stand
    assert write_report(read(elsewhere), elsewhere / "report").page.read_bytes() == text
    outside = tmp_path / "out" / "deep"
    write_report(read(sweep), outside)
    check_links(Page((outside / "report.html").read_text()), outside)


def test_names_are_escaped(sweep: Path) -> None:
    written = write_report(read(sweep), sweep / "report")
    text = written.page.read_text(encoding="utf-8")
    assert "<b>&" not in text
    assert "a&lt;b&gt;&amp;" in text
    assert ODD in Page(text).text
    markdown = written.text.read_text(encoding="utf-8")
    assert "a&lt;b&gt;&amp;\"c' \\| \\*x\\* \\[y\\]" in markdown
    assert ODD not in markdown.partition("## Configurations")[0]


def test_what_is_wrong_is_said_above_all(sweep: Path) -> None:
    written = write_report(read(sweep), sweep / "report")
    for path in (written.page, written.text):
        text = path.read_text(encoding="utf-8")
        top = text.partition("Over all tasks</h2>" if path.suffix == ".html" else "## Over all")[0]
        assert "torn (it has no cell.json)" in top
        assert "1 of 16 cells, of iql on hopper." in top
        assert "With 3 seeds a task" in top
    assert (
        "15 of 16 cells finished, 1 run folder cannot be read"
        in Page(written.page.read_text()).text
    )


def test_numbers_on_the_page_are_those_of_statistics(sweep: Path) -> None:
    written = write_report(read(sweep), sweep / "report")
    page = Page(written.page.read_text(encoding="utf-8")).text
    scores = np.repeat(FINALS[1, :3, None] / 1000, 2, axis=1)
    one = st.bootstrap_interval(scores, st.iqm, reps=10_000)
    assert f"{one.point:.3f} [{one.low:.3f}, {one.high:.3f}]" in page
    assert f"{st.optimality_gap(scores):.3f}" in page
    with written.tables[0].parent.joinpath("totals.csv").open() as file:
        rows = list(csv.DictReader(file))
    (iqm,) = [row for row in rows if (row["system"], row["estimate"]) == ("iql", "IQM")]
    assert_allclose(
        [float(iqm[k]) for k in ("point", "low", "high")], [one.point, one.low, one.high]
    )
    assert iqm["best"] == "1"


def test_csv_of_cells_is_complete_and_exact(sweep: Path) -> None:
    written = write_report(read(sweep), sweep / "report")
    with written.tables[0].parent.joinpath("cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16
    finals = {
        (row["system"], int(row["seed"])): float(row["return"])
        for row in rows
        if row["task"] == ODD
    }
    for s, system in enumerate(("bc", "iql")):
        for seed in range(4):
            assert_allclose(finals[system, seed], FINALS[s, seed], rtol=1e-12)
    (begun,) = [row for row in rows if row["finished"] == "0"]
    assert (begun["run"], begun["step"], begun["steps"]) == ("begun", "10", "30")


def test_markdown_links_and_pictures_exist(sweep: Path) -> None:
    out = sweep / "report"
    text = write_report(read(sweep), out).text.read_text(encoding="utf-8")
    places = set(re.findall(r'<a id="([^"]+)">', text))
    found = re.findall(r"\]\(([^)]+)\)", text)
    assert len(found) > 20
    for target in found:
        if target.startswith("#"):
            assert target[1:] in places
        else:
            assert (out / unquote(target)).exists(), target
    for row in re.findall(r"^\|.*\|$", text, re.MULTILINE):
        assert row.startswith("| ")
    assert len(list((out / "pictures").iterdir())) == 4  # all tasks, profile, one a task
    for picture in (out / "pictures").iterdir():
        root = ElementTree.fromstring(picture.read_text(encoding="utf-8"))
        assert root.tag.endswith("svg")
        assert "prefers-color-scheme:dark" in picture.read_text()


def test_pictures_of_an_earlier_report_go(sweep: Path) -> None:
    write_report(read(sweep), sweep / "report")
    for path in (sweep / "runs").iterdir():
        if path.name == "torn" or "hopper" not in (path / "cell.json").read_text():
            shutil.rmtree(path)
    write_report(read(sweep), sweep / "report")
    left = {path.name for path in (sweep / "report" / "pictures").iterdir()}
    assert left == {"00.svg", "01.svg"}  # the profile and the one task
    assert not list((sweep / "report").rglob("*.tmp"))


def test_one_seed_and_no_reference_make_a_report(tmp_path: Path) -> None:
    run_folder(tmp_path, "vi", "chain", {0: [3.0]}, unit="Sweeps", measure="value")
    written = write_report(read(tmp_path), tmp_path / "report")
    page = Page(written.page.read_text())
    assert "Every number rests on one seed" in page.text
    assert "no estimate over tasks" in page.text
    assert "mean value" in page.text
    assert "Over all tasks" not in page.text
    assert "nan" not in page.text
    assert "nan" not in written.text.read_text()
    check_links(page, tmp_path / "report")


def test_nothing_finished_makes_a_report(tmp_path: Path) -> None:
    run_folder(tmp_path, "iql", "hopper", {0: [3.0], 1: []}, steps=99)
    page = Page(write_report(read(tmp_path), tmp_path / "report").page.read_text())
    assert "Unfinished and in no table or curve: 2 of 2 cells" in page.text
    assert "0 of 2" in page.text
    assert "1 none (unfinished)" in page.text


def test_a_diverged_system_makes_a_report(tmp_path: Path) -> None:
    for system, last in (("a", 4.0), ("b", float("inf"))):
        returns = {0: [1.0, last], 1: [2.0, 5.0]}
        run_folder(tmp_path, system, "hopper", returns, reference=[0.0, 9.0])
    page = Page(write_report(read(tmp_path), tmp_path / "report").page.read_text())
    assert "– 1 diverged" in page.text
    assert "0 not finite" in page.text  # among the runs
    assert "nan" not in page.text


def test_configurations_are_whole_and_told_once(tmp_path: Path) -> None:
    for task, entropy in (("x", -3.0), ("y", -6.0)):
        options = {"config": {"gamma": 0.99, "hidden": [256, 256], "entropy": entropy}}
        run_folder(tmp_path, "sac", task, {0: [1.0]}, options=options)
    text = write_report(read(tmp_path), tmp_path / "report").page.read_text()
    body = text.partition('<section id="configurations">')[2].partition("</section>")[0]
    page = Page(body)
    assert page.text.count("config.gamma") == 1
    assert "config.hidden [256, 256]" in page.text
    assert "config.entropy -3.0 -6.0" in page.text.partition("Differing by task")[2]
    assert "env x y" in page.text


def test_versions_that_differ_are_pointed_out(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", "x", {0: [1.0]}, name="one")
    run_folder(tmp_path, "b", "x", {0: [1.0]}, name="two", versions={"torch": "2.12.0"})
    text = write_report(read(tmp_path), tmp_path / "report").page.read_text()
    body = Page(text.partition('<section id="versions">')[2].partition("</section>")[0])
    assert "torch 2.13.0 1 one torch 2.12.0 1 two" in body.text
    assert "cores 2" in body.text
    assert [href for href, _ in body.links] == ["../runs/one/", "../runs/two/"]


# --- pictures and numbers as text -----------------------------------------------------------------
def test_a_line_passes_through_its_points() -> None:
    system = System("a")
    x, y = np.array([10.0, 60.0, 110.0]), np.array([0.0, 1.0, 0.5])
    band = Band(y, y - 0.1, y + 0.1)
    picture = Picture("t", "steps", "return", [Line(system, x, band, 3)])
    root = ElementTree.fromstring(charts.lines(picture, {system: 0}))
    paths = [e for e in root.iter() if e.tag.endswith("path")]
    (line,) = [e for e in paths if e.get("fill") == "none"]
    points = np.array([p.split() for p in str(line.get("d"))[1:].split("L")], float)
    assert_allclose(np.diff(points[:, 0]), np.diff(points[:, 0])[0], atol=0.1)
    # heights fall as returns rise, in proportion; the grid says where 0 and 1 are
    down = points[0, 1] - points[1, 1]
    assert down > 50
    assert_allclose(points[0, 1] - points[2, 1], 0.5 * down, atol=0.15)
    labels = {e.text: float(str(e.get("y"))) for e in root.iter() if e.tag.endswith("text")}
    assert_allclose(labels["1.0"] - 4, points[1, 1], atol=0.2)
    assert_allclose(labels["0"] - 4, points[0, 1], atol=0.2)
    (around,) = [e for e in paths if e.get("fill-opacity")]
    edge = np.array([p.split() for p in str(around.get("d"))[1:-1].split("L")], float)
    assert_allclose(edge[:3, 1] - points[:, 1], 0.1 * down, atol=0.2)
    assert_allclose(points[::-1, 1] - edge[3:, 1], 0.1 * down, atol=0.2)


@pytest.mark.parametrize("height", [0.0, 0.5, -1234.0])
def test_a_level_line_stays_inside_its_picture(height: float) -> None:
    x, y = np.array([1.0, 2.0]), np.full(2, height)
    picture = Picture("t", "steps", "return", [Line(System("a"), x, Band(y, y, y), 3)])
    text = charts.lines(picture, {System("a"): 0})
    heights = [float(h) for h in re.findall(r"[ML][\d.-]+ ([\d.-]+)", text)]
    heights += [float(h) for h in re.findall(r' y="([\d.-]+)"', text)]
    assert min(heights) >= 0
    assert max(heights) <= charts.HEIGHT


def test_an_interval_without_bounds_is_a_dot() -> None:
    rows = [("a", Interval(1.0, np.nan, np.nan), 0), ("b", Interval(2.0, 1.5, 3.0), 1)]
    text = charts.intervals("IQM", rows)
    assert text.count("<circle") == 2
    assert text.count('stroke-width="5"') == 1
    assert "nan" not in re.sub(r"\[no interval: one run\]", "", text)
    ElementTree.fromstring(text)
    ElementTree.fromstring(charts.intervals("IQM", rows[:1]))


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.0, 1e5, ["0", "20k", "40k", "60k", "80k", "100k"]),
        (-2.0, 2.0, ["−2", "−1", "0", "1", "2"]),
        (-1500.0, -100.0, ["−1.5k", "−1k", "−500"]),
        (3.0, 3.0, ["2", "3", "4"]),
        (1e-7, 4e-7, ["1.00e−07", "2.00e−07", "3.00e−07", "4.00e−07"]),
    ],
)
def test_ticks_are_round(low: float, high: float, labels: list[str]) -> None:
    found = charts.ticks(low, high)
    assert [charts.tick_label(x, found[1] - found[0]) for x in found] == labels


def test_colours_repeat_with_another_dash() -> None:
    pairs = {charts.ink(k) for k in range(len(charts.LIGHT) * len(charts.DASHES))}
    assert len(pairs) == len(charts.LIGHT) * len(charts.DASHES)
    assert len(charts.LIGHT) == len(charts.DARK)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((12345.6, 1.0), ["12,346", "1"]),
        ((123.45, -7.0), ["123.5", "−7.0"]),
        ((1.234, -0.001), ["1.23", "0.00"]),
        ((0.1234, 0.00001), ["0.123", "1.0e−05"]),
        ((0.0, float("nan")), ["0.00", "not finite"]),
    ],
)
def test_numbers_have_digits_that_suit_their_column(
    values: tuple[float, ...], text: list[str]
) -> None:
    digits = decimals(values)
    assert [number(value, digits) for value in values] == text


@pytest.mark.parametrize("value", [0.0, 3.0, -0.1, 1e-300, 1e12])
def test_ticks_of_values_that_differ_by_rounding_alone(value: float) -> None:
    at = charts.ticks(value, float(np.nextafter(value, np.inf)))
    assert len(at) >= 2
    assert len({charts.tick_label(x, at[1] - at[0]) for x in at}) == len(at)
