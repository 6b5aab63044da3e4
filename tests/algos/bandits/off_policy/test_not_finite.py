"""Numbers that are none do not come out as an estimate, nor as a policy that has learnt nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rlkit.algos.bandits.off_policy import from_table
from rlkit.algos.bandits.off_policy.learning import OffPolicyLearner
from rlkit.algos.bandits.off_policy.slates import (
    SlateLog,
    pseudo_inverse_values,
    slate_moments,
    slate_values,
)

SLATES = np.array([[i, j] for i in range(3) for j in range(3)])
EVEN = np.full(9, 1 / 9)
LOG = SlateLog(SLATES, np.ones((9, 2)), np.tile([1 / 3, 1 / 9], (9, 1)))
ZEROS = np.zeros((9, 2))
TARGET = np.full((9, 2, 3), 1 / 3)
MOMENTS = slate_moments(SLATES, EVEN, 3)


def with_one(array: np.ndarray, value: float) -> np.ndarray:
    changed = array.copy()
    changed[4].flat[1] = value
    return changed


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"q_taken": with_one(ZEROS, np.nan), "q_mean": ZEROS}, "q_taken of row 4 has NaN"),
        ({"q_taken": ZEROS, "q_mean": with_one(ZEROS, np.inf)}, "q_mean of row 4 has NaN"),
        ({"q_taken": ZEROS, "q_mean": ZEROS[:1]}, r"q_mean has shape \(1, 2\)"),
    ],
)
def test_models_of_slates(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        slate_values(LOG, "cascade_dr", prefix=LOG.prefix, **given)


@pytest.mark.parametrize(
    ("target", "moments", "says"),
    [
        (with_one(TARGET, np.nan), MOMENTS, "target of row 4 has entries outside"),
        (with_one(TARGET, -0.1), MOMENTS, "target of row 4 has entries outside"),
        (TARGET, with_one(MOMENTS, np.nan), "moments of row 4 has NaN"),
        (TARGET, MOMENTS[:3], r"moments has shape \(3, 6\)"),
    ],
)
def test_targets_and_moments_of_slates(target: np.ndarray, moments: np.ndarray, says: str) -> None:
    assert np.isfinite(pseudo_inverse_values(LOG, TARGET, MOMENTS, 3)).all()
    by_row = np.tile(MOMENTS, (9, 1, 1))
    np.testing.assert_allclose(
        pseudo_inverse_values(LOG, TARGET, by_row, 3),
        pseudo_inverse_values(LOG, TARGET, MOMENTS, 3),
    )
    with pytest.raises(ValueError, match=says):
        pseudo_inverse_values(LOG, target, moments, 3)


@pytest.mark.parametrize("value", [np.nan, -1 / 9])
def test_probabilities_of_slates(value: float) -> None:
    prob = EVEN.copy()
    prob[4] = value
    with pytest.raises(ValueError, match="probability of slate 4"):
        slate_moments(SLATES, prob, 3)


def test_predicted_rewards_of_a_learner() -> None:
    table = {"a": np.arange(30) % 3, "r": np.ones(30), "p": np.full(30, 1 / 3), "x": np.ones(30)}
    log = from_table(table, action="a", reward="r", prob="p", context=["x"])
    q = np.zeros((30, 3))
    q[7, 1] = np.nan
    with pytest.raises(ValueError, match="q of row 7 has NaN"):
        OffPolicyLearner(3, 1).fit(log, q)
