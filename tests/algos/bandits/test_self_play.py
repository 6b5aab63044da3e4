"""Self-play for the minimax winner and the win-rate reward."""

import numpy as np
import pytest

from rlkit.algos.bandits.self_play import hedge_self_play, win_rate_rewards
from rlkit.envs.bandits.dueling import Dueling

CYCLE = np.array([[0.5, 0.7, 0.1], [0.3, 0.5, 0.8], [0.9, 0.2, 0.5]])
WINNER = [1 / 3, 4 / 9, 2 / 9]


def test_reference_exploitability_of_the_average():
    plain = hedge_self_play(CYCLE, 2000, eta=2 * np.sqrt(np.log(3) / 2000))
    assert plain.exploitability[-1] == pytest.approx(0.0061, abs=5e-4)
    fast = hedge_self_play(CYCLE, 2000, eta=0.5, optimistic=True)
    assert fast.exploitability[-1] == pytest.approx(0.00025, abs=3e-5)
    np.testing.assert_allclose(fast.average, WINNER, atol=2e-3)
    assert Dueling(CYCLE).exploitability(plain.average) == pytest.approx(plain.exploitability[-1])


def test_only_optimism_makes_the_last_iterate_converge():
    plain = hedge_self_play(CYCLE, 4000, eta=0.5)
    fast = hedge_self_play(CYCLE, 4000, eta=0.5, optimistic=True)
    env = Dueling(CYCLE)
    assert env.exploitability(plain.last) > 0.1
    assert env.exploitability(fast.last) < 1e-3


def test_a_condorcet_winner_takes_all_and_complementing_swaps_it():
    ladder = 0.5 + 0.1 * (np.arange(5)[None] - np.arange(5)[:, None])
    for optimistic in (False, True):
        out = hedge_self_play(ladder, 20_000, eta=0.2, optimistic=optimistic)
        assert out.average[0] > 0.99
        assert hedge_self_play(1 - ladder, 20_000, eta=0.2).average[4] > 0.99
    np.testing.assert_allclose(hedge_self_play([[0.5]], 3).average, [1.0])


def test_starting_at_the_winner_stays_there():
    out = hedge_self_play(CYCLE, 50, eta=0.1, start=WINNER)
    np.testing.assert_allclose(out.last, WINNER, atol=1e-9)
    assert out.exploitability.max() < 1e-9


def test_win_rates_are_unbiased_and_order_bradley_terry_scores():
    rng = np.random.default_rng(0)
    score = np.array([2.0, 0.5, -1.0, 0.0])
    p = 1 / (1 + np.exp(score[None] - score[:, None]))
    expected = win_rate_rewards(p)
    np.testing.assert_allclose(expected, (p.sum(1) - 0.5) / 3)
    assert (np.argsort(expected) == np.argsort(score)).all()
    upper = np.triu(rng.random((20_000, 4, 4)) < p, 1).astype(float)
    wins = upper + np.tril(1 - np.swapaxes(upper, 1, 2), -1)
    np.testing.assert_allclose(win_rate_rewards(wins).mean(0), expected, atol=0.01)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="must be 1 for every pair"):
        win_rate_rewards([[0.5, 1.0], [1.0, 0.5]])
    with pytest.raises(ValueError, match="k >= 2"):
        win_rate_rewards([[0.5]])
    with pytest.raises(ValueError, match="eta is 0"):
        hedge_self_play(CYCLE, 10, eta=0.0)
    with pytest.raises(ValueError, match="rounds is 0"):
        hedge_self_play(CYCLE, 0)
