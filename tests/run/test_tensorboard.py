"""TensorBoard events beside the records."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from rlkit.core.errors import UsageError
from rlkit.eval.records import mean_returns, read_episodes
from rlkit.run.options import Options
from rlkit.run.train import train


def test_events_tell_what_the_records_tell(offline: Callable[..., Options]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorBoard's own deprecations
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        result = train(offline(seeds=(0, 3), eval_episodes=2, tensorboard=True))
        _, steps, returns = mean_returns(read_episodes(result.folder / "episodes.csv"))
        for lane, seed in enumerate(result.seeds):
            events = EventAccumulator(str(result.folder / "tensorboard" / f"seed_{seed}"))
            events.Reload()
            scalars = events.Scalars("eval/return")
            assert [event.step for event in scalars] == steps.tolist()
            np.testing.assert_allclose([e.value for e in scalars], returns[lane], rtol=1e-6)
            assert "train/q_loss" in events.Tags()["scalars"]


def test_a_missing_package_is_named(
    offline: Callable[..., Options], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"rlkit\[tensorboard\]"):
        train(offline(tensorboard=True))
