"""Episodes as plain arrays: one row a step, boundaries stored rather than guessed.

Rows hold environment units. `next_obs` is the observation the step really led to, at a time limit
too, so nothing downstream looks at the following row to find it. `terminated` means the task
ended; `truncated` means the recording ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

_REQUIRED = ("obs", "action", "reward", "terminated", "truncated")  # of an episode
_BOUND_TOLERANCE = 1e-5  # of the range: room for float32 rounding, not for another scale


@dataclass(frozen=True, eq=False)
class EpisodeStore:
    """N steps of E whole episodes, contiguous and in order.

    Arrays are kept as given (no copy) apart from dtype: `reward` float32, flags bool, ids int64.
    The last step of an episode that carries no flag is marked truncated. Raises ValueError naming
    the column and the row for a shape that does not fit, what is no real number, a number that is
    not finite or overflows float32 (what agents compute with), a flag inside an episode, or episode
    ids and steps that do not count up. Actions may be NaN where the
    optional column `action_known` is False.
    """

    obs: np.ndarray  # [N, *obs]
    action: np.ndarray  # [N, A] floating, or [N] int64
    reward: np.ndarray  # [N] float32
    next_obs: np.ndarray  # [N, *obs]
    terminated: np.ndarray  # [N] bool
    truncated: np.ndarray  # [N] bool
    episode: np.ndarray  # [N] int64, 0 .. E-1
    t: np.ndarray  # [N] int64, 0 at the start of each episode
    extra: dict[str, np.ndarray] = field(default_factory=dict)  # each [N, ...]

    def __post_init__(self) -> None:
        for name in ("obs", "action", "reward", "next_obs"):
            check_numbers(name, np.asarray(getattr(self, name)))
        action = np.asarray(self.action)
        columns: dict[str, Any] = {
            "obs": np.asarray(self.obs),
            "action": action.astype(np.int64, copy=False) if action.dtype.kind in "iu" else action,
            "reward": np.asarray(self.reward).astype(np.float32, copy=False),
            "next_obs": np.asarray(self.next_obs),
            "terminated": _flags("terminated", self.terminated),
            "truncated": _flags("truncated", self.truncated),
            "episode": np.asarray(self.episode).astype(np.int64, copy=False),
            "t": np.asarray(self.t).astype(np.int64, copy=False),
            "extra": {name: np.asarray(column) for name, column in self.extra.items()},
        }
        for name, column in columns.items():
            object.__setattr__(self, name, column)
        _check_shapes(self)
        _check_finite(self)
        _check_boundaries(self)
        open_end = self.ends[~(self.terminated | self.truncated)[self.ends]]
        if open_end.size:  # the caller's array stays as it was
            truncated = self.truncated.copy()
            truncated[open_end] = True
            object.__setattr__(self, "truncated", truncated)

    # --- making -------------------------------------------------------------------------------
    @staticmethod
    def from_episodes(episodes: Iterable[Mapping[str, Any]]) -> EpisodeStore:
        """A store of `episodes`: each a mapping with `obs` [T+1, ...] (the last one included) and
        `action`, `reward`, `terminated`, `truncated` [T]; any further entry of length T becomes an
        extra column. Raises ValueError naming the episode."""
        parts: dict[str, list[np.ndarray]] = {}
        lengths: list[int] = []
        for number, given in enumerate(episodes):
            part = _episode_columns(number, given)
            if number and part.keys() != parts.keys():
                raise ValueError(
                    f"episode {number} has columns {sorted(part)} but episode 0 has {sorted(parts)}"
                )
            for name, column in part.items():
                earlier = parts.setdefault(name, [])
                if earlier and column.shape[1:] != earlier[0].shape[1:]:
                    raise ValueError(
                        f"episode {number}: {name} has shape {column.shape[1:]} a step, "
                        f"episode 0 has {earlier[0].shape[1:]}"
                    )
                earlier.append(column)
            lengths.append(len(part["reward"]))
        if not lengths:
            raise ValueError("no episodes given; a store needs at least one step")
        columns = {name: np.concatenate(pieces) for name, pieces in parts.items()}
        main = {name: columns.pop(name) for name in (*_REQUIRED, "next_obs")}
        return EpisodeStore(**main, **_numbering(np.array(lengths)), extra=columns)

    @staticmethod
    def concatenate(stores: Sequence[EpisodeStore]) -> EpisodeStore:
        """The episodes of `stores` one after another, renumbered."""
        if not stores:
            raise ValueError("no stores to concatenate")
        names = set(stores[0].extra)
        for k, store in enumerate(stores):
            if set(store.extra) != names or store.discrete != stores[0].discrete:
                raise ValueError(
                    f"store {k} has extra columns {sorted(store.extra)} and "
                    f"{'discrete' if store.discrete else 'continuous'} actions, unlike store 0"
                )
            if store.obs.shape[1:] != stores[0].obs.shape[1:]:
                raise ValueError(
                    f"store {k} has observations of shape {store.obs.shape[1:]}, "
                    f"store 0 of shape {stores[0].obs.shape[1:]}"
                )
        main = {
            name: np.concatenate([getattr(store, name) for store in stores])
            for name in (*_REQUIRED, "next_obs")
        }
        extra = {name: np.concatenate([s.extra[name] for s in stores]) for name in stores[0].extra}
        lengths = np.concatenate([store.lengths for store in stores])
        return EpisodeStore(**main, **_numbering(lengths), extra=extra)

    # --- shape --------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self.reward)

    @property
    def nbytes(self) -> int:
        """Bytes of all its numbers."""
        own = (getattr(self, f.name) for f in fields(self) if f.name != "extra")
        return sum(column.nbytes for column in (*own, *self.extra.values()))

    @property
    def discrete(self) -> bool:
        return self.action.dtype.kind == "i"

    @property
    def episodes(self) -> int:
        """Number of episodes E."""
        return len(self.starts)

    @cached_property
    def starts(self) -> np.ndarray:
        """First row of each episode `[E]` int64."""
        return np.flatnonzero(np.diff(self.episode, prepend=-1))

    @cached_property
    def lengths(self) -> np.ndarray:
        """Steps of each episode `[E]` int64."""
        return np.diff(self.starts, append=len(self))

    @property
    def ends(self) -> np.ndarray:
        """Last row of each episode `[E]` int64."""
        return self.starts + self.lengths - 1

    # --- returns ------------------------------------------------------------------------------
    def returns(self, gamma: float = 1.0) -> np.ndarray:
        """Return of each episode from its first step `[E]` float64."""
        return np.add.reduceat(self.reward.astype(np.float64) * gamma**self.t, self.starts)

    def with_columns(self, *names: str, gamma: float | None = None, **given: Any) -> EpisodeStore:
        """The store with further columns.

        Known `names`: `mc_return` (return to go under `gamma`, 0 after the last step recorded, so
        an underestimate in truncated episodes), `next_action` (the episode's next action; its last
        row repeats its own) and `initial_obs`. Any array `[N, ...]` may be `given` by name.
        """
        extra = dict(self.extra)
        for name in names:
            if name == "mc_return":
                if gamma is None:
                    raise ValueError("mc_return needs gamma")
                extra[name] = returns_to_go(self.reward, self.starts, gamma)
            elif name == "next_action":
                extra[name] = self.action[np.minimum(np.arange(len(self)) + 1, self.row_end)]
            elif name == "initial_obs":
                extra[name] = self.obs[self.starts[self.episode]]
            else:
                raise ValueError(
                    f"column {name!r} cannot be computed: know mc_return, next_action, "
                    "initial_obs; pass others as name=array"
                )
        return replace(self, extra=extra | given)

    @property
    def row_end(self) -> np.ndarray:
        """For each row, the last row of its episode `[N]`."""
        return self.ends[self.episode]

    # --- choosing -----------------------------------------------------------------------------
    def select(self, episodes: Iterable[int] | np.ndarray) -> EpisodeStore:
        """The chosen whole episodes, in the order given, renumbered from 0."""
        chosen = np.asarray(episodes if isinstance(episodes, np.ndarray) else list(episodes))
        if chosen.dtype == bool:
            chosen = np.flatnonzero(chosen)
        if not chosen.size:
            raise ValueError("no episode selected; a store needs at least one step")
        if chosen.min() < 0 or chosen.max() >= self.episodes:
            raise ValueError(
                f"episodes {chosen.min()}..{chosen.max()} asked, only 0..{self.episodes - 1} exist"
            )
        lengths = self.lengths[chosen]
        numbering = _numbering(lengths)
        rows = np.repeat(self.starts[chosen], lengths) + numbering["t"]
        main = {name: getattr(self, name)[rows] for name in (*_REQUIRED, "next_obs")}
        extra = {name: column[rows] for name, column in self.extra.items()}
        return EpisodeStore(**main, **numbering, extra=extra)

    def best(self, fraction: float, by: Literal["steps", "episodes"] = "steps") -> EpisodeStore:
        """The `best_episodes` as a store; with fraction 1 the store itself."""
        chosen = self.best_episodes(fraction, by)
        return self if len(chosen) == self.episodes else self.select(chosen)

    def best_episodes(
        self, fraction: float, by: Literal["steps", "episodes"] = "steps"
    ) -> np.ndarray:
        """Numbers of the episodes of highest undiscounted return, ascending.

        `by="steps"`: best episodes first while their steps stay within `fraction` of all steps,
        the best one always (%BC of Chen et al. 2021). `by="episodes"`: the best
        max(1, floor(fraction * E)).
        """
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction {fraction} must lie in (0, 1]")
        order = np.argsort(-self.returns(), kind="stable")
        slack = 1e-9  # 0.29 * 100 is 28.999...
        if by == "steps":
            taken = np.cumsum(self.lengths[order])
            keep = int(np.count_nonzero(taken <= fraction * len(self) + slack))
        elif by == "episodes":
            keep = int(fraction * self.episodes + slack)
        else:
            raise ValueError(f"by={by!r}: use 'steps' or 'episodes'")
        return np.sort(order[: max(1, keep)])

    def check_action_bounds(self, low: Any, high: Any) -> None:
        """Raises ValueError naming the first row whose action leaves [low, high] (both included,
        numbers or `[A]`)."""
        low, high = np.asarray(low), np.asarray(high)
        slack = 0 if self.discrete else _BOUND_TOLERANCE * (high - low)
        outside = (self.action < low - slack) | (self.action > high + slack)  # False for NaN
        bad = np.flatnonzero(outside.reshape(len(self), -1).any(1))
        if bad.size:
            row = bad[0]
            raise ValueError(
                f"column action: {_where(self, row)} holds {self.action[row].tolist()}, outside "
                f"the bounds [{low.tolist()}, {high.tolist()}] ({bad.size} such rows); the actions "
                "must be in the environment's units"
            )


def returns_to_go(reward: np.ndarray, starts: np.ndarray, gamma: float) -> np.ndarray:
    """Σ_k γ^k r_{t+k} to the end of the episode, for each row `[N]` float64."""
    total = np.asarray(reward, np.float64).copy()
    stops = np.append(starts[1:], len(total))
    longest = int((stops - starts).max())
    for back in range(2, longest + 1):  # all episodes at once, from their last steps backwards
        rows = stops - back
        rows = rows[rows >= starts]
        total[rows] += gamma * total[rows + 1]
    return total


def check_numbers(name: str, column: np.ndarray) -> None:
    """Raises ValueError where a column holds text, complex numbers or objects, or numbers that
    float32 cannot hold."""
    if column.dtype.kind not in "biuf":
        raise ValueError(f"column {name} holds {column.dtype}; real numbers are expected")
    if column.dtype.kind == "f" and column.dtype.itemsize > 4 and column.ndim:
        most = np.finfo(np.float32).max
        bad = (np.isfinite(column) & (np.abs(column) > most)).reshape(len(column), -1).any(1)
        if bad.any():
            raise ValueError(
                f"column {name}: row {np.flatnonzero(bad)[0]} holds a number beyond {most:.3g}, "
                f"which float32 cannot hold ({bad.sum()} such rows); rescale it"
            )


def _numbering(lengths: np.ndarray) -> dict[str, np.ndarray]:
    episode = np.repeat(np.arange(len(lengths)), lengths)
    first = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return {"episode": episode, "t": np.arange(len(episode)) - first}


def _episode_columns(number: int, given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    missing = [name for name in _REQUIRED if name not in given]
    if missing:
        raise ValueError(f"episode {number} lacks {', '.join(missing)}")
    columns = {name: np.asarray(column) for name, column in given.items()}
    obs, steps = columns["obs"], len(columns["reward"])
    if steps == 0:
        raise ValueError(f"episode {number} has no steps; leave it out")
    if len(obs) != steps + 1:
        raise ValueError(
            f"episode {number}: {len(obs)} observations for {steps} rewards; one more observation "
            "than steps is expected, the last being the true final one"
        )
    for name, column in columns.items():
        if name != "obs" and (column.ndim == 0 or len(column) != steps):
            raise ValueError(
                f"episode {number}: {name} has shape {column.shape}, {steps} steps expected"
            )
    return columns | {"obs": obs[:-1], "next_obs": obs[1:]}


def _flags(name: str, column: Any) -> np.ndarray:
    column = np.asarray(column)
    if column.dtype.kind == "f" and not np.isfinite(column).all():
        raise ValueError(
            f"column {name}: row {np.flatnonzero(~np.isfinite(column))[0]} is not finite"
        )
    return column.astype(bool, copy=False)


def _check_shapes(store: EpisodeStore) -> None:
    if store.reward.ndim != 1:
        raise ValueError(f"column reward has shape {store.reward.shape}; [N] is expected")
    steps = len(store.reward)
    if steps == 0:
        raise ValueError("column reward is empty; a store needs at least one step")
    if store.obs.ndim < 2:
        raise ValueError(f"column obs has shape {store.obs.shape}; [N, ...] is expected")
    expected: dict[str, tuple] = {
        "obs": (steps, *store.obs.shape[1:]),
        "next_obs": (steps, *store.obs.shape[1:]),
        "action": (steps,) if store.discrete else (steps, *store.action.shape[1:2]),
    } | dict.fromkeys(("terminated", "truncated", "episode", "t"), (steps,))
    for name, shape in expected.items():
        if getattr(store, name).shape != shape:
            raise ValueError(f"column {name} has shape {getattr(store, name).shape}, not {shape}")
    if not store.discrete and (store.action.dtype.kind != "f" or store.action.ndim != 2):
        raise ValueError(
            f"column action has dtype {store.action.dtype} and shape {store.action.shape}; "
            "[N, A] floating or [N] integers are expected"
        )
    for name, column in store.extra.items():
        if column.ndim == 0 or len(column) != steps:
            raise ValueError(f"column {name} has shape {column.shape}; {steps} rows are expected")


def _where(store: EpisodeStore, row: int) -> str:
    return f"row {row} (episode {store.episode[row]}, step {store.t[row]})"


def _check_finite(store: EpisodeStore) -> None:
    columns = {name: getattr(store, name) for name in ("obs", "next_obs", "reward", "action")}
    known = store.extra.get("action_known")
    for name, column in (columns | store.extra).items():
        if column.dtype.kind != "f":
            continue
        bad = ~np.isfinite(column).reshape(len(store), -1).all(1)
        if known is not None and name in ("action", "next_action"):
            bad &= known.astype(bool) if name == "action" else False
        rows = np.flatnonzero(bad)
        if rows.size:
            raise ValueError(
                f"column {name}: {_where(store, rows[0])} holds NaN or infinity "
                f"({rows.size} such rows)"
            )


def _check_boundaries(store: EpisodeStore) -> None:
    jump = np.diff(store.episode)
    if store.episode[0] != 0 or ((jump != 0) & (jump != 1)).any():
        row = 0 if store.episode[0] != 0 else np.flatnonzero((jump != 0) & (jump != 1))[0] + 1
        raise ValueError(f"column episode: row {row} breaks the count 0, .., 0, 1, .., 1, 2, ..")
    wrong = np.flatnonzero(store.t != _numbering(store.lengths)["t"])
    if wrong.size:
        raise ValueError(
            f"column t: {_where(store, wrong[0])}: steps must count 0, 1, 2, .. in each episode"
        )
    for name in ("terminated", "truncated"):
        inside = getattr(store, name).copy()
        inside[store.ends] = False
        if inside.any():
            row = np.flatnonzero(inside)[0]
            raise ValueError(
                f"column {name}: {_where(store, row)} carries the flag inside its episode; cut the "
                "episode there or clear the flag"
            )
