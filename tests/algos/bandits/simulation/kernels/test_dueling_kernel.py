"""Dueling policies: winners, reference regrets, cycles, symmetry."""

import numpy as np
import pytest

from rlkit.algos.bandits import simulate
from rlkit.envs.bandits.dueling import Dueling

LADDER = 0.5 + 0.1 * (np.arange(5)[None] - np.arange(5)[:, None])
CYCLE = [[0.5, 0.7, 0.1], [0.3, 0.5, 0.8], [0.9, 0.2, 0.5]]


def test_minimax_winner_of_a_cycle_and_of_a_ladder():
    cycle = Dueling(CYCLE)
    np.testing.assert_allclose(cycle.minimax_winner(), [1 / 3, 4 / 9, 2 / 9], atol=1e-9)
    assert cycle.condorcet_winner() is None
    assert cycle.exploitability(cycle.minimax_winner()) == pytest.approx(0.0, abs=1e-9)
    assert cycle.exploitability([1.0, 0.0, 0.0]) == pytest.approx(0.4)
    ladder = Dueling(LADDER)
    np.testing.assert_allclose(ladder.minimax_winner(), [1, 0, 0, 0, 0], atol=1e-9)
    assert ladder.condorcet_winner() == 0
    assert Dueling(1 - LADDER).condorcet_winner() == 4  # complementing swaps winners and losers


def test_minimax_winner_has_value_zero_on_random_games():
    rng = np.random.default_rng(0)
    for arms in range(1, 12):
        above = np.triu(rng.random((arms, arms)), 1)
        p = above + np.tril(1 - above.T, -1) + 0.5 * np.eye(arms)
        env = Dueling(p)
        assert env.exploitability(env.minimax_winner()) == pytest.approx(0.0, abs=1e-8)


def test_rucb_settles_on_the_condorcet_winner():
    horizon = 20_000
    run = simulate(
        "rucb", env=Dueling(LADDER), runs=40, horizon=horizon, checkpoints=[int(0.8 * horizon)]
    )
    late = run.mean_pulls[1] - run.mean_pulls[0]
    # Duels other than (c, c) in the last fifth: each shows at least one other arm.
    assert late[1:].sum() / (0.2 * horizon) < 0.01
    # Reference 93-120 over three runs.
    assert 75 < run.mean()[-1] < 115
    assert run.mean()[-1] + 2 * run.regret[:, -1].std() > 93


def test_double_thompson_sampling_beats_rucb_and_both_beat_uniform():
    options = {"env": Dueling(LADDER), "runs": 40, "horizon": 5000}
    regret = {p: simulate(p, **options).mean()[-1] for p in ("rucb", "double_ts", "uniform_duels")}
    assert regret["double_ts"] < regret["rucb"] < 0.2 * regret["uniform_duels"]
    # Uniform duels cost the mean gap to the winner, 0.2, every round.
    assert regret["uniform_duels"] == pytest.approx(0.2 * 5000, rel=0.02)


def test_sparring_plays_the_minimax_winner_of_a_cycle():
    env = Dueling(CYCLE)
    run = simulate("sparring", env=env, runs=60, horizon=20_000)
    mixture = run.mean_pulls[-1] / run.mean_pulls[-1].sum()
    assert env.exploitability(mixture) < 0.5 * env.exploitability(np.full(3, 1 / 3))
    np.testing.assert_allclose(mixture, env.minimax_winner(), atol=0.03)
    uniform = simulate("uniform_duels", env=env, runs=10, horizon=1000)
    np.testing.assert_allclose(uniform.mean_pulls[-1] / 2000, 1 / 3, atol=0.02)


@pytest.mark.parametrize("policy", ["rucb", "double_ts", "sparring"])
def test_relabelling_and_pairing(policy):
    order = np.array([3, 1, 4, 0, 2])
    options = {"runs": 60, "horizon": 2000}
    straight = simulate(policy, env=Dueling(LADDER), **options)
    moved = simulate(policy, env=Dueling(LADDER[np.ix_(order, order)]), seed=1, **options)
    error = np.hypot(straight.standard_error()[-1], moved.standard_error()[-1])
    assert abs(straight.mean()[-1] - moved.mean()[-1]) < 4 * error
    paired = simulate(policy, env=Dueling(LADDER), paired=True, **options)
    error = np.hypot(straight.standard_error()[-1], paired.standard_error()[-1])
    assert abs(straight.mean()[-1] - paired.mean()[-1]) < 4 * error


def test_trivial_duels_have_no_regret():
    for policy in ("rucb", "double_ts", "sparring"):
        assert not simulate(policy, env=Dueling([[0.5]]), runs=2, horizon=50).regret.any()
        equal = simulate(policy, env=Dueling(np.full((3, 3), 0.5)), runs=100, horizon=60)
        assert not equal.regret.any()
        share = equal.mean_pulls[-1] / equal.mean_pulls[-1].sum()
        assert np.abs(share - 1 / 3).max() < 0.08


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[0.5, 0.7]], "square"),
        ([[0.5, 0.7], [0.4, 0.5]], r"preferences\[0, 1\]"),
        ([[0.5, 1.7], [-0.7, 0.5]], r"preferences\[0, 1\] is 1.7"),
    ],
)
def test_bad_preferences_are_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        Dueling(matrix).matrix()
