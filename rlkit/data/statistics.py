"""Figures of a dataset that tell what can be learnt from it: its card."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlkit.data.store import EpisodeStore

NEAR = 0.2  # of the mean return: episodes so near to it count as steady
SATURATED = 0.99  # of the way from the middle of an action's range to its bound
_GRID = 512  # places where the density of returns is looked at
_VALLEY = 0.8  # two peaks count as two when the density between them falls below this share


class Card(NamedTuple):
    """What `of` measures; returns are undiscounted, in environment units."""

    episodes: int
    return_mean: float
    return_std: float  # over episodes
    length_mean: float  # steps
    near: float  # share of episodes within 20 % of the mean return
    modes: tuple[float, ...]  # returns around which episodes gather, ascending
    saturation: float | None  # share of action components at 99 % of their bound; None if discrete
    terminated: float  # share of episodes that the task ended


def of(store: EpisodeStore, bounds: tuple[np.ndarray, np.ndarray] | None) -> Card:
    """The card of a store; `bounds` are the (low, high) of continuous actions."""
    returns = store.returns()
    mean = float(returns.mean())
    return Card(
        episodes=store.episodes,
        return_mean=mean,
        return_std=float(returns.std()),
        length_mean=float(store.lengths.mean()),
        near=near_the_mean(returns),
        modes=modes(returns),
        saturation=None if bounds is None or store.discrete else saturation(store.action, *bounds),
        terminated=float(store.terminated[store.ends].mean()),
    )


def near_the_mean(returns: np.ndarray) -> float:
    """Share of `returns` `[E]` within 20 % of their mean."""
    mean = returns.mean()
    return float((np.abs(returns - mean) <= NEAR * abs(mean)).mean())


def saturation(action: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Share of the components of `action` `[N, A]` that are next to a bound; unknown ones (NaN)
    count as inside."""
    middle, half = (low + high) / 2, (high - low) / 2
    return float((np.abs(action - middle) >= SATURATED * half).mean())


def modes(values: np.ndarray) -> tuple[float, ...]:
    """Peaks of the density of `values` `[E]`, ascending.

    A Gaussian kernel of Silverman's width; a peak is one when the density falls below 80 % of it
    before it rises to a higher one.
    """
    spread = min(values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.34)
    width = 0.9 * (spread or values.std()) * len(values) ** -0.2
    if not width > 1e-9 * np.abs(values).max():
        return (float(np.median(values)),)
    grid = np.linspace(values.min() - width, values.max() + width, _GRID)
    # Counted in bins of the grid first: the cost does not grow with the episodes.
    counts, edges = np.histogram(values, _GRID, (float(grid[0]), float(grid[-1])))
    middles = (edges[1:] + edges[:-1]) / 2
    density = np.exp(-(((grid[:, None] - middles) / width) ** 2) / 2) @ counts
    found: list[int] = []
    peak = low = 0
    for k in range(len(grid)):  # rises to a peak, then down into a valley deep enough
        if density[k] > density[peak]:
            peak = low = k
        elif density[k] < density[low]:
            low = k
        if density[low] < _VALLEY * density[peak] and (
            k == len(grid) - 1 or density[k] * _VALLEY > density[low]
        ):
            found.append(peak)
            peak = low = k
    return tuple(float(grid[k]) for k in found)


def described(card: Card) -> list[tuple[str, str]]:
    """Name and value of each line that a card is printed as."""
    gathered = ", ".join(f"{mode:.4g}" for mode in card.modes)
    lines = [
        ("return", f"{card.return_mean:.4g} ± {card.return_std:.3g} over episodes"),
        ("steadiness", f"{card.near:.0%} of episodes within {NEAR:.0%} of the mean return"),
        ("modes", f"returns gather around {gathered}"),
        ("length", f"{card.length_mean:.4g} steps on average"),
        ("terminations", f"{card.terminated:.1%} of episodes"),
    ]
    if card.saturation is not None:
        lines.append(("saturation", f"{card.saturation:.1%} of action components at a bound"))
    return lines
