"""Which arms the policies of a bandit play: one row a policy, one column an arm."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rlkit.eval.heat_table import heat_table
from rlkit.eval.plots import INK, _head
from rlkit.eval.statistics import Array
from rlkit.eval.tables import by_name, numbers


def pulls_plot(pulls: Mapping[str, Array], *, title: str = "") -> Figure:
    """Share of the rounds in which each arm was played, the mean over runs.

    `pulls` are name -> plays `[R, K]`, as `Simulation.pulls`; K may differ, as where a policy adds
    arms of its own.
    """
    given = by_name(pulls, "pulls", "plays [R, K]")
    counts = {name: numbers(table, f"{name}: pulls") for name, table in given.items()}
    for name, table in counts.items():
        if table.ndim != 2 or not table.size:
            raise ValueError(f"{name}: pulls {table.shape} are not [R, K]")
    arms = max(table.shape[1] for table in counts.values())
    shares = np.full((len(counts), arms), np.nan)
    for row, table in zip(shares, counts.values(), strict=True):
        mean = table.mean(0)
        row[: mean.size] = mean / max(mean.sum(), 1.0)
    width, height = min(2.6 + 0.55 * arms, 9.6), 1.5 + 0.34 * len(counts)
    figure = Figure(figsize=(max(width, 4.8), height), layout="constrained", dpi=150)
    axes = figure.subplots()
    text = [[_shown(x) for x in row] for row in shares]
    # By the square root, so that an arm of a few plays in a hundred is still to be seen.
    norm = PowerNorm(0.5, 0.0, 1.0)
    image = heat_table(axes, shares, [*counts], [str(k) for k in range(arms)], text=text, norm=norm)
    axes.set_xlabel("Arm", color=INK)
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1.0, 0), pad=0.02)
    bar.set_ticks([0, 0.1, 0.25, 0.5, 1.0])
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)  # type: ignore[operator]
    _head(axes, title, "share of the rounds each arm was played, mean over runs")
    return figure


def _shown(share: float) -> str:
    if not np.isfinite(share):
        return ""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"
