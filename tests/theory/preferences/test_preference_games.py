import numpy as np
import pytest
from scipy.special import softmax

from rlkit.theory.preferences.games import kl, nash_conv
from rlkit.theory.preferences.preference_games import (
    accelerated,
    bradley_terry,
    check_preferences,
    exploitability,
    group_maxmin,
    minimax_winner,
    nash_md,
    regularised_descent,
    regularised_nash,
    self_play,
)

P = np.array([[0.5, 0.9, 0.2], [0.1, 0.5, 0.8], [0.8, 0.2, 0.5]])
ROCK = np.array([[0.5, 0, 1], [1, 0.5, 0], [0, 1, 0.5]])
UNIFORM = np.full(3, 1 / 3)


def random_preferences(seed, n=4):
    upper = np.triu(np.random.default_rng(seed).random((n, n)), 1)
    return upper + np.tril(1 - upper.T, -1) + 0.5 * np.eye(n)


def test_minimax_winner_of_the_example():
    winner = minimax_winner(P)
    np.testing.assert_allclose(winner, [0.3, 0.3, 0.4], atol=1e-9)
    assert exploitability(P, winner) == pytest.approx(0, abs=1e-9)
    assert exploitability(P, UNIFORM) == pytest.approx(1.6 / 3 - 0.5)
    assert nash_conv(P, UNIFORM, UNIFORM) == pytest.approx(2 * exploitability(P, UNIFORM))


def test_regularised_equilibrium_of_the_example():
    found = regularised_nash(P, 0.1)
    np.testing.assert_allclose(found, [0.330242, 0.284623, 0.385134], atol=1e-6)
    np.testing.assert_allclose(found, softmax(P @ found / 0.1), atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_equilibrium_of_a_vanishing_temperature_is_the_nash_policy(seed):
    p = random_preferences(seed)
    found = regularised_nash(p, 1e-3)
    np.testing.assert_allclose(found, softmax(p @ found / 1e-3), atol=1e-6)
    np.testing.assert_allclose(found, minimax_winner(p), atol=0.02)


def test_nash_md_matches_its_reference_distances_and_its_bound():
    exact = regularised_nash(P, 0.1)
    path = nash_md(P, 0.1, 2000)
    distance = kl(exact, path)
    expected = {10: 8.1e-5, 100: 2.7e-6, 1000: 2.9e-8, 2000: 6.8e-9}
    for t, value in expected.items():
        assert distance[t] == pytest.approx(value, rel=0.02)
    assert (distance <= 8 / (0.1**2 * (np.arange(2001) + 1))).all()


def test_fixed_step_settles_beside_the_equilibrium():
    """tau = .2, eta = .05: pi = exp(P m / tau) for the mixture m, off by some 1e-3."""
    path = nash_md(P, 0.2, 3000, eta=0.05)
    last = path[-1]
    np.testing.assert_allclose(path[-2], last, atol=1e-12)
    mixed = last**0.99
    np.testing.assert_allclose(last, softmax(P @ (mixed / mixed.sum()) / 0.2), atol=1e-9)
    gap = np.abs(last - regularised_nash(P, 0.2)).max()
    closer = np.abs(nash_md(P, 0.2, 4000, eta=0.0125)[-1] - regularised_nash(P, 0.2)).max()
    assert 1e-5 < gap < 0.02
    assert closer < 0.3 * gap


def test_nash_md_solves_rock_paper_scissors():
    path = nash_md(ROCK, 0.05, 3000, eta=0.2, start=np.array([0.7, 0.2, 0.1]))
    np.testing.assert_allclose(path[-1], UNIFORM, atol=1e-6)


def test_self_play_average_converges_and_last_iterate_circles():
    """eta .02, 20000 rounds from (.7, .2, .1): exploitability .004 on average, .26 at the end."""
    play = self_play(ROCK, 0.02, 20_000, start=np.array([0.7, 0.2, 0.1]))
    assert exploitability(ROCK, play.average) == pytest.approx(0.004, abs=5e-4)
    assert exploitability(ROCK, play.points[-1]) == pytest.approx(0.26, abs=0.005)
    orbit = kl(UNIFORM, play.points[::50])
    assert (np.diff(orbit) >= -1e-12).all()
    hinted = self_play(ROCK, 1.0, 400, "last", np.array([0.7, 0.2, 0.1])).points
    assert kl(UNIFORM, hinted[-1]) < 1e-9
    assert (np.diff(kl(UNIFORM, hinted[::10])) < 1e-15).all()


def test_mirror_descent_on_the_regularised_game_is_inpo():
    """Fixed point without bias, and the closed form of one step in INPO's units (1 / eta)."""
    exact = regularised_nash(P, 0.1)
    path = regularised_descent(P, 0.1, 1500, eta=0.2)
    np.testing.assert_allclose(path[-1], exact, atol=1e-9)
    inverse = 1 / 0.2
    ref, start = np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.3, 0.1])
    one = regularised_descent(P, 0.1, 1, 0.2, ref, start)[1]
    weight = start ** (1 - 0.1 / inverse) * ref ** (0.1 / inverse) * np.exp(P @ start / inverse)
    np.testing.assert_allclose(one, weight / weight.sum())


