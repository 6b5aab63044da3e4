"""The correlation of a model's likelihood and the return: closed forms, and a run that was made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import rlkit
from rlkit.core.errors import RunError
from rlkit.reports.runs.mismatch import likelihood_return, spearman


def test_ranks_alone_decide() -> None:
    x = np.array([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], [5.0, 5.0, 5.0, 5.0]])
    y = np.exp(np.array([[1.0, 2.0, 3.0, 4.0]])).repeat(3, 0)
    got = spearman(x, y)
    assert got[:2].tolist() == pytest.approx([1.0, -1.0])
    assert np.isnan(got[2])
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (2, 40)).astype(float)  # with ties
    assert float(spearman(a, b)) == pytest.approx(stats.spearmanr(a, b).statistic)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of a planner on the pendulum, two seeds."""
    out = tmp_path_factory.mktemp("runs") / "pets"
    config: dict[str, Any] = {
        **{"horizon": 2, "population": 6, "rounds": 1, "particles": 1, "n_models": 2},
        **{"hidden": (8,), "hidden_end": (8,), "batch_size": 16, "model_every": 20},
    }
    rlkit.train(
        "pets",
        env="InvertedPendulum-v5",
        seeds=(0, 1),
        steps=80,
        config=config,
        out=str(out),
        **{"warmup": 20, "utd": 1, "eval_every": 20, "eval_episodes": 2, "log_every": 10},
        **{"engine": "eager", "quiet": True},
    )
    return out


def test_a_runs_metric_beside_its_returns(run: Path) -> None:
    found = likelihood_return(run)
    assert found.metric.shape == found.returns.shape == (2, len(found.steps))
    lines = [json.loads(x) for x in (run / "progress.jsonl").read_text().splitlines()]
    for step, values in zip(found.steps, found.metric.T, strict=True):
        last = [x for x in lines if x["step"] <= step and "model_nll" in x][-1]
        assert values.tolist() == pytest.approx(last["model_nll"])
    np.testing.assert_allclose(found.lanes, spearman(found.metric, found.returns))
    known = found.lanes[np.isfinite(found.lanes)]
    assert len(known) == 0 or found.rho.point == pytest.approx(known.mean())
    assert likelihood_return(run, "end_loss").metric.shape == found.metric.shape


def test_a_metric_that_was_not_recorded_is_told(run: Path) -> None:
    with pytest.raises(RunError, match="no 'model_nl' was recorded; did you mean 'model_nll'"):
        likelihood_return(run, "model_nl")
