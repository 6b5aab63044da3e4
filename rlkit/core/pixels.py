"""What an observation is that is an image: which axes are channels, which are places.

(H, W)          grey
(H, W, C)       channels last: C is at most as large as H
(K, H, W)       K grey frames, as gymnasium's FrameStackObservation stacks them
(K, H, W, C)    K frames with channels
"""

from __future__ import annotations

from typing import NamedTuple

LEAST = 10  # sides of an image, at least


class Layout(NamedTuple):
    """Axes of an observation: those of the channels first, then height and width."""

    order: tuple[int, ...]
    channels: int
    height: int
    width: int


def layout(obs: tuple[int, ...]) -> Layout:
    """How an image of shape `obs` is to be read. Raises ValueError for a shape that is none, or one
    with a side below `LEAST`."""
    orders: dict[int, tuple[int, ...]] = {2: (0, 1), 4: (0, 3, 1, 2)}
    orders[3] = (2, 0, 1) if len(obs) == 3 and obs[2] <= obs[0] else (0, 1, 2)
    if len(obs) not in orders:
        raise ValueError(f"observations of shape {obs} are no image: it has 2, 3 or 4 axes")
    order = orders[len(obs)]
    channels = 1
    for axis in order[:-2]:
        channels *= obs[axis]
    height, width = (obs[axis] for axis in order[-2:])
    if min(height, width) < LEAST:
        raise ValueError(
            f"observations of shape {obs} are images of {height} x {width}; {LEAST} x {LEAST} is "
            "the least that the convolutions take"
        )
    return Layout(order, channels, height, width)
