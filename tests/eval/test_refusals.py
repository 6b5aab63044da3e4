"""What is no table of numbers, no curve and no interval is refused by name, never by Python."""

from typing import Any

import numpy as np
import pytest

from rlkit.eval import plots, statistics
from rlkit.eval.pulls_plot import pulls_plot
from rlkit.eval.regret_plot import regret_plot

NOTHING = [None, 1, 1.5, "x", b"x", {}, [], [None], ["a"], {"a": 1}, np.array(3), ...]
PAIR = (np.arange(2.0), np.ones((2, 2)))


@pytest.mark.parametrize("bad", NOTHING, ids=repr)
@pytest.mark.parametrize(
    "estimate",
    [statistics.mean, statistics.median, statistics.iqm, statistics.optimality_gap],
    ids=lambda estimate: estimate.__name__,
)
def test_an_estimate_of_no_table(estimate: Any, bad: Any) -> None:
    with pytest.raises(ValueError, match=r"^scores (is not a table|must be a non-empty)"):
        estimate(bad)
    with pytest.raises(ValueError, match=r"for one task pass scores\[:, None\]"):
        estimate(np.ones(3))


@pytest.mark.parametrize("bad", NOTHING, ids=repr)
def test_two_tables_and_thresholds(bad: Any) -> None:
    table = np.ones((3, 2))
    with pytest.raises(ValueError, match=r"^x (is not|must be)"):
        statistics.probability_of_improvement(bad, table)
    with pytest.raises(ValueError, match=r"^y (is not|must be)"):
        statistics.probability_of_improvement(table, bad)
    for profile in (statistics.performance_profile, statistics.average_score_profile):
        with pytest.raises(ValueError, match=r"^scores (is not|must be)"):
            profile(bad, np.ones(2))
        with pytest.raises(ValueError, match=r"^taus (is not|must be)"):
            profile(table, bad)


def test_lists_are_tables_and_tasks_must_agree() -> None:
    assert statistics.mean([[1, 2], [3, 4]]) == 2.5  # type: ignore[arg-type]
    assert statistics.probability_of_improvement([[2]], [[1]]) == 1.0  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x has 2 tasks but y has 1"):
        statistics.probability_of_improvement(np.ones((3, 2)), np.ones((3, 1)))


@pytest.mark.parametrize("bad", NOTHING, ids=repr)
@pytest.mark.parametrize(
    ("draw", "of"),
    [
        (plots.learning_curve, "curves"),
        (plots.profile_plot, "scores"),
        (plots.interval_plot, "intervals"),
        (regret_plot, "curves"),
        (pulls_plot, "pulls"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_a_picture_of_nothing_to_draw(draw: Any, of: str, bad: Any) -> None:
    with pytest.raises(ValueError, match=rf"^(no {of} to draw|{of} must be a dict|a\b)"):
        draw(bad)
    with pytest.raises(ValueError, match=r"^mine\b"):
        draw({"mine": bad})


@pytest.mark.parametrize("bad", [b for b in NOTHING if b is not None and b != {}], ids=repr)
def test_a_curve_of_no_numbers_and_a_reference_that_is_none(bad: Any) -> None:
    for draw in (plots.learning_curve, regret_plot):
        with pytest.raises(ValueError, match=r"^mine: "):
            draw({"mine": (bad, PAIR[1])})
        with pytest.raises(ValueError, match=r"^mine: "):
            draw({"mine": (PAIR[0], bad)})
    with pytest.raises(ValueError, match="references"):
        plots.learning_curve({"mine": PAIR}, references=bad)
