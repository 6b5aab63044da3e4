"""`simulate`: determinism, pairing, reference regrets, trivial instances, refusals."""

import subprocess
import sys

import numpy as np
import pytest

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.simulation.armed_policies import ARMED_POLICIES
from rlkit.algos.bandits.simulation.kl_ucb import bernoulli_kl
from rlkit.algos.bandits.simulation.records import log_checkpoints
from rlkit.envs.bandits.armed import Armed, RandomMeans, Switching
from rlkit.envs.bandits.dueling import Dueling
from rlkit.envs.bandits.linear import LinearArms
from rlkit.envs.bandits.memory import Blocking, LastSwitch

FIVE = [0.5, 0.4, 0.4, 0.4, 0.4]
DUELS = Dueling([[0.5, 0.7, 0.8], [0.3, 0.5, 0.6], [0.2, 0.4, 0.5]])
SPHERE = LinearArms("per_round", arms=4, dim=3)
SWITCHES = LastSwitch([[0.5, 0.8], [0.3, 0.9]], [[0.4, 0.2], [0.2, 0.1]])
CASES = [
    *[(name, Armed(FIVE)) for name in ARMED_POLICIES],
    ("rucb", DUELS),
    ("double_ts", DUELS),
    ("sparring", DUELS),
    ("linucb", SPHERE),
    ("lints", SPHERE),
    ("oful_disjoint", SPHERE),
    ("cycle_plan", SWITCHES),
    ("cycle_online", SWITCHES),
]


@pytest.mark.parametrize(("policy", "env"), CASES, ids=[name for name, _ in CASES])
def test_runs_do_not_depend_on_threads_or_company(policy, env):
    options = {"env": env, "horizon": 700, "seed": 4}
    one = simulate(policy, runs=7, threads=1, **options)
    for runs, threads in ((7, 3), (7, 16), (3, 2)):
        other = simulate(policy, runs=runs, threads=threads, **options)
        np.testing.assert_array_equal(one.regret[:runs], other.regret)
        np.testing.assert_array_equal(one.pulls[:runs], other.pulls)
        if runs == 7:
            np.testing.assert_array_equal(one.mean_pulls, other.mean_pulls)
    if "elimination" not in policy:  # these have dropped no arm yet and go round robin
        assert len(np.unique(one.regret[:, -1])) > 1
        assert (simulate(policy, runs=7, **(options | {"seed": 5})).regret != one.regret).any()


@pytest.mark.parametrize(("policy", "env"), CASES, ids=[name for name, _ in CASES])
def test_a_checkpoint_sees_a_shorter_horizon(policy, env):
    if policy in ("moss", "exp3", "tallying_elimination", "cycle_online"):
        return  # these know the horizon
    long = simulate(policy, env=env, runs=3, horizon=500, checkpoints=[200])
    short = simulate(policy, env=env, runs=3, horizon=200)
    np.testing.assert_allclose(long.regret[:, 0], short.regret[:, -1], atol=1e-9)
    np.testing.assert_allclose(long.mean_pulls[0], short.mean_pulls[-1])


def test_pairing_gives_two_policies_the_same_rewards_and_correlates_them():
    options = {"means": FIVE, "runs": 300, "horizon": 2000}
    kept = {}
    for paired in (False, True):
        a = simulate("ucb1", paired=paired, **options).regret[:, -1]
        b = simulate("alpha_ucb", paired=paired, alpha=3.0, **options).regret[:, -1]
        kept[paired] = np.corrcoef(a, b)[0, 1]
        same = simulate("alpha_ucb", paired=paired, alpha=4.0, **options).regret[:, -1]
        np.testing.assert_array_equal(a, same)
    assert kept[True] > 0.5
    assert kept[True] > kept[False] + 0.2


# Mean pseudo-regret at rounds 1000 and 10 000 over 400 runs of an independent numpy program.
REFERENCE = {
    "ucb1": ({}, 63.5, 316.7, 4),
    "kl_ucb": ({}, 43.4, 117.1, 4),
    "ts_beta": ({}, 38.9, 77.1, 4),
    "imed": ({}, 39.7, 77.4, 4),
    "moss": ({}, 50.1, 96.4, 4),
    "eps_greedy": ({"eps": 0.05}, 43.2, 125.8, 8),
    "tsallis_inf": ({}, 57.8, 201.7, 4),
    "exp3_ix": ({}, 67.1, 357.6, 4),
}


