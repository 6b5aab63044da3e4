"""Pictures of a solved finite model: value and policy over a grid, a graph, or the way from the
start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from rlkit.eval.heat_table import MAP, inks
from rlkit.eval.plots import COLOURS, FAINT, INK, _figure, _head
from rlkit.eval.statistics import Array

WALL = "#5E6670"
MOST_NODES = 40  # states to which a graph can be read
_LONGEST = 6  # nodes of a column
_MOST_ARROWS = 1500  # cells to which arrows can be told apart


def grid_plot(
    value: Array,
    policy: Array,
    cell_of: Array,
    shape: tuple[int, int],
    *,
    moves: Array | None = None,
    letters: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Value as the colour of each cell, the policy's move as an arrow.

    Args:
        value, policy: `[S]`, the policy as action ids.
        cell_of: `[S]` cell of each state, row * width + column; -1 is nowhere. Of several states in
            a cell the best value is shown.
        shape: (rows, columns). Cells without a state are walls.
        moves: `[A, 2]` step of each action in (rows, columns); None draws no arrows.
        letters: rows of text; what is not floor is written into its cell.
    """
    rows, columns = shape
    best = np.full(rows * columns, -np.inf)
    placed = np.flatnonzero(np.asarray(cell_of) >= 0)
    np.maximum.at(best, np.asarray(cell_of)[placed], np.asarray(value)[placed])
    table = np.where(np.isfinite(best), best, np.nan).reshape(shape)
    scale = min(0.5, 8.0 / max(columns, rows))
    size = max(3.2, scale * columns + 1.6), max(2.2, scale * rows + 0.9)
    figure = Figure(figsize=size, layout="constrained", dpi=150)
    axes = figure.subplots()
    image = axes.imshow(np.ma.masked_invalid(table), cmap=MAP, norm=_spanning(table))
    axes.set_facecolor(WALL)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    special = {(i, j) for i, row in enumerate(letters) for j, c in enumerate(row) if c in "HGS"}
    if moves is not None and placed.size <= _MOST_ARROWS:
        states = [int(s) for s in placed if divmod(int(cell_of[s]), columns) not in special] or [0]
        at = np.array([divmod(int(cell_of[s]), columns) for s in states])
        step = np.asarray(moves)[np.asarray(policy)[states]]
        axes.quiver(
            at[:, 1], at[:, 0], step[:, 1], step[:, 0], angles="xy", scale_units="xy",
            scale=1.6, pivot="mid", color=COLOURS[1], width=0.06 * scale, units="inches",
        )  # fmt: skip
    if scale > 0.15:
        for i, j in special:
            letter = letters[i][j]
            axes.text(j, i, letter, ha="center", va="center", fontsize=20 * scale, color=INK)
    _bar(figure, axes, image)
    note = "colour: value; arrows: the greedy policy" if moves is not None else "colour: best value"
    _head(axes, title, note)
    return figure


def graph_plot(
    value: Array, policy: Array, steps: Array, successors: Any, *, title: str = ""
) -> Figure:
    """A small model as a graph: a node a state, coloured by its value, arrows of the policy.

    Args:
        steps: `[S]` least number of steps from a start; -1: never. It is a node's column, unless
            columns grew too long: then the nodes lie on a circle.
        successors: `[S, S]` probabilities under the policy (dense), arrows as thick as they are.
    """
    value, place = np.asarray(value, float), _laid_out(np.asarray(steps))
    span = place.max(0) - place.min(0)
    figure, axes = _figure(*np.clip(1.4 + 0.85 * (span + 1), (5.6, 2.4), (8.0, 7.0)))
    axes.set_axis_off()
    axes.set_xlim(place[:, 0].min() - 0.7, place[:, 0].max() + 0.7)
    axes.set_ylim(place[:, 1].min() - 0.7, place[:, 1].max() + 0.7)
    probabilities = np.asarray(successors, float)
    for s, t in zip(*np.nonzero(probabilities > 0.02), strict=True):
        if s != t:
            axes.annotate(
                "", place[t], place[s],
                arrowprops={
                    "arrowstyle": "-|>", "color": FAINT, "lw": 0.3 + 1.4 * probabilities[s, t],
                    "alpha": min(1.0, 0.3 + probabilities[s, t]), "mutation_scale": 9,
                    "connectionstyle": "arc3,rad=0.18", "shrinkA": 11, "shrinkB": 11,
                },
            )  # fmt: skip
    x, y = place.T
    nodes = axes.scatter(
        x, y, c=value, s=430, cmap=MAP, norm=_spanning(value), edgecolors=INK, lw=0.8, zorder=3
    )
    colours = inks(value, nodes.norm)
    for s, (x, y) in enumerate(place):
        colour = colours[s]
        axes.text(
            x, y, f"{s}\na{policy[s]}", ha="center", va="center", fontsize=7, color=colour, zorder=4
        )
    _bar(figure, axes, nodes)
    note = "nodes: state and greedy action; arrows: where it leads"
    _head(axes, title, note)
    return figure


