"""Ways to damage a file: bits, bytes, cuts, and values of JSON swapped for others.

What is drawn is an integer, so that a seed, and hypothesis, can drive all of it alike.
"""

from __future__ import annotations

import copy
import json
import random
from typing import Any

SWAPS: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    3.5,
    10**30,
    float("nan"),
    float("inf"),
    "",
    "../x",
    "text",
    "\ud800",
    [],
    [[]],
    [None],
    {},
    {"a": {"b": []}},
)


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Another content: one of the kinds, at a place that is drawn."""
    kinds = [flipped, cut, overwritten, doubled, removed]
    if content[:1] in b"{[":
        kinds += [swapped] * 5
    return draw.choice(kinds)(content, draw)


def flipped(content: bytes, draw: random.Random) -> bytes:
    out = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 8))):
        out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    return bytes(out)


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def overwritten(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    size = draw.choice((1, 2, 4, 8, 64))
    piece = bytes([draw.choice((0, 0x7F, 0xFF, draw.randrange(256)))]) * size
    return content[:start] + piece + content[start + size :]


def doubled(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    return content[:start] + content[start : start + draw.randrange(1, 200)] + content[start:]


def removed(content: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(content))
    return content[:start] + content[start + draw.randrange(1, 200) :]


def swapped(content: bytes, draw: random.Random) -> bytes:
    """JSON (or a line of it) with one value, at any depth, exchanged, removed, or its name
    changed."""
    try:
        values, rest = _parsed(content, draw)
    except ValueError:  # damaged already
        return flipped(content, draw)
    places = list(_places(values)) if isinstance(values, dict | list) else []
    swap = copy.deepcopy(draw.choice(SWAPS))
    if not places or draw.random() < 0.03:
        values = swap
    else:
        parent, key = draw.choice(places)
        way = draw.random()
        if way < 0.7:
            parent[key] = swap
        elif way < 0.85 or isinstance(parent, list):
            del parent[key]
        else:
            parent[f"{key}x"] = parent.pop(key)
    return "\n".join([json.dumps(values), *rest, ""]).encode()


def _parsed(content: bytes, draw: random.Random) -> tuple[Any, list[str]]:
    """The values of a JSON file, or of one of its lines with the others."""
    try:
        return json.loads(content), []
    except ValueError:
        lines = content.decode().splitlines() or [""]
        number = draw.randrange(len(lines))
        return json.loads(lines[number]), lines[:number] + lines[number + 1 :]


def _places(values: Any) -> Any:
    keys = values if isinstance(values, dict) else range(len(values))
    for key in keys:
        yield values, key
        if isinstance(values[key], dict | list):
            yield from _places(values[key])
