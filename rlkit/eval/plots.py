"""Pictures of scores: learning curves, performance profiles, intervals.

Every function returns a matplotlib `Figure` that belongs to the caller: no pyplot, no window, no
global state.  `save` writes it.  Colours are those of Okabe and Ito, which stay apart for the
common kinds of colour blindness; line styles repeat the difference for print in grey.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from rlkit.core.files.replacing import make_folder, replacing
from rlkit.eval.statistics import (
    Array,
    Interval,
    curve_band,
    mean,
    performance_profile,
    profile_band,
)
from rlkit.eval.tables import by_name, checked, checked_draws, numbers, pair

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))
INK, FAINT = "#333333", "#767676"


def learning_curve(
    curves: Mapping[str, tuple[Array, Array]],
    *,
    references: Mapping[str, Interval] | None = None,
    x_label: str = "Gradient updates",
    y_label: str = "Return per episode",
    title: str = "",
    statistic: Any = mean,
    statistic_name: str = "mean",
    level: float = 0.95,
    rng: np.random.Generator | int = 0,
) -> Figure:
    """Learning curves with bootstrap bands over seeds, thin lines for the single seeds.

    Args:
        curves: name -> (steps `[T]`, returns `[S, T]`), as `records.mean_returns` gives them.
        references: name -> score to compare with, drawn as a horizontal line with its interval.
        statistic: estimate over seeds, see `rlkit.eval.statistics`.

    One seed is drawn without a band.  Where a seed has no finite return the aggregate has a gap.
    """
    form = "(steps [T], returns [S, T])"
    curves = {
        name: pair(curve, name, form) for name, curve in by_name(curves, "curves", form).items()
    }
    if references is not None and not (isinstance(references, Mapping) and not references):
        check_intervals("references", references)
    figure, axes = _figure(6.4, 4.0)
    labels = []
    for i, (name, (steps, returns)) in enumerate(curves.items()):
        steps = numbers(steps, f"{name}: steps")
        returns = numbers(returns, f"{name}: returns")
        if steps.ndim != 1 or returns.ndim != 2 or returns.shape[1:] != steps.shape:
            raise ValueError(
                f"{name}: returns {returns.shape} are not [S, T] of {steps.size} steps"
            )
        if not returns.size:
            raise ValueError(f"{name}: returns {returns.shape} hold nothing to draw")
        whole = np.isfinite(returns).all(0)
        point, low, high = np.full((3, len(steps)), np.nan)
        if len(returns) == 1:
            point = returns[0]
        elif whole.any():
            band = curve_band(returns[:, None, whole], statistic, level=level, rng=rng)
            point[whole], low[whole], high[whole] = band.point, band.low, band.high
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
        marker = "o" if len(steps) == 1 else None
        axes.fill_between(steps, low, high, color=colour, alpha=0.18, lw=0)
        if len(returns) > 1:
            axes.plot(steps, returns.T, color=colour, lw=0.7, alpha=0.45, marker=marker, ms=3)
        axes.plot(steps, point, color=colour, ls=dash, lw=2, marker=marker)
        if whole.any():
            labels.append((name, float(point[whole][-1]), colour))
    for name, reference in (references or {}).items():
        axes.axhline(reference.point, color=FAINT, lw=1.2, ls=(0, (4, 3)), zorder=1)
        if not np.isnan(reference.low):
            axes.axhspan(reference.low, reference.high, color=FAINT, alpha=0.15, lw=0, zorder=0)
        labels.append((name, reference.point, FAINT))
    all_steps = np.unique(np.concatenate([np.asarray(steps) for steps, _ in curves.values()]))
    if len(all_steps) == 1:
        axes.set_xticks(all_steps)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.margins(x=0)
    _label_right(axes, labels)
    _head(axes, title, _what_is_drawn([len(r) for _, r in curves.values()], statistic_name, level))
    return figure


def profile_plot(
    scores: Mapping[str, Array],
    *,
    taus: Array | None = None,
    x_label: str = "Normalised score τ",
    title: str = "",
    level: float = 0.95,
    reps: int = 2_000,
    rng: np.random.Generator | int = 0,
) -> Figure:
    """Performance profiles: the share of runs above each score, for `name -> scores [N, M]`.

    One curve above another everywhere is better on the whole distribution of runs and tasks.
    """
    reps = checked_draws(level, reps, rng)
    tables = {
        name: checked(table, 2, name)
        for name, table in by_name(scores, "scores", "an array [N, M]").items()
    }
    if taus is None:
        low = min(float(t.min()) for t in tables.values())
        high = max(float(t.max()) for t in tables.values())
        pad = 0.03 * max(high - low, 1e-6 * max(abs(low), abs(high))) or 0.03
        taus = np.linspace(low - pad, high + pad, 201)
    figure, axes = _figure(6.4, 4.0)
    for i, (name, table) in enumerate(tables.items()):
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[i % len(DASHES)]
        if len(table) > 1:
            band = profile_band(table, taus, level=level, reps=reps, rng=rng)
            axes.fill_between(taus, band.low, band.high, color=colour, alpha=0.18, lw=0)
        shares = performance_profile(table, taus)
        axes.plot(taus, shares, color=colour, ls=dash, lw=2, label=name)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel(x_label)
    axes.set_ylabel("Runs with a score above τ")
    axes.margins(x=0)
    axes.legend(frameon=False, handlelength=2.6)
    runs, tasks = (_span([t.shape[axis] for t in tables.values()]) for axis in (0, 1))
    bands = f"bands: {level:.0%} bootstrap intervals" if runs != "1" else "no intervals"
    note = f"runs a task: {runs}, tasks: {tasks}; {bands}"
    _head(axes, title, note)
    return figure


def interval_plot(
    intervals: Mapping[str, Mapping[str, Interval]],
    *,
    x_label: str = "Normalised score",
    title: str = "",
    note: str = "",
) -> Figure:
    """Estimates with intervals, one panel a statistic: `statistic -> system -> Interval`."""
    for statistic, row in by_name(intervals, "intervals", "a dict of Intervals").items():
        check_intervals(statistic, row)
    systems: list[str] = []
    for row in intervals.values():
        systems += [name for name in row if name not in systems]
    panels = len(intervals)
    height = 1.1 + 0.34 * len(systems)
    figure = Figure(figsize=(1.4 + 2.4 * panels, height), layout="constrained", dpi=150)
    all_axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    for axes, (statistic, row) in zip(all_axes, intervals.items(), strict=True):
        _style(axes)
        for y, name in enumerate(systems):
            if name in row:
                _draw_interval(axes, row[name], y, COLOURS[y % len(COLOURS)])
        axes.set_title(statistic, fontsize=10, color=INK, loc="left")
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.08)
    all_axes[0].set_yticks(range(len(systems)), systems)
    all_axes[0].set_ylim(len(systems) - 0.5, -0.5)
    figure.supxlabel(x_label, fontsize=10, color=INK)
    heading = " · ".join(text for text in (title, note) if text)
    if heading:
        figure.suptitle(heading, fontsize=11, color=INK, x=0.01, ha="left")
    return figure


def check_intervals(what: str, intervals: Any) -> None:
    """Raises ValueError for what is no dict, name -> Interval, naming the one that is none."""
    if isinstance(intervals, Mapping) and not intervals:
        raise ValueError(f"{what}: no intervals to draw")
    for name, interval in by_name(intervals, what, "Interval").items():
        if not isinstance(interval, Interval):
            raise ValueError(f"{what}: {name} must be an Interval, got {interval!r:.80}")


def save(figure: Figure, path: str | Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Paths written, one a format: `path` without suffix plus `.png`, `.svg`, ...

    A file appears under its name only when complete.  Equal figures give equal files.
    """
    path = Path(path)
    make_folder(path.parent)
    written = []
    for kind in formats:
        final = path.with_name(f"{path.name}.{kind}")
        metadata = {"Date": None} if kind == "svg" else {}
        # Without a salt the identifiers inside an SVG differ from call to call.
        salted = matplotlib.rc_context({"svg.hashsalt": "rlkit", "svg.fonttype": "none"})
        with replacing(final) as temporary, salted:
            figure.savefig(temporary, format=kind, metadata=metadata)
        written.append(final)
    return written


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    axes = figure.subplots()
    _style(axes)
    return figure, axes


