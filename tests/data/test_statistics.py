import numpy as np
import pytest

from rlkit.data import statistics
from rlkit.data.store import EpisodeStore


def test_modes_are_the_peaks_of_a_mixture() -> None:
    rng = np.random.default_rng(0)
    mixture = np.concatenate([rng.normal(1000, 50, 300), rng.normal(3000, 80, 700)])
    found = statistics.modes(mixture)
    assert found == pytest.approx((1000, 3000), abs=60)
    one = statistics.modes(rng.normal(-5, 1, 1000))
    assert one == pytest.approx((-5,), abs=0.5)
    assert statistics.modes(np.full(10, 7.0)) == (7.0,)
    assert statistics.modes(np.array([3.0])) == (3.0,)
    assert len(statistics.modes(np.arange(3.0))) == 1


def test_a_peak_at_either_end_counts() -> None:
    values = np.concatenate([np.zeros(50), np.linspace(0, 10, 20), np.full(50, 10.0)])
    assert statistics.modes(values) == pytest.approx((0, 10), abs=0.7)


def test_near_the_mean_and_saturation() -> None:
    assert statistics.near_the_mean(np.array([80.0, 100, 120, 300, 0])) == pytest.approx(0.4)
    assert statistics.near_the_mean(np.array([-100.0, -110, -90, -100])) == 1
    action = np.array([[2.0, 0.0], [0.0, 1.0], [-2.0, 0.5], [1.0, 0.5]])
    share = statistics.saturation(action, np.array([-2.0, 0.0]), np.array([2.0, 1.0]))
    assert share == 4 / 8


def test_the_card_of_a_store(episode) -> None:
    rng = np.random.default_rng(1)
    ends = ("terminated", "truncated", "truncated", "terminated")
    made = [episode(rng, n, end=end) for n, end in zip((2, 3, 4, 7), ends, strict=True)]
    store = EpisodeStore.from_episodes(made)
    card = statistics.of(store, (np.full(2, -1.0), np.full(2, 1.0)))
    returns = np.array([e["reward"].sum() for e in made])
    assert (card.episodes, card.length_mean, card.terminated) == (4, 4.0, 0.5)
    assert card.return_mean == pytest.approx(returns.mean())
    assert card.return_std == pytest.approx(returns.std())
    actions = np.concatenate([e["action"] for e in made])
    assert card.saturation == pytest.approx((np.abs(actions) >= 0.99).mean())
    assert "50.0% of episodes" in dict(statistics.described(card))["terminations"]
    assert statistics.of(store, None).saturation is None
