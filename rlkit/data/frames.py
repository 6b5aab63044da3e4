"""Images of a replay: uint8 numbers, each image stored once.

What a step led to is where the next one begins, so a row points at both: two places in one pool.
The last observation of an episode, which no other row begins with, has a place of its own, which
is free again when its row is overwritten.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.core.spec import Spec

_SHARE = 4  # on a device where memory is taken at once: rows for one episode's end


class Frames:
    """Images of a ring of `slots` steps of `envs` environments, for each of `owners` lanes.

    Places 0 to (slots + 1) envs are the observations that steps begin with, one step ahead of the
    rows: it holds what the newest led to. Behind them are the ends of episodes: on a CPU as many as
    rows, whose memory is taken as they are written; elsewhere one for four rows, or `ends`.
    """

    def __init__(
        self, spec: Spec, slots: int, envs: int, owners: int, ends: int | None = None
    ) -> None:
        self.spec, self.slots, self.envs, self.owners = spec, slots, envs, owners
        self.rows, self.first_end = slots * envs, (slots + 1) * envs
        on_host = torch.device(spec.device).type == "cpu"
        if ends is None:
            ends = self.rows if on_host else self.rows // _SHARE + envs
        self.places = self.first_end + ends
        shape = (owners, self.places, *spec.obs)
        if on_host:  # memory is taken page by page, as images are written
            self.pool = torch.from_numpy(np.zeros(shape, np.uint8))
        else:
            self.pool = torch.zeros(shape, dtype=torch.uint8, device=spec.device)
        # of each row, the places of s and s2
        self.at = torch.zeros(owners, self.rows, 2, dtype=torch.int64, device=spec.device)
        self._at = np.zeros((owners, self.rows, 2), np.int64)  # the same on the host
        self._flat, self._flat_at = self.pool.view(-1, *spec.obs), self.at.view(-1, 2)
        self._used = [0] * owners  # places of ends ever taken
        self._free: list[list[int]] = [[] for _ in range(owners)]  # of those, a heap
        self._owner = torch.arange(owners, device=spec.device).unsqueeze(-1)

    def checked(self, name: str, value: Any) -> np.ndarray:
        """`value` as an array. Raises ValueError for what is not the images of one step."""
        value = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        expected = (self.owners, self.envs, *self.spec.obs)
        if value.shape != expected or value.dtype != np.uint8:
            raise ValueError(
                f"{name} is {value.dtype} of shape {value.shape}; uint8 of {expected} is expected"
            )
        return value

    def add(self, written: int, s: np.ndarray, s2: np.ndarray, last: np.ndarray) -> None:
        """The images `[owners, envs, *obs]` of the step written after `written` others; `last`
        `[owners, envs]` where an episode ends. Raises ValueError where ends are used up."""
        row = written % self.slots * self.envs
        now = written % (self.slots + 1) * self.envs
        after = (written + 1) % (self.slots + 1) * self.envs
        self._write(slice(now, now + self.envs), s)
        self._write(slice(after, after + self.envs), s2)
        part = self._at[:, row : row + self.envs]
        if written >= self.slots:
            for k, e in np.argwhere(part[..., 1] >= self.first_end):
                heapq.heappush(self._free[k], int(part[k, e, 1]) - self.first_end)
        part[..., 0] = now + np.arange(self.envs)
        part[..., 1] = after + np.arange(self.envs)
        for k, e in np.argwhere(last):
            part[k, e, 1] = self._end(int(k), torch.from_numpy(np.asarray(s2[k, e], np.uint8)))
        self.at[:, row : row + self.envs] = torch.from_numpy(part).to(self.at.device)

    def cut(self, written: int) -> None:
        """Gives the newest step's last images places of their own: nothing follows it."""
        row = (written - 1) % self.slots * self.envs
        part = self._at[:, row : row + self.envs]
        for k, e in np.argwhere(part[..., 1] < self.first_end):
            part[k, e, 1] = self._end(int(k), self.pool[k, part[k, e, 1]])
        self.at[:, row : row + self.envs] = torch.from_numpy(part).to(self.at.device)

    def fill(self, obs: np.ndarray, next_obs: np.ndarray) -> None:
        """The images `[N, *obs]` of the first N rows of every owner (of one environment)."""
        count = len(obs)
        self._at[:, :count, 0] = np.arange(count)
        self._at[:, :count, 1] = np.arange(1, count + 1)
        self.pool[:, :count] = torch.from_numpy(np.ascontiguousarray(obs)).to(self.pool.device)
        for row in range(count):
            if row + 1 == count or not np.array_equal(next_obs[row], obs[row + 1]):
                image = torch.from_numpy(np.array(next_obs[row]))
                self._at[:, row, 1] = [self._end(k, image) for k in range(self.owners)]
        self.at.copy_(torch.from_numpy(self._at))

    def gather(self, index: Tensor, which: int) -> Tensor:
        """Images `[S, ..., *obs]` uint8 of rows `index` `[S, ...]`: `which` 0 is s, 1 is s2."""
        flat = index.flatten(1)
        owner = self._owner if self.owners > 1 else 0
        places = self._flat_at.index_select(0, (flat + owner * self.rows).reshape(-1))[:, which]
        places = places.view(flat.shape) + owner * self.places
        found = self._flat.index_select(0, places.reshape(-1))
        return found.view(*index.shape, *self.spec.obs)

    # --- saving -------------------------------------------------------------------------------
    def state_dict(self, written: int) -> dict[str, Tensor]:
        """What is written, as views: write or clone it before adding more."""
        state = {}
        for k in range(self.owners):
            ends = self.first_end + self._used[k]
            state[f"frames.{k}"] = self.pool[k, : self._begun(written)]
            state[f"ends.{k}"] = self.pool[k, self.first_end : ends]
            state[f"places.{k}"] = self.at[k, : min(written, self.slots) * self.envs]
        return state

    def names(self) -> set[str]:
        """Entries of `state_dict`."""
        kinds = ("frames", "ends", "places")
        return {f"{kind}.{k}" for kind in kinds for k in range(self.owners)}

    def check(self, state: dict[str, Tensor], written: int) -> None:
        """Raises ValueError for a state that does not fit."""
        size = min(written, self.slots) * self.envs
        for k in range(self.owners):
            ends = len(state[f"ends.{k}"])
            shapes = {"frames": (self._begun(written), *self.spec.obs)}
            shapes |= {"ends": (ends, *self.spec.obs), "places": (size, 2)}
            for name, shape in shapes.items():
                found = state[f"{name}.{k}"]
                kind = torch.int64 if name == "places" else torch.uint8
                if tuple(found.shape) != shape or found.dtype != kind:
                    raise ValueError(
                        f"replay state {name}.{k} is {tuple(found.shape)} {found.dtype}; "
                        f"{shape} {kind} is expected (capacity or images differ)"
                    )
            at = state[f"places.{k}"]
            if ends > self.places - self.first_end or (
                len(at) and not (int(at.min()) >= 0 and int(at.max()) < self.first_end + ends)
            ):
                raise ValueError(f"replay state places.{k} points at images that are not there")

    def load_state_dict(self, state: dict[str, Tensor], written: int) -> None:
        """Restores a state that `check` has passed."""
        for k in range(self.owners):
            frames, ends, at = (state[f"{name}.{k}"] for name in ("frames", "ends", "places"))
            self.pool[k, : len(frames)].copy_(frames)
            self.pool[k, self.first_end : self.first_end + len(ends)].copy_(ends)
            self.at[k, : len(at)].copy_(at)
            self._at[k, : len(at)] = at.cpu().numpy()
            held = {int(place) - self.first_end for place in at[:, 1]}
            self._used[k] = len(ends)
            self._free[k] = [place for place in range(len(ends)) if place not in held]

    # --- inside -------------------------------------------------------------------------------
    def _begun(self, written: int) -> int:
        """Places of the ring that were written."""
        return min(written + 1, self.slots + 1) * self.envs if written else 0

    def _write(self, places: slice, images: Any) -> None:
        self.pool[:, places] = torch.from_numpy(np.ascontiguousarray(images)).to(self.pool.device)

    def _end(self, owner: int, image: Tensor) -> int:
        """A place for an episode's last image."""
        if self._free[owner]:
            end = heapq.heappop(self._free[owner])
        else:
            end = self._used[owner]
            if self.first_end + end == self.places:
                raise ValueError(
                    f"the replay has room for {end} ends of episodes beside {self.rows} images: "
                    "episodes are shorter than that; lower --capacity, or train on the CPU"
                )
            self._used[owner] += 1
        self.pool[owner, self.first_end + end] = image.to(self.pool.device)
        return self.first_end + end
