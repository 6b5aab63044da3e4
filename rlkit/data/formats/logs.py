"""Episodes of a log: one row a step, columns by name, what the rows leave open told apart.

A row holds the observation that an action was chosen on, the action, the reward it brought and,
where there are any, flags and the id of its episode. The observation that a step led to is the next
row's. After the last step of an episode it is known in three cases: a row follows that has neither
action nor reward (the last observation alone), the log has columns of next observations, or the
step terminated, where nothing is bootstrapped and the step's own stands in. Else that last row only
says where the one before it led, and the episode is one step shorter.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rlkit.core.errors import UsageError
from rlkit.data.formats import tables

Missing = Literal["refuse", "cut", "keep"]
_MOST = float(np.finfo(np.float32).max)
_SAME = 1e-6  # of observations that are written twice, as text or in float32


@dataclass(frozen=True)
class Columns:
    """Which columns mean what: names or patterns (`o_*`), several with commas between them."""

    observation: str
    action: str
    reward: str
    terminal: str | None = None  # 1 where the task ended
    timeout: str | None = None  # 1 where the episode was cut off
    episode: str | None = None  # the same in all rows of an episode: a number or a text
    order: str | None = None  # rows of an episode are sorted by it
    next_observation: str | None = None


@dataclass(frozen=True)
class Log:
    """Episodes as `rlkit.data.write` takes them, and what had to be settled on the way."""

    episodes: list[dict[str, np.ndarray]]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Rows:
    obs: np.ndarray  # [N, O]
    action: np.ndarray  # [N, A]
    reward: np.ndarray  # [N]
    terminal: np.ndarray  # [N] bool
    timeout: np.ndarray  # [N] bool
    ids: np.ndarray  # [N] int64, in the order of appearance
    next_obs: np.ndarray | None
    line: np.ndarray  # [N] place in the file, counted from 1


def read(
    path: str | Path,
    kind: tables.Kind,
    columns: Columns,
    *,
    discrete: bool = False,
    missing_actions: Missing = "refuse",
) -> Log:
    """The episodes of a CSV or Parquet file.

    With `missing_actions="cut"` an episode ends before a row without action, whose observation is
    its last one, and another begins behind it; with "keep" the rows stay, marked in the column
    `action_known`. Raises UsageError for a column that is not there and for a log that does not say
    where episodes end, FileError for cells that are no numbers, ValueError naming the row for gaps.
    """
    if not (columns.episode or columns.terminal or columns.timeout):
        raise UsageError(
            f"{path}: nothing says where episodes end; give --episode, --terminal or --timeout"
        )
    if columns.order and not columns.episode:
        raise UsageError(f"{path}: --order sorts the rows of an episode, so --episode is needed")
    notes: list[str] = []
    rows = _rows(path, kind, columns, notes)
    blank = np.isnan(rows.reward) & np.isnan(rows.action).all(1)
    unknown = np.isnan(rows.action).any(1) & ~blank
    if unknown.any() and missing_actions == "refuse":
        raise ValueError(
            f"{path}: row {rows.line[unknown][0]} has no action ({unknown.sum()} such rows of "
            f"{len(unknown)}); --missing-actions cut leaves them out and ends episodes there, keep "
            "stores them marked"
        )
    last = blank | (unknown if missing_actions == "cut" else False)
    _check_cells(path, rows, last)
    if discrete:
        _check_discrete(path, rows)
    spans = list(_spans(rows, last, notes))
    episodes = [
        _episode(rows, start, stop, last, blank, unknown if missing_actions == "keep" else None)
        for start, stop in spans
    ]
    kept = [episode for episode in episodes if len(episode["reward"])]
    if len(kept) < len(episodes):
        notes.append(
            f"{len(episodes) - len(kept)} episodes left out: of one row, which leads nowhere known"
        )
    if not kept:
        raise ValueError(f"{path}: no step has a known next observation")
    if unknown.any():
        done = "kept, marked in action_known" if missing_actions == "keep" else "left out"
        notes.append(f"{unknown.sum()} rows without an action {done}")
    if dropped := int((~last).sum()) - sum(len(episode["reward"]) for episode in kept):
        notes.append(
            f"{dropped} rows, the last of episodes that did not terminate, are no steps: they only "
            "say where the step before led"
        )
    if discrete:
        for episode in kept:
            action = episode["action"][:, 0]
            episode["action"] = np.where(np.isnan(action), 0, action).astype(np.int64)
    return Log(kept, notes)


def _rows(path: str | Path, kind: tables.Kind, columns: Columns, notes: list[str]) -> _Rows:
    known = tables.names(path, kind)

    def of(what: str, given: str | None, single: bool = True) -> list[str]:
        found = [] if given is None else tables.chosen(given, known, f"--{what}", path)
        if single and len(found) > 1:
            raise UsageError(f"{path}: --{what} is one column, not {', '.join(found)}")
        return found

    names = {
        "obs": of("observation", columns.observation, False),
        "action": of("action", columns.action, False),
        "reward": of("reward", columns.reward),
        "terminal": of("terminal", columns.terminal),
        "timeout": of("timeout", columns.timeout),
        "order": of("order", columns.order),
        "next_obs": of("next-observation", columns.next_observation, False),
    }
    identity = of("episode", columns.episode)
    table = tables.read(path, kind, [n for group in names.values() for n in group], identity)
    size = len(table[names["reward"][0]])

    def stacked(what: str) -> np.ndarray:
        parts = [table[name].reshape(size, -1) for name in names[what]]
        return np.concatenate(parts, axis=1) if parts else np.empty((size, 0))

    def flag(what: str) -> np.ndarray:
        column = stacked(what)[:, 0] if names[what] else np.zeros(size)
        column = np.where(np.isnan(column), 0, column)
        bad = np.flatnonzero((column != 0) & (column != 1))
        if bad.size:
            raise ValueError(
                f"{path}: row {bad[0] + 1} of column {names[what][0]!r} is {column[bad[0]]:g}, "
                "not 0 or 1"
            )
        return column.astype(bool)

    obs, next_obs = stacked("obs"), stacked("next_obs") if names["next_obs"] else None
    if next_obs is not None and next_obs.shape != obs.shape:
        raise UsageError(
            f"{path}: {next_obs.shape[1]} columns of next observations for {obs.shape[1]} of "
            "observations"
        )
    ids, rank = np.zeros(size, np.int64), np.arange(size)
    if identity:
        _, first, inverse = np.unique(table[identity[0]], return_index=True, return_inverse=True)
        ids = np.argsort(np.argsort(first))[inverse.reshape(-1)]
        if (np.diff(ids) < 0).any():
            notes.append("rows of different episodes stand mixed: gathered by their ids")
        when = table[names["order"][0]] if names["order"] else rank
        if np.isnan(when).any():
            row = np.flatnonzero(np.isnan(when))[0] + 1
            raise ValueError(f"{path}: row {row} of column {names['order'][0]!r} is empty")
        rank = np.lexsort((when, ids))
    return _Rows(
        obs=obs[rank],
        action=stacked("action")[rank],
        reward=stacked("reward")[:, 0][rank],
        terminal=flag("terminal")[rank],
        timeout=flag("timeout")[rank],
        ids=ids[rank],
        next_obs=None if next_obs is None else next_obs[rank],
        line=rank + 1,
    )


def _check_cells(path: str | Path, rows: _Rows, last: np.ndarray) -> None:
    """Observations are whole in every row, rewards in every step; NaN is what a gap was read as."""
    for what, column, needed in (
        ("observation", rows.obs, np.ones(len(last), bool)),
        ("reward", rows.reward[:, None], ~last),
        ("action", np.nan_to_num(rows.action, nan=0.0, posinf=np.inf, neginf=-np.inf), ~last),
    ):
        bad = np.flatnonzero(~(np.abs(column) <= _MOST).all(1) & needed)
        if bad.size:
            raise ValueError(
                f"{path}: row {rows.line[bad[0]]} has an empty {what}, or one that float32 cannot "
                f"hold ({bad.size} such rows)"
            )


def _check_discrete(path: str | Path, rows: _Rows) -> None:
    """Discrete actions are one column of whole numbers."""
    if (width := rows.action.shape[1]) != 1:
        raise UsageError(f"{path}: {width} columns of actions; discrete ones are one column")
    column = rows.action[:, 0]
    bad = np.flatnonzero(np.isfinite(column) & (column != column.round()))
    if bad.size:
        raise ValueError(
            f"{path}: row {rows.line[bad[0]]} has the action {column[bad[0]]:g}; discrete ones are "
            f"whole numbers ({bad.size} such rows)"
        )


def _spans(rows: _Rows, last: np.ndarray, notes: list[str]) -> Iterator[tuple[int, int]]:
    """First row of each episode and the one behind its last, a last observation's included."""
    size = len(last)
    changes = np.append(np.diff(rows.ids) != 0, True)
    # a flag ends an episode, but for a last observation that still follows
    follows = np.append(last[1:], False) & ~changes
    flags = (rows.terminal | rows.timeout) & ~follows
    ends = changes | last | flags
    if rows.next_obs is not None and size > 1:
        told = rows.next_obs[:-1]
        near = np.isclose(told, rows.obs[1:], rtol=_SAME, atol=_SAME) | np.isnan(told)
        jumps = np.append(~near.all(1), False) & ~ends
        if jumps.any():
            notes.append(
                f"{jumps.sum()} episodes cut where the next observation is not the next row's, the "
                f"first at row {rows.line[np.flatnonzero(jumps)[0]]}"
            )
        ends |= jumps
    inside = flags & ~changes
    if inside.any() and changes.sum() > 1:
        notes.append(f"{inside.sum()} flags stand inside an episode's id: it is cut there")
    stops = np.flatnonzero(ends) + 1
    yield from zip([0, *stops[:-1]], stops, strict=True)


