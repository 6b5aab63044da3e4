"""Returns of deciding once in so many steps, and their score."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import rlkit
from rlkit.cli.main import main
from rlkit.core.errors import FileError, UsageError
from rlkit.core.spec import Spec
from rlkit.eval import frequency
from rlkit.eval.frequency import LENGTHS, frequency_score, mean_over_frequencies
from rlkit.eval.rollout import Slots
from rlkit.run.policies.holding import holding
from rlkit.run.preparing import prepare
from rlkit.run.settings.options import Options, resolve
from rlkit.run.task import make_agent


def test_a_policy_that_is_best_at_every_frequency_has_29_of_30() -> None:
    best = {n: np.full(3, 3600.0) for n in LENGTHS}
    assert frequency_score(best, 3600.0) == pytest.approx(np.full(3, 29 / 30))
    assert frequency_score({n: x - 200 for n, x in best.items()}, 3600.0, 200.0) == pytest.approx(
        np.full(3, 29 / 30)
    )


def test_a_score_is_the_area_under_the_returns() -> None:
    falling = {n: np.array([30.0 - n]) for n in LENGTHS}  # ∫_1^30 (30 - L) dL = 29² / 2
    assert frequency_score(falling, 10.0) == pytest.approx([29**2 / 2 / 300])
    assert mean_over_frequencies(falling) == pytest.approx([14.5])
    uneven = {1: np.array([0.0]), 3: np.array([1.0]), 9: np.array([1.0])}
    assert mean_over_frequencies(uneven) == pytest.approx([7 / 8])
    with pytest.raises(ValueError, match="best is 0"):
        frequency_score(falling, 0)
    with pytest.raises(ValueError, match=r"frequencies \[1\] are too few"):
        mean_over_frequencies({1: np.zeros(2)})


def small(algo: str = "sac", **given: Any) -> Options:
    config: dict[str, Any] = {"hidden": (8, 8)}
    if algo == "srl":
        config |= {"length": 2, "hidden_q": (8,), "hidden_model": (8,)}
    usual: dict[str, Any] = {"env": "Pendulum-v1", "steps": 6, "warmup": 6, "utd": 0.0}
    usual |= {"eval_episodes": 1, "quiet": True, "config": config, "seeds": (0, 1)}
    return resolve(Options(algo, **usual | given))


@pytest.mark.parametrize("algo", ["sac", "srl"])
def test_a_policy_decides_once_and_holds_or_goes_on(algo: str) -> None:
    options = small(algo)
    task, _ = prepare(options)
    agent, _, spec = make_agent(options, task, (0, 1))
    rng = np.random.default_rng(0)
    act, now = holding(agent, spec, task, 3), holding(agent, spec, task, 1)
    decided, seen = None, []
    for t in range(7):
        obs = rng.standard_normal((2, 1, 3)).astype(np.float32)
        slots = Slots(np.zeros((2, 1)), np.full((2, 1), t), np.ones((2, 1), bool), np.zeros((2, 1)))
        found, fresh = act(obs, slots), now(obs, slots)
        seen.append(found)
        if t % 3 == 0:
            decided = found
        if algo == "sac":
            assert np.array_equal(found, decided)
        if t == 0:
            np.testing.assert_allclose(found, fresh, rtol=1e-6)
    changed = [not np.array_equal(a, b) for a, b in pairwise(seen)]
    assert changed == ([False, False, True] * 2 if algo == "sac" else [True] * 6)


def test_a_run_keeps_its_returns_by_frequency(tmp_path: Path) -> None:
    folder = rlkit.train(
        "sac", env="Pendulum-v1", steps=6, warmup=6, utd=0.0, eval_episodes=1, seeds=(0, 1),
        config={"hidden": (8, 8)}, frequencies=True, out=str(tmp_path / "run"), quiet=True,
    ).folder  # fmt: skip
    found = frequency.read(folder / "frequencies.csv")
    assert set(found) == {0, 1}
    assert tuple(found[0]) == LENGTHS
    plain = [e.return_ for e in rlkit.evaluate(folder, episodes=1, seed=0, checkpoint="last")]
    assert [found[k][1] for k in (0, 1)] == pytest.approx(plain)


def test_a_damaged_table_is_named(tmp_path: Path) -> None:
    table = tmp_path / "frequencies.csv"
    assert frequency.read(table) == {}
    table.write_text("lane,seed,step,every,return\n0,0,5,x,1.0\n")
    with pytest.raises(FileError, match=r"frequencies.csv: no table of returns by frequency"):
        frequency.read(table)


def test_the_command_tells_the_score(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(frequency, "LENGTHS", (1, 2, 30))
    folder = rlkit.train(
        "sac", env="Pendulum-v1", steps=6, warmup=6, utd=0.0, eval_episodes=1,
        config={"hidden": (8, 8)}, out=str(tmp_path / "run"), quiet=True,
    ).folder  # fmt: skip
    assert main(["eval", str(folder), "--episodes", "1", "--frequencies"]) == 0
    said = capsys.readouterr().out
    assert "decid" in said
    assert "\nFAS  0." in said
    with pytest.raises(UsageError, match="evaluated afterwards"):
        resolve(Options("sb3:sac", env="Pendulum-v1", frequencies=True))


def test_who_looks_back_and_plans_nothing_is_refused() -> None:
    class Looking:
        history = 3

    task, _ = prepare(small())
    with pytest.raises(UsageError, match="decides in every step"):
        holding(Looking(), Spec(3, 1), task, 2)
    assert gymnasium.make("Pendulum-v1") is not None
