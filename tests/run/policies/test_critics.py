"""Policies of runs steered by critics of runs, in evaluations and from the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rlkit
from rlkit.cli.main import main
from rlkit.core.errors import UsageError
from rlkit.eval.records import read_episodes
from rlkit.run.policies.critics import Guide, critic
from rlkit.run.policies.evaluation import evaluate_file, evaluate_run
from rlkit.run.policies.export import export
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options
from rlkit.run.train import train

Build = Callable[..., Options]


@pytest.fixture
def run(offline: Build, tmp_path: Path) -> Callable[..., Path]:
    def trained(algo: str, **given: Any) -> Path:
        out = str(tmp_path / algo)
        return train(offline(algo=algo, out=out, steps=6, eval_every=0, **given)).folder

    return trained


def test_a_runs_critic_speaks_environment_units(run: Callable[..., Path]) -> None:
    folder = run("iql", seeds=(0, 5), normalise_obs=True)
    found = critic(folder, lane=1)
    restored = run_folder.restore(folder, "best", [1])
    rng = np.random.default_rng(0)
    obs, actions = rng.standard_normal((4, 4)), rng.uniform(-3, 3, (4, 6, 1)).astype(np.float32)
    values = found(obs, actions)
    s = torch.from_numpy(restored.task.transforms.obs(obs)).float()
    for k in range(6):  # InvertedPendulum's actions reach from -3 to 3
        a = torch.from_numpy(actions[:, k] / 3).clamp(-1 + 1e-5, 1 - 1e-5)
        expected = restored.agent.q_bar(s[None], a[None]).amin(-2)[0]
        np.testing.assert_allclose(values[:, k], expected.detach(), atol=1e-5)
    assert not np.allclose(values, critic(folder, lane=0)(obs, actions))


def test_evaluations_are_steered_alike_in_any_company(run: Callable[..., Path]) -> None:
    policy, values = run("bc", seeds=(0, 5, 7)), run("iql", seeds=(1, 2))
    guide = Guide(values, samples=3, beta=0.5)
    found = evaluate_run(policy, 3, guide=guide)[0]
    assert len(found) == 9
    alone = evaluate_run(policy, 3, lanes=[1], guide=guide)[0]
    assert [e.return_ for e in found if e.lane == 1] == [e.return_ for e in alone]
    again = rlkit.evaluate(policy, 2, guide=guide)  # fewer side by side
    assert [e.return_ for e in again if e.lane == 2] == [e.return_ for e in found if e.lane == 2][
        :2
    ]
    # lane 2 has the critic of lane 0
    other = evaluate_run(policy, 3, lanes=[2], guide=guide._replace(samples=1))[0]
    assert [e.return_ for e in other] != [e.return_ for e in found if e.lane == 2]


def test_a_file_is_steered_from_the_command_line(
    run: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, values = run("bc", seeds=(0, 5)), run("iql")
    file = export(policy, lane=1).path
    words = ["eval", str(file), "--episodes", "2", "--critic", str(values), "--beta", "0.5"]
    assert main([*words, "--samples", "4", "--out", str(tmp_path / "told.csv")]) == 0
    assert "return" in capsys.readouterr().out
    expected = evaluate_file(file, 2, guide=Guide(values, 4, 0.5))
    rows = read_episodes(tmp_path / "told.csv")
    assert rows["return"].tolist() == pytest.approx([e.return_ for e in expected])
    assert main(["eval", str(file), "--beta", "0.5"]) == 2
    assert "--samples and --beta need --critic" in capsys.readouterr().err


def test_what_does_not_fit_is_refused(run: Callable[..., Path], tmp_path: Path) -> None:
    policy = run("bc")
    with pytest.raises(UsageError, match="a run of bc, which has no critic"):
        critic(policy)
    other = train(
        Options(
            "dqn",
            env="CartPole-v1",
            steps=30,
            warmup=20,
            eval_episodes=1,
            out=str(tmp_path / "dqn"),
            quiet=True,
            engine="eager",
            config={"hidden": (8,), "batch_size": 4},
        )
    ).folder
    with pytest.raises(UsageError, match=r"actions Discrete\(n=2\); the policy of bc has"):
        evaluate_run(policy, 1, guide=Guide(other))
    values = critic(other)(np.zeros((2, 4), np.float32), np.array([[0, 1], [1, 0]]))
    assert values[0].tolist() == values[1, ::-1].tolist()
    assert np.isfinite(evaluate_run(other, 1, guide=Guide(other))[0][0].return_)
