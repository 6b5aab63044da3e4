"""Successive and tallying elimination: laws, reference regrets, memory and its exact optimum."""

import numpy as np
import pytest

from rlkit.algos.bandits import simulate
from rlkit.envs.bandits.armed import Armed
from rlkit.envs.bandits.dynamics import memory_reward, reset_memory
from rlkit.envs.bandits.exact import best_tallying_loss
from rlkit.envs.bandits.memory import Tallying, hidden_arm

GRID = np.linspace(0.0, 1.0, 50)
# K = 4, memory 20, weights falling 1 -> .2: arm 0 is bad until it has been repeated.
HARD = {
    "losses": np.stack([0.9 - 0.7 * GRID] + [0.55 - 0.05 * GRID] * 3),
    "weights": np.linspace(1.0, 0.2, 20),
}


def eliminate(means, horizon, delta):
    """Rounds after which each arm is dropped, for noiseless rewards (plain numpy)."""
    alive, n, counts = list(range(len(means))), 0, np.zeros(len(means), int)
    while counts.sum() < horizon:
        n += 1
        for a in alive:
            if counts.sum() < horizon:
                counts[a] += 1
        radius = np.sqrt(np.log(4 * len(means) * n * n / delta) / (2 * n))
        best = max(means[a] for a in alive)
        alive = [a for a in alive if not means[a] + radius < best - radius]
    return counts


def test_successive_elimination_equals_the_numpy_loop():
    means = [0.9, 0.75, 0.5, 0.2, 0.85]
    for horizon in (37, 900, 6000):
        run = simulate(
            "successive_elimination", env=Armed(means, noise="none"), runs=1, horizon=horizon
        )
        np.testing.assert_array_equal(run.pulls[0], eliminate(means, horizon, 0.05))


def test_successive_elimination_keeps_the_best_arm_with_its_confidence():
    runs = simulate("successive_elimination", [0.6, 0.4, 0.3], runs=400, horizon=8000, delta=0.1)
    assert (runs.pulls.argmax(1) == 0).mean() >= 0.9


def burn_in_epochs(means, horizon, burn_in):
    """Plays of each arm by tallying elimination when rewards are constant (plain numpy)."""
    alive, counts, left, epoch = list(range(len(means))), np.zeros(len(means), int), horizon, 0
    while left > 0:
        for a in alive:
            plays = min(left, burn_in + 2**epoch)
            counts[a] += plays
            left -= plays
        log_t = max(1, np.ceil(np.log2(horizon)))
        radius = np.sqrt(np.log(2 * len(means) * log_t * horizon) / (2 * 2**epoch))
        best = max(means[a] for a in alive)
        alive = [a for a in alive if best - means[a] <= 2 * radius]
        epoch += 1
    return counts


@pytest.mark.parametrize("burn_in", [0, 7])
def test_tallying_elimination_equals_the_numpy_loop(burn_in):
    means = [0.9, 0.5, 0.2, 0.85]
    for horizon in (50, 3000, 20_000):
        run = simulate(
            "tallying_elimination",
            env=Armed(means, noise="none"),
            runs=1,
            horizon=horizon,
            burn_in=burn_in,
        )
        np.testing.assert_array_equal(run.pulls[0], burn_in_epochs(means, horizon, burn_in))


def test_reference_complete_policy_regret():
    for horizon, value in ((4000, 873.0), (16_000, 1126.0)):
        run = simulate(
            "tallying_elimination", env=Tallying(**HARD), runs=60, horizon=horizon, burn_in=25
        )
        assert run.mean()[-1] == pytest.approx(value, abs=4 * run.standard_error()[-1] + 10)


def test_under_coin_flips_a_memoryless_policy_stumbles_on_repetition_or_does_not():
    # With Bernoulli losses UCB1 sometimes repeats arm 0 by luck and learns its worth, so that its
    # regret has two modes. The 887 and 1939 that two runs of a reference program gave are ordinary
    # means of two runs; the means over all runs are near 550 and 900.
    env, spread = Tallying(**HARD), {}
    for horizon, value in ((4000, 887.0), (16_000, 1939.0)):
        regret = simulate("ucb1", env=env, runs=400, horizon=horizon, seed=3).regret[:, -1]
        low, high = np.quantile(regret.reshape(-1, 2).mean(1), [0.05, 0.95])
        assert low < value < high
        spread[horizon] = regret
    assert spread[16_000].mean() > 1.4 * spread[4000].mean()
    assert spread[16_000].std() > 2 * spread[4000].std()  # elimination: 1.29 and no such spread
    ours = simulate("tallying_elimination", env=env, runs=60, horizon=16_000, burn_in=25).regret
    assert ours[:, -1].max() < 0.5 * spread[16_000].max()