def test_transitive_preferences_pick_the_best_answer():
    scores = np.array([0.1, 1.4, -0.5, 0.9])
    p = bradley_terry(scores)
    np.testing.assert_allclose(minimax_winner(p), np.eye(4)[1], atol=1e-9)
    assert self_play(p, 0.5, 400).points[-1].argmax() == 1
    assert self_play(p, 0.5, 400).points[-1][1] > 0.99
    for ranked in (nash_md(p, 0.1, 200)[-1], regularised_nash(p, 0.1)):
        assert (np.argsort(ranked) == np.argsort(scores)).all()


def test_condorcet_winner_takes_all_mass():
    p = random_preferences(3)
    p[2], p[:, 2] = 0.7, 0.3
    p[2, 2] = 0.5
    np.testing.assert_allclose(minimax_winner(p), np.eye(4)[2], atol=1e-9)


def test_acceleration_reaches_the_same_policy_in_fewer_rounds():
    reward, start = np.array([0.0, 1.0, 0.4]), np.array([0.5, 0.2, 0.3])
    plain = accelerated(lambda pi: reward, 0.1, 0.0, 40, start, 3)
    for k in (1, 7, 40):
        exact = start * np.exp(0.1 * k * reward)
        np.testing.assert_allclose(plain[k], exact / exact.sum())
    fast = accelerated(lambda pi: reward, 0.1, 0.5, 40, start, 3)
    np.testing.assert_allclose(fast[20], plain[40], atol=0.05)
    assert fast[20][1] > plain[30][1]
    np.testing.assert_allclose(
        accelerated(P, 0.1, 0.0, 20)[:20], self_play(P, 0.1, 20).points, atol=1e-12
    )


def test_groups_are_served_by_the_worst_case():
    likes = np.stack([bradley_terry(np.array([2.0, 0, 1.5])), bradley_terry(np.array([0, 2, 1.5]))])
    policy, level = group_maxmin(likes)
    assert policy[2] > 0.5  # the compromise
    beats = np.stack([policy @ p for p in likes])
    assert beats.min() == pytest.approx(level)
    for seed in range(20):
        other = np.random.default_rng(seed).dirichlet(np.ones(3))
        assert min((other @ p).min() for p in likes) <= level + 1e-9
    single, half = group_maxmin(P[None])
    assert half == pytest.approx(0.5)
    np.testing.assert_allclose(single, minimax_winner(P), atol=1e-9)


def test_errors():
    with pytest.raises(ValueError, match=r"P\[0, 1\]"):
        check_preferences(np.array([[0.5, 0.9], [0.9, 0.5]]))
    with pytest.raises(ValueError, match="square"):
        check_preferences(np.ones((2, 3)))
    with pytest.raises(ValueError, match="eta tau"):
        nash_md(P, 0.5, 3, eta=3.0)
    with pytest.raises(ValueError, match="alpha"):
        accelerated(P, 0.1, 1.0, 3)
    with pytest.raises(ValueError, match="size"):
        accelerated(lambda pi: pi, 0.1, 0.0, 3)
