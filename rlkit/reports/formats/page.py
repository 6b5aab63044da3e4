"""A report as one HTML page that needs nothing besides itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from rlkit.reports.cells import System
from rlkit.reports.curves import Picture
from rlkit.reports.findings import Findings
from rlkit.reports.formats import charts
from rlkit.reports.formats.style import CSS
from rlkit.reports.results import RUNS
from rlkit.reports.sheets import (
    Configuration,
    Entry,
    Links,
    Sheet,
    decimals,
    last_return,
    versions,
)

_OPEN = 60  # a longer list of runs or differences is folded
_FOLDERS = 12  # named behind a version before "and 7 more"


class Parts(NamedTuple):
    """What a report is made of, whatever it is written in."""

    title: str
    summary: str
    notices: list[str]
    found: Findings
    links: Links
    totals: Sheet
    tables: list[Sheet]
    improvement: Sheet
    differences: Sheet
    gaps: Sheet
    frequencies: Sheet
    total_pictures: list[Picture]
    task_pictures: list[Picture]
    configurations: dict[System, Configuration]
    how: list[str]


def page(parts: Parts) -> str:
    """The whole page."""
    found, links = parts.found, parts.links
    sections: list[tuple[str, str, str]] = []
    numbers = {system: i for i, system in enumerate(found.drawn)}
    if parts.totals.rows:
        pictures = [charts.lines(p, numbers) for p in parts.total_pictures]
        body = table(parts.totals) + figures(_interval_charts(parts))
        body += legend(found.drawn) + figures(pictures) if pictures else ""
        sections.append(("totals", "Over all tasks", body))
    if parts.improvement.rows:
        sections.append(("improvement", parts.improvement.title, table(parts.improvement)))
    sections.append(("tasks", "By task", _tasks(parts, numbers)))
    if parts.differences.rows:
        body = table(parts.differences)
        body = folded(
            f"{len(parts.differences.rows)} differences", body, len(parts.differences.rows)
        )
        sections.append(("differences", parts.differences.title, body))
    for name, sheet in (("gaps", parts.gaps), ("frequencies", parts.frequencies)):
        if sheet.rows:
            sections.append((name, sheet.title, table(sheet)))
    sections.append(("configurations", "Configurations", _configurations(parts)))
    sections.append(("versions", "Versions and hardware", _versions(parts)))
    sections.append(("runs", "Runs", _runs(parts)))
    if found.results.damaged:
        rows: list[tuple[Entry, ...]] = [
            (Entry(name, href=links.run(name)), Entry(why)) for name, why in found.results.damaged
        ]
        sheet = Sheet("damaged", "", ("Folder", "what is wrong"), rows, names=2)
        sections.append(("damaged", "Run folders that cannot be read", table(sheet)))
    how = "".join(f"<p>{escape(text)}</p>" for text in parts.how)
    sections.append(("how", "How to read this", how))
    return document(parts.title, parts.summary, parts.notices, sections)


def document(
    title: str, summary: str, notices: Sequence[str], sections: Sequence[tuple[str, str, str]]
) -> str:
    """A whole page of sections (anchor, title, HTML), with what to know of it before them."""
    nav = "".join(f'<a href="#{key}">{escape(head)}</a>' for key, head, _ in sections)
    warned = "".join(f"<li>{escape(text)}</li>" for text in notices)
    notes = f'<aside class="notes"><ul>{warned}</ul></aside>' if warned else ""
    body = "".join(
        f'<section id="{key}"><h2>{escape(head)}</h2>{text}</section>'
        for key, head, text in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{charts.style()}{CSS}</style></head>\n<body>"
        f"<header><h1>{escape(title)}</h1><p>{escape(summary)}</p></header>{notes}"
        f"<nav>{nav}</nav><main>{body}</main></body></html>\n"
    )


def table(sheet: Sheet) -> str:
    """A sheet in a frame that scrolls sideways where the window is narrow."""
    columns = range(len(sheet.head))
    aside = [any(row[k].aside for row in sheet.rows) for k in columns]
    head = "".join(
        f'<th scope="col"{_span(aside[k])}{_class(k < sheet.names)}>{escape(sheet.head[k])}</th>'
        for k in columns
    )
    rows = "".join(
        "<tr>" + "".join(_cell(row[k], k, sheet, aside[k]) for k in columns) + "</tr>\n"
        for row in sheet.rows
    )
    note = f'<p class="note">{escape(sheet.note)}</p>' if sheet.note else ""
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{rows}</tbody></table></div>{note}"
    )


def _cell(entry: Entry, column: int, sheet: Sheet, aside: bool) -> str:
    text = escape(entry.text)
    if entry.strong:
        text = f"<b>{text}</b>"
    if entry.href:
        text = f'<a href="{escape(entry.href)}">{text}</a>'
    tone = f" {entry.tone}" if entry.tone else ""
    if column < sheet.names:
        tag = "th scope=row" if column == 0 else "td"
        return f'<{tag} class="l{tone}">{text}</{tag.split()[0]}>'
    note = f'<td class="i{tone}">{escape(entry.aside)}</td>' if aside else ""
    return f'<td class="n{tone}">{text}</td>{note}'


def _span(aside: bool) -> str:
    return " colspan=2" if aside else ""


def _class(name: bool) -> str:
    return ' class="l"' if name else ""


def figures(pictures: Iterable[str]) -> str:
    """Pictures side by side, as many as fit."""
    inner = "".join(f"<figure>{svg}</figure>" for svg in pictures)
    return f'<div class="figures">{inner}</div>' if inner else ""


def folded(summary: str, body: str, rows: int) -> str:
    """`body`, behind its summary when it is long."""
    if rows <= _OPEN:
        return body
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def legend(systems: Sequence[System]) -> str:
    """Line samples with the systems' names, the same for all pictures."""
    samples = []
    for k, system in enumerate(systems):
        colour, dash = charts.ink(k)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        samples.append(
            f'<span><svg viewBox="0 0 26 8" width="26" height="8" aria-hidden="true"><path '
            f'd="M0 4H26" stroke="{colour}" stroke-width="2.5"{dashed}/></svg>'
            f"{escape(system.label)}</span>"
        )
    return f'<p class="legend">{"".join(samples)}</p>'