@pytest.mark.parametrize("policy", REFERENCE)
def test_reference_regret_on_five_arms(policy):
    parameters, early, late, error = REFERENCE[policy]
    run = simulate(policy, FIVE, runs=400, horizon=10_000, seed=1, checkpoints=[1000], **parameters)
    for place, (value, given) in enumerate(((early, max(1.0, error / 4)), (late, error))):
        tolerance = 3.0 * np.hypot(given, run.standard_error()[place])
        assert run.mean()[place] == pytest.approx(value, abs=tolerance)


# banditbench's table (10 Bernoulli arms, means U[0, 1] or U[0, 1/2], 500 rounds, 10 001 runs). Its
# rewards are keyed by (arm, n) alone, the same in every run, which moves adaptive policies' means
# by up to 25 % from one key to the next; Thompson, KL-UCB, UCB-tuned and Tsallis-INF on U[0, 1] are
# therefore held against independent numpy programs in test_random_means.
BANDITBENCH = {
    "greedy": ({}, 1.0, 19.71),
    "eps_greedy_.01": ({"eps": 0.01}, 1.0, 21.18),
    "eps_greedy_.05": ({"eps": 0.05}, 1.0, 27.39),
    "eps_greedy_.1": ({"eps": 0.1}, 1.0, 35.84),
    "ucb1": ({}, 1.0, 86.85),
    "exp3_ix": ({}, 1.0, 95.78),
    "random": ({}, 1.0, 204.02),
    "ts_beta": ({}, 0.5, 40.54),
    "kl_ucb": ({}, 0.5, 42.71),
    "ucb1_half": ({}, 0.5, 68.09),
    "random_half": ({}, 0.5, 102.0),
}


@pytest.mark.parametrize("name", BANDITBENCH)
def test_published_banditbench_regret_within_five_percent(name):
    parameters, high, published = BANDITBENCH[name]
    policy = name.removesuffix("_half").split("_.")[0]
    run = simulate(
        policy, env=RandomMeans(10, 0.0, high), runs=10_001, horizon=500, seed=1, **parameters
    )
    assert run.mean()[-1] == pytest.approx(published, rel=0.05)


def test_random_play_has_the_exact_regret():
    run = simulate("random", env=RandomMeans(10), runs=4000, horizon=500)
    assert run.mean()[-1] == pytest.approx(500 * (10 / 11 - 0.5), abs=4 * run.standard_error()[-1])


def test_decaying_eps_explores_by_its_schedule():
    # Distinct noiseless rewards: every pull of the worse arm after the first is exploration.
    horizon, c, gap = 20_000, 2.0, 0.5
    run = simulate(
        "eps_decay", env=Armed([0.9, 0.1], "none"), runs=50, horizon=horizon, c=c, gap=gap
    )
    eps = np.minimum(1.0, c * 2 / (gap**2 * np.arange(3, horizon + 1)))
    expected = 1 + eps.sum() / 2
    assert run.pulls[:, 1].mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / 50))


def test_lower_bound_constants():
    def constant(means):
        best = max(means)
        return sum((best - m) / bernoulli_kl(m, best) for m in means if m < best)

    assert constant(FIVE) == pytest.approx(19.865, abs=5e-4)
    assert constant([i / 10 for i in range(9, 0, -1)]) == pytest.approx(7.5165, abs=5e-5)


@pytest.mark.parametrize("policy", ARMED_POLICIES)
def test_one_arm_or_equal_arms_give_no_regret_and_no_favourite(policy):
    assert not simulate(policy, [0.3], runs=2, horizon=300).regret.any()
    equal = simulate(policy, [0.0] * 4, runs=200, horizon=101)
    assert not equal.regret.any()
    if not policy.startswith(("successive", "tallying")):  # these go round robin
        share = equal.pulls.sum(0) / equal.pulls.sum()
        assert np.abs(share - 0.25).max() < 0.06


@pytest.mark.parametrize(
    "policy", ["ucb1", "ts_gauss", "exp3_ix", "imed", "successive_elimination"]
)
def test_relabelling_arms_changes_nothing_in_law(policy):
    means = [0.7, 0.5, 0.3]
    ways = [means, means[::-1]]
    runs = [simulate(policy, m, runs=300, horizon=1500, seed=s) for s, m in enumerate(ways)]
    error = np.hypot(*(r.standard_error()[-1] for r in runs))
    assert abs(runs[0].mean()[-1] - runs[1].mean()[-1]) < 4 * error + 3.0
    forward, backward = runs[0].pulls.mean(0), runs[1].pulls.mean(0)[::-1]
    np.testing.assert_allclose(forward, backward, rtol=0.25, atol=15)


