"""Small pictures as SVG text: lines with bands, and estimates with intervals.

Colours are CSS variables, so that one picture serves a light and a dark page; `standalone` gives
it a style of its own. Widths are those of a phone: a wide page sets several side by side.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from rlkit.eval.rounding import differ
from rlkit.eval.statistics import Array, Interval
from rlkit.reports.cells import System
from rlkit.reports.curves import Picture

WIDTH, HEIGHT = 400, 262
# Okabe and Ito's colours, which stay apart for the common kinds of colour blindness, for light and
# for dark ground; dashes repeat the difference for print in grey.
LIGHT = ("#0072b2", "#d55e00", "#009e73", "#b5588f", "#a87400", "#3a93c9", "#6b6b6b")
DARK = ("#5ab4e6", "#f08a4b", "#3cc9a0", "#e39ac6", "#e0b040", "#8fd0f5", "#b0b0b0")
DASHES = ("", "7 3", "2 2.5", "8 3 2 3")
_LETTER = 6.1  # width of one at 11px, about


def style() -> str:
    """CSS of the pictures, to be put into a page or a picture."""

    def variables(colours: Sequence[str], ink: str, faint: str, line: str) -> str:
        numbered = "".join(f"--c{i}:{colour};" for i, colour in enumerate(colours))
        return f":root{{{numbered}--ink:{ink};--faint:{faint};--line:{line}}}"

    dark = variables(DARK, "#e4e4e2", "#9a9a96", "#3a3b3d")
    return (
        f"{variables(LIGHT, '#23272b', '#6a6f75', '#e2e3e4')}"
        f"@media screen and (prefers-color-scheme:dark){{{dark}}}"
        "svg text{font:11px system-ui,sans-serif;fill:var(--faint)}"
        "svg .t{font-size:13px;font-weight:600;fill:var(--ink)}"
        "svg .k{fill:var(--ink)}svg .g{stroke:var(--line)}svg .m{stroke:var(--faint)}"
    )


def standalone(svg: str) -> str:
    """The picture as a file of its own, with its style and a ground that follows the viewer's."""
    ground = (
        "svg{background:#fff}@media screen and (prefers-color-scheme:dark){svg{background:#17191b}}"
    )
    head, _, rest = svg.partition(">")
    return f"{head}><style>{style()}{ground}</style>{rest}\n"


