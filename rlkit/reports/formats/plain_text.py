"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rlkit.reports.sheets import Entry, Sheet


def text_table(sheet: Sheet) -> str:
    """A sheet in columns, names to the left, numbers to the right, intervals behind them."""
    columns = range(len(sheet.head))
    texts = [max((len(row[k].text) for row in sheet.rows), default=0) for k in columns]
    asides = [max((len(row[k].aside) for row in sheet.rows), default=0) for k in columns]
    widths = [
        max(len(sheet.head[k]), texts[k] + (asides[k] + 1 if asides[k] else 0)) for k in columns
    ]

    def cell(entry: Entry, k: int) -> str:
        if k < sheet.names:
            return entry.text.ljust(widths[k])
        text = entry.text.rjust(widths[k] - (asides[k] + 1 if asides[k] else 0))
        return f"{text} {entry.aside:{asides[k]}}" if asides[k] else text

    head = [
        text.ljust(widths[k]) if k < sheet.names else text.rjust(widths[k])
        for k, text in enumerate(sheet.head)
    ]
    rows = [_line(head), *(_line([cell(e, k) for k, e in enumerate(row)]) for row in sheet.rows)]
    return "\n".join(rows)


def _line(cells: Sequence[str]) -> str:
    return "  ".join(cells).rstrip()
