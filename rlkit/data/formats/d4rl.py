"""D4RL HDF5 files and the D4RL score.

D4RL stores concatenated episodes as flat arrays. What goes wrong in such files, and what is done:

- The last episode usually carries no flag: it counts as truncated.
- `next_observations` may be absent. Inside an episode the next row's observation is the next one;
  where an episode was cut off (time limit, end of the file) it is unknown, and only that row is
  dropped, after all episodes have been cut. A terminal row stays: nothing is bootstrapped there.
- `timeouts` may be absent. Then a row whose recorded next observation is not the next row's
  observation ends an episode; without recorded next observations a known `time_limit` does.
- Some files jump to another episode without any flag: the same comparison finds those.
- Rewards may be `[N, 1]`; flags may be numbers.
- The collector lets a timeout hide a termination at the very time limit; that is lost for good.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from gymnasium import spaces

from rlkit.core.errors import FileError
from rlkit.core.words.nearest import suggestion
from rlkit.data.formats import hdf5
from rlkit.data.formats.meta import D4RL_SCORE, Meta, Reference
from rlkit.data.store import EpisodeStore, check_numbers

_SAME = 1e-6  # D4RL recorded both copies of an observation in float32
_PLAIN = ("rewards", "terminals", "timeouts")  # one number a row
_REQUIRED = ("observations", "actions", "rewards", "terminals")
_VERSION = re.compile(r"(.*?)(?:-(v\d+))?", re.DOTALL)  # name, version

# Tasks that share returns: the last words of their names ("" for none), the former names of their
# files too.
_GYM = "|random|medium|expert|medium-expert|medium-replay|full-replay|mixed"
_ANT = _GYM + "|random-expert"
_HAND = "|human|cloned|expert|v0-demos-clipped|demos-v0-bc-combined|v0-expert-clipped"
_ANTMAZE = "umaze|umaze-diverse|medium-play|medium-diverse|large-play|large-diverse"
_KITCHEN = (
    "complete|partial|mixed|microwave-kettle-light-slider|microwave-kettle-bottomburner-light"
)
_SPARSE, _FLOW = "|sparse", "random|controller|v0-random|v0-idm"
_LANE, _TOWN = "|render|follow-flat", "|render|subsamp-flat"

# (random, expert) returns, versions and tasks of every environment that has them.
REFERENCES: dict[str, tuple[float, float, str, str]] = {
    "hopper": (-20.272305, 3234.3, "v0 v1 v2", _GYM),
    "halfcheetah": (-280.178953, 12135.0, "v0 v1 v2", _GYM),
    "walker2d": (1.629008, 4592.3, "v0 v1 v2", _GYM),
    "ant": (-325.6, 3879.7, "v0 v1 v2", _ANT),
    "antmaze": (0.0, 1.0, "v0 v1 v2", _ANTMAZE),
    "maze2d-open": (0.01, 20.66, "v0", _SPARSE),
    "maze2d-umaze": (23.85, 161.86, "v1", _SPARSE),
    "maze2d-medium": (13.13, 277.39, "v1", _SPARSE),
    "maze2d-large": (6.7, 273.99, "v1", _SPARSE),
    "maze2d-open-dense": (11.17817, 27.166538620695782, "v0", ""),
    "maze2d-umaze-dense": (68.537689, 193.66285642381482, "v1", ""),
    "maze2d-medium-dense": (44.264742, 297.4552547777125, "v1", ""),
    "maze2d-large-dense": (30.569041, 303.4857382709002, "v1", ""),
    "pen": (96.262799, 3076.8331017826877, "v0 v1", _HAND),
    "hammer": (-274.856578, 12794.134825156867, "v0 v1", _HAND),
    "relocate": (-6.425911, 4233.877797728884, "v0 v1", _HAND),
    "door": (-56.512833, 2880.5693087298737, "v0 v1", _HAND),
    "kitchen": (0.0, 4.0, "v0", _KITCHEN),
    "minigrid-fourrooms": (0.01442, 2.89685, "v0", "|random"),
    "flow-ring": (-165.22, 24.42, "v0", _FLOW),
    "flow-merge": (118.67993, 330.03179, "v0", _FLOW),
    "carla-lane": (-0.8503839912088142, 1023.5784385429523, "v0", _LANE),
    "carla-town": (-114.81579500772153, 2440.1772022247314, "v0", _TOWN),
    "bullet-halfcheetah": (-1275.766996, 2381.6725, "v0", _GYM),
    "bullet-hopper": (20.058972, 1441.8059623430963, "v0", _GYM),
    "bullet-ant": (373.705955, 2650.495, "v0", _ANT),
    "bullet-walker2d": (16.523877, 1623.6476303317536, "v0", _GYM),
    "bullet-maze2d-open": (8.75, 64.15, "v0", _SPARSE),
    "bullet-maze2d-umaze": (32.46, 153.99, "v0", _SPARSE),
    "bullet-maze2d-medium": (14.87, 238.05, "v0", _SPARSE),
    "bullet-maze2d-large": (1.82, 285.92, "v0", _SPARSE),
}
# name of a task without its version -> its environment
_TASKS = {
    f"{family}-{task}".rstrip("-"): family
    for family, (_, _, _, tasks) in REFERENCES.items()
    for task in tasks.split("|")
}


def reference(name: str) -> Reference:
    """The D4RL reference returns of a task name such as `hopper-medium-v2`.

    They belong to the environments of D4RL: Gymnasium's -v4 and -v5 rewards are not comparable.
    Raises ValueError for a task that D4RL gives no constants for, or another version of one.
    """
    stem = name.casefold().replace("_", "-")
    stem, version = _VERSION.fullmatch(stem).groups()  # type: ignore[union-attr]  # fits any text
    if stem not in _TASKS:
        ending = f"-{version}" if version else ""
        near = suggestion(f"{stem}{ending}", [f"{task}{ending}" for task in _TASKS])
        raise ValueError(f"D4RL has no reference returns for {name!r}{near}")
    random, expert, versions, _ = REFERENCES[_TASKS[stem]]
    if version and version not in versions.split():
        raise ValueError(
            f"D4RL has no reference returns for {name!r}, but for its {versions.replace(' ', ', ')}"
        )
    return Reference(random, expert, "D4RL expert", score_name=D4RL_SCORE)


def score(name: str, returns: Any) -> np.ndarray:
    """D4RL score (R - random) / (expert - random) of undiscounted returns. Not clipped; papers
    print 100 times its mean. Source: Fu et al. 2020, arXiv:2004.07219."""
    return reference(name).score(returns)


@dataclass(frozen=True)
class _Columns:
    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminal: np.ndarray
    timeout: np.ndarray | None
    next_obs: np.ndarray | None


def read(path: str | Path, *, time_limit: int | None = None) -> tuple[EpisodeStore, Meta]:
    """The episodes of a D4RL HDF5 file and their description.

    `time_limit` (steps) cuts episodes in files that have neither timeouts nor next observations.
    `meta.notes` say what was missing and how many rows were dropped; the column `raw_return` holds
    each episode's return before any row was dropped. The file does not say in what bounds the
    actions lie: `meta` has those of D4RL's own tasks, [-1, 1], and `spaces_known` False. Raises
    ValueError naming file, key and row for a damaged file, a missing key (with
    the nearest present one), arrays that do not fit, and numbers that are not finite.
    """
    path = Path(path)
    columns = _load(path)
    steps = len(columns.reward)
    notes: list[str] = []
    ends = _episode_ends(columns, time_limit, notes)
    starts = np.concatenate([[0], np.flatnonzero(ends)[:-1] + 1])
    episode = np.cumsum(ends) - ends
    raw_return = np.add.reduceat(columns.reward.astype(np.float64), starts)[episode]

    truncated = ends & ~columns.terminal
    if columns.timeout is not None:
        truncated |= columns.timeout
    keep = np.ones(steps, bool)
    # Inside an episode the following row is exact, also where a recorded copy was rounded. A
    # terminal row's next observation may be unknown: it is never used, and its own stands in.
    next_obs = np.roll(columns.obs, -1, 0)
    next_obs[ends] = (columns.obs if columns.next_obs is None else columns.next_obs)[ends]
    if columns.next_obs is None:
        unknown = ends & ~columns.terminal
        keep = ~unknown
        cut = np.flatnonzero(unknown)
        before = cut[~np.isin(cut, starts)] - 1  # the row before has its next observation
        truncated[before] = True
        notes.append(
            f"no next_observations: rebuilt from the following rows; {len(cut)} of {steps} rows "
            "dropped, the last of each episode that did not terminate"
        )
    if not keep.any():
        raise ValueError(f"{path}: no row has a known next observation")
    kept = np.flatnonzero(keep)
    _, number = np.unique(episode[kept], return_inverse=True)
    first = np.flatnonzero(np.diff(number, prepend=-1))
    try:
        store = EpisodeStore(
            obs=columns.obs[kept],
            action=columns.action[kept],
            reward=columns.reward[kept],
            next_obs=next_obs[kept],
            terminated=columns.terminal[kept],
            truncated=truncated[kept],
            episode=number,
            t=np.arange(len(kept)) - first[number],
            extra={"raw_return": raw_return[kept]},
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return store, _meta(path, store, notes)


def _meta(path: Path, store: EpisodeStore, notes: list[str]) -> Meta:
    size = store.action.shape[1:]
    try:
        found: Reference | None = reference(path.stem)
    except ValueError:
        found = None
    return Meta(
        dataset_id=path.stem,
        observation_space=spaces.Box(-np.inf, np.inf, store.obs.shape[1:], np.float32),
        action_space=spaces.Discrete(int(store.action.max()) + 1)
        if store.discrete
        else spaces.Box(-1.0, 1.0, size, np.float32),
        reference=found,
        behaviour_return=float(store.extra["raw_return"][store.starts].mean()),
        algorithm="D4RL",
        description=f"imported from the D4RL file {path.name}",
        notes=tuple(notes),
        spaces_known=False,
    )


def _episode_ends(columns: _Columns, time_limit: int | None, notes: list[str]) -> np.ndarray:
    """True at the last row of each episode `[N]`, from the raw flags before any row is dropped."""
    ends = columns.terminal.copy()
    if columns.timeout is not None:
        ends |= columns.timeout
    if columns.next_obs is not None:
        differs = ~np.isclose(columns.next_obs[:-1], columns.obs[1:], rtol=0, atol=_SAME)
        jumps = np.append(differs.reshape(len(ends) - 1, -1).any(1), False) & ~ends
        if jumps.any():
            notes.append(
                f"{int(jumps.sum())} episodes end without a flag, the first at row "
                f"{np.flatnonzero(jumps)[0]}: found where the next observation is not the next "
                "row's; marked truncated"
            )
        ends |= jumps
    elif columns.timeout is None and time_limit is not None:
        t = 0
        for row, ended in enumerate(ends):
            t += 1
            if ended or t == time_limit:
                ends[row] = True
                t = 0
        notes.append(f"no timeouts: episodes cut at the time limit of {time_limit} steps")
    elif columns.timeout is None:
        notes.append(
            "no timeouts and no next_observations: episodes are cut at terminals alone, so "
            "episodes that timed out are joined to the one that follows; give the time limit"
        )
    if columns.timeout is None and columns.next_obs is not None:
        notes.append("no timeouts: episode ends found by comparing next observations")
    if not ends[-1]:
        notes.append("the last episode carries no flag: marked truncated")
        ends[-1] = True
    return ends


def _load(path: Path) -> _Columns:
    with hdf5.opened(path, "a D4RL file (HDF5)") as file:
        missing = [name for name in _REQUIRED if name not in file]
        if missing:
            present = [name for name in file if isinstance(file[name], h5py.Dataset)]
            hints = [f"{name!r}{suggestion(name, present)}" for name in missing]
            raise FileError(f"{path}: not in D4RL's layout: lacks {'; '.join(hints)}")
        names = [n for n in (*_REQUIRED, "timeouts", "next_observations") if n in file]
        _check_shapes(path, {name: hdf5.shape(file, name) for name in names})
        arrays = {name: hdf5.array(file, name) for name in names}
    try:
        for name, column in arrays.items():
            check_numbers(name, column)
    except ValueError as error:
        raise FileError(f"{path}: {error}") from error
    for name in ("observations", "actions", "next_observations"):
        if name in arrays and arrays[name].dtype.kind == "f":
            arrays[name] = arrays[name].astype(np.float32, copy=False)
    for name, array in arrays.items():
        if array.ndim == 2 and array.shape[1] == 1 and (name in _PLAIN or _discrete(name, array)):
            arrays[name] = array[:, 0]
    steps = len(arrays["rewards"])
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad = np.flatnonzero(~np.isfinite(array).reshape(steps, -1).all(1))
            raise ValueError(
                f"{path}: {name} row {bad[0]} holds NaN or infinity ({len(bad)} such rows)"
            )
    for name in ("terminals", "timeouts"):
        if name in arrays:
            bad = np.flatnonzero((arrays[name] != 0) & (arrays[name] != 1))
            if bad.size:
                raise ValueError(f"{path}: {name} row {bad[0]} is {arrays[name][bad[0]]}, not 0/1")
    return _Columns(
        obs=arrays["observations"],
        action=arrays["actions"],
        reward=arrays["rewards"],
        terminal=arrays["terminals"].astype(bool),
        timeout=arrays["timeouts"].astype(bool) if "timeouts" in arrays else None,
        next_obs=arrays.get("next_observations"),
    )


def _check_shapes(path: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """Columns of one length, before any of them is read. Raises FileError naming the first that is
    not."""
    steps = math.prod(shapes["rewards"])
    if steps == 0:
        raise FileError(f"{path}: holds no rows")
    for name, shape in shapes.items():
        flat = name in _PLAIN
        if shape[:1] != (steps,) or (flat and shape not in ((steps,), (steps, 1))):
            expected = f"({steps},)" if flat else f"({steps}, ...)"
            raise FileError(f"{path}: {name} has shape {shape}; {expected} is expected")
        if 0 in shape:
            raise FileError(f"{path}: {name} has shape {shape}: there is nothing in a row")
    obs, following = shapes["observations"], shapes.get("next_observations")
    if following is not None and following != obs:
        raise FileError(f"{path}: next_observations has shape {following}, observations has {obs}")


def _discrete(name: str, array: np.ndarray) -> bool:
    return name == "actions" and array.dtype.kind in "iu"
