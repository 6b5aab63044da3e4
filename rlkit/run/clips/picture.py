"""Panels beside each other: a picture with what it shows written above it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, PAPER, QUIET = (28, 30, 33), (255, 255, 255), (96, 101, 108)
_FRAME = (208, 212, 217)  # around pictures that may be white
_GAP, _LINE, _TEXT = 8, 20, 14  # pixels: between panels, of a line, of its letters
_NARROW = 220  # pixels of a panel at least, or its words do not fit


class Panel(NamedTuple):
    """A picture and the words above it."""

    title: str
    words: str
    picture: np.ndarray  # [H, W, 3] uint8


def grid(panels: Sequence[Sequence[Panel]], caption: str, size: int) -> np.ndarray:
    """One picture `[H, W, 3]` uint8 of rows of panels whose pictures are `size` pixels high; its
    sides are even, as video wants them. Panels of one shape give grids of one shape."""
    rows = [[_panel(panel, size) for panel in row] for row in panels]
    width = max(sum(p.width + _GAP for p in row) for row in rows) + _GAP
    height = sum(row[0].height + _GAP for row in rows) + _LINE + 2 * _GAP
    sheet = Image.new("RGB", (width + width % 2, height + height % 2), PAPER)
    _write(ImageDraw.Draw(sheet), _GAP, _GAP, caption, INK, width - 2 * _GAP)
    y = _LINE + 2 * _GAP
    for row in rows:
        x = _GAP
        for picture in row:
            sheet.paste(picture, (x, y))
            x += picture.width + _GAP
        y += row[0].height + _GAP
    return np.asarray(sheet)


def _panel(panel: Panel, size: int) -> Image.Image:
    picture = _fitted(panel.picture, size)
    width = max(picture.width, _NARROW)
    out = Image.new("RGB", (width, picture.height + 2 * _LINE), PAPER)
    draw = ImageDraw.Draw(out)
    _write(draw, 0, 0, panel.title, INK, width)
    _write(draw, 0, _LINE, panel.words, QUIET, width)
    out.paste(picture, (x := (width - picture.width) // 2, 2 * _LINE))
    draw.rectangle((x, 2 * _LINE, x + picture.width - 1, out.height - 1), outline=_FRAME)
    return out


def _fitted(array: np.ndarray, size: int) -> Image.Image:
    """A picture of a height; small ones keep their pixels sharp."""
    picture = Image.fromarray(np.ascontiguousarray(array, np.uint8))
    wide = max(1, round(picture.width * size / picture.height))
    if (wide, size) == picture.size:
        return picture
    kind = Image.Resampling.NEAREST if size > picture.height else Image.Resampling.BOX
    return picture.resize((wide, size), kind)


def _write(draw: Any, x: int, y: int, text: str, ink: tuple[int, int, int], room: int) -> None:
    """A line of text, cut where it would not fit."""
    font = _font()
    while text and draw.textlength(text, font) > room:
        text = text[:-2].rstrip("…") + "…" if len(text) > 2 else ""
    draw.text((x, y), text, ink, font)


@functools.cache
def _font() -> Any:
    return ImageFont.load_default(_TEXT)
