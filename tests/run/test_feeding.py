"""Sources: weighted datasets, and algorithms that feed their agents themselves."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rlkit.core.errors import UsageError
from rlkit.run import loops
from rlkit.run.feeding import row_weights
from rlkit.run.preparing import prepare
from rlkit.run.records import folder as run_folder
from rlkit.run.session import Session
from rlkit.run.settings.options import Options, resolve
from rlkit.run.train import resume, train

Build = Callable[..., Options]

WRITE = 'self.replay.rows("count")[:] = self.total.item()'
FED = f"""
from rlkit.algos.sac import Agent as Sac, Config
from rlkit.data.sampling.samplers import Uniform
import torch

RUN = {{"utd": 0.5, "warmup": 20}}
CALLS = []


class Agent(Sac):
    columns = ("count",)


class Source(Uniform):
    every = 15
    beginning = "counts its calls"

    def begin(self):
        CALLS.append("begin")
        self.total = torch.zeros(1)

    def advance(self, step):
        CALLS.append(step)
        self.total += step
        {WRITE}
        return {{"total": self.total.clone()}}

    def state_dict(self):
        return {{"total": self.total}}

    def load_state_dict(self, state):
        self.total = state["total"].clone()


def source(stock, agent, c):
    rows = stock.data if stock.replay is None else stock.replay
    return Source(rows, c.batch_size, stock.streams)
"""


def _module(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an algorithm of another project, with this source."""
    (folder / "mine").mkdir()
    (folder / "mine" / "__init__.py").write_text("")
    (folder / "mine" / "fed.py").write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    for name in ("mine", "mine.fed"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return "mine.fed"


@pytest.fixture
def fed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An algorithm with every hook, online."""
    return _module(FED, tmp_path, monkeypatch)


def test_hooks_come_when_they_are_due(fed: str, online: Build) -> None:
    options = online(algo=fed, warmup=None)
    session = Session(options)
    for _ in loops.run(session):
        pass
    import mine.fed

    # at the end of the warm-up, then at every 15th step
    assert mine.fed.CALLS == ["begin", 20, 30, 45, 60, 75, 90, 105, 120]
    assert session.replay is not None
    assert float(session.replay.rows("count")[0, 0]) == sum([20, 30, 45, 60, 75, 90, 105, 120])
    assert session.ratio.due(120) == 50
    session.close()


def test_offline_hooks_count_updates(
    offline: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = FED.replace('("count",)', "()").replace(WRITE, "")
    session = Session(offline(algo=_module(without, tmp_path, monkeypatch)))
    for _ in loops.run(session):
        pass
    import mine.fed

    assert mine.fed.CALLS == ["begin", 0, 15, 30]
    session.close()


def test_a_resumed_source_goes_on_bit_for_bit(
    fed: str, online: Build, tmp_path: Path, digests: Callable[[Path], dict[str, str]]
) -> None:
    whole = train(online(algo=fed, seeds=(0, 1), workers=1, out=str(tmp_path / "whole"))).folder
    part = train(
        online(algo=fed, seeds=(0, 1), workers=1, steps=60, out=str(tmp_path / "part"))
    ).folder
    import mine.fed

    mine.fed.CALLS.clear()
    resume(part, 120, quiet=True)
    assert "begin" not in mine.fed.CALLS
    assert digests(part) == digests(whole)


def test_a_beginning_is_kept(fed: str, online: Build, tmp_path: Path) -> None:
    """It may take long: a checkpoint follows it at once, and a killed run does not repeat it."""
    folder = train(online(algo=fed, steps=30, eval_every=0, keep=5)).folder
    assert run_folder.steps(folder)[0] == 0
    run_folder.step_folder(folder, 30).rename(tmp_path / "lost")
    import mine.fed

    mine.fed.CALLS.clear()
    result = resume(folder, quiet=True)
    assert mine.fed.CALLS == [20, 30]
    assert result.step == 30


def test_weighting_draws_good_episodes_more_often(offline: Build) -> None:
    options = resolve(offline(weighting="top", weighting_alpha=0.1))
    task, store = prepare(options)
    assert store is not None
    session = Session(options, task, store)
    rows = session.source.indices(0, 50).flatten().numpy()  # type: ignore[attr-defined]
    best = set(store.best_episodes(0.1, by="episodes").tolist())
    assert set(store.episode[rows].tolist()) <= best
    session.close()
    for name in ("return", "advantage"):
        weights = row_weights(resolve(offline(weighting=name)), store)
        assert weights is not None
        assert weights.sum() == pytest.approx(1)
    assert row_weights(resolve(offline()), store) is None


def test_weighting_is_refused_where_it_has_no_effect(
    fed: str, offline: Build, online: Build
) -> None:
    with pytest.raises(UsageError, match="draws its minibatches itself"):
        resolve(offline(algo=fed, weighting="return"))
    with pytest.raises(UsageError, match="weighting needs a dataset"):
        resolve(online(weighting="return"))
    with pytest.raises(UsageError, match="unknown weighting 'best'"):
        resolve(offline(weighting="best"))
    with pytest.raises(UsageError, match="weighting_alpha is 0"):
        resolve(offline(weighting_alpha=0.0))
    options = resolve(offline(weighting="top", weighting_alpha=2.0))
    task, store = prepare(options)
    with pytest.raises(UsageError, match="top takes a share"):
        Session(options, task, store)


def test_defaults_of_the_run_are_the_algorithms_own(fed: str, online: Build) -> None:
    resolved = resolve(dataclasses.replace(online(algo=fed), warmup=None))
    assert (resolved.utd, resolved.warmup, resolved.update_every) == (0.5, 20, 1)
    assert resolve(online(algo=fed, utd=3.0)).utd == 3.0
    assert resolve(Options("sac", env="Hopper-v5")).warmup == 5_000


def test_columns_the_collector_does_not_know_are_zero(fed: str, online: Build) -> None:
    options = online(algo=fed, steps=10, warmup=50)
    session = Session(options)
    for _ in loops.run(session):
        pass
    assert session.replay is not None
    assert np.array_equal(session.replay.rows("count").numpy(), np.zeros((1, 10)))
    assert torch.isfinite(session.replay.rows("s")).all()
    session.close()
