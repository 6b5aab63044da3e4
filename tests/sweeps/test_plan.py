from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlkit.core.errors import UsageError
from rlkit.sweeps import plan

from .sweep_files import write

FILE = """
name = "small"
seeds = "0:3"

[defaults]
steps = 300

[tasks.pendulum]
env = "Pendulum-v1"
reference = [-1500.0, -150.0]
[tasks.river]
mdp = "river_swim"

[systems.sac]
algo = "sac"
tasks = ["pendulum"]
config = { hidden = [8] }
grid = { lr = [1e-3, 1e-4], batch_size = [8, 16] }
[systems.q]
learner = "q"
tasks = ["river"]

[[overrides]]
system = "sac"
utd = 2.0
warmup = 5

[budgets.smoke]
seeds = [7]
defaults = { steps = 20 }
tasks.pendulum = { reference = [-1600.0, -100.0] }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(FILE)
    return path


def test_a_sweep_is_systems_times_tasks_times_configurations_times_seeds(file: Path) -> None:
    asked = plan.read(file)
    assert (asked.name, asked.budget, asked.seeds, asked.cells) == ("small", "full", (0, 1, 2), 15)
    sac = [v for v in asked.variants if v.system == "sac"]
    assert [v.configuration for v in sac] == [
        {"lr": lr, "batch_size": size} for lr in (1e-3, 1e-4) for size in (8, 16)
    ]
    assert sac[1].label == "sac(lr=0.001, batch_size=16)"
    assert all(v.options["utd"] == 2.0 and v.steps == 300 for v in sac)
    assert sac[0].reference == (-1500.0, -150.0)
    assert sac[0].options["config"]["hidden"] == [8]
    assert len({v.hash for v in asked.variants}) == 5


def test_a_budget_is_laid_over_the_file(file: Path) -> None:
    asked = plan.read(file, "smoke")
    assert (asked.seeds, {v.steps for v in asked.variants}) == ((7,), {20})
    assert asked.variants[0].reference == (-1600.0, -100.0)
    full = {v.hash for v in plan.read(file).variants}
    assert {v.hash for v in asked.variants} == full, "neither seeds nor steps are in the hash"


def test_how_a_run_is_kept_decides_nothing(file: Path) -> None:
    before = {v.hash for v in plan.read(file).variants}
    file.write_text(FILE.replace("steps = 300", "steps = 300\nlog_every = 7\ncheckpoint_every = 9"))
    found = plan.read(file).variants
    assert {v.hash for v in found} == before
    assert found[0].options["log_every"] == 7
    file.write_text(FILE.replace("steps = 300", "steps = 300\neval_every = 7"))
    assert {v.hash for v in plan.read(file).variants} != before


def test_folders(file: Path) -> None:
    assert plan.folder_of(file) == Path("runs/sweeps/small")
    assert plan.folder_of(file, "smoke") == Path("runs/sweeps/small-smoke")
    assert plan.folder_of(file, "smoke", "there") == Path("there")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name = ", "nmae = ", "unknown table or key 'nmae'; did you mean 'name'"),
        ('"small"', '"a b"', "name 'a b' must be letters"),
        ('"0:3"', '"x"', "seeds 'x' must read"),
        ('"0:3"', "[1, 1]", "must be distinct"),
        ("steps = 300", "stpes = 300", "defaults: unknown option 'stpes'; did you mean 'steps'"),
        ('algo = "sac"', 'algo = "sca"', "systems.sac on tasks.pendulum: unknown algorithm 'sca'"),
        ('algo = "sac"', "", "systems.sac must say one of algo"),
        ('tasks = ["pendulum"]', 'tasks = ["pendulm"]', "no task 'pendulm'; did you mean"),
        ('tasks = ["river"]', "", "tasks.pendulum has none"),
        ("lr = [1e-3, 1e-4]", "lr = 1e-3", "grid must give a list"),
        ("lr = [1e-3", "lrr = [1e-3", "sac has no config field 'lrr'; did you mean 'lr'"),
        ("utd = 2.0", "utd = -1.0", "utd is -1.0"),
        ('system = "sac"', 'system = "sca"', "overrides, number 1: no system 'sca'"),
        ("[-1500.0, -150.0]", "[3.0, 1.0]", "low < high"),
        ('"river_swim"', '"river_swam"', "systems.q on tasks.river"),
        ('learner = "q"', 'learner = "qq"', "unknown learner 'qq'; did you mean 'q'"),
        ("[tasks.river]", "[tasks.'a/b']", "must be letters, digits"),
        ("[defaults]", "[defaults", "cannot be read"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(
    file: Path, old: str, new: str, message: str
) -> None:
    assert old in FILE
    file.write_text(FILE.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        plan.read(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_unknown_files_and_budgets(file: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sweep file"):
        plan.read(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="no budget 'smok'; did you mean 'smoke'"):
        plan.read(file, "smok")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('system = "sac"', "no grid"),
        ('system = "q"\ntrials = 0', "trials is 0; it must be at least 1"),
        ('system = "q"', "names no config field"),
        ('system = "q"\nspace.epsilonn = [0.1]', "unknown config field 'epsilonn'"),
        ('system = "q"\nspace.epsilon = [2.0]', "epsilon"),
        ('system = "q"\nspace.epsilon = { low = 0.1 }', "give a list, or"),
    ],
)
def test_a_search_is_checked_too(file: Path, text: str, message: str) -> None:
    file.write_text(FILE + "\n[search]\n" + text + "\n")
    with pytest.raises(UsageError) as caught:
        plan.read(file)
    assert message in str(caught.value)


def test_a_search_is_read(file: Path) -> None:
    file.write_text(
        FILE + '\n[search]\nsystem = "q"\ntrials = 5\n[search.space]\n'
        "epsilon = { low = 0.1, high = 0.5 }\nq0 = [0.0, 1.0]\n"
    )
    found = plan.read(file).search
    assert found is not None
    assert (found.system, found.trials, list(found.space)) == ("q", 5, ["epsilon", "q0"])


def test_some_systems_bring_those_they_start_from(tmp_path: Path) -> None:
    text = """
tasks.a = { env = "Pendulum-v1" }
tasks.b = { env = "Pendulum-v1" }
systems.second = { algo = "sac", from = "first" }
systems.first = { algo = "sac" }
systems.third = { algo = "sac", from = "second" }
systems.other = { algo = "td3" }
"""
    asked = plan.read(write(tmp_path, text))

    def pairs(**given: Any) -> set[tuple[str, str]]:
        return {(v.system, v.task) for v in plan.only(asked, **given).variants}

    assert pairs(systems=["third"], tasks=["a"]) == {(s, "a") for s in ("first", "second", "third")}
    assert pairs(systems=["other"]) == {("other", "a"), ("other", "b")}
    assert len(pairs()) == 8
    with pytest.raises(UsageError, match="no system 'thrid'; did you mean 'third'"):
        plan.only(asked, ["thrid"])
    with pytest.raises(UsageError, match="no task 'c'"):
        plan.only(asked, tasks=["c"])


def test_what_an_agent_looks_for_in_an_environment_is_looked_for_first(file: Path) -> None:
    text = 'seeds = "0:1"\n[tasks]\nmine = {{ env = "{}" }}\n[systems.stock]\nalgo = "stock_dqn"\n'
    text += "config = {{ gamma = 1.0 }}\n"
    file.write_text(text.format("rlkit/BetTwice-v1"))
    assert len(plan.read(file).variants) == 1
    file.write_text(text.format("CartPole-v1"))
    with pytest.raises(UsageError, match=r"systems.stock on tasks.mine: environment CartPole-v1 "):
        plan.read(file)
