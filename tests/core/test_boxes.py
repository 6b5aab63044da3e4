"""Whatever comes, what is handed on lies in the box and has its type."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from rlkit.core.boxes import as_declared, into_box

BOXES = [
    spaces.Box(-0.3, 0.3, (2,), np.float64),  # 0.3 is another number in float32
    spaces.Box(-0.1, 0.7, (2,), np.float16),
    spaces.Box(-0.3, 0.3, (2,), np.float32),
    spaces.Box(-3, 4, (2,), np.int64),
    spaces.Box(0, 7, (2,), np.uint8),
    spaces.Box(-np.inf, np.inf, (2,), np.float32),
]


@pytest.mark.parametrize("box", BOXES, ids=str)
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int64])
def test_everything_lands_in_the_box(box: spaces.Box, kind: type) -> None:
    values = np.array([[-1e4, 1e4], [0.3, -0.3], [0.29999998, -0.30000001192]]).astype(kind)
    for row in into_box(values, box.low, box.high, box.dtype):
        assert box.contains(row), row


def test_integers_are_rounded_not_cut() -> None:
    assert into_box([1.6, -1.6, 0.4], -3, 3, np.int64).tolist() == [2, -2, 0]


def test_observations_have_the_declared_type() -> None:
    assert as_declared(np.array([1, 2]), np.float32).dtype == np.float32
    assert as_declared(np.array([1.0, 2.0]), np.uint8).tolist() == [1, 2]
    with pytest.raises(ValueError, match="fractions, and its space declares uint8"):
        as_declared(np.array([0.5]), np.uint8)
