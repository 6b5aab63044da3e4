from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rlkit.core.errors import RunError, UsageError
from rlkit.eval.records import mean_returns, read_episodes
from rlkit.sweeps import plan
from rlkit.sweeps.plan import Search
from rlkit.sweeps.search import last_return, of_trial, search, shortage
from rlkit.sweeps.store import Store

from .sweep_files import BANDITS, Inside, write


def test_a_sweep_without_search_is_refused(tmp_path: Path) -> None:
    asked = plan.read(write(tmp_path, BANDITS))
    with pytest.raises(UsageError, match=r"has no \[search\]"):
        search(asked, tmp_path / "out", Inside())


TABULAR = """
name = "search"
seeds = "0:3"
retries = 0
defaults = { steps = 3_000, checkpoints = 2 }
tasks.chain = { mdp = "river_swim", reference = [0.0, 20.0] }
systems.q = { learner = "q", config = { omega = 0.7 } }
[search]
system = "q"
trials = 5
[search.space]
epsilon = { low = 0.05, high = 0.9 }
q0 = [0.0, 10.0]
n = { low = 1, high = 4 }
"""


def test_trials_are_ordered_by_the_lower_end_of_their_interval(tmp_path: Path) -> None:
    found = search(plan.read(write(tmp_path, TABULAR)), tmp_path / "out", Inside(), quiet=True)
    assert len(found) == 5
    assert [one.score.low for one in found] == sorted((o.score.low for o in found), reverse=True)
    for one in found:
        assert 0.05 <= one.configuration["epsilon"] <= 0.9
        assert one.configuration["n"] in (1, 2, 3, 4)
        assert one.score.low <= one.score.point <= one.score.high


def test_a_search_goes_on_after_a_failure_and_is_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, TABULAR)
    straight = search(plan.read(path), tmp_path / "straight", Inside(), quiet=True)
    broken = Inside("done", "done", "failed")
    with pytest.raises(RunError, match="it failed"):
        search(plan.read(path), tmp_path / "broken", broken, quiet=True)
    again = Inside()
    found = search(plan.read(path), tmp_path / "broken", again, quiet=True)
    assert len(again.started) == 3, "finished trials are not run again"
    assert {str(o.configuration) for o in found} == {str(o.configuration) for o in straight}


def test_the_score_is_the_mean_of_the_last_evaluations_asked_for(tmp_path: Path) -> None:
    text = TABULAR.replace("checkpoints = 2", "checkpoints = 4").replace("trials = 5", "trials = 1")
    scores = []
    for last in (1, 3, 9):
        asked = plan.read(write(tmp_path, text.replace("trials", f"last = {last}\ntrials")))
        (one,) = search(asked, tmp_path / "out", Inside(), quiet=True)
        scores.append(one.score.point)
        part = of_trial(asked, one.configuration)
    (path,) = (tmp_path / "out" / "runs").glob("*/episodes.csv")
    _, steps, returns = mean_returns(read_episodes(path))
    assert len(steps) == 4
    kept = [returns[:, -1], returns[:, 1:].mean(axis=1), returns.mean(axis=1)]  # there are 4
    np.testing.assert_allclose(scores, [seeds.mean() / 20 for seeds in kept])
    with Store(tmp_path / "out") as store:
        (variant,) = part.variants
        told = [last_return(store, variant, seed, 3) for seed in part.seeds]
    np.testing.assert_allclose(told, kept[1])
    assert shortage(asked) == (
        "search: last is 9, and q on chain is evaluated 4 times (eval_every, checkpoints): all of "
        "them count"
    )


@pytest.mark.parametrize(
    ("system", "there"),
    [
        ('{ learner = "q", checkpoints = 7 }', 7),
        ('{ learner = "ucbvi-bf", steps = 3, checkpoints = 7 }', 3),
        ('{ solver = "vi" }', 1),
    ],
)
def test_fewer_evaluations_than_asked_for_are_told(system: str, there: int, tmp_path: Path) -> None:
    text = TABULAR[: TABULAR.index("systems.q")] + f"systems.q = {system}\n"
    read = plan.read(write(tmp_path, text.replace(", checkpoints = 2", "")))
    for last in (there, there + 1):
        asked = dataclasses.replace(read, search=Search("q", 1, 0, last, {}))
        assert (f"evaluated {there} times" in shortage(asked)) == (last > there)


@pytest.mark.parametrize(
    ("extra", "there"), [("eval_every = 15", 3), ("eval_every = 20", 2), ("eval_every = 0", 1)]
)
def test_evaluations_of_a_training_are_counted(extra: str, there: int, tmp_path: Path) -> None:
    text = f"""
name = "counted"
seeds = "0:2"
tasks.pendulum = {{ env = "Pendulum-v1" }}
systems.sac = {{ algo = "sac", steps = 40, warmup = 10, {extra} }}
"""
    asked = plan.read(write(tmp_path, text))
    asked = dataclasses.replace(asked, search=Search("sac", 1, 0, there + 1, {}))
    assert f"sac on pendulum is evaluated {there} times" in shortage(asked)


@pytest.mark.parametrize("last", ["0", "-1", "2.5", '"all"'])
def test_a_number_of_evaluations_that_is_none_is_refused(tmp_path: Path, last: str) -> None:
    path = write(tmp_path, TABULAR.replace("trials = 5", f"last = {last}"))
    with pytest.raises(UsageError, match="search: last"):
        plan.read(path)


@pytest.mark.parametrize("trials", [4, 9])
def test_choices_are_tried_once_each(trials: int, tmp_path: Path) -> None:
    text = TABULAR[: TABULAR.index("epsilon")].replace("trials = 5", f"trials = {trials}")
    path = write(tmp_path, text + "q0 = [0.0, 10.0]\nn = [1, 2]\n")
    found = search(plan.read(path), tmp_path / "out", Inside(), quiet=True)
    tried = [tuple(one.configuration.values()) for one in found]
    assert sorted(tried) == [(0.0, 1), (0.0, 2), (10.0, 1), (10.0, 2)]
    again = search(plan.read(path), tmp_path / "out", Inside(), quiet=True)
    assert [one.configuration for one in again] == [one.configuration for one in found]


def test_a_search_of_choices_that_failed_goes_on_with_the_same(tmp_path: Path) -> None:
    text = TABULAR[: TABULAR.index("epsilon")].replace("trials = 5", "trials = 6")
    path = write(tmp_path, text + "q0 = [0.0, 10.0]\nn = [1, 2, 3]\n")
    straight = search(plan.read(path), tmp_path / "straight", Inside(), quiet=True)
    broken = Inside("done", "done", "done", "done", "failed")
    with pytest.raises(RunError, match="it failed"):
        search(plan.read(path), tmp_path / "broken", broken, quiet=True)
    found = search(plan.read(path), tmp_path / "broken", Inside(), quiet=True)
    assert len(straight) == len(found) == 6
    assert {str(o.configuration) for o in found} == {str(o.configuration) for o in straight}
