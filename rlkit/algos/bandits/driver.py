"""The batched driver: rounds of a policy against an environment, with delayed feedback.

Rows decided in round t come back in round t + delay and are handed to `learn` at the end of that
round, oldest first, in one table. Delay 0 is thus the run without a buffer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from rlkit.algos.bandits.interface import Feedback, Observation, Policy, join
from rlkit.envs.bandits.counts import whole

Delay = int | Callable[[np.random.Generator, int], np.ndarray]


class Environment(Protocol):
    """What the driver asks of a batched environment."""

    arms: int

    def draw(self, t: int, size: int, rng: np.random.Generator) -> tuple[Observation, np.ndarray]:
        """Rows to decide on in round t and the expected rewards [B, K] of all arms."""
        ...

    def sample(self, means: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rewards [B] with the given expectations."""
        ...


@dataclass(frozen=True, eq=False)
class Log:
    """All rows in decision order, and the pseudo-regret of each [rounds * runs * batch]."""

    table: Feedback
    regret: np.ndarray

    def curves(self) -> np.ndarray:
        """Cumulative pseudo-regret of each run [runs, rounds * batch]."""
        run = np.asarray(self.table.run)
        return np.cumsum([self.regret[run == r] for r in range(run.max() + 1)], axis=1)


def _delays(delay: Delay, rng: np.random.Generator, size: int) -> np.ndarray:
    values = np.asarray(delay(rng, size)) if callable(delay) else np.full(size, delay)
    if values.shape != (size,) or not ((values >= 0) & (values == np.floor(values))).all():
        raise ValueError(f"delay must give {size} whole numbers of rounds of at least 0")
    return values.astype(np.int64)


def play(
    policy: Policy,
    env: Environment,
    rounds: int,
    *,
    seed: int = 0,
    batch: int = 1,
    runs: int = 1,
    delay: Delay = 0,
) -> Log:
    """The `Log` of `rounds` rounds of `batch` rows for each of `runs` parallel runs.

    Rows of a round come run by run, and the column `run` tells them apart; a policy with lanes
    (the neural ones) trains one net a run, any other learns from all rows together.

    Environment, policy and delays draw from their own generators spawned from `seed`, so two
    policies of one seed see the same observations. Feedback that has not come back by the last
    round is in the log (arrival_t beyond it) but was never learned from.
    """
    rounds, batch, runs = whole("rounds", rounds), whole("batch", batch), whole("runs", runs)
    if env.arms != policy.arms:
        raise ValueError(f"the policy has {policy.arms} arms, the environment {env.arms}")
    world, own, late = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
    waiting: dict[int, list[Feedback]] = {}
    table: list[Feedback] = []
    size = runs * batch
    regret = np.empty((rounds, size))
    rows, run = np.arange(size), np.repeat(np.arange(runs), batch)
    for t in range(rounds):
        obs, means = env.draw(t, size, world)
        decision = policy.act(obs, own)
        noise = env.sample(means, world)  # every arm's reward, so that policies share them
        prob = np.full(size, np.nan) if decision.prob is None else decision.prob
        arrival = t + _delays(delay, late, size)
        feedback = Feedback(
            decision.action,
            noise[rows, decision.action],
            obs.context,
            obs.mask,
            prob,
            np.full(size, t),
            arrival,
            run,
        )
        allowed = means if obs.mask is None else np.where(obs.mask, means, -np.inf)
        regret[t] = allowed.max(1) - means[rows, decision.action]
        table.append(feedback)
        for when in np.unique(arrival):
            waiting.setdefault(int(when), []).append(feedback.rows(arrival == when))
        if t in waiting:
            policy.learn(join(waiting.pop(t)))
    return Log(join(table), regret.ravel())