def _laid_out(steps: Array) -> Array:
    """Places `[S, 2]` of the nodes, neighbours about one apart."""
    columns = np.where(steps >= 0, steps, steps.max() + 1)
    counts = np.bincount(columns)
    if counts.max() > _LONGEST:
        angle = np.pi * (1 - 2 * np.arange(len(steps)) / len(steps))
        return len(steps) / (2 * np.pi) * np.c_[np.cos(angle), np.sin(angle)]
    place = np.zeros((len(steps), 2))
    for column in np.unique(columns):
        here = np.flatnonzero(columns == column)
        place[here] = np.c_[np.full(here.size, column), np.arange(here.size) - (here.size - 1) / 2]
    return place


def distance_plot(
    value: Array, policy: Array, steps: Array, names: Sequence[str] = (), *, title: str = ""
) -> Figure:
    """Value of every state over the number of steps it is away from a start, a colour an action.

    For models too large for a graph; `steps` as in `graph_plot`, states that are never reached are
    left out. Actions beyond the sixth share a colour.
    """
    value, policy, steps = (np.asarray(x) for x in (value, policy, steps))
    figure, axes = _figure(6.4, 4.0)
    jitter = (np.arange(len(value)) * 0.6180339887) % 1.0 - 0.5  # evenly, and the same every time
    actions = np.unique(policy[steps >= 0])
    rest = actions[len(COLOURS) - 1 :] if len(actions) > len(COLOURS) else actions[:0]
    for k, action in enumerate(actions[: len(actions) - len(rest)]):
        shown = (steps >= 0) & (policy == action)
        name = names[action] if action < len(names) else f"action {action}"
        _dots(axes, steps, value, shown, jitter, COLOURS[k % len(COLOURS)], name)
    if rest.size:
        shown = (steps >= 0) & np.isin(policy, rest)
        _dots(axes, steps, value, shown, jitter, COLOURS[-1], f"{rest.size} further actions")
    axes.set_xlabel("Steps from a start, at least")
    axes.set_ylabel("Value")
    axes.legend(frameon=False, fontsize=8.5, markerscale=2)
    left = int((steps < 0).sum())
    never = f"; {left:,} are never reached and left out" if left else ""
    _head(axes, title, f"dots: states, coloured by the greedy action{never}")
    return figure


def _dots(axes: Axes, x: Array, y: Array, shown: Array, by: Array, colour: str, name: str) -> None:
    spread = 0.6 * by[shown]
    axes.scatter(x[shown] + spread, y[shown], s=7, color=colour, alpha=0.6, lw=0, label=name)


def _spanning(values: Array) -> Normalize:
    """From the least to the largest value; some width where they are all the same."""
    known = np.asarray(values)[np.isfinite(values)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
    return Normalize(low, high if high > low else low + max(abs(low), 1.0))


def _bar(figure: Figure, axes: Axes, drawn: Any) -> None:
    bar = figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.02)
    bar.ax.tick_params(labelsize=8, colors=INK)
    bar.outline.set_visible(False)  # type: ignore[operator]