def _interval_charts(parts: Parts) -> list[str]:
    """One for each estimate over tasks; none of a single system, whose row says it all."""
    numbers = {system: i for i, system in enumerate(parts.found.drawn)}
    shown = [total for total in parts.found.totals if total.system in numbers]
    if len(shown) < 2:
        return []
    return [
        charts.intervals(
            f"{name[0].upper()}{name[1:]}",
            [(t.system.label, t.estimates[name], numbers[t.system]) for t in shown],
        )
        for name in shown[0].estimates
    ]


def _tasks(parts: Parts, numbers: dict[System, int]) -> str:
    """Tables by task, each beside its curves."""
    out = [legend(parts.found.drawn)] if parts.task_pictures else []
    if len(parts.found.drawn) < len(parts.found.results.systems):
        out.append(
            f'<p class="note">Curves are of {len(parts.found.drawn)} systems: those with the best '
            "mean rank, and the baseline. Tables have all.</p>"
        )
    for sheet, of_task in zip(parts.tables, parts.found.tables, strict=True):
        pictures = [charts.lines(p, numbers) for p in parts.task_pictures if p.task == of_task.task]
        out.append(
            f'<article id="{sheet.key}"><h3>{escape(sheet.title)}</h3>'
            f'<div class="pair"><div>{table(sheet)}</div>{figures(pictures)}</div></article>'
        )
    out.append(
        '<p class="note">Small: Student’s t intervals (95 %) of the mean over seeds. Bold: higher '
        "than every other system, each difference resolved. Curves: mean over seeds with 95 % "
        "bootstrap bands that draw whole runs.</p>"
    )
    return "".join(out)


