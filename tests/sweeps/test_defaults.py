"""A default reaches the systems that take it, and only a default that none takes is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rlkit.core.errors import UsageError
from rlkit.sweeps import plan

FILE = """
name = "mixed"
seeds = [0, 1]
[defaults]
{defaults}
[tasks]
river = {{ mdp = "river_swim" }}
arms = {{ bandit = "armed(means=[0.9, 0.1])" }}
pendulum = {{ env = "Pendulum-v1" }}
data = {{ dataset = "x", env = "Pendulum-v1", online = true }}
[systems]
vi = {{ solver = "vi", tasks = ["river"] }}
q = {{ learner = "q", tasks = ["river"] }}
ucbvi = {{ learner = "ucbvi-bf", tasks = ["river"] }}
ucb1 = {{ policy = "ucb1", tasks = ["arms"] }}
sac = {{ algo = "sac", tasks = ["pendulum"] }}
td3 = {{ algo = "td3", tasks = ["data"] }}
"""


def given(tmp_path: Path, defaults: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each system of the file is given in all."""
    monkeypatch.setattr("rlkit.sweeps.kinds.training.check_pair", lambda options: None)
    path = tmp_path / "mixed.toml"
    path.write_text(FILE.format(defaults=defaults))
    return {variant.system: variant.given for variant in plan.read(path).variants}


@pytest.mark.parametrize(
    ("defaults", "name", "takers"),
    [
        ("checkpoints = 4", "checkpoints", {"q", "ucbvi", "ucb1"}),
        ("gamma = 0.9", "gamma", {"vi", "q"}),
        ("eps = 1e-3", "eps", {"vi"}),
        ("horizon = 5", "horizon", {"ucbvi"}),
        ("runs = 3", "runs", {"ucb1"}),
        ("eval_every = 50", "eval_every", {"sac", "td3"}),
        ("normalise_obs = true", "normalise_obs", {"sac", "td3"}),
        ('reward = "return_range"', "reward", {"td3"}),
        ("pretrain = 10", "pretrain", {"td3"}),
        ("steps = 200", "steps", {"vi", "q", "ucbvi", "ucb1", "sac", "td3"}),
    ],
)
def test_a_default_reaches_those_that_take_it(
    defaults: str, name: str, takers: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = given(tmp_path, defaults, monkeypatch)
    assert {system for system, values in found.items() if name in values} == takers


@pytest.mark.parametrize(
    ("field", "value", "takers"),
    [
        ("hidden", "[8]", {"sac", "td3"}),
        ("alpha", "0.1", {"q", "sac"}),
        ("noise_clip", "0.4", set()),
        ("smooth_clip", "0.4", {"td3"}),
        ("max_backups", "1e6", {"vi"}),
    ],
)
def test_so_do_fields_of_the_config(
    field: str, value: str, takers: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = f"config = {{ {field} = {value} }}"
    if not takers:
        with pytest.raises(UsageError, match=f"unknown config field '{field}'; did you mean 'sm"):
            given(tmp_path, defaults, monkeypatch)
        return
    found = given(tmp_path, defaults, monkeypatch)
    assert {
        system for system, values in found.items() if field in values.get("config", {})
    } == takers


def test_a_default_that_no_system_takes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlkit.sweeps.kinds.training.check_pair", lambda options: None)
    path = tmp_path / "all.toml"
    path.write_text(
        'name = "all"\n[defaults]\npretrain = 10\n'
        '[tasks.p]\nenv = "Pendulum-v1"\n[systems.sac]\nalgo = "sac"\n'
    )
    with pytest.raises(UsageError, match="no system takes the option 'pretrain'"):
        plan.read(path)
