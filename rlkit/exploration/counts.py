"""Counts of visits: of a whole training, and of an episode.

    count      1 / √N(s')           N counts over the training (global)
    episode    1{N_e(s') = 1}       N_e counts over the episode (episodic)

A Study of Global and Episodic Bonuses for Exploration in Contextual MDPs, Henaff, Jiang & Raileanu
2023 (arXiv 2306.03236). A visit is counted before its count is read. The state an episode begins in
is visited too, so that standing still is nothing new; the authors' code does not count it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor


def keys(obs: np.ndarray, cell: float) -> np.ndarray:
    """What observations `[S, E, *obs]` are counted as, `[S, E]` int64: themselves, or with `cell`
    the cell of a grid of that width they lie in."""
    if cell:
        obs = np.floor(obs / cell).astype(np.int64)
    lead = obs.shape[:2]
    rows = np.ascontiguousarray(obs).reshape(lead[0] * lead[1], -1)
    # hash() of bytes differs from process to process
    found = [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(found), np.int64).reshape(lead)


class Counts:
    """`count`: every lane has its own table, which all its environments share."""

    learnt = False

    def __init__(self, lanes: int, cell: float = 0.0) -> None:
        self.cell = cell
        self.visits: list[dict[int, int]] = [{} for _ in range(lanes)]

    def begin(self, fresh: np.ndarray, s: np.ndarray, envs: np.ndarray) -> None:
        """Episodes begin at those of the states `s` `[S, n, *obs]` that are `fresh` `[S, n]`."""
        for (k, e), key in np.ndenumerate(keys(s, self.cell)):
            if fresh[k, e]:
                self._visit(k, int(key))

    def step(self, s: np.ndarray, s2: np.ndarray, envs: np.ndarray) -> np.ndarray:
        """Bonuses `[S, n]` of steps from `s` to `s2` `[S, n, *obs]` in the environments `envs`."""
        found = np.empty(s2.shape[:2])
        for (k, e), key in np.ndenumerate(keys(s2, self.cell)):
            found[k, e] = 1 / math.sqrt(self._visit(k, int(key)))
        return found

    def _visit(self, lane: int, key: int) -> int:
        table = self.visits[lane]
        table[key] = seen = table.get(key, 0) + 1
        return seen

    def state_dict(self) -> dict[str, Tensor]:
        return _packed(self.visits)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.visits = _unpacked(state)


class Episode:
    """`episode`: every environment has its own table, emptied where an episode begins."""

    learnt = False

    def __init__(self, lanes: int, envs: int, cell: float = 0.0) -> None:
        self.cell, self.envs = cell, envs
        self.visits: list[dict[int, int]] = [{} for _ in range(lanes * envs)]

    def begin(self, fresh: np.ndarray, s: np.ndarray, envs: np.ndarray) -> None:
        for (k, e), key in np.ndenumerate(keys(s, self.cell)):
            if fresh[k, e]:
                self.visits[k * self.envs + envs[e]] = {int(key): 1}

    def step(self, s: np.ndarray, s2: np.ndarray, envs: np.ndarray) -> np.ndarray:
        found = np.empty(s2.shape[:2])
        for (k, e), key in np.ndenumerate(keys(s2, self.cell)):
            table = self.visits[k * self.envs + envs[e]]
            table[int(key)] = seen = table.get(int(key), 0) + 1
            found[k, e] = seen == 1
        return found

    def state_dict(self) -> dict[str, Tensor]:
        return _packed(self.visits)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.visits = _unpacked(state)


def _packed(tables: list[dict[int, int]]) -> dict[str, Tensor]:
    """Tables as three tensors: their sizes, and keys and counts of all, one table after another."""

    def tensor(values: Iterable[int]) -> Tensor:
        return torch.tensor(list(values), dtype=torch.int64)

    return {
        "sizes": tensor(map(len, tables)),
        "keys": tensor(key for table in tables for key in table),
        "counts": tensor(count for table in tables for count in table.values()),
    }


def _unpacked(state: dict[str, Tensor]) -> list[dict[int, int]]:
    pairs = zip(state["keys"].tolist(), state["counts"].tolist(), strict=True)
    return [dict([next(pairs) for _ in range(size)]) for size in state["sizes"].tolist()]