def _configurations(parts: Parts) -> str:
    results = parts.found.results
    out = []
    for system, (common, by_task) in parts.configurations.items():
        inner = table(plain(("Option", "value"), common.items())) if common else ""
        if by_task:
            tasks = [t for t in results.tasks if any(t in values for values in by_task.values())]
            rows = [
                (name, *(values.get(task, "–") for task in tasks))
                for name, values in by_task.items()
            ]
            inner += "<h4>Differing by task</h4>" + table(plain(("Option", *tasks), rows))
        inner = inner or "<p>Nothing is recorded.</p>"
        out.append(f"<details><summary>{escape(system.label)}</summary>{inner}</details>")
    return "".join(out)


def plain(head: tuple[str, ...], rows: Iterable[Sequence[str]]) -> Sheet:
    """A sheet of text alone."""
    entries = [tuple(Entry(text) for text in row) for row in rows]
    return Sheet("", "", head, entries, names=len(head))


def _versions(parts: Parts) -> str:
    common, differing = versions(parts.found.results)
    out = ""
    if differing:
        rows = []
        for name, by_value in differing.items():
            for value, folders in by_value.items():
                more = len(folders) - _FOLDERS
                links = ", ".join(
                    f'<a href="{escape(parts.links.run(f))}">{escape(f)}</a>'
                    for f in folders[:_FOLDERS]
                ) + (f" and {more} more" if more > 0 else "")
                rows.append(
                    f'<tr><th scope=row class="l">{escape(name)}</th><td class="l">{escape(value)}'
                    f'</td><td class="n">{len(folders)}</td><td class="l w">{links}</td></tr>\n'
                )
        head = (
            '<th class="l">Entry</th><th class="l">value</th><th>runs</th><th class="l">which</th>'
        )
        out += (
            "<p>Runs differ in these entries; numbers made with different versions may differ for "
            f'that reason alone.</p><div class="scroll"><table><thead><tr>{head}</tr></thead>'
            f"<tbody>\n{''.join(rows)}</tbody></table></div>"
        )
    if common:
        what = "Alike in all runs" if differing else "All runs were made with"
        inner = table(plain(("Entry", "value"), common.items()))
        out += f"<details><summary>{what}</summary>{inner}</details>"
    return out or "<p>Nothing is recorded.</p>"


def _runs(parts: Parts) -> str:
    """Every run folder with its seeds and their last returns."""
    results, links = parts.found.results, parts.links
    total = len({cell.run.name for cell in results.cells})
    out = []
    for system in results.systems:
        rows = []
        for task in results.tasks:
            cells = results.all(system, task)
            digits = decimals(c.final for c in cells if len(c.returns))
            for k, run in enumerate(results.runs(system, task)):
                own = [c for c in cells if c.run.name == run.name]
                anchor = f' id="{links.anchor(system, task)}"' if k == 0 else ""
                finals = " · ".join(f"<i>{c.seed}</i> {last_return(c, digits)}" for c in own)
                rows.append(
                    f'<tr{anchor}><th scope=row class="l">{escape(task)}</th><td class="l">'
                    f'<a href="{escape(links.run(run.name))}">{escape(run.name)}</a></td>'
                    f'<td class="n">{run.steps:,}</td><td class="l w">{finals}</td></tr>\n'
                )
        if not rows:
            continue
        head = '<th class="l">Task</th><th class="l">run folder</th><th>steps</th>'
        head += '<th class="l"><i>seed</i> last return</th>'
        inner = (
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{"".join(rows)}'
            "</tbody></table></div>"
        )
        opened = " open" if total <= _OPEN else ""
        out.append(
            f'<details{opened} id="{links.anchor(system)}"><summary>{escape(system.label)}'
            f"</summary>{inner}</details>"
        )
    where = f'<p class="note">Folders stand under <code>{escape(RUNS)}/</code> of the sweep.</p>'
    return "".join(out) + where