def ink(number: int) -> tuple[str, str]:
    """Colour and dash of the k-th system."""
    return f"var(--c{number % len(LIGHT)})", DASHES[number // len(LIGHT) % len(DASHES)]


def lines(picture: Picture, numbers: Mapping[System, int]) -> str:
    """Lines with bands; `numbers` gives each system its place among the colours."""
    all_x = np.concatenate([line.x for line in picture.lines])
    heights = [np.concatenate([b.point, b.low, b.high]) for b in (line.y for line in picture.lines)]
    heights += [line.single.reshape(-1) for line in picture.lines if line.single is not None]
    all_y = np.concatenate(heights)
    all_y = all_y[np.isfinite(all_y)]
    low, high = float(all_y.min()), float(all_y.max())
    marks = [m for m in picture.marks if low - (high - low) <= m[0] <= high + (high - low)]
    low, high = min([low, *(m for m, _ in marks)]), max([high, *(m for m, _ in marks)])
    y_ticks = ticks(low, high)
    step = y_ticks[1] - y_ticks[0]
    low, high = min(low, y_ticks[0]), max(high, y_ticks[-1])
    labels = [tick_label(y, step) for y in y_ticks]
    left = 10 + _LETTER * max(map(len, labels))
    x0, x1 = float(all_x.min()), float(all_x.max())
    frame = _Frame(left, WIDTH - 14, 44, HEIGHT - 34, x0, x1, low, high)
    parts = [_text(0, 15, picture.title, "t"), _text(0, 31, picture.y_label)]
    for y, label in zip(y_ticks, labels, strict=True):
        parts.append(_line(frame.left, frame.y(y), frame.right, frame.y(y), "g"))
        parts.append(_text(frame.left - 6, frame.y(y) + 4, label, anchor="end"))
    x_ticks = ticks(x0, x1, 4)
    for x in [x for x in x_ticks if x0 <= x <= x1]:
        label = tick_label(x, x_ticks[1] - x_ticks[0])
        at = min(frame.x(x), WIDTH - 0.5 * _LETTER * len(label))
        parts.append(_text(at, frame.bottom + 15, label, anchor="middle"))
    parts.append(_text(frame.right, HEIGHT - 3, picture.x_label, anchor="end"))
    for height, label in marks:
        parts.append(_line(frame.left, frame.y(height), frame.right, frame.y(height), "m", "3 3"))
        parts.append(_text(frame.right, frame.y(height) - 3, label, anchor="end"))
    for line in picture.lines:
        colour, dash = ink(numbers[line.system])
        if np.isfinite(line.y.low).all():
            around = _path(frame, np.r_[line.x, line.x[::-1]], np.r_[line.y.low, line.y.high[::-1]])
            parts.append(f'<path d="{around}Z" fill="{colour}" fill-opacity=".16"/>')
        for one in () if line.single is None else line.single:
            parts.append(
                f'<path d="{_path(frame, line.x, one)}" fill="none" stroke="{colour}" '
                'stroke-width=".8" stroke-opacity=".45"/>'
            )
    for line in picture.lines:
        colour, dash = ink(numbers[line.system])
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        seeds = "1 seed" if line.seeds == 1 else f"{line.seeds} seeds"
        parts.append(
            f'<path d="{_path(frame, line.x, line.y.point)}" fill="none" stroke="{colour}" '
            f'stroke-width="2" stroke-linejoin="round"{dashed}>'
            f"<title>{escape(line.system.label)}, {seeds}</title></path>"
        )
    return _svg(picture.title, HEIGHT, parts)


def intervals(title: str, rows: Sequence[tuple[str, Interval, int]]) -> str:
    """Estimates with their intervals, one row a system: label, interval, place of its colour."""
    longest = max(len(label) for label, _, _ in rows)
    letters = min(longest, 22)
    values = np.array([[i.point, i.low, i.high] for _, i, _ in rows])
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    pad = 0.06 * (high - low if differ(low, high) else abs(high) or 1.0)
    low, high = low - pad, high + pad
    height = 24 + 20 * len(rows) + 24
    frame = _Frame(12 + _LETTER * letters, WIDTH - 14, 24, height - 24, low, high, 0, 1)
    parts = [_text(0, 15, title, "t")]
    at = ticks(low, high, 4)
    for x in at:
        if low <= x <= high:
            parts.append(_line(frame.x(x), frame.top, frame.x(x), frame.bottom, "g"))
            label = tick_label(x, at[1] - at[0])
            parts.append(_text(frame.x(x), frame.bottom + 15, label, anchor="middle"))
    for k, (label, interval, number) in enumerate(rows):
        y = frame.top + 20 * k + 12
        colour, _ = ink(number)
        short = label if len(label) <= letters else label[: letters - 1] + "…"
        parts.append(_text(frame.left - 8, y + 4, short, "k", anchor="end"))
        if math.isfinite(interval.low):
            parts.append(
                f'<path d="M{frame.x(interval.low):.1f} {y}H{frame.x(interval.high):.1f}" '
                f'stroke="{colour}" stroke-width="5" stroke-opacity=".35"/>'
            )
        parts.append(
            f'<circle cx="{frame.x(interval.point):.1f}" cy="{y}" r="3.5" fill="{colour}">'
            f"<title>{escape(label)}: {escape(str(interval))}</title></circle>"
        )
    return _svg(title, height, parts)


def strips(title: str, rows: Sequence[tuple[str, Array, int]], x_label: str = "") -> str:
    """Every value of a row as a point, the mean as a stroke: label, values, place of its colour."""
    letters = min(max(len(label) for label, _, _ in rows), 22)
    finite = np.concatenate([values[np.isfinite(values)] for _, values, _ in rows])
    low, high = float(finite.min()), float(finite.max())
    pad = 0.04 * (high - low if differ(low, high) else abs(high) or 1.0)
    height = 24 + 20 * len(rows) + 24 + (14 if x_label else 0)
    bottom = 24 + 20 * len(rows)
    frame = _Frame(12 + _LETTER * letters, WIDTH - 14, 24, bottom, low - pad, high + pad, 0, 1)
    parts = [_text(0, 15, title, "t")]
    at = ticks(low - pad, high + pad, 4)
    for x in at:
        if low - pad <= x <= high + pad:
            parts.append(_line(frame.x(x), frame.top, frame.x(x), frame.bottom, "g"))
            label = tick_label(x, at[1] - at[0])
            parts.append(_text(frame.x(x), frame.bottom + 15, label, anchor="middle"))
    for k, (label, values, number) in enumerate(rows):
        y, (colour, _) = frame.top + 20 * k + 12, ink(number)
        short = label if len(label) <= letters else label[: letters - 1] + "…"
        parts.append(_text(frame.left - 8, y + 4, short, "k", anchor="end"))
        known = values[np.isfinite(values)]
        dots = "".join(f"M{frame.x(v):.1f} {y}h0" for v in known)
        if dots:
            middle = frame.x(float(known.mean()))
            parts.append(
                f'<path d="{dots}" stroke="{colour}" stroke-width="7" stroke-linecap="round" '
                f'stroke-opacity=".4"/><path d="M{middle:.1f} {y - 7}v14" stroke="{colour}" '
                f'stroke-width="2"><title>{escape(label)}: mean of {len(known)}</title></path>'
            )
    if x_label:
        parts.append(_text(frame.right, height - 3, x_label, anchor="end"))
    return _svg(title, height, parts)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers, at least two, from about `low` to about `high`."""
    if not high - low > max(1e-9 * abs(low), 1e-9 * abs(high), 1e-99):  # too near to be labelled
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    if last - first < 1:
        first, last = math.floor(low / step), math.ceil(high / step)
    return [k * step for k in range(first, last + 1)]


def tick_label(value: float, step: float) -> str:
    """A number as exact as the distance of ticks asks for, with k and M for large ones."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if (
            abs(value) >= unit
            and step >= unit / 1000
            and step * 1000 / unit == int(step * 1000 / unit)
        ):
            return f"{value / unit:g}{letter}".replace("-", "−")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{value:.2e}" if decimals > 4 else f"{value:.{decimals}f}"
    return "0" if float(text) == 0 else text.replace("-", "−")


class _Frame:
    """From data to places in the picture."""

    def __init__(
        self,
        left: float,
        right: float,
        top: float,
        bottom: float,
        x0: float,
        x1: float,
        y0: float,
        y1: float,
    ) -> None:
        self.left, self.right, self.top, self.bottom = left, right, top, bottom
        self.x0, self.dx = (x0, x1 - x0) if differ(x0, x1) else (x0 - 0.5, 1.0)
        self.y0, self.dy = (y0, y1 - y0) if differ(y0, y1) else (y0 - 0.5, 1.0)

    def x(self, value: float) -> float:
        return self.left + (value - self.x0) / self.dx * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.y0) / self.dy * (self.bottom - self.top)


def _path(frame: _Frame, x: Array, y: Array) -> str:
    points = (f"{frame.x(a):.1f} {frame.y(b):.1f}" for a, b in zip(x, y, strict=True))
    return "M" + "L".join(points)


def _line(x0: float, y0: float, x1: float, y1: float, kind: str, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<path class="{kind}" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"{dashed}/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "") -> str:
    marks = f' class="{kind}"' if kind else ""
    marks += f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{marks}>{escape(text)}</text>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
