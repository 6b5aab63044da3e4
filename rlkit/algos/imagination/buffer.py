"""Rows that a model imagined, of the latest rounds, and minibatches of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rlkit.algos.imagination.rollout import Imagined
from rlkit.core.batch import Batch
from rlkit.core.errors import RunError
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform


class ImaginedRows:
    """Steps of rollouts in a ring; as a source, uniform minibatches of the rows that were kept.

    Every round begins with `begin`, adds up to `longest` steps of `rollouts` rows each, and is
    `close`d; then the rows of the last `retain` rounds are drawn from. Rows that were not kept
    have their place in the ring but are never drawn, so lanes with different numbers of rows live
    side by side. `replay` holds the rows, with the column "kept".
    """

    name = "imagined"  # of the stream minibatches are drawn with

    def __init__(
        self, spec: Spec, streams: Streams, rollouts: int, longest: int, retain: int, batch: int
    ) -> None:
        for what, value in (("rollouts", rollouts), ("rollout length", longest)):
            if value < 1:
                raise ValueError(f"{what} is {value}; it must be at least 1")
        if retain < 1:
            raise ValueError(f"retain is {retain}; rows of at least 1 round must be kept")
        self.spec, self.streams, self.retain, self.batch_size = spec, streams, retain, batch
        self.rollouts, slots = rollouts, longest * retain
        self.replay = Replay(spec, slots * rollouts, envs=rollouts, columns=("kept",))
        self.round = 0
        self._round_of = np.zeros(slots, np.int64)  # of the rows in each slot; 0 is none
        self._written = 0  # slots
        self._rows: list[np.ndarray] = []  # of each lane, those that may be drawn
        self._uniform = Uniform(self.replay, batch, streams, self.name)

    def begin(self) -> None:
        """A new round; rows of the oldest are no longer drawn."""
        self.round += 1

    def add(self, rows: Imagined) -> None:
        """One step of all rollouts."""
        self.replay.add(
            *(rows.s, rows.a, rows.r, rows.terminated, rows.stopped, rows.s2), kept=rows.kept
        )
        self._round_of[self._written % len(self._round_of)] = self.round
        self._written += 1

    def close(self) -> Tensor:
        """Ends a round: `[S]`, how many rows of each lane may now be drawn.

        Raises RunError for a lane that has none.
        """
        recent = np.repeat(self._round_of > self.round - self.retain, self.rollouts)
        kept = (self.replay.rows("kept") > 0).cpu().numpy()  # [S, size]
        kept &= recent[: self.replay.size]
        self._rows = [np.flatnonzero(lane) for lane in kept]
        for seed, rows in zip(self.spec.seeds, self._rows, strict=True):
            if len(rows) == 0:
                raise RunError(
                    f"the dynamics model of seed {seed} predicts no finite state; lower lr_model"
                )
        return torch.tensor([len(rows) for rows in self._rows], dtype=self.spec.dtype)

    def indices(self, step: int, count: int = 1) -> Tensor:
        if not self._rows:
            raise ValueError("nothing is imagined yet; the source's `advance` comes first")
        u = self.streams.draw(self.name, "uniform", step, (self.batch_size,), count)
        drawn = np.empty(u.shape, np.int64)
        for k, rows in enumerate(self._rows):
            drawn[:, k] = rows[(u[:, k] * len(rows)).astype(np.int64)]
        return torch.from_numpy(drawn).to(self.spec.device)

    def batch(self, index: Tensor) -> Batch:
        return self._uniform.batch(index)

    def state_dict(self) -> dict[str, Tensor]:
        rounds = torch.from_numpy(self._round_of.copy())
        counts = torch.tensor([self.round, self._written])
        return {**self.replay.state_dict(), "rounds": rounds, "counts": counts}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Restores rows and rounds. Raises ValueError when the state is of another shape."""
        state = dict(state)
        rounds = state.pop("rounds").numpy()
        if rounds.shape != self._round_of.shape:
            raise ValueError(
                f"imagined rows of {len(rounds)} steps are saved, {len(self._round_of)} expected; "
                "retain or the rollouts' length differ"
            )
        self.round, self._written = state.pop("counts").tolist()
        self._round_of = rounds.copy()
        self.replay.load_state_dict(state)
        if self.round:
            self.close()
