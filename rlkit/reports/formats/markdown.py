"""A report as Markdown: the same tables and pictures, for a repository or a pull request."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from rlkit.reports.curves import Picture
from rlkit.reports.formats.page import Parts
from rlkit.reports.sheets import Entry, Sheet, decimals, last_return, versions


def markdown(parts: Parts, pictures: Mapping[tuple[str, str], str]) -> str:
    """The whole text; `pictures` gives the file of a picture, by its title and x label."""
    found, links = parts.found, parts.links
    results = found.results
    out = [f"# {plain(parts.title)}", plain(parts.summary)]
    if parts.notices:
        out.append("\n".join(f"> - {plain(text)}" for text in parts.notices))
    if parts.totals.rows:
        out += ["## Over all tasks", table(parts.totals)]
        out += [_picture(p, pictures) for p in parts.total_pictures]
    if parts.improvement.rows:
        out += [f"## {parts.improvement.title}", table(parts.improvement)]
    out.append("## By task")
    for sheet, of_task in zip(parts.tables, found.tables, strict=True):
        out += [f"### {plain(sheet.title)}", table(sheet)]
        out += [_picture(p, pictures) for p in parts.task_pictures if p.task == of_task.task]
    if parts.differences.rows:
        out += [f"## {plain(parts.differences.title)}", table(parts.differences)]
    for sheet in (parts.gaps, parts.frequencies):
        if sheet.rows:
            out += [f"## {sheet.title}", table(sheet)]
    out.append("## Configurations")
    for system, (common, by_task) in parts.configurations.items():
        lines = [f"{name} = {value}" for name, value in common.items()]
        lines += [
            f"{name} = {value}  ({task})"
            for name, values in by_task.items()
            for task, value in values.items()
        ]
        out.append(f"<details><summary>{plain(system.label)}</summary>\n")
        out.append("\n".join(["```text", *lines, "```\n\n</details>"]))
    out.append("## Versions and hardware")
    common, differing = versions(results)
    same = [f"- {plain(name)}: {plain(value)}" for name, value in common.items()]
    apart = [
        f"- **{plain(name)}** differs: "
        + ", ".join(f"{plain(value)} ({len(names)} runs)" for value, names in by_value.items())
        for name, by_value in differing.items()
    ]
    out.append("\n".join([*apart, *same]) or "Nothing is recorded.")
    out.append("## Runs")
    for system in results.systems:
        lines = [f'<a id="{links.anchor(system)}"></a>**{plain(system.label)}**\n']
        for task in results.tasks:
            cells = results.all(system, task)
            digits = decimals(c.final for c in cells if len(c.returns))
            for k, run in enumerate(results.runs(system, task)):
                anchor = f'<a id="{links.anchor(system, task)}"></a>' if k == 0 else ""
                finals = ", ".join(
                    f"seed {c.seed}: {last_return(c, digits)}"
                    for c in cells
                    if c.run.name == run.name
                )
                name = f"[{plain(run.name)}]({links.run(run.name)})"
                lines.append(f"- {anchor}{plain(task)}: {name}, {run.steps:,} steps; {finals}")
        out.append("\n".join(lines))
    if results.damaged:
        out.append("## Run folders that cannot be read")
        out.append("\n".join(f"- {plain(name)}: {plain(why)}" for name, why in results.damaged))
    out += ["## How to read this", *parts.how]
    return "\n\n".join(out) + "\n"


def table(sheet: Sheet) -> str:
    """A sheet as a pipe table, with its note under it."""
    rule = ["---" if k < sheet.names else "---:" for k in range(len(sheet.head))]
    lines = [[plain(text) for text in sheet.head], rule, *(map(_entry, row) for row in sheet.rows)]
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{text}\n\n{plain(sheet.note)}" if sheet.note else text


def _entry(entry: Entry) -> str:
    text = plain(entry.text)
    if entry.strong:
        text = f"**{text}**"
    if entry.href and text:
        text = f"[{text}]({entry.href})"
    return f"{text} <sub>{escape(entry.aside)}</sub>" if entry.aside else text


def _picture(picture: Picture, pictures: Mapping[tuple[str, str], str]) -> str:
    path = pictures[picture.title, picture.x_label]
    return f"![{plain(picture.title)}: {plain(picture.y_label)}]({path})"


def plain(text: str) -> str:
    """`text` without anything that Markdown or HTML would act on."""
    for sign, safe in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|")):
        text = text.replace(sign, safe)
    for sign in "*_`[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
