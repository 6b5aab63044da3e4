"""Mirror maps: a convex set with a regulariser, as the two operations online learning needs.

Points are arrays [..., d]; every operation works on the last axis, so that replicates or players
may fill the leading ones. Step sizes broadcast against [..., 1].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from rlkit.theory.validate import check_count, check_positive

Array = np.ndarray
TINY = 1e-300  # the logarithm of a probability that underflowed stays finite


class MirrorMap(NamedTuple):
    """A set X in R^d and a regulariser R, 1-strongly convex in the map's norm.

    `start` [d] minimises R over X; `step(x, g, eta)` is argmin eta <g, y> + D_R(y, x);
    `lead(z, eta)` is argmin eta <z, y> + R(y); `divergence(x, y)` is D_R(x, y);
    `best(g)` is min over X of <g, y> (minus infinity if unbounded); `dual_norm` measures
    gradients.
    """

    start: Array
    step: Callable[[Array, Array, Array | float], Array]
    lead: Callable[[Array, Array | float], Array]
    divergence: Callable[[Array, Array], Array]
    best: Callable[[Array], Array]
    dual_norm: Callable[[Array], Array]


def entropy(size: int) -> MirrorMap:
    """The simplex with negative entropy: multiplicative weights, KL divergence, max dual norm."""
    check_count("size", size)

    def step(x: Array, g: Array, eta: Array | float) -> Array:
        return softmax(np.log(np.maximum(x, TINY)) - eta * g, axis=-1)

    def divergence(x: Array, y: Array) -> Array:
        return (x * (np.log(np.maximum(x, TINY)) - np.log(np.maximum(y, TINY)))).sum(-1)

    return MirrorMap(
        np.full(size, 1.0 / size), step, lambda z, eta: softmax(-eta * z, axis=-1), divergence,
        lambda g: g.min(-1), lambda g: np.abs(g).max(-1),
    )  # fmt: skip


def ball(size: int, radius: float = 1.0) -> MirrorMap:
    """The Euclidean ball around 0 with |x|^2 / 2."""
    radius = check_positive("radius", radius)

    def project(x: Array) -> Array:
        length = np.linalg.norm(x, axis=-1, keepdims=True)
        return x * np.minimum(1.0, radius / np.maximum(length, TINY))

    return _euclidean(size, project, lambda g: -radius * np.linalg.norm(g, axis=-1))


def box(low: Array, high: Array) -> MirrorMap:
    """The box low <= x <= high with |x|^2 / 2 (started at its point nearest to 0)."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if low.ndim != 1 or low.shape != high.shape or not (low <= high).all():
        raise ValueError(f"need low <= high, both [d], got {low.shape} and {high.shape}")
    return _euclidean(
        low.size, lambda x: np.clip(x, low, high),
        lambda g: np.where(g > 0, low * g, high * g).sum(-1),
    )  # fmt: skip


def simplex(size: int) -> MirrorMap:
    """The simplex with |x|^2 / 2: projected gradient descent."""
    return _euclidean(size, project_simplex, lambda g: g.min(-1))


def free(size: int) -> MirrorMap:
    """All of R^d with |x|^2 / 2: gradient descent."""
    return _euclidean(size, lambda x: x, lambda g: np.where((g == 0).all(-1), 0.0, -np.inf))


def product(*parts: MirrorMap) -> MirrorMap:
    """The product set; points are concatenated along the last axis (two players of a game)."""
    cuts = np.cumsum([m.start.size for m in parts])[:-1]

    def split(x: Array) -> list[Array]:
        return np.split(x, cuts, axis=-1)

    def join(pieces: list[Array]) -> Array:
        return np.concatenate(pieces, axis=-1)

    return MirrorMap(
        join([m.start for m in parts]),
        lambda x, g, eta: join(
            [m.step(a, b, eta) for m, a, b in zip(parts, split(x), split(g), strict=True)]
        ),
        lambda z, eta: join([m.lead(a, eta) for m, a in zip(parts, split(z), strict=True)]),
        lambda x, y: np.sum(
            [m.divergence(a, b) for m, a, b in zip(parts, split(x), split(y), strict=True)], 0
        ),
        lambda g: np.sum([m.best(a) for m, a in zip(parts, split(g), strict=True)], 0),
        lambda g: np.sqrt(
            np.sum([m.dual_norm(a) ** 2 for m, a in zip(parts, split(g), strict=True)], 0)
        ),
    )


def project_simplex(x: Array) -> Array:
    """Euclidean projection on the simplex along the last axis (Held, Wolfe & Crowder 1974)."""
    down = -np.sort(-x, axis=-1)
    excess = np.cumsum(down, axis=-1) - 1.0
    count = np.arange(1, x.shape[-1] + 1)
    last = (down * count > excess).sum(-1, keepdims=True)
    shift = np.take_along_axis(excess, last - 1, axis=-1) / last
    return np.maximum(x - shift, 0.0)


def _euclidean(
    size: int, project: Callable[[Array], Array], best: Callable[[Array], Array]
) -> MirrorMap:
    check_count("size", size)
    return MirrorMap(
        project(np.zeros(size)), lambda x, g, eta: project(x - eta * g),
        lambda z, eta: project(-eta * z), lambda x, y: 0.5 * ((x - y) ** 2).sum(-1), best,
        lambda g: np.linalg.norm(g, axis=-1),
    )  # fmt: skip
