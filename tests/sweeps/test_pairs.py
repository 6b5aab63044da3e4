"""What a sweep cannot work off is refused when its file is read, not when a cell starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlkit.core.errors import UsageError
from rlkit.core.lanes import read_seeds
from rlkit.data.formats import minari_io
from rlkit.sweeps import plan

from .sweep_files import BANDITS, write


@pytest.mark.parametrize(
    ("task", "system", "message"),
    [
        ('env = "CartPole-v1"', 'algo = "sac"', "sac is for continuous actions"),
        ('env = "Pendulum-v1"', 'algo = "dqn"', "dqn is for discrete actions"),
        ('env = "CartPole-v1"', 'algo = "sb3:td3"', "sb3:td3 is for continuous actions"),
        ('env = "Pendulum-v1"', 'algo = "sb3:dqn"', "sb3:dqn is for discrete actions"),
        ('dataset = "rlkit/pendulum/mixed-v0"', 'algo = "cql_discrete"', "for discrete actions"),
        ('env = "Pendulun-v1"', 'algo = "sac"', "did you mean 'Pendulum-v1'"),
    ],
)
def test_a_system_that_does_not_fit_its_task(
    task: str, system: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    path = write(tmp_path, f"tasks.one = {{ {task} }}\nsystems.mine = {{ {system} }}\n")
    with pytest.raises(UsageError, match=message) as caught:
        plan.read(path)
    assert str(caught.value).startswith(f"{path}: systems.mine on tasks.one: ")


def test_systems_that_fit_pass(tmp_path: Path) -> None:
    text = """
tasks.pendulum = { env = "Pendulum-v1" }
systems.sac = { algo = "sac" }
systems.ppo = { algo = "sb3:ppo" }
systems.td3 = { algo = "sb3:td3" }
"""
    assert len(plan.read(write(tmp_path, text)).variants) == 3


def test_a_dataset_is_looked_into_once(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = minari_io.read_meta, []
    monkeypatch.setattr(minari_io, "read_meta", lambda name: seen.append(name) or read(name))
    text = f"""
tasks.one = {{ dataset = "{dataset}" }}
systems.iql = {{ algo = "iql" }}
systems.bc = {{ algo = "bc" }}
"""
    text += 'systems.cql = { algo = "cql_discrete" }'
    with pytest.raises(UsageError, match="cql_discrete is for discrete actions"):
        plan.read(write(tmp_path, text))
    assert seen == [dataset]


@pytest.mark.parametrize("seeds", ["0:1000000000", "0:100001", "0:99999999999999999999999"])
def test_more_seeds_than_anybody_means(seeds: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="more than 100,000"):
        read_seeds(seeds)
    text = f'seeds = "{seeds}"\ntasks.a = {{ env = "Pendulum-v1" }}\nsystems.b = {{ algo = "sac" }}'
    with pytest.raises(UsageError, match="more than 100,000"):
        plan.read(write(tmp_path, text))
    assert len(read_seeds("7:100007")) == 100_000


def test_a_budget_leads_nowhere(tmp_path: Path) -> None:
    path = write(tmp_path, BANDITS + '[budgets."../../out"]\nseeds = [0]\n')
    for call in (plan.read, plan.folder_of):
        with pytest.raises(UsageError, match="must be letters"):
            call(path, "../../out")
        with pytest.raises(UsageError, match="no budget 'smoke'"):
            call(path, "smoke")


def test_a_sweep_file_that_the_system_refuses(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        plan.read(tmp_path)
