"""Best-arm identification: LUCB, Track-and-Stop, top-two Thompson, fixed allocations, halving.

Fixed confidence delta. Stopping by the generalised likelihood ratio (Garivier & Kaufmann 2016):
  Z = min_{a != b} N_b d(m_b, m_ab) + N_a d(m_a, m_ab) > ln((1 + ln t) / delta),
b the empirical best, m_ab the pooled mean, d the divergence of the family. Sampling rules:
  track_and_stop  D-tracking of w*(m): the least pulled arm while min N < sqrt(t) - K/2, else
                  argmax t w*_a - N_a; w* is solved anew after every 2 % of further rounds
  top_two_ts      a posterior draw's best arm or, half of the time, the best of the first later draw
                  that disagrees (Russo 2016), with a cap on redraws
  uniform, oracle round robin; tracking of w*(true means)
  lucb            leader and best challenger until their bounds part, with radius
                  sigma sqrt(2 ln(5 K t^4 / (4 delta)) / N)             Kalyanakrishnan et al. 2012
Fixed budget: successive_halving (Karnin, Koren & Somekh 2013), uniform_budget.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlkit.algos.bandits.identification.allocation import solve_weights
from rlkit.algos.bandits.identification.sampling_rules import (
    FAMILIES,
    RULES,
    run_halving,
    run_identification,
)
from rlkit.algos.bandits.simulation.records import check_seed, in_chunks
from rlkit.envs.bandits.armed import checked
from rlkit.envs.bandits.counts import whole


@dataclass(frozen=True, eq=False)
class Identification:
    """chosen [R] arms, pulls [R, K], and stopped [R]: False where the cap or budget ended a run."""

    chosen: np.ndarray
    pulls: np.ndarray
    stopped: np.ndarray

    def times(self) -> np.ndarray:
        """Plays of each run [R]."""
        return self.pulls.sum(1)


def identify(
    rule: str,
    means: ArrayLike,
    *,
    delta: float = 0.1,
    budget: int | None = None,
    family: str = "bernoulli",
    sigma: float = 1.0,
    runs: int = 100,
    cap: int = 10_000_000,
    seed: int = 0,
    threads: int = 1,
) -> Identification:
    """The `Identification` of the best of `means` [K] by `runs` independent runs.

    Fixed-confidence rules (track_and_stop, top_two_ts, uniform, oracle, lucb) stop at error
    probability `delta`, or unstopped after `cap` plays; successive_halving and uniform_budget spend
    `budget`. Rewards are Bernoulli or Gaussian with standard deviation `sigma`; LUCB takes
    Bernoulli rewards as 1/2-sub-Gaussian.
    """
    fixed_budget = rule in ("successive_halving", "uniform_budget")
    if not fixed_budget and rule not in RULES:
        known = ", ".join([*RULES, "successive_halving", "uniform_budget"])
        raise ValueError(f"no rule {rule!r} (known: {known})")
    if family not in FAMILIES:
        raise ValueError(f"family is {family!r}; choose one of {', '.join(FAMILIES)}")
    if not 0 < delta < 1:
        raise ValueError(f"delta is {delta}; it must lie in (0, 1)")
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}; it must be positive")
    runs, cap, threads = whole("runs", runs), whole("cap", cap), whole("threads", threads)
    check_seed(seed)
    span = (0.0, 1.0) if family == "bernoulli" else (-1e12, 1e12)
    mu = checked(means, "means", 1, *span)
    arms, number = mu.size, FAMILIES[family]
    chosen, pulls = np.zeros(runs, np.int64), np.zeros((runs, arms), np.int64)
    stopped, optimal = np.zeros(runs, np.bool_), np.full(arms, 1.0 / arms)
    if fixed_budget or budget is not None:
        budget = whole("budget", budget)
    if fixed_budget and (budget or 0) < arms * max(1, math.ceil(math.log2(arms))):
        raise ValueError(f"budget is {budget}; {arms} arms need at least K ceil(log2 K) plays")
    if rule == "oracle":
        solve_weights(number, sigma, mu, int(mu.argmax()), optimal, np.empty(arms))

    def job(first: int, last: int) -> None:
        part = slice(first, last)
        floats = [np.empty(arms) for _ in range(4)]
        work = (*floats, np.empty((2, 2), np.uint64))
        if rule == "successive_halving":
            halving = (number, sigma, mu, budget, first, seed)
            run_halving(*halving, chosen[part], pulls[part], work)
            return
        # A uniform budget is the uniform rule that never stops: its error probability is 0.
        rule_number = RULES["uniform" if fixed_budget else rule]
        end, error = (budget, 0.0) if fixed_budget else (cap, delta)
        scale = 0.5 if rule == "lucb" and family == "bernoulli" else sigma
        options = (rule_number, number, scale, mu, optimal, error, end, first, seed)
        results = (chosen[part], pulls[part], stopped[part], work)
        run_identification(*options, *results)

    in_chunks(job, runs, threads)
    return Identification(chosen, pulls, stopped)
