"""The sweep files behind the claims, and how claims are judged."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import rlkit
from rlkit.sweeps import plan

HERE = Path(rlkit.__file__).parents[1] / "benchmarks" / "evidence"
FILES = sorted(path for path in HERE.glob("*.toml") if path.stem != "claims")
CLAIMS = tomllib.loads((HERE / "claims.toml").read_text())


@cache
def read(path: Path, budget: str | None) -> plan.Sweep:
    return plan.read(path, budget)


@pytest.fixture(scope="module")
def state() -> ModuleType:
    spec = importlib.util.spec_from_file_location("evidence_state", HERE / "state.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("budget", [None, "short"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_sweep_can_be_planned_and_keeps_one_protocol(path: Path, budget: str | None) -> None:
    sweep = read(path, budget)
    assert sweep.seeds == (0, 1, 2, 3, 4)
    for variant in sweep.variants:
        evaluations = variant.steps // variant.options["eval_every"]
        assert evaluations >= 10, f"{variant.label}: a score is the mean of ten evaluations"
    for task in {variant.task for variant in sweep.variants}:
        alike = {
            # what starts from another agent has its normaliser, and may not be given one
            (v.steps, v.start is not None or v.options["normalise_obs"], v.options["eval_episodes"])
            for v in sweep.variants
            if v.task == task
        }
        assert len(alike) == 1, task


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_names_systems_that_run(name: str) -> None:
    claim = CLAIMS[name]
    for budget in (None, "short"):
        sweep = read(HERE / f"{claim['sweep']}.toml", budget)
        pairs = {(variant.label, variant.task) for variant in sweep.variants}
        for system in (claim["better"], *claim["than"]):
            assert system == "data" or (system, claim["task"]) in pairs, (budget, system)


def test_the_published_settings_can_be_planned() -> None:
    sweep = read(HERE.parent / "d4rl.toml", None)
    assert sweep.cells == 6 * 9 * 5
    weights = {
        v.task: (v.options["config"]["beta_actor"], v.options["config"]["beta_critic"])
        for v in sweep.variants
        if v.system == "rebrac"
    }
    assert weights["hopper-medium-replay"] == (0.05, 0.5)


CLAIM = {"task": "t", "better": "a", "than": ["b", "data"], "text": "a is better", "sweep": "s"}


def scores(state: ModuleType, a: list[float], b: list[float], data: float, done: float = 1.0):
    seeds = {("a", "t"): dict(enumerate(a)), ("b", "t"): dict(enumerate(b))}
    return state.Scores(seeds, {"t": data}, {}, done)


def test_a_claim_is_shown_when_every_difference_is(state: ModuleType) -> None:
    good = state.judged(CLAIM, scores(state, [9, 10, 11], [1, 2, 3], 5.0))
    assert good.state == "shown"
    assert "b 2, difference 8" in good.detail
    for bad in (
        scores(state, [9, 10, 11], [1, 2, 3], 12.0),
        scores(state, [9, 10, 11], [0, 30, 0], 5.0),
    ):
        assert state.judged(CLAIM, bad).state == "not shown"


def test_a_claim_waits_for_seeds(state: ModuleType) -> None:
    assert state.judged(CLAIM, None).state == "missing"
    waiting = state.judged(CLAIM, scores(state, [1.0], [1.0, 2.0], 0.0, 0.25))
    assert waiting.state == "running"
    assert waiting.detail == "25% of the sweep; waits for a"


def test_a_record_is_read_back_and_what_it_lacks_is_asked_for(
    state: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "RECORDED", tmp_path / "evidence")
    monkeypatch.setenv("RLKIT_EVIDENCE", str(tmp_path / "nothing"))
    whole, begun = ("bc", "umaze"), ("td3_bc", "umaze")
    seeds = {whole: {k: 1.5 * k for k in range(5)}, begun: {0: 3.0}}
    made = {whole: {"commit": "abc"}}
    path = state.record("pointmaze", "short", state.Scores(seeds, {"umaze": 7.0}, made, 0.5))
    assert json.loads(path.read_text())["data"] == {"umaze": 7.0}
    found = state.read("pointmaze", "short")
    assert found.seeds == {whole: seeds[whole]}, "systems with every seed are recorded"
    assert found.versions == made
    variants = read(HERE / "pointmaze.toml", "short").variants
    assert found.done == pytest.approx(1 / len(variants))
    command = state.command("pointmaze", "short", found)
    assert "--systems" in command
    assert "bc-10" in command
    every = {(v.label, v.task): dict.fromkeys(range(5), 0.0) for v in variants}
    every.pop(("iql", "medium"))
    left = state.Scores(every, {}, {}, 0.9)
    assert "--systems iql --out" in state.command("pointmaze", "short", left)


def test_a_sweep_on_its_way_counts_what_is_finished(
    state: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run folders as a sweep leaves them: one system is finished, the other is not."""
    monkeypatch.setattr(state, "RECORDED", tmp_path / "nothing")
    monkeypatch.setenv("RLKIT_EVIDENCE", str(tmp_path))
    steps = {"bc": 40_000, "td3_bc": 20_000}
    for system, reached in steps.items():
        run = tmp_path / "pointmaze-short" / "runs" / system
        run.mkdir(parents=True)
        card = {
            "format": 1,
            "sweep": "pointmaze",
            "budget": "short",
            "system": system,
            "task": "umaze",
            "measure": "return",
            "unit": "updates",
            "steps": 40_000,
            "reference": None,
            "lanes": [{"configuration": {}, "seed": seed} for seed in range(2)],
        }
        (run / "cell.json").write_text(json.dumps(card))
        task = {"dataset": {"behaviour_return": 24.0}}
        (run / "config.json").write_text(json.dumps({"options": {}, "task": task}))
        rows = ["lane,seed,step,episode,return,length,terminated"]
        for step in range(2_000, reached + 1, 2_000):
            rows += [f"{k},{k},{step},0,{step / 1000 + k},300,0" for k in range(2)]
        (run / "episodes.csv").write_text("\n".join(rows) + "\n")
    found = state.read("pointmaze", "short")
    last = np.arange(22, 41, 2)
    assert found.seeds == {("bc", "umaze"): {0: last.mean(), 1: last.mean() + 1}}
    assert found.data == {"umaze": 24.0}
    assert 0 < found.done < 0.1
