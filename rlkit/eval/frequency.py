"""The frequency-averaged score: what a policy is worth that may look only now and then.

Patel & Siegelmann 2025 (arXiv 2410.08979): returns R_L of a policy that decides once in L steps,

    FAS = 1 / (30 R_max) ∫_1^30 (R_L + shift) dL,        by trapezia over L = 1, 2, 4, 6 .. 30

R_max and shift are the task's. A policy that reaches R_max at every frequency has 29/30. What an
agent does between decisions is its own affair: a policy of sequences goes on with its sequence, any
other holds its action.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from rlkit.core.errors import FileError
from rlkit.core.files.replacing import replacing
from rlkit.eval.records import Array, Episode
from rlkit.eval.statistics import bootstrap_interval, mean
from rlkit.eval.tables import TooFewRunsWarning

LENGTHS = (1, *range(2, 31, 2))  # L
LONGEST = 30
# task without its version -> R_max, shift
SCALES = {
    "Pendulum": (1350.0, 1550.0),
    "LunarLander": (300.0, 0.0),
    "Hopper": (3600.0, 0.0),
    "Walker2d": (5000.0, 0.0),
    "Ant": (6500.0, 0.0),
    "HalfCheetah": (17000.0, 0.0),
    "Humanoid": (10500.0, 0.0),
    "InvertedPendulum": (1000.0, 0.0),
    "InvertedDoublePendulum": (9400.0, 0.0),
    "Reacher": (60.0, 65.0),
    "Swimmer": (350.0, 0.0),
}
_HEADER = "lane,seed,step,every,return\n"


def scale(env_id: str | None) -> tuple[float, float] | None:
    """R_max and shift of a task, None where the paper has none."""
    return SCALES.get((env_id or "").partition("-")[0])


def mean_over_frequencies(returns: Mapping[int, Array]) -> Array:
    """The mean of R_L over L from the shortest to the longest, by trapezia; `[S]` of `[S]` each.

    Raises ValueError for fewer than two frequencies.
    """
    lengths = sorted(returns)
    if len(lengths) < 2:
        raise ValueError(f"frequencies {lengths} are too few for a mean over them")
    values = np.stack([np.asarray(returns[n], np.float64) for n in lengths], -1)
    return np.asarray(np.trapezoid(values, lengths, axis=-1) / (lengths[-1] - lengths[0]))


def frequency_score(returns: Mapping[int, Array], best: float, shift: float = 0.0) -> Array:
    """FAS `[S]` of the returns R_L `[S]` of every lane, by L. Raises ValueError for a `best` that
    is not positive."""
    if not best > 0:
        raise ValueError(f"best is {best}; the highest return, shifted, must be positive")
    wide = max(returns) - min(returns)
    mean = mean_over_frequencies({n: np.asarray(r) + shift for n, r in returns.items()})
    return mean * wide / (LONGEST * best)


def summarise(returns: Mapping[int, Array], env_id: str | None) -> str:
    """Lines on the returns R_L `[S]` and their score, where the task has one."""
    cells = "  ".join(f"{n}: {np.mean(returns[n]):.4g}" for n in sorted(returns))
    lines = [f"return of deciding once in L steps  {cells}"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooFewRunsWarning)
        means = mean_over_frequencies(returns)
        lines.append(f"mean over L  {bootstrap_interval(means[:, None], mean, reps=10_000)}")
        if (known := scale(env_id)) is not None:
            scores = frequency_score(returns, *known)
            lines.append(f"FAS  {bootstrap_interval(scores[:, None], mean, reps=10_000)}")
    return "\n".join(lines)


def by_lane(episodes: Mapping[int, Sequence[Episode]]) -> dict[int, Array]:
    """Mean returns `[S]` of the lanes, in their order, by L."""
    lanes = sorted({e.lane for played in episodes.values() for e in played})
    return {
        every: np.array([np.mean([e.return_ for e in played if e.lane == k]) for k in lanes])
        for every, played in episodes.items()
    }


def write(path: Path, episodes: Mapping[int, Sequence[Episode]]) -> None:
    """Mean returns of every lane and L as a table of a run folder, in place of an older one."""
    rows = []
    for every, played in sorted(episodes.items()):
        for lane, seed, step in sorted({(e.lane, e.seed, e.step) for e in played}):
            mean = float(np.mean([e.return_ for e in played if e.lane == lane]))
            rows.append(f"{lane},{seed},{step},{every},{mean!r}\n")
    with replacing(path) as temporary:
        temporary.write_text(_HEADER + "".join(rows), encoding="utf-8")


def read(path: Path) -> dict[int, dict[int, float]]:
    """lane -> L -> mean return of a table of `write`; nothing where there is none. Raises FileError
    for a file that is none."""
    if not path.exists():
        return {}
    header, _, body = path.read_text(encoding="utf-8").partition("\n")
    found: dict[int, dict[int, float]] = {}
    try:
        if f"{header}\n" != _HEADER:
            raise ValueError(f"the header is {header!r}")
        for line in body.splitlines():
            lane, _, _, every, value = line.split(",")
            found.setdefault(int(lane), {})[int(every)] = float(value)
    except ValueError as error:
        raise FileError(f"{path}: no table of returns by frequency: {error}") from error
    return found