def test_elimination_beats_memoryless_policies_whose_regret_is_linear():
    env = Tallying(**HARD, noise="gaussian", sigma=0.1)
    regret = {
        policy: [
            simulate(policy, env=env, runs=20, horizon=T, **options).mean()[-1]
            for T in (4000, 16_000)
        ]
        for policy, options in {
            "tallying_elimination": {"burn_in": 25},
            "ucb1": {},
            "successive_elimination": {},
            "eps_greedy": {"eps": 0.1},
        }.items()
    }
    short, long = regret.pop("tallying_elimination")
    assert long < 1.5 * short  # four times the rounds
    for policy, (early, late) in regret.items():
        assert late > 3 * early, policy
        assert late > 4 * long, policy


def test_complete_policy_regret_against_the_exact_optimum():
    rng = np.random.default_rng(3)
    for _ in range(5):
        losses = np.sort(rng.random((3, 3)), axis=1)[:, ::-1]  # repetition helps
        losses[0] = [0.6, 0.3, 0.05]  # its saturated loss is the least of all: exposure optimal
        losses[1:] = 0.1 + 0.9 * losses[1:]
        env = Tallying(losses, [1.0, 1.0], noise="none")
        horizon = 40
        optimum = best_tallying_loss(env, horizon)
        constant = losses[0, 1] + (horizon - 1) * losses[0, 2]
        assert constant - 2 <= optimum <= constant + 1e-12
        # `reference` of the environment is the constant sequence
        reference = env.tables(horizon).reference
        assert (1 - reference[0]) + (horizon - 1) * (1 - reference[-1]) == pytest.approx(constant)


def test_a_hidden_arm_costs_memory_times_arms_and_blind_policies_never_find_it():
    arms, horizon = 6, 20_000
    costs = []
    for memory in (10, 20, 40):
        regret = [
            simulate(
                "tallying_elimination",
                env=hidden_arm(arms, memory, arm, noise="none"),
                runs=1,
                horizon=horizon,
                burn_in=memory,
            ).regret[0, -1]
            for arm in range(arms)
        ]
        costs.append(np.mean(regret))
        assert costs[-1] > 0.5 * memory * arms / 2  # the lower bound of any learner
    # Linear in the memory, up to the cost of samples, which is the same for all three.
    assert costs[2] - costs[1] == pytest.approx(2 * (costs[1] - costs[0]), rel=0.15)
    # Without repetition nothing is ever seen of it.
    blind = simulate("successive_elimination", env=hidden_arm(arms, 20, 3), runs=5, horizon=horizon)
    assert (blind.regret[:, -1] > 0.45 * horizon).all()


def test_tallies_by_hand():
    # Plays 0 0 1 0 with weights (1, .5, .25): tallies of arm 0 are 1, 1.5, -, 1 + .25
    env = Tallying([[0.0, 1.0]] * 2, [1.0, 0.5, 0.25], noise="none")
    flat = env.tables(4)
    means, memory = np.empty(2), np.empty(4, np.int64)
    reset_memory(flat, means, memory, np.empty(2, np.uint64))
    losses = [
        1 - memory_reward(flat, arm, t, means, memory) for t, arm in enumerate([0, 0, 1, 0], 1)
    ]
    np.testing.assert_allclose(losses, np.array([1.0, 1.5, 1.0, 1.25]) / 1.75)
    later = Tallying([[0.0, 1.0]] * 2, [1.0, 0.5], includes_current=False, noise="none").tables(4)
    reset_memory(later, means, memory, np.empty(2, np.uint64))
    losses = [
        1 - memory_reward(later, arm, t, means, memory) for t, arm in enumerate([0, 0, 1, 0], 1)
    ]
    np.testing.assert_allclose(losses, np.array([0.0, 1.0, 0.0, 0.5]) / 1.5, atol=1e-12)


def test_memory_of_one_round_is_an_ordinary_bandit():
    env = Tallying([[1.0, 0.3], [1.0, 0.6]], [1.0], noise="bernoulli")
    plain = simulate("tallying_elimination", [0.7, 0.4], runs=5, horizon=2000, seed=3)
    tally = simulate("tallying_elimination", env=env, runs=5, horizon=2000, seed=3)
    np.testing.assert_allclose(plain.regret, tally.regret, atol=1e-9)


def test_one_more_round_of_burn_in_costs_at_most_one_play_per_arm_and_epoch():
    env = Armed([0.9, 0.5, 0.2, 0.85], noise="none")
    regret = [
        simulate("tallying_elimination", env=env, runs=1, horizon=9000, burn_in=m).regret[0, -1]
        for m in range(10, 14)
    ]
    epochs = np.log2(9000)
    assert (np.diff(regret) <= 4 * epochs).all()
    assert (np.diff(regret) >= 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": [[0.2, 0.4]], "weights": [0.0]}, "positive sum"),
        ({"losses": [[0.2]], "weights": [1.0]}, "two grid points"),
        ({"losses": [[0.2, 1.4]], "weights": [1.0]}, r"losses\[0, 1\] is 1.4"),
        ({"losses": [[0.2, 0.4]], "weights": [-1.0]}, r"weights\[0\] is -1"),
        ({"losses": [[0.2, 0.4]], "weights": [1.0], "reference_arm": 2}, "reference_arm is 2"),
    ],
)
def test_bad_tallying_environments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Tallying(**arguments).tables(10)
