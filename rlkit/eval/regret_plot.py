"""Regret curves of bandits: means over runs with bootstrap bands, on plain and on log-log axes."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from rlkit.eval.plots import COLOURS, DASHES, FAINT, _head, _label_right, _style
from rlkit.eval.statistics import Array, curve_band, mean
from rlkit.eval.tables import by_name, numbers, pair


def regret_plot(
    curves: Mapping[str, tuple[Array, Array]],
    *,
    y_label: str = "Regret",
    title: str = "",
    level: float = 0.95,
) -> Figure:
    """Mean regret of each policy with a bootstrap band, left on plain axes and right on log-log.

    Args:
        curves: name -> (rounds `[C]`, regret `[R, C]`), as `Simulation.checkpoints` and `.regret`.

    One run is drawn without a band; rounds at which a run is not finite leave a gap. The log-log
    axes leave out what is not positive, and say so where that leaves nothing.
    """
    form = "(rounds [C], regret [R, C])"
    curves = {
        name: pair(curve, name, form) for name, curve in by_name(curves, "curves", form).items()
    }
    figure = Figure(figsize=(9.6, 4.0), layout="constrained", dpi=150)
    plain, log = figure.subplots(1, 2)
    labels = []
    for i, (name, (rounds, regret)) in enumerate(curves.items()):
        rounds = numbers(rounds, f"{name}: rounds")
        regret = numbers(regret, f"{name}: regret")
        fits = rounds.ndim == 1 and regret.ndim == 2 and regret.shape[1:] == rounds.shape
        if not fits or not regret.size:
            raise ValueError(f"{name}: regret {regret.shape} is not [R, C] of {rounds.size} rounds")
        whole = np.isfinite(regret).all(0)
        point, low, high = np.full((3, rounds.size), np.nan)
        if len(regret) == 1:
            point[whole] = low[whole] = high[whole] = regret[0, whole]
        elif whole.any():
            band = curve_band(regret[:, None, whole], mean, level=level)
            point[whole], low[whole], high[whole] = band.point, band.low, band.high
        colour, dash = COLOURS[i % len(COLOURS)], DASHES[(i // len(COLOURS)) % len(DASHES)]
        for axes in (plain, log):
            shown = point > 0 if axes is log else np.ones(point.size, bool)
            if not shown.any():
                continue
            floor = np.maximum(low[shown], 1e-3 * point[shown]) if axes is log else low
            axes.fill_between(rounds[shown], floor, high[shown], color=colour, alpha=0.18, lw=0)
            marker = "o" if shown.sum() == 1 else None  # a line of one point is not to be seen
            axes.plot(rounds[shown], point[shown], color=colour, ls=dash, lw=1.8, marker=marker)
        if whole.any():
            labels.append((name, float(point[whole][-1]), colour))
    _finish(plain, log, y_label)
    _label_right(plain, labels)
    runs = {len(np.asarray(regret)) for _, regret in curves.values()}
    count = f"{min(runs)}" if len(runs) == 1 else f"{min(runs)} to {max(runs)}"
    note = f"mean of {count} runs; band: {level:.0%} bootstrap interval"
    _head(plain, title, "one run, no interval" if max(runs) == 1 else note)
    return figure


def _finish(plain: Axes, log: Axes, y_label: str) -> None:
    for axes in (plain, log):
        _style(axes)
        axes.set_xlabel("Round")
    plain.set_ylabel(y_label)
    plain.xaxis.set_major_formatter(EngFormatter(sep=""))
    plain.yaxis.set_major_formatter(EngFormatter(sep=""))
    plain.margins(x=0)
    if not log.lines:
        log.set_axis_off()
        text = "no regret above zero to draw on logarithmic axes"
        log.text(0.5, 0.5, text, transform=log.transAxes, ha="center", fontsize=9, color=FAINT)
        return
    log.set_xscale("log")
    log.set_yscale("log")
    _head(log, "", "the same on logarithmic axes")
    x, y = (
        np.concatenate([np.asarray(line.get_data()[axis], float) for line in log.lines])
        for axis in (0, 1)
    )
    top, floor = float(y.max()), max(float(y.min()), 1e-3 * float(y.max()))
    left, right = float(x[y >= floor].min()), float(x.max())
    if left < right and floor < top:
        log.set_xlim(left, right)
        log.set_ylim(floor, 1.3 * top)
