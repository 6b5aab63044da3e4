"""How a bootstrap draws is checked before it draws: resamples, seed and level, each by name."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rlkit.eval import plots
from rlkit.eval import statistics as st

TABLE = np.array([[0.1], [0.4], [0.7]])

CALLS: dict[str, Any] = {
    "bootstrap_interval": lambda **k: st.bootstrap_interval(TABLE, **k),
    "bootstrap_intervals": lambda **k: st.bootstrap_intervals(TABLE, {"m": st.mean}, **k),
    "bootstrap_two_sample": lambda **k: st.bootstrap_two_sample(TABLE, TABLE, **k),
    "difference_interval": lambda **k: st.difference_interval(TABLE, TABLE, **k),
    "profile_band": lambda **k: st.profile_band(TABLE, np.array([0.5]), **k),
    "curve_band": lambda **k: st.curve_band(TABLE[..., None], **k),
    "curve_interval": lambda **k: st.curve_interval(TABLE[..., None], st.time_average, **k),
    "profile_plot": lambda **k: plots.profile_plot({"a": TABLE[:1]}, **k),
    "one run": lambda **k: st.bootstrap_interval(TABLE[:1], **k),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("given", "words"),
    [
        *[
            ({"reps": bad}, "reps is")
            for bad in (0, -5, math.nan, 2.5, math.inf, True, "many", None)
        ],
        *[({"rng": bad}, "rng is") for bad in (-1, math.nan, 0.5, "seed", None)],
        *[({"level": bad}, "level and power lie") for bad in (0, 1, math.nan, "high")],
    ],
)
def test_how_it_is_drawn_is_checked_first(name: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CALLS[name](**given)