def test_every_pull_is_counted_and_checkpoints_end_at_the_horizon():
    run = simulate("ucb_tuned", FIVE, runs=5, horizon=1234)
    assert (run.pulls.sum(1) == 1234).all()
    np.testing.assert_array_equal(run.checkpoints, log_checkpoints(1234))
    np.testing.assert_allclose(run.mean_pulls.sum(1), run.checkpoints)
    np.testing.assert_allclose(run.mean_pulls[-1], run.pulls.mean(0))
    np.testing.assert_array_equal(run.at(1234), run.regret[:, -1])
    with pytest.raises(ValueError, match="nearest: 1234"):
        run.at(1233)


def test_blocked_arms_are_left_out():
    env = Blocking([0.9, 0.5, 0.2], delays=[2, 1, 0], noise="none")
    run = simulate("ucb1", env=env, runs=4, horizon=3000)
    assert (run.pulls[:, 0] <= 1000).all()
    assert (run.pulls[:, 1] <= 1500).all()
    # Greedy over known means plays 0 every third round and 1 in between: .9/3 + .5/3 + .2/3 or more
    assert env.bound() == pytest.approx(0.9 / 3 + 0.5 / 2 + 0.2 / 6)
    assert run.regret[:, -1].max() < (1 - (1 - np.exp(-1))) * env.bound() * 3000
    nothing_left = simulate("random", env=Blocking([0.5], [4]), runs=1, horizon=50)
    assert nothing_left.pulls[0, 0] == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"policy": "ucb", "means": FIVE}, "did you mean 'ucb1'"),
        ({"policy": "ucb1"}, "either means="),
        ({"policy": "ucb1", "means": FIVE, "env": Armed(FIVE)}, "either means="),
        ({"policy": "ucb1", "means": [0.2, 1.2]}, r"means\[1\] is 1.2"),
        ({"policy": "ucb1", "means": [0.2, np.nan]}, r"means\[1\] is nan"),
        ({"policy": "ucb1", "means": []}, "non-empty"),
        ({"policy": "ucb1", "means": FIVE, "runs": 0}, "runs is 0"),
        ({"policy": "ucb1", "means": FIVE, "horizon": 0}, "horizon is 0"),
        ({"policy": "ucb1", "means": FIVE, "seed": -1}, "seed is -1"),
        ({"policy": "ucb1", "means": FIVE, "checkpoints": [0]}, "checkpoints must be whole rounds"),
        ({"policy": "ucb1", "means": FIVE, "alpha": 2.0}, "no parameter 'alpha'"),
        ({"policy": "eps_greedy", "means": FIVE, "eps": 1.5}, "eps is 1.5"),
        ({"policy": "ts_gauss", "means": FIVE, "sigma": np.nan}, "sigma is nan"),
        ({"policy": "ts_beta", "env": Armed(FIVE, "gaussian")}, "needs rewards in"),
        ({"policy": "exp3_ix", "env": Blocking(FIVE, [1] * 5)}, "cannot leave out"),
        ({"policy": "ucb1", "env": Armed(FIVE, "poisson")}, "noise is 'poisson'"),
        ({"policy": "ucb1", "env": Switching([FIVE], [2])}, "starts must rise"),
        ({"policy": "ucb1", "env": DUELS}, "cannot play Dueling"),
        ({"policy": "rucb", "means": FIVE}, "needs a Dueling environment"),
        ({"policy": "linucb", "env": LinearArms("per_round", arms=2, dim=2, context=True)}, "disj"),
        ({"policy": "cycle_online", "env": SWITCHES, "samples": 1e6, "horizon": 99}, "lower sam"),
    ],
)
def test_bad_input_is_refused_with_a_reason(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate(**arguments)


def test_import_is_cheap_and_never_pulls_torch():
    program = (
        "import sys, rlkit.algos.bandits as b\n"
        "assert 'numba' not in sys.modules\n"
        "b.simulate\n"
        "heavy = {'torch', 'gymnasium', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