def _episode(
    rows: _Rows,
    start: int,
    stop: int,
    last: np.ndarray,
    blank: np.ndarray,
    unknown: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """The steps of one span, perhaps none."""
    end = stop - 1  # the last row
    obs = rows.obs[start:stop]
    terminated = bool(rows.terminal[end])
    if last[end]:
        steps = end - start
        before = bool(steps) and bool(rows.terminal[end - 1])
        terminated = before or (terminated and bool(blank[end]))
    elif rows.next_obs is not None and np.isfinite(rows.next_obs[end]).all():
        steps = stop - start
        obs = np.concatenate([obs, rows.next_obs[end : end + 1]])
    elif terminated:
        steps = stop - start
        obs = np.concatenate([obs, obs[-1:]])
    else:
        steps = end - start
    ended = np.arange(steps) == steps - 1
    cut = bool(rows.timeout[start:stop].any()) or not terminated
    taken = slice(start, start + steps)
    action = rows.action[taken].astype(np.float32)
    episode: dict[str, Any] = {
        "obs": obs.astype(np.float32),
        "action": action,
        "reward": rows.reward[taken],
        "terminated": ended & terminated,
        "truncated": ended & cut,
    }
    if unknown is not None:
        action[unknown[taken]] = np.nan
        episode["action_known"] = ~unknown[taken]
    return episode
