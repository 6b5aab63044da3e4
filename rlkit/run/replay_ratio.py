"""How many updates an environment step is worth: a fixed ratio, or one that rises once.

Ma et al. 2024, "Revisiting Plasticity in Visual Reinforcement Learning" (arXiv 2310.07418): start
with few updates, and take more once the share of the critics' active units no longer changes from
one check to the next. As in the authors' code a check falls on every 50th episode, compares means
over the last episode before it, and may be passed once; differs from it: not before the end of the
warm-up plus one check, the first reference being such a mean and not the value at the start, which
a net that has learnt nothing yet would meet at once.
"""

from __future__ import annotations

from typing import Any

from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.nets.plasticity import active_share
from rlkit.run.settings.options import Options

_EPISODES = 50  # between checks
_CHANGE = 0.001  # of the active share, at most, for it to have settled
_STRIDE = 10  # turns between measurements


def updates_due(options: Options, turn: int, switched: int = -1) -> int:
    """Updates done once every environment has made `turn` steps; from `switched` environment steps
    of a lane on, if not negative, `utd_later` holds."""
    assert options.utd is not None
    assert options.warmup is not None
    assert options.update_every is not None
    taken = (turn - turn % options.update_every) * options.envs
    before = taken if switched < 0 else min(taken, switched)
    updates = (before - options.warmup) * options.utd + (taken - before) * options.utd_later
    return max(0, int(updates + 1e-9))


def updates_in_all(options: Options) -> int:
    """Updates that the online part of a training makes, while `utd` holds."""
    return updates_due(options, -(-options.steps // options.envs))


class ReplayRatio:
    """Counts the updates that are due; `state` and `load` carry it over a restart.

    A ratio that rises is a lane's own, so it needs a process of one lane.
    """

    def __init__(self, options: Options, agent: Any, lanes: int) -> None:
        self.options, self.later = options, options.utd_later
        self.critic: Any = getattr(agent, "q", None)
        if self.later and not hasattr(self.critic, "activations"):
            raise UsageError(f"utd_later watches critics `q`, which {options.algo} does not have")
        if self.later and lanes > 1:
            raise UsageError("utd_later is decided lane by lane: give each lane its own worker")
        self.switched = -1  # environment steps after which `later` holds
        self.reference = -1.0  # active share at the last check
        self.sum, self.count, self.episodes = 0.0, 0, 0

    def due(self, turn: int) -> int:
        """Updates done once every environment has made `turn` steps."""
        return updates_due(self.options, turn, self.switched)

    def wants(self, turn: int) -> bool:
        """Whether `watch` should be told of this turn's minibatch."""
        return self.later > 0 and self.switched < 0 and turn % _STRIDE == 0

    def watch(self, batch: Batch) -> None:
        """Take the active share on a minibatch into the mean of this episode."""
        self.sum += float(active_share(self.critic.activations(batch.s, batch.a)))
        self.count += 1

    def episodes_ended(self, episodes: int, taken: int) -> None:
        """`episodes` have ended in all after `taken` environment steps."""
        if not self.later or self.switched >= 0 or episodes == self.episodes:
            return
        check = episodes // _EPISODES > self.episodes // _EPISODES
        if check and self.count:
            share = self.sum / self.count
            if self.reference >= 0 and abs(share - self.reference) <= _CHANGE:
                self.switched = taken
            self.reference = share
        self.episodes, self.sum, self.count = episodes, 0.0, 0

    def state(self) -> dict[str, float]:
        names = ("switched", "reference", "sum", "count", "episodes")
        return {name: getattr(self, name) for name in names}

    def load(self, state: dict[str, float]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
