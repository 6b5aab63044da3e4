"""Armed environments with memory: tallying, last-switch-dependent, blocking, rotting arms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlkit.envs.bandits.armed import checked, reward_range, tables
from rlkit.envs.bandits.counts import whole
from rlkit.envs.bandits.dynamics import BLOCKING, LAST_SWITCH, ROTTING, TALLYING, Tables


@dataclass(frozen=True, eq=False)
class Tallying:
    """Weighted tallying arms: the expected loss of a play depends on its recent repetitions.

    The tally of playing x is the sum of `weights` [m] over the last m rounds in which x was played,
    weights[0] belonging to the present one (unless `includes_current` is false: then weights[0]
    belongs to the round before). `losses` [K, G] gives each arm's expected loss on an even grid of
    tallies from 0 to sum(weights), piecewise linear between. All-one weights are the plain tallying
    bandit. Regret is the complete policy regret against always playing `reference_arm` from an
    empty history (under repeated exposure optimality the best sequence up to m rounds); by default
    that is the arm of least saturated loss.
    """

    losses: ArrayLike
    weights: ArrayLike
    includes_current: bool = True
    noise: str = "bernoulli"
    sigma: float = 0.1
    reference_arm: int | None = None

    def tally_weights(self) -> np.ndarray:
        """Weights [m], with a leading 0 when the present play does not count."""
        weights = checked(self.weights, "weights", 1, 0.0, 1e300)
        if not weights.sum() > 0:
            raise ValueError("weights must have a positive sum")
        return weights if self.includes_current else np.append(0.0, weights)

    def tables(self, horizon: int) -> Tables:
        reward_range(self.noise)
        losses = checked(self.losses, "losses", 2, 0.0, 1.0)
        if losses.shape[1] < 2:
            raise ValueError("losses needs at least two grid points (tally 0 and full tally)")
        weights = self.tally_weights()
        arm = int(losses[:, -1].argmin()) if self.reference_arm is None else self.reference_arm
        if not 0 <= arm < len(losses):
            raise ValueError(f"reference_arm is {arm}; there are arms 0 to {len(losses) - 1}")
        grid = np.linspace(0.0, 1.0, losses.shape[1])
        share = np.minimum(np.cumsum(weights) / weights.sum(), 1.0)
        reference = 1.0 - np.interp(share, grid, losses[arm])
        kind = (TALLYING, len(losses), self.noise, self.sigma)
        return tables(*kind, 1.0 - losses, weights=weights, reference=reference)


def hidden_arm(arms: int, memory: int, arm: int, *, gap: float = 0.5, **options) -> Tallying:
    """Tallying arms that all lose `gap`, but for one that loses nothing from m plays in a row on.

    A lower-bound instance under repeated exposure optimality: no play tells anything about the good
    arm until it has been repeated `memory` times, so a learner that does not know it pays about
    gap · memory · arms / 2 on average over `arm`.
    """
    arms, memory = whole("arms", arms), whole("memory", memory)
    if not 0 <= whole("arm", arm, 0) < arms:
        raise ValueError(f"arm is {arm}; there are arms 0 to {arms - 1}")
    losses = np.full((arms, memory + 1), gap)
    losses[arm, -1] = 0.0
    return Tallying(losses, np.ones(memory), **options)


@dataclass(frozen=True, eq=False)
class LastSwitch:
    """Arms whose expected reward depends on the time since they were last switched on or off.

    State tau of an arm: rests since its last play (1, 2, ... up to `rested`.shape[1]) or minus its
    plays in a row (-1, -2, ...); rested [K, n] holds the rewards at tau = 1..n, played [K, n] at
    tau = -1..-n, and the ends hold on. A play at tau > 0 leads to -1, at tau < 0 to tau - 1; a rest
    leads to tau + 1 or 1. Every arm starts fully rested. `reference` is the reward per round that
    regret is counted against, such as `planning.relaxation(env).value`.
    """

    rested: ArrayLike
    played: ArrayLike
    noise: str = "bernoulli"
    sigma: float = 0.1
    reference: float = 0.0

    def tables(self, horizon: int) -> Tables:
        low, high = reward_range(self.noise)
        rested = checked(self.rested, "rested", 2, low, high)
        played = checked(self.played, "played", 2, low, high)
        if rested.shape != played.shape:
            raise ValueError(
                f"rested {rested.shape} and played {played.shape} must have the same shape [K, n]"
            )
        kind = (LAST_SWITCH, len(rested), self.noise, self.sigma)
        return tables(*kind, rested, second=played, reference=(self.reference,))


def recharging(payoffs: ArrayLike, **options) -> LastSwitch:
    """`LastSwitch` arms that pay by their delay alone: payoffs [K, n], p(d) at d = 1..n.

    d counts the rounds since the last play, so a play right after a play pays p(1).
    """
    p = checked(payoffs, "payoffs", 2, -1e300, 1e300)
    rested = np.concatenate([p[:, 1:], p[:, -1:]], axis=1)
    return LastSwitch(rested, np.repeat(p[:, :1], p.shape[1], axis=1), **options)


@dataclass(frozen=True, eq=False)
class Blocking:
    """Arms [K] that are unavailable for `delays` [K] rounds after each play.

    Regret is counted against the fractional bound max sum mu z, z_a <= 1/(1 + delay_a), sum z <= 1.
    """

    means: ArrayLike
    delays: ArrayLike
    noise: str = "bernoulli"
    sigma: float = 0.1

    def bound(self) -> float:
        """The fractional upper bound on the reward per round."""
        means, delays = np.asarray(self.means, float), np.asarray(self.delays, float)
        left, value = 1.0, 0.0
        for a in np.argsort(-means):
            share = min(left, 1.0 / (1.0 + delays[a]))
            value, left = value + share * max(means[a], 0.0), left - share
        return value

    def tables(self, horizon: int) -> Tables:
        means = checked(self.means, "means", 1, *reward_range(self.noise))
        delays = checked(self.delays, "delays", 1, 0, np.iinfo(np.int32).max)
        if delays.shape != means.shape or (delays != delays.round()).any():
            raise ValueError("delays must be whole numbers, one an arm")
        kind = (BLOCKING, means.size, self.noise, self.sigma)
        return tables(*kind, means[None], integers=delays, reference=(self.bound(),))


@dataclass(frozen=True, eq=False)
class Rotting:
    """Rested rotting arms: expected reward `payoffs` [K, n] by the number of earlier plays.

    The last entry holds on. Rows must not increase; then the best policy takes the largest current
    reward, which is what regret is counted against.
    """

    payoffs: ArrayLike
    noise: str = "bernoulli"
    sigma: float = 0.1

    def tables(self, horizon: int) -> Tables:
        payoffs = checked(self.payoffs, "payoffs", 2, *reward_range(self.noise))
        rise = np.argwhere(np.diff(payoffs, axis=1) > 0)
        if len(rise):
            raise ValueError(f"payoffs of arm {rise[0][0]} rise after pull {rise[0][1] + 1}")
        held = np.pad(payoffs, ((0, 0), (0, max(0, horizon - payoffs.shape[1]))), mode="edge")
        reference = np.sort(held[:, :horizon].ravel())[::-1][:horizon]
        kind = (ROTTING, len(payoffs), self.noise, self.sigma)
        return tables(*kind, payoffs, reference=reference)
