"""A pair of algorithm and task that cannot learn is refused before work, naming others."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlkit.cli.commands import catalogue
from rlkit.cli.main import main
from rlkit.core.errors import UsageError
from rlkit.run.settings.algorithms import algorithm
from rlkit.run.settings.fits import SB3, WHERE, algorithms, shipped, title
from rlkit.run.settings.options import Options, resolve

Output = pytest.CaptureFixture[str]
ACTIONS = {"continuous", "discrete"}


@pytest.mark.parametrize("name", algorithms())
def test_every_algorithm_says_what_it_is_for(name: str) -> None:
    fits = shipped(name)
    assert fits == algorithm(name).FITS
    assert set(fits) & WHERE.keys()
    assert set(fits) & ACTIONS
    assert set(fits) <= WHERE.keys() | ACTIONS | {"pixels"}


@pytest.mark.parametrize(
    ("line", "says", "others"),
    [
        ("train sac --env CartPole-v1", "sac is for continuous actions", ["dqn", "sb3:ppo"]),
        ("train dqn --env Pendulum-v1", "dqn is for discrete actions", ["sac", "td3", "sb3:ppo"]),
        ("train iql --env Pendulum-v1", "iql learns from a dataset", ["sac", "td3", "dqn"]),
        ("train pebble --dataset x", "pebble learns from an environment alone", ["iql", "bc"]),
        ("train bc --dataset x --env Pendulum-v1 --online", "bc learns from a dataset", ["sac"]),
    ],
)
def test_a_wrong_pair_names_others(
    line: str, says: str, others: list[str], capsys: Output, tmp_path: Path
) -> None:
    assert main([*line.split(), f"--out={tmp_path / 'run'}"]) == 2
    said = capsys.readouterr().err
    assert says in said
    named = set(said.strip().rpartition("those that do: ")[2].split(", "))
    assert set(others) <= named
    where = "online" if "--env" in line else "offline"
    assert all({where, "then-online"} & set(shipped(name)) for name in named)
    assert not (tmp_path / "run").exists()


def test_who_goes_on_from_a_run_has_learnt_already() -> None:
    resolve(Options("iql", env="Pendulum-v1", from_run="runs/before"))
    with pytest.raises(UsageError, match="iql learns from a dataset"):
        resolve(Options("iql", env="Pendulum-v1"))


def test_the_list_is_whole(capsys: Output) -> None:
    text = catalogue()
    for name in [*algorithms(), *SB3]:
        (row,) = [line for line in text.splitlines() if line.split()[:1] == [name]]
        assert all(word in row for word in shipped(name))
        assert row.endswith(title(name))
        # nothing is cut in the middle of a phrase
        assert row.count("(") == row.count(")")
        assert row.endswith((")", ".", "stable-baselines3"))
    assert main(["train", "--help"]) == 0
    assert text in capsys.readouterr().out
