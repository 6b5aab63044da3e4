"""Runs in step have the records of runs one by one, bit for bit."""

import numpy as np
import pytest

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.simulation.index_policies import KL_UCB, TS_BETA, UCB
from rlkit.algos.bandits.simulation.kernels import lockstep
from rlkit.envs.bandits.armed import Armed, RandomMeans, Switching

MEANS = [0.5, 0.4, 0.45, 0.5]
ENVIRONMENTS = {
    "bernoulli": Armed(MEANS),
    "gaussian": Armed(MEANS, noise="gaussian", sigma=0.7),
    "noiseless": Armed(MEANS, noise="none"),
    "random means": RandomMeans(5),
    "one arm": Armed([0.3]),
    "two arms": Armed([0.3, 0.3]),
}
POLICIES = {
    "ucb1": {},
    "moss": {},
    "eps_greedy": {"eps": 0.3},
    "eps_decay": {},
    "ts_gauss": {},
}


def records(policy: str, env: str, runs: int = 2 * lockstep.RUNS + 3, threads: int = 1):
    found = simulate(
        policy, env=ENVIRONMENTS[env], runs=runs, horizon=400, seed=11,
        checkpoints=[1, 3, 57, 400], threads=threads, **POLICIES[policy],
    )  # fmt: skip
    return found.regret, found.pulls, found.mean_pulls


PAIRS = [(p, e) for p in POLICIES for e in ENVIRONMENTS]


@pytest.mark.parametrize(("policy", "env"), PAIRS)
def test_records_are_those_of_runs_one_by_one(policy, env, monkeypatch):
    together = records(policy, env)
    monkeypatch.setattr(lockstep, "fits", lambda *_: False)
    for found, expected in zip(together, records(policy, env), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_threads_and_fewer_runs_change_no_record():
    regret, pulls, _ = records("ucb1", "bernoulli")
    for runs, threads in ((len(regret), 2), (lockstep.RUNS + 1, 1), (5, 1)):
        other_regret, other_pulls, _ = records("ucb1", "bernoulli", runs, threads)
        np.testing.assert_array_equal(other_regret, regret[:runs])
        np.testing.assert_array_equal(other_pulls, pulls[:runs])


def test_what_it_cannot_do_is_left_to_the_other_kernel():
    flat = Armed(MEANS).tables(10)
    assert lockstep.fits(UCB, flat, False)
    assert not lockstep.fits(UCB, flat, True)  # paired rewards
    assert not lockstep.fits(KL_UCB, flat, False)
    assert not lockstep.fits(TS_BETA, flat, False)
    assert not lockstep.fits(UCB, Switching([MEANS, MEANS[::-1]], [1, 5]).tables(10), False)
    assert not lockstep.fits(UCB, Armed(np.full(10_000, 0.5)).tables(10), False)  # beyond the cache