def _style(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(color="#E3E3E3", lw=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)


def _head(axes: Axes, title: str, note: str) -> None:
    """Title above, and under it in small type what is drawn."""
    if title:
        axes.set_title(title, loc="left", fontsize=12, color=INK, pad=20)
    axes.annotate(note, (0, 1), (0, 4), "axes fraction", "offset points", fontsize=8.5, color=FAINT)


def _label_right(axes: Axes, labels: list[tuple[str, float, str]]) -> None:
    """Names at the right end of their lines, moved apart where they would overlap."""
    if not labels:
        return
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    labels = sorted(labels, key=lambda label: label[1])
    gap = 0.055 * (high - low)
    right = axes.get_xlim()[1]
    for (name, _, colour), y in zip(labels, _spread([y for _, y, _ in labels], gap), strict=True):
        axes.annotate(
            name,
            (right, y),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=colour,
            annotation_clip=False,
        )


def _spread(heights: list[float], gap: float) -> Array:
    """The heights nearest to the given sorted ones that are at least `gap` apart.

    Least squares by pooling neighbours that are too close: each block sits around its mean.
    """
    blocks: list[list[float]] = []  # heights less k * gap, which only have to stay in order
    for k, height in enumerate(heights):
        blocks.append([height - k * gap])
        while len(blocks) > 1 and np.mean(blocks[-2]) >= np.mean(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    level = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks])
    return level + gap * np.arange(len(heights))


def _draw_interval(axes: Axes, interval: Interval, y: float, colour: str) -> None:
    if not np.isnan(interval.low):
        axes.plot([interval.low, interval.high], [y, y], color=colour, lw=5, alpha=0.35)
    axes.plot([interval.point], [y], "o", color=colour, ms=5.5)


def _what_is_drawn(seeds: list[int], statistic_name: str, level: float) -> str:
    if max(seeds) == 1:
        return "one seed, no interval"
    # The percentile interval of two values is the span between them, whatever its level.
    band = "their range" if max(seeds) == 2 else f"{level:.0%} bootstrap interval"
    return f"line: {statistic_name} of {_span(seeds)} seeds; band: {band}; thin: single seeds"


def _span(values: list[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"
