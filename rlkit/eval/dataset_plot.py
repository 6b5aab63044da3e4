"""A dataset at a glance: returns, lengths, where its observations lie, and its actions."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter

from rlkit.eval.heat_table import MAP
from rlkit.eval.plots import COLOURS, FAINT, INK, _style
from rlkit.eval.statistics import Array

_ROWS = 50_000  # observations and actions drawn, evenly over the dataset
_WIDEST = 4096  # numbers of an observation whose directions are looked for
_BINS = 40
# Of `MAP` what stands out from white: a place with one observation is seen.
_SEEN = ListedColormap(matplotlib.colormaps[MAP](np.linspace(0.3, 1.0, 256)))
_FEWEST = 9  # whole numbers that an axis shows, so that one value is no wall


def dataset_plot(
    returns: Array,
    lengths: Array,
    obs: Array,
    action: Array,
    *,
    references: Mapping[str, float] | None = None,
    title: str = "",
) -> Figure:
    """Four panels: returns and lengths of the episodes, coverage of the observations, actions.

    Args:
        returns, lengths: `[E]`.
        obs: `[N, *obs]`. Coverage is the density along the two directions in which the standardised
            observations vary most; their share of the variance stands at the axes.
        action: `[N]` discrete, or `[N, A]`; NaN is left out.
        references: name -> return to mark.
    """
    figure = Figure(figsize=(9.0, 6.2), layout="constrained", dpi=150)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    _episodes(first, returns, "Return of an episode")
    for name, value in (references or {}).items():
        first.axvline(value, color=FAINT, lw=1.2, ls=(0, (4, 3)))
        at = first.get_xaxis_transform()
        first.text(value, 1.0, f" {name}", transform=at, fontsize=8, color=FAINT, va="bottom")
    _episodes(second, lengths, "Length of an episode, steps")
    rows = np.linspace(0, len(obs) - 1, min(len(obs), _ROWS)).astype(int)
    _coverage(third, np.asarray(obs)[rows])
    _actions(fourth, np.asarray(action)[rows])
    if title:
        figure.suptitle(title, fontsize=12, color=INK, x=0.01, ha="left")
    return figure


def _episodes(axes: Axes, values: Array, name: str) -> None:
    _style(axes)
    edges = _edges(values)
    axes.hist(np.asarray(values, float), bins=edges.tolist(), color=COLOURS[0])
    if edges[-1] - edges[0] == len(edges) - 1:  # one bin a whole number: between two there is none
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        lacking = max(_FEWEST - (len(edges) - 1), 0) / 2
        below = lacking if edges[0] < 0 else min(lacking, edges[0] + 0.5)  # no length is below 0
        axes.set_xlim(edges[0] - below, edges[-1] + 2 * lacking - below)
    axes.set_xlabel(name)
    axes.set_ylabel("Episodes")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _edges(values: Array) -> Array:
    """Edges of bins for numbers that may all be the same, or few whole ones."""
    values = np.asarray(values, float)
    low, high = values.min(), values.max()
    if (values == values.round()).all() and high - low < _BINS:
        return np.arange(low, high + 2) - 0.5
    pad = 0.0 if high > low else max(abs(low), 1.0) * 0.05
    return np.linspace(low - pad, high + pad, _BINS + 1)


def directions(obs: Array) -> tuple[Array, Array]:
    """Places `[N, 2]` of observations `[N, D]` along the directions in which they vary most once
    each number is standardised, and the share of the variance `[2]` of both."""
    spread = obs.std(0)
    varied = obs[:, spread > 1e-9 * (1.0 + np.abs(obs).max(0))]
    if not varied.shape[1]:
        return np.zeros((len(obs), 2)), np.zeros(2)
    scaled = (varied - varied.mean(0)) / varied.std(0)
    values, vectors = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    two = vectors[:, ::-1][:, :2]
    two = two * np.sign(two[np.abs(two).argmax(0), np.arange(two.shape[1])])  # the same every time
    places, shares = scaled @ two, values[::-1][:2] / values.sum()
    missing = 2 - places.shape[1]
    return np.pad(places, ((0, 0), (0, missing))), np.pad(shares, (0, missing))


def _coverage(axes: Axes, obs: Array) -> None:
    _style(axes)
    flat = obs.reshape(len(obs), -1).astype(float)
    if flat.shape[1] > _WIDEST:
        _say(axes, f"observations of {flat.shape[1]:,} numbers: no coverage is drawn")
        return
    places, shares = directions(flat)
    if places.std() == 0:
        _say(axes, "every observation is the same")
        return
    axes.hexbin(*places.T, gridsize=45, bins=None, cmap=_SEEN, norm=LogNorm(), mincnt=1, lw=0.1)
    axes.set_xlabel(f"Observations, first direction ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"second direction ({shares[1]:.0%})")


def _actions(axes: Axes, action: Array) -> None:
    _style(axes)
    if action.ndim == 1:
        known, counts = np.unique(action, return_counts=True)
        axes.bar(known, counts / counts.sum(), color=COLOURS[2])
        axes.set_xlabel("Action")
        axes.set_xticks(known if len(known) <= 20 else known[:: -(-len(known) // 20)])
    else:
        for k, component in enumerate(action.T):
            finite = component[np.isfinite(component)]
            if not finite.size:
                continue
            heights, edges = np.histogram(finite, _edges(finite))
            colour = COLOURS[k % len(COLOURS)] if action.shape[1] <= len(COLOURS) else FAINT
            share = heights / heights.sum()
            axes.stairs(share, edges, color=colour, lw=1.2, label=f"component {k}")
        axes.set_xlabel("Action")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if 1 < action.shape[1] <= len(COLOURS):
            axes.legend(frameon=False, fontsize=8)
        if not np.isfinite(action).any():
            _say(axes, "no action is known")
            return
    axes.set_ylabel("Share of the steps")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _say(axes: Axes, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", fontsize=9, color=FAINT)
