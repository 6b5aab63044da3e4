"""What an algorithm's `notice` has to say is told once a run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rlkit.algos import dqn, odice, sac, stock_dqn, td3, wsrl
from rlkit.run.records.events import Event, Metrics, Note
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train

Build = Callable[..., Options]
SPEAKING = """
from dataclasses import dataclass
from rlkit.algos import iql
from rlkit.algos.iql import Agent

@dataclass(frozen=True)
class Config(iql.Config):
    begin: bool = False
    records: tuple[int, ...] = ()

heard = []

def notice(metrics, c):
    if not metrics:
        return "at the start" if c.begin else ""
    assert metrics["q_loss"].shape == (1,)
    heard.append(metrics)
    return "at a record" if len(heard) in c.records else ""
"""


@pytest.fixture
def speaking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    package = tmp_path / f"rlkit_{tmp_path.name}"  # a module of its own for each test
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "agent.py").write_text(SPEAKING)
    monkeypatch.syspath_prepend(tmp_path)
    return f"{package.name}.agent"


def told(options: Options) -> list[tuple[int, str]]:
    """The notes that are the algorithm's, each with the records before it."""
    found: list[tuple[int, str]] = []
    records = 0

    def hear(event: Event) -> None:
        nonlocal records
        records += isinstance(event, Metrics)
        if isinstance(event, Note) and event.text.startswith("at "):
            found.append((records, event.text))

    train(options, hear)
    return found


@pytest.mark.parametrize(
    ("begin", "records", "expected"),
    [
        (False, (), []),
        (True, (), [(0, "at the start")]),
        (False, (1,), []),  # one minibatch says little
        (False, (2, 3, 4), [(2, "at a record")]),
        (False, (1, 3), []),
        (True, (3, 4), [(0, "at the start"), (3, "at a record")]),
    ],
)
def test_a_sentence_is_told_once(
    begin: bool,
    records: tuple[int, ...],
    expected: list[tuple[int, str]],
    speaking: str,
    offline: Build,
) -> None:
    config = {"hidden": (8,), "batch_size": 16, "begin": begin, "records": records}
    options = offline(algo=speaking, config=config, log_every=10)
    assert told(options) == expected
    later = resume(options.folder(), 60, quiet=True).notes  # records are counted on
    assert not [note for note in later if note in {text for _, text in expected}]


def test_odice_says_when_hardly_a_row_has_a_weight() -> None:
    few, many = {"weighted": np.array([0.3, 0.0])}, {"weighted": np.array([0.3, 0.02])}
    assert "the policy hardly learns: lower config.lam" in odice.notice(few, odice.Config())
    assert "or take weight ratio" in odice.notice(few, odice.Config())
    assert "or take" not in odice.notice(few, odice.Config(weight="ratio"))
    for fine in (many, {}, {"weighted": np.array([np.nan, 0.5])}):
        assert odice.notice(fine, odice.Config()) == ""


def test_odice_with_a_high_lambda_is_warned_of_in_a_run(offline: Build) -> None:
    config = {"lam": 0.95, "hidden": (8,), "hidden_pi": (8,), "lr": 3e-2}
    notes = train(offline(algo="odice", config=config, steps=400, log_every=50)).notes
    assert [note for note in notes if "the policy hardly learns" in note]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ""),
        ({"n_critics": 2}, "begins with 2 critics,"),
        ({"norm": "none"}, "begins with critics without LayerNorm,"),
        ({"n_critics": 2, "norm": "none"}, "begins with 2 critics and critics without LayerNorm,"),
    ],
)
def test_wsrl_says_what_it_begins_with(given: dict, said: str) -> None:
    found = wsrl.notice({}, wsrl.Config(**given))
    assert said in found
    assert bool(found) == bool(said)


@pytest.mark.parametrize(
    ("config", "made"),
    [
        (sac.Config(), "sac_n or edac"),
        (sac.Config(n_critics=10), ""),
        (td3.Config(), "td3_bc"),
        (dqn.Config(), "cql_discrete"),
        (dqn.Config(imitation=1.0), ""),
        (stock_dqn.Config(), "cql_discrete"),
    ],
)
def test_agents_made_for_environments_say_so_of_data_alone(config: object, made: str) -> None:
    found = sys.modules[type(config).__module__].offline_notice(config)
    assert made in found
    assert bool(found) == bool(made)


def test_a_run_says_it_from_data_alone_and_not_where_it_goes_online(
    offline: Build, tmp_path: Path
) -> None:
    def said(**given: object) -> int:
        out = str(tmp_path / f"run{len(list(tmp_path.iterdir()))}")
        notes = train(offline(**given, steps=20, out=out)).notes
        return len([note for note in notes if "made for data alone" in note])

    assert said(algo="sac") == 1
    assert said(algo="iql") == 0
    assert said(algo="sac", env="InvertedPendulum-v5", pretrain=10, online=True, warmup=5) == 0


def test_a_run_of_wsrl_says_it_before_its_first_step(
    offline: Build, online: Build, tmp_path: Path
) -> None:
    start = train(offline(out=str(tmp_path / "start"))).folder
    given = {"algo": "wsrl", "config": {"batch_size": 16}, "warmup": 10, "steps": 20}
    notes = train(online(**given, from_run=str(start))).notes
    assert [note for note in notes if "WSRL begins with 2 critics" in note]
