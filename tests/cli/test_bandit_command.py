"""`rlkit bandit`: its table, records and pictures, every named environment, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.simulation.by_name import (
    ENVIRONMENTS,
    POLICIES,
    read_calls,
    read_environment,
    read_policies,
)
from rlkit.cli.bandit_command import RECORD, interval, verdict
from rlkit.cli.main import main
from rlkit.eval.regret_plot import regret_plot

Output = pytest.CaptureFixture[str]
ARMED = "armed(means=[0.9, 0.4])"


def error_of(argv: list[str], code: int, capsys: Output) -> str:
    assert main(["bandit", *argv]) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_a_comparison_prints_its_table_and_keeps_every_run(tmp_path: Path, capsys: Output) -> None:
    line = ["bandit", "--env", ARMED, "--policies", "ucb1, eps_greedy(eps=0.2)", "--runs=30"]
    line += ["--horizon=2000", "--seed=5"]
    assert main([*line, f"--out={tmp_path / 'a'}"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"env    {ARMED}\n       30 runs of 2,000 rounds, seed 5\n")
    rows = said.splitlines()
    assert rows[3].split()[:4] == ["policy", "regret", "at", "200"]
    ours = simulate("ucb1", [0.9, 0.4], runs=30, horizon=2000, seed=5, checkpoints=[200])
    assert f"{ours.mean()[0]:.2f} [" in rows[4]
    assert f"{ours.mean()[1]:.2f} [" in rows[4]
    assert rows[5].startswith("eps_greedy(eps=0.2)  ")
    assert "least: ucb1; below each of the others" in said
    with np.load(tmp_path / "a" / "regret.npz") as kept:
        np.testing.assert_allclose(kept["ucb1"][:, -1], ours.regret[:, -1])
        assert kept["rounds"][-1] == 2000
        regret = {name: kept[name] for name in kept.files}
    record = json.loads((tmp_path / "a" / RECORD).read_text())
    assert record["config"]["env"] == {"name": "armed", "arguments": {"means": [0.9, 0.4]}}
    low, high = record["table"]["ucb1"]["interval"]
    assert low < record["table"]["ucb1"]["regret"] < high
    assert (tmp_path / "a" / "regret.png").stat().st_size > 10_000
    # the same comparison may be repeated there, with any number of threads; another may not
    assert main([*line, f"--out={tmp_path / 'a'}", "--threads=3"]) == 0
    with np.load(tmp_path / "a" / "regret.npz") as kept:
        assert all((kept[name] == regret[name]).all() for name in kept.files)
    capsys.readouterr()
    other = [*line[1:], f"--out={tmp_path / 'a'}", "--seed=6"]
    assert "holds another comparison; choose another with --out" in error_of(other, 2, capsys)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_environment_has_a_demonstration(name: str) -> None:
    _, given, arguments, env = read_environment(name)
    assert not given
    assert arguments
    for policy, own in read_policies(ENVIRONMENTS[name].policies):
        run = simulate(policy, env=env, runs=2, horizon=900, **own)
        assert np.isfinite(run.regret).all()


def test_results_have_a_place_of_their_own(
    tmp_path: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["bandit", "--env=dueling", "--policies=rucb", "--runs=2", "--horizon=50"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("bandit-dueling-")
    said = capsys.readouterr().out
    assert f"the rest as in {folder.relative_to(tmp_path) / RECORD}" in said
    assert {p.name for p in folder.iterdir()} == {
        RECORD, "regret.npz", "regret.png", "regret.svg", "pulls.png", "pulls.svg",
    }  # fmt: skip


def test_last_switch_regret_is_counted_against_the_relaxation() -> None:
    _, _, arguments, env = read_environment("recharging(payoffs=[[0.0, 0.8], [0.1, 0.6]])")
    assert env.reference == arguments["reference"] == pytest.approx(0.7)
    assert read_environment("last_switch(reference=0.3)")[3].reference == 0.3


def test_one_run_has_no_interval(tmp_path: Path, capsys: Output) -> None:
    line = ["bandit", "--env", ARMED, "--policies=ucb1,moss", "--runs=1", "--horizon=50"]
    assert main([*line, f"--out={tmp_path / 'b'}"]) == 0
    said = capsys.readouterr().out
    assert "one run cannot tell policies apart" in said
    assert "bootstrap" not in said
    record = json.loads((tmp_path / "b" / RECORD).read_text())
    assert record["table"]["moss"]["interval"] is None


def test_the_verdict_names_what_cannot_be_told_apart() -> None:
    options = {"runs": 40, "horizon": 300}
    results = {
        "a": simulate("ucb1", [0.6, 0.4], seed=1, **options),
        "b": simulate("ucb1", [0.6, 0.4], seed=2, **options),
        "c": simulate("random", [0.6, 0.4], **options),
    }
    assert "not told apart from it: " in verdict(results, False)
    assert "c" not in verdict(results, False).split(";")[1].split("(")[0].split(": ")[1]
    assert verdict({"a": results["a"]}, False) == ""
    found = interval(results["c"], 300)
    assert found.low < 30 < found.high  # a half of the rounds lose a fifth


def test_listing_and_help(capsys: Output) -> None:
    assert main(["bandit", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said or f"  {name}\n" in said for name in [*ENVIRONMENTS, *POLICIES])
    assert "eps=0.1" in said


def test_calls_are_read_without_being_run() -> None:
    text = "ucb1, eps_greedy(eps=0.05), cycle_online(samples=3)"
    assert read_calls(text, "policies") == [
        ("ucb1", {}),
        ("eps_greedy", {"eps": 0.05}),
        ("cycle_online", {"samples": 3}),
    ]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--env", "amred"], "unknown environment 'amred'; did you mean 'armed'?"),
        (["--env", "armed(mean=[0.5])"], "armed has no argument 'mean'; did you mean 'means'?"),
        (["--env", "armed(means=[0.5, 1.5])"], "means[1] is 1.5"),
        (["--env", "armed(means=0.5 0.4)"], "cannot read"),
        (["--env", "armed(means=[0.5], means=[0.4])"], "armed: means is given twice"),
        (["--env", "armed([0.5])"], "NAME(key=value, ...)"),
        (["--env", "armed(means=open('x'))"], "means=open('x') is not a number"),
        (["--env", "armed, dueling"], "one environment at a time"),
        (["--env", "rotting(payoffs=[[0.1, 0.2]])"], "payoffs of arm 0 rise"),
        (["--env", "dueling(preferences=[[0.5, 0.9], [0.9, 0.5]])"], "must be 1"),
        (["--env", "hidden_arm(losses=3)"], "hidden_arm has no argument 'losses'"),
        (["--policies", "ucb"], "unknown policy 'ucb'; did you mean 'ucb1'?"),
        (["--policies", "eps_greedy(epz=1)"], "no argument 'epz'; did you mean 'eps'?"),
        (["--policies", "eps_greedy(eps='a')"], "eps='a' is not a number"),
        (["--policies", "eps_greedy(eps=3)"], "eps is 3"),
        (["--policies", "ucb1, ucb1"], "ucb1 is named twice"),
        (["--policies", "rucb"], "needs a Dueling environment"),
        (["--env", "dueling", "--policies", "ucb1"], "cannot play Dueling"),
        (["--runs", "0"], "--runs must be at least 1"),
        (["--horizon", "0"], "--horizon must be at least 1"),
        (["--seed", "-1"], "--seed must lie in"),
        (["--polices", "ucb1"], "did you mean '--policies'?"),
    ],
)
def test_usage_errors(
    argv: list[str], says: str, capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in error_of(argv, 2, capsys)
    assert not list(tmp_path.iterdir())


def test_a_foreign_folder_is_left_alone(tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "letter.txt").write_text("keep me")
    said = error_of(["--horizon=10", f"--out={tmp_path}"], 2, capsys)
    assert f"holds no {RECORD}; choose another with --out" in said
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_regret_plot_refuses_what_does_not_fit_and_draws_one_run() -> None:
    with pytest.raises(ValueError, match="no curves"):
        regret_plot({})
    with pytest.raises(ValueError, match="a: regret"):
        regret_plot({"a": (np.arange(3), np.ones((2, 4)))})
    figure = regret_plot({"a": (np.arange(1, 5), np.arange(4.0)[None])})
    plain, log = figure.axes
    assert plain.lines[0].get_ydata().tolist() == [0.0, 1.0, 2.0, 3.0]
    assert log.lines[0].get_ydata().tolist() == [1.0, 2.0, 3.0]  # 0 has no logarithm
    regret_plot({"a": (np.arange(1, 5), np.zeros((2, 4)))})  # nothing to show on one of the axes
