"""The gap between training levels and others, with its interval."""

import pytest

from rlkit.eval.gap import gap
from rlkit.eval.records import Episode


def episodes(*returns: list[float]) -> list[Episode]:
    return [
        Episode(lane, lane, 10, k, value, 5, True)
        for lane, of_lane in enumerate(returns)
        for k, value in enumerate(of_lane)
    ]


def test_the_gap_of_lanes_is_paired() -> None:
    """Lanes differ by far more than the gap, which is half everywhere: nothing is left to doubt."""
    train = episodes([1.0, 1.0], [10.0, 12.0], [100.0, 100.0])
    found = gap(train, episodes([0.0, 1.0], [10.0, 11.0], [99.0, 100.0]))
    assert found.gap.point == pytest.approx(0.5)
    assert (found.gap.low, found.gap.high) == pytest.approx((0.5, 0.5))
    assert found.train.point == pytest.approx(37.3333, abs=1e-3)
    assert found.train.low < 2
    assert found.lanes == 3
    assert "over 3 seeds" in str(found)


def test_of_one_lane_the_interval_is_over_its_episodes() -> None:
    found = gap(episodes([1.0, 0.0, 1.0, 1.0]), episodes([0.0, 0.0, 1.0, 0.0]))
    assert found.gap.point == pytest.approx(0.5)
    assert found.gap.low < 0.5 < found.gap.high
    assert "over episodes" in str(found)


def test_both_sides_are_of_the_same_lanes() -> None:
    with pytest.raises(ValueError, match="the same lanes"):
        gap(episodes([1.0]), episodes([1.0], [2.0]))
