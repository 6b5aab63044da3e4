"""Value guidance against closed forms: what is chosen, how often, and what that is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from rlkit.core.errors import UsageError
from rlkit.data.transforms import Transforms
from rlkit.policy.policy import Card, Policy
from rlkit.policy.steering import Steered, choose

ROWS = 20_000


def gaussian(**changed: object) -> Policy:
    """N(0.2, 0.5²) in every state, one dimension, in the box [-9, 9]."""
    card = {
        **{"algo": "bc", "lane": 0, "seed": 3, "step": 1, "env": None, "dataset": None},
        **{"obs_shape": (1,), "discrete": False, "action_shape": (1,), "actions": None},
        **{"first_action": 0, "noise": ("normal", (1,)), "rlkit": "0"},
    }
    bounds = Transforms(action_low=np.array([-9.0]), action_high=np.array([9.0]))

    def forward(obs: np.ndarray, noise: np.ndarray | None) -> np.ndarray:
        mean = np.full((len(obs), 1), 0.2 / 9, np.float32)
        return mean if noise is None else mean + 0.5 / 9 * noise

    return Policy(Card(**card | changed), bounds, forward)  # type: ignore[arg-type]


def square(obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
    return -np.square(actions[..., 0] - 1.0)


def drawn(samples: int, beta: float, critic: object = square, best: bool = False) -> np.ndarray:
    steered = Steered(gaussian(), critic, samples, beta)  # type: ignore[arg-type]
    return steered.act(np.zeros((ROWS, 1)), best, np.random.default_rng(0))[:, 0]


def ks(actions: np.ndarray, mean: float, std: float) -> float:
    return float(stats.kstest(actions, stats.norm(mean, std).cdf).pvalue)


@pytest.mark.parametrize(
    ("samples", "beta", "critic"),
    [(1, 0.0, square), (5, math.inf, square), (5, 1.0, lambda s, a: 0 * a[..., 0])],
)
def test_one_sample_no_preference_or_equal_values_leave_the_policy(samples, beta, critic) -> None:
    assert ks(drawn(samples, beta, critic), 0.2, 0.5) > 0.01


def test_many_samples_reach_the_tilted_policy() -> None:
    """N(m, s²) exp(-(a - 1)²/β) is a Gaussian of precision 1/s² + 2/β."""
    precision = 1 / 0.25 + 2 / 0.8
    mean = (0.2 / 0.25 + 2 / 0.8) / precision
    assert ks(drawn(200, 0.8)[:5000], mean, precision**-0.5) > 0.01
    assert ks(drawn(3, 0.8)[:5000], mean, precision**-0.5) < 1e-6  # three are too few


def test_value_grows_with_samples_and_with_preference() -> None:
    def worth(samples: int, beta: float) -> float:
        actions = drawn(samples, beta)
        return float(square(actions, actions[:, None]).mean())

    by_samples = [worth(k, 0.3) for k in (1, 2, 8, 32)]
    by_beta = [worth(8, beta) for beta in (10.0, 1.0, 0.1, 0.0)]
    assert by_samples == sorted(by_samples)
    assert by_beta == sorted(by_beta)
    assert by_samples[0] == pytest.approx(-(0.8**2 + 0.25), abs=0.02)


def test_the_best_of_k_is_the_largest_order_statistic() -> None:
    actions = drawn(4, 0.0, lambda s, a: a[..., 0])
    largest = stats.norm(0.2, 0.5).cdf(actions) ** 4
    assert stats.kstest(largest, "uniform").pvalue > 0.01
    np.testing.assert_array_equal(actions, drawn(4, 7.0, lambda s, a: a[..., 0], best=True))


def test_no_action_outside_the_samples_is_given() -> None:
    seen: list[np.ndarray] = []

    def watched(obs: np.ndarray, actions: np.ndarray) -> np.ndarray:
        seen.append(actions)
        assert len(obs) == len(actions)
        return square(obs, actions)

    given = drawn(6, 0.5, watched)
    assert (seen[0][..., 0] == given[:, None]).any(1).all()
    single = Steered(gaussian(), square).act(np.zeros(1))
    assert single.shape == (1,)


def test_choices_have_the_chances_of_a_softmax() -> None:
    q, rng = np.array([0.0, 1.0, 3.0]), np.random.default_rng(2)
    index = choose(np.tile(q, (ROWS, 1)), 2.0, rng.gumbel(size=(ROWS, 3)))
    expected = np.exp(q / 2) / np.exp(q / 2).sum()
    np.testing.assert_allclose(np.bincount(index) / ROWS, expected, atol=0.015)


def test_what_cannot_be_steered_is_refused() -> None:
    with pytest.raises(UsageError, match="draws no actions"):
        Steered(gaussian(noise=None), square)
    with pytest.raises(UsageError, match="looks back at its episode"):
        Steered(gaussian(history=3), square)
    for samples, beta in ((0, 1.0), (3, -1.0), (3, math.nan)):
        with pytest.raises(UsageError, match="from 1 to 100,000, and not negative"):
            Steered(gaussian(), square, samples, beta)
    with pytest.raises(ValueError, match=r"values of shape \(2,\), expected \(2, 10\)"):
        Steered(gaussian(), lambda s, a: a[:, 0, 0]).act(np.zeros((2, 1)))
