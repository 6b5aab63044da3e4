"""Replay of transitions in agent units: one packed row each, gathered by one index_select.

A row holds s | a | r | cont | last | s2 | columns, without s and s2 where they are images, which
are stored apart (`data.frames`). `cont` is 1 - terminated; `last` is 1 where the episode ends for
either reason. Offline all lanes read the same rows `[N, W]`; online every lane has its own ring
`[S, N, W]`, in which row t*E + e is step t of environment e.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.spec import Spec
from rlkit.data.frames import Frames
from rlkit.data.packing import writer
from rlkit.data.store import EpisodeStore, returns_to_go
from rlkit.data.transforms import Transforms

_FIELDS = {"weight": "w", "initial_obs": "s0", "next_action": "a2", "mc_return": "mc"}  # of Batch
_CHUNK = 1 << 16  # rows transformed at once when a dataset is read


class Replay:
    """A ring of `capacity` transitions a lane, rounded up to whole steps of `envs` environments.

    `columns` are packed into each row: `weight`, `initial_obs`, `next_action` and `mc_return` come
    out as `w`, `s0`, `a2` and `mc` of a batch; any other name is one number a row, read by `rows`.
    """

    def __init__(
        self,
        spec: Spec,
        capacity: int,
        *,
        shared: bool = False,
        envs: int = 1,
        columns: tuple[str, ...] = (),
    ) -> None:
        if capacity < 1 or envs < 1:
            raise ValueError(f"capacity {capacity} and envs {envs} must be positive")
        if spec.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"replay holds float32 or float64 numbers, not {spec.dtype}")
        self.spec, self.shared, self.envs, self.columns = spec, shared, envs, tuple(columns)
        action = 1 if spec.discrete else spec.act_size
        size = 0 if spec.image else spec.obs_size
        if spec.image and "initial_obs" in columns:
            raise ValueError("of images no column 'initial_obs' is kept")
        widths = {"s": size, "a": action, "r": 1, "cont": 1, "last": 1, "s2": size}
        known = {"initial_obs": size, "next_action": action}
        widths |= {name: known.get(name, 1) for name in self.columns}
        self.width = sum(widths.values())
        stops = np.cumsum(list(widths.values())).tolist()
        self._slices = {
            name: slice(stop - width, stop)
            for (name, width), stop in zip(widths.items(), stops, strict=True)
        }
        self._slots = -(-capacity // envs)
        self.capacity = self._slots * envs
        self._owners = 1 if shared else spec.lanes
        numbers = np.float32 if spec.dtype == torch.float32 else np.float64
        self._data = _zeros((self._owners, self.capacity, self.width), numbers, spec)
        self._flat = self._data.view(-1, self.width)
        self._first_row = torch.arange(self._owners, device=spec.device).unsqueeze(-1)
        self._first_row = self._first_row * self.capacity  # [S, 1], or [1, 1] when shared
        # oldest and newest slot, on the device: captured graphs read them, the ring moves them
        self._bounds = torch.zeros(2, dtype=torch.int64, device=spec.device)
        self._written = 0  # slots, those overwritten since included
        self._cursor = 0  # slot to be written next
        self._filled = 0  # slots
        self._stage = np.zeros((self._owners, envs, self.width), numbers)  # one step, to be written
        self._host = self._host_bounds = None
        if self._data.device.type == "cpu":
            self._host = self._data.view(self._owners, self._slots, envs, self.width).numpy()
            self._host_bounds = self._bounds.numpy()
        lead = (self._owners, envs)
        self._frames = Frames(spec, self._slots, envs, self._owners) if spec.image else None
        obs, act = (*lead, size), (*lead, action)
        self._step_shapes = (obs, act, lead, lead, lead, obs)  # as `writer` takes them
        self._no_extra = np.zeros((*lead, sum(widths[name] for name in self.columns)), numbers)

    @staticmethod
    def from_store(
        store: EpisodeStore,
        spec: Spec,
        transforms: Transforms,
        *,
        columns: tuple[str, ...] = (),
        gamma: float | None = None,
        shared: bool = True,
        capacity: int | None = None,
    ) -> Replay:
        """A replay of the whole store, transformed to agent units, full unless `capacity` leaves
        room for more. `mc_return` is computed from transformed rewards and needs `gamma`."""
        _check_fits(store, spec)
        capacity = len(store) if capacity is None else capacity
        if capacity < len(store):
            raise ValueError(f"capacity {capacity} is below the {len(store)} steps of the dataset")
        computed = [c for c in columns if c in ("next_action", "initial_obs")]
        store = store.with_columns(*(c for c in computed if c not in store.extra))
        given = {"t": store.t, **store.extra}
        if missing := [name for name in columns if name not in {*given, "mc_return"}]:
            raise ValueError(f"dataset has no column {missing[0]!r}; it has {sorted(given)}")
        replay = Replay(spec, capacity, shared=shared, columns=columns)
        returns = None
        if "mc_return" in columns:
            if gamma is None:
                raise ValueError("mc_return needs gamma")
            returns = returns_to_go(transforms.reward(store.reward), store.starts, gamma)
        for start in range(0, len(store), _CHUNK):
            part = slice(start, start + _CHUNK)
            extra = {name: given[name][part] for name in columns if name != "mc_return"}
            if returns is not None:
                extra["mc_return"] = returns[part]
            for name, change in (
                ("initial_obs", transforms.obs),
                ("next_action", transforms.to_agent),
            ):
                if name in extra:
                    extra[name] = change(extra[name])
            rows = np.empty((len(store.reward[part]), replay.width), replay._stage.dtype)
            fields = {
                "s": transforms.obs(store.obs[part]),
                "a": transforms.to_agent(store.action[part]),
                "r": transforms.reward(store.reward[part]),
                "cont": ~store.terminated[part],
                "last": (store.terminated | store.truncated)[part],
                "s2": transforms.obs(store.next_obs[part]),
                **extra,
            }
            for name, value in fields.items():
                if not (spec.image and name in ("s", "s2")):
                    replay._numpy_view(rows, name)[...] = value
            replay._data[:, part][:, : len(rows)] = torch.from_numpy(rows).to(spec.device)
        if replay._frames is not None:
            replay._frames.fill(store.obs, store.next_obs)
        replay._advance(len(store))
        return replay

    # --- contents -----------------------------------------------------------------------------
    @property
    def size(self) -> int:
        """Rows filled, per lane."""
        return self._filled * self.envs

    def __len__(self) -> int:
        return self.size

    @property
    def cursor(self) -> int:
        """Step of the ring to be written next, row `cursor * envs` its first."""
        return self._cursor

    @property
    def written(self) -> int:
        """Steps of the ring ever written, those overwritten since included."""
        return self._written

    def rows(self, name: str) -> Tensor:
        """View of one field of all rows `[S, size, ...]` (`[1, ...]` when shared), oldest not
        first; writing to it relabels. Names: s, a, r, cont, last, s2 and the columns."""
        if name not in self._slices:
            raise ValueError(f"replay has no column {name!r}; it has {list(self._slices)}")
        return self.field(self._data[:, : self.size], name)

    def add(
        self, s: Any, a: Any, r: Any, terminated: Any, truncated: Any, s2: Any, **extra: Any
    ) -> None:
        """Writes one step of every environment: `[S, E, ...]` arrays or tensors in agent units,
        `s2` the true next observation; columns that are not given are written 0. Raises ValueError
        naming what is not finite or misshaped."""
        if self.shared:
            raise ValueError("lanes share these rows; give Replay shared=False to add to it")
        more = self._no_extra
        if extra:
            if unknown := extra.keys() - set(self.columns):
                raise ValueError(f"replay has no column {min(unknown)!r}; it has {self.columns}")
            more = more.copy()
            first = self.width - more.shape[-1]
            for name, value in extra.items():
                at = self._slices[name]
                more[..., at.start - first : at.stop - first] = self._fitting(name, value)
        if self._frames is not None:
            images = self._frames.checked("s", s), self._frames.checked("s2", s2)
            s = s2 = np.zeros(self._step_shapes[0], self._stage.dtype)
        step: Any = (s, a, r, terminated, truncated, s2)
        if not all(map(_is_ready, step, self._step_shapes)):
            names = ("s", "a", "r", "terminated", "truncated", "s2")
            step = tuple(map(self._fitting, names, step, self._step_shapes))
        ring, slot = (self._stage[:, None], 0) if self._host is None else (self._host, self._cursor)
        if not writer(self._written)(ring, slot, self._stage, *step, more):
            raise ValueError(self._not_finite())
        if self._host is None:
            start = self._cursor * self.envs
            rows = torch.from_numpy(self._stage).to(self._data.device)
            self._data[:, start : start + self.envs] = rows
        if self._frames is not None:
            last = self._numpy_view(self._stage, "last") > 0
            self._frames.add(self._written, *images, last)
        self._advance(1)

    def cut(self) -> None:
        """Marks the newest rows as the last of their episodes, for a recording that was broken
        off (a resume that starts from fresh episodes)."""
        if self._filled:
            newest = (self._cursor - 1) % self._slots * self.envs
            self._data[:, newest : newest + self.envs, self._slices["last"]] = 1
            if self._frames:
                self._frames.cut(self._written)

    # --- reading ------------------------------------------------------------------------------
    def gather(self, index: Tensor, out: Tensor | None = None) -> Batch:
        """Rows `index [S, B]` as a batch of views on one packed tensor.

        With `out [S*B, W]` the rows land there, so the batch lives until the next gather.
        """
        return self.split(self.packed(index, out).view(*index.shape, self.width), index)

    def packed(self, index: Tensor, out: Tensor | None = None) -> Tensor:
        """Packed rows `[S*B, W]` of `index [S, B]`, into `out` if given."""
        flat = (index if self.shared else index + self._first_row).reshape(-1)
        return torch.index_select(self._flat, 0, flat, out=out)

    def split(self, packed: Tensor, index: Tensor | None = None) -> Batch:
        """Batch of views on packed rows `[..., W]` (discrete actions are converted, images are
        gathered by `index`)."""
        named = {
            _FIELDS[name]: self.field(packed, name) for name in self.columns if name in _FIELDS
        }
        a, r, cont = (self.field(packed, name) for name in ("a", "r", "cont"))
        if self._frames is None:
            s, s2 = (self.field(packed, name) for name in ("s", "s2"))
        else:
            assert index is not None
            s, s2 = (self._frames.gather(index, which) for which in (0, 1))
        return Batch(s, a, r, cont, s2, index=index, **named)  # type: ignore[arg-type]

    def field(self, packed: Tensor, name: str) -> Tensor:
        """Field `name` of packed rows `[..., W]`: a view, a copy for discrete actions."""
        if self._frames is not None and name in ("s", "s2"):
            raise ValueError("images are no part of the rows; `gather` or `column` gives them")
        return self._shaped(packed[..., self._slices[name]], name)

    def column(self, name: str, index: Tensor) -> Tensor:
        """One field at `index [S, ...]`: `[S, ...]` plus the field's own shape."""
        if self._frames is not None and name in ("s", "s2"):
            return self._frames.gather(index, int(name == "s2"))
        flat = index if self.shared else index + self._first_row.view(-1, *[1] * (index.dim() - 1))
        at = self._slices[name]
        taken = torch.index_select(self._flat[:, at], 0, flat.reshape(-1))
        return self._shaped(taken.view(*index.shape, -1), name)

    def at_newest(self, index: Tensor) -> Tensor:
        """Whether rows belong to the step written last (bool): nothing follows them."""
        return index // self.envs == self._bounds[1]

    def at_oldest(self, index: Tensor) -> Tensor:
        """Whether rows belong to the oldest step still there (bool): nothing precedes them."""
        return index // self.envs == self._bounds[0]

    def following(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Row after each of `index [S, ...]` in its episode, and whether there is one (bool):
        none after an episode's last row, nor past the ring's newest."""
        none = self.column("last", index).bool() | self.at_newest(index)
        return (index + self.envs) % self.capacity, ~none

    # --- saving -------------------------------------------------------------------------------
    def state_dict(self) -> dict[str, Tensor]:
        """The filled rows of each lane and how many steps were written. The rows alias the replay:
        write or clone them before adding more."""
        rows = {f"rows.{k}": self._data[k, : self.size] for k in range(self._owners)}
        if self._frames is not None:
            rows |= self._frames.state_dict(self._written)
        return rows | {"written": torch.tensor(self._written)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores contents and cursor bit for bit. Raises ValueError, changing nothing, when the
        state is of another shape."""
        names = [f"rows.{k}" for k in range(self._owners)]
        if "cursor" in state:  # of versions up to 0.1: slot to be written next, filled slots
            cursor, filled = state["cursor"].tolist()
            if not (0 <= filled <= self._slots and 0 <= cursor < self._slots):
                raise ValueError(f"replay state fills {filled} steps, this one has {self._slots}")
            around = torch.tensor(cursor + self._slots * (filled == self._slots))
            state = {k: v for k, v in state.items() if k != "cursor"} | {"written": around}
        expected = {*names, "written"} | (self._frames.names() if self._frames else set())
        if set(state) != expected:
            raise ValueError(f"replay state has {sorted(state)}; {sorted(expected)} are expected")
        written = int(state["written"])
        if written < 0:
            raise ValueError(f"replay state counts {written} steps")
        shape = (min(written, self._slots) * self.envs, self.width)
        for name in names:
            if tuple(state[name].shape) != shape or state[name].dtype != self.spec.dtype:
                raise ValueError(
                    f"replay state {name} is {tuple(state[name].shape)} {state[name].dtype}; "
                    f"{shape} {self.spec.dtype} is expected (capacity, columns or dtype differ)"
                )
        if self._frames is not None:
            self._frames.check(state, written)
            self._frames.load_state_dict(state, written)
        for k, name in enumerate(names):
            self._data[k, : shape[0]].copy_(state[name])
        self._place(written)

    # --- inside -------------------------------------------------------------------------------
    def _shaped(self, part: Tensor, name: str) -> Tensor:
        if name in ("s", "s2", "initial_obs"):
            return part.unflatten(-1, self.spec.obs) if len(self.spec.obs) > 1 else part
        if name in ("a", "next_action"):
            return part.squeeze(-1).long() if self.spec.discrete else part
        return part.squeeze(-1)

    def _numpy_view(self, rows: np.ndarray, name: str) -> np.ndarray:
        """Field `name` of packed rows `[..., W]`, shaped as the environment gives it."""
        part = rows[..., self._slices[name]]
        if name in ("s", "s2", "initial_obs"):
            shape = (0,) if self.spec.image else self.spec.obs
            return part.reshape(*part.shape[:-1], *shape)  # a view: one axis is split
        vector = name in ("a", "next_action") and not self.spec.discrete
        return part if vector else part[..., 0]

    def _fitting(self, name: str, value: Any, to: tuple[int, ...] | None = None) -> np.ndarray:
        """`value` as `writer` takes it. Never broadcast: lanes would share one's experience."""
        value = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        kind = self._stage.dtype
        if name in ("terminated", "truncated"):
            expected, kind = self._step_shapes[2], np.dtype(bool)
        else:
            expected = self._numpy_view(self._stage, name).shape
        if value.shape != expected:
            raise ValueError(f"{name} has shape {value.shape}; {expected} is expected")
        shape = (*expected[:2], -1) if to is None else to
        return np.ascontiguousarray(value, kind).reshape(shape)

    def _not_finite(self) -> str:
        lane, env, _ = np.argwhere(~np.isfinite(self._stage))[0]
        names = [
            name
            for name, at in self._slices.items()
            if not np.isfinite(self._stage[lane, env, at]).all()
        ]
        return f"{', '.join(names)} of lane {lane}, environment {env} holds NaN or infinity"

    def _advance(self, slots: int) -> None:
        self._place(self._written + slots)

    def _place(self, written: int) -> None:
        self._written = written
        self._cursor = written % self._slots
        self._filled = min(written, self._slots)
        oldest = self._cursor if self._filled == self._slots else 0
        newest = (self._cursor - 1) % self._slots
        if self._host_bounds is not None:
            self._host_bounds[0] = oldest
            self._host_bounds[1] = newest
        else:
            self._bounds.copy_(torch.tensor([oldest, newest]))


def _is_ready(value: Any, shape: tuple[int, ...]) -> bool:
    return type(value) is np.ndarray and value.shape == shape


def _zeros(shape: tuple[int, ...], numbers: type[np.floating], spec: Spec) -> Tensor:
    """Zeros whose memory, on a CPU, is taken row by row as rows are written: `torch.zeros` writes
    all of it first, minutes for the rings of many lanes."""
    if torch.device(spec.device).type == "cpu":
        return torch.from_numpy(np.zeros(shape, numbers))
    return torch.zeros(shape, dtype=spec.dtype, device=spec.device)


def _check_fits(store: EpisodeStore, spec: Spec) -> None:
    if store.obs.shape[1:] != spec.obs:
        raise ValueError(
            f"dataset has observations of shape {store.obs.shape[1:]}, the spec {spec.obs}"
        )
    if store.discrete != spec.discrete:
        kinds = {True: "discrete", False: "continuous"}
        raise ValueError(
            f"dataset has {kinds[store.discrete]} actions, the spec {kinds[spec.discrete]} ones"
        )
    if store.discrete:
        store.check_action_bounds(0, spec.act_size - 1)
    elif store.action.shape[1] != spec.act_size:
        raise ValueError(
            f"dataset has actions of {store.action.shape[1]} dimensions, the spec {spec.act_size}"
        )
