"""Rows a neural bandit has learned from, lane by lane, and reproducible minibatches of them."""

import numpy as np

from rlkit.algos.bandits.interface import Feedback
from rlkit.core.streams import generator


def by_lane(rows: int, lanes: int, run: np.ndarray | None) -> list[np.ndarray]:
    """Row numbers of each lane, by the column `run`; without one, rows come in equal blocks."""
    if run is None:
        if rows % lanes:
            raise ValueError(f"{rows} rows do not split evenly over {lanes} lanes; set run")
        return list(np.arange(rows).reshape(lanes, -1))
    bad = (run < 0) | (run >= lanes)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"run of row {row} is {run[row]}; there are lanes 0 to {lanes - 1}")
    return [np.flatnonzero(run == lane) for lane in range(lanes)]


class History:
    """Contexts, actions and rewards of S lanes, which may hold different numbers of rows."""

    def __init__(self, seeds: tuple[int, ...], shape: tuple[int, ...]) -> None:
        self.seeds = seeds
        self.context = np.zeros((len(seeds), 64, *shape), np.float32)
        self.action = np.zeros((len(seeds), 64), np.int64)
        self.reward = np.zeros((len(seeds), 64), np.float32)
        self.count = np.zeros(len(seeds), np.int64)

    def add(self, feedback: Feedback) -> None:
        """Append the rows of a table to the lanes of their `run`."""
        groups = by_lane(len(feedback), len(self.seeds), feedback.run)
        needed = int((self.count + [len(g) for g in groups]).max())
        while needed > self.action.shape[1]:
            for name in ("context", "action", "reward"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros_like(old)], axis=1))
        for lane, rows in enumerate(groups):
            place = slice(self.count[lane], self.count[lane] + len(rows))
            self.context[lane, place] = np.asarray(feedback.context)[rows]
            self.action[lane, place] = np.asarray(feedback.action)[rows]
            self.reward[lane, place] = np.asarray(feedback.reward)[rows]
            self.count[lane] += len(rows)

    def minibatch(self, step: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(context [S, B, ...], action [S, B], reward [S, B]), B = size, drawn with replacement.

        What lane k draws depends on its seed and `step` alone. Every lane needs a row.
        """
        draws = np.stack([generator(s, "bandit", step).random(size) for s in self.seeds])
        index = (draws * self.count[:, None]).astype(np.int64)
        lane = np.arange(len(self.seeds))[:, None]
        return self.context[lane, index], self.action[lane, index], self.reward[lane, index]

    def state_dict(self) -> dict[str, np.ndarray]:
        used = slice(0, int(self.count.max()))
        named = {n: getattr(self, n)[:, used].copy() for n in ("context", "action", "reward")}
        return {**named, "count": self.count.copy()}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        if state["context"].shape[0] != len(self.seeds):
            raise ValueError(
                f"saved history has {len(state['context'])} lanes, this one {len(self.seeds)}"
            )
        # At least one row of room, which `add` doubles.
        room = max(1, state["action"].shape[1])
        for name in ("context", "action", "reward"):
            old = state[name]
            new = np.zeros((old.shape[0], room, *old.shape[2:]), old.dtype)
            new[:, : old.shape[1]] = old
            setattr(self, name, new)
        self.count = state["count"].copy()
