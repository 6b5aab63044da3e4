"""A table whose cells are coloured by their numbers: for what curves would crowd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from rlkit.eval.plots import INK
from rlkit.eval.statistics import Array

MAP = "Blues"
MOST_TEXT = 12  # columns to which cells have room for their numbers


def heat_table(
    axes: Axes,
    values: Array,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    text: Sequence[Sequence[str]] | None = None,
    norm: Normalize | None = None,
) -> Any:
    """The drawn image of `values` `[R, C]`, darker where larger, with `text` in its cells.

    What is not finite stays white. Text is left out of tables too wide for it.
    """
    values = np.asarray(values, float)
    if values.shape != (len(rows), len(columns)):
        raise ValueError(f"values {values.shape} are not [{len(rows)}, {len(columns)}]")
    norm = norm or Normalize()
    image = axes.imshow(np.ma.masked_invalid(values), cmap=MAP, norm=norm, aspect="auto")
    axes.set_yticks(range(len(rows)), rows)
    step = -(-len(columns) // 30)
    axes.set_xticks(range(0, len(columns), step), columns[::step])
    axes.tick_params(colors=INK, labelsize=9, length=0)
    axes.spines[:].set_visible(False)
    if text is not None and len(columns) <= MOST_TEXT:
        colours = inks(values, image.norm)
        for i, j in np.ndindex(*values.shape):
            axes.text(j, i, text[i][j], ha="center", va="center", fontsize=8.5, color=colours[i, j])
    return image


def inks(values: Array, norm: Any) -> Array:
    """Colours of text on `values` drawn in `MAP`: white where they are dark."""
    shades = np.asarray(matplotlib.colormaps[MAP](norm(np.nan_to_num(values))))
    dark = (shades[..., :3] @ np.array([0.299, 0.587, 0.114]) < 0.55) & np.isfinite(values)
    return np.where(dark, "white", INK)
