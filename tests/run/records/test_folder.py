"""What is read from a run folder is what was trained, lane by lane."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rlkit.core import state
from rlkit.core.errors import CheckpointError, RunError, UsageError
from rlkit.core.files import checkpoint
from rlkit.eval.records import Episode, append_episodes
from rlkit.run.records import folder as run_folder
from rlkit.run.records.lock import lock
from rlkit.run.settings.options import Options
from rlkit.run.train import train
from tests.run.edited import edit

Build = Callable[..., Options]


def pretend(folder: Path, step: int, returns: tuple[float, ...], **parts: torch.Tensor) -> None:
    """A checkpoint of one group at `step`, evaluated with one episode a lane."""
    tensors = {name: {"x": tensor} for name, tensor in parts.items()} or {"agent": {}}
    path = run_folder.group_folder(run_folder.step_folder(folder, step), 0)
    path.parent.mkdir(parents=True)
    checkpoint.save(path, tensors, {"step": step} | ({"envs": {}} if "envs" in parts else {}))
    rows = [Episode(k, k, step, 0, r, 1, True) for k, r in enumerate(returns)]
    append_episodes(folder / "episodes.csv", rows)


def test_checkpoints_are_chosen_by_lane(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no checkpoint yet"):
        run_folder.choose(tmp_path, "last")
    for step, returns in ((10, (1.0, 9.0)), (20, (5.0, float("nan"))), (30, (5.0, 3.0))):
        pretend(tmp_path, step, returns)
    append_episodes(
        tmp_path / "episodes.csv", [Episode(k, k, 25, 0, 99.0, 1, True) for k in (0, 1)]
    )
    assert run_folder.steps(tmp_path) == [10, 20, 30]
    assert run_folder.choose(tmp_path, "last") == 30
    assert run_folder.choose(tmp_path, 20) == 20
    assert run_folder.choose(tmp_path, "20") == 20
    assert run_folder.choose(tmp_path, "best", 0) == 20  # the first of equals; 25 was not saved
    assert run_folder.choose(tmp_path, "best", 1) == 10
    for wrong in (25, "bets"):
        with pytest.raises(UsageError, match="use best, last, or one of 10, 20, 30"):
            run_folder.choose(tmp_path, wrong)


def test_the_newest_stay_whole_and_the_best_keep_their_policy(tmp_path: Path) -> None:
    parts = {name: torch.ones(3) for name in ("agent", "replay", "envs")}
    for step, returns in ((10, (1.0, 9.0)), (20, (2.0, 1.0)), (30, (8.0, 1.0)), (40, (3.0, 1.0))):
        pretend(tmp_path, step, returns, **parts)
    pretend(tmp_path, 50, (1.0, 1.0), **parts)
    run_folder.prune(tmp_path, keep=2)
    assert run_folder.steps(tmp_path) == [10, 30, 40, 50]
    assert run_folder.steps(tmp_path, whole=True) == [40, 50]
    slim = run_folder.group_folder(run_folder.step_folder(tmp_path, 10), 0)
    assert set(checkpoint.load(slim)[0]) == {"agent"}
    run_folder.prune(tmp_path, keep=2)
    assert run_folder.steps(tmp_path) == [10, 30, 40, 50]
    assert not list((tmp_path / "checkpoints").glob(".*"))


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    pretend(tmp_path, 10, (1.0,))
    (tmp_path / "checkpoints" / ".step_000000020.77.tmp" / "group_0").mkdir(parents=True)
    (tmp_path / ".config.json.77.tmp").write_text("{")
    assert run_folder.steps(tmp_path) == [10]
    run_folder.clean(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints", "episodes.csv"]
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step_000000010"]


def test_one_process_at_a_time_trains_in_a_folder(tmp_path: Path) -> None:
    with (
        lock(tmp_path / "run"),
        pytest.raises(RunError, match="another process is training in"),
        lock(tmp_path / "run"),
    ):
        pass
    with lock(tmp_path / "run"):
        pass


def test_what_is_not_a_run_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run folder: it has no config\.json"):
        run_folder.read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RunError, match=r"config\.json is damaged"):
        run_folder.read_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(RunError, match="format 99"):
        run_folder.read_config(tmp_path)


@pytest.fixture
def trained(offline: Build) -> Path:
    """A run of three lanes with their own tau; four checkpoints."""
    config = {"hidden": (8, 8), "batch_size": 8, "tau": (0.6, 0.7, 0.9)}
    return train(offline(seeds=(5, 6, 7), config=config, keep=9)).folder


def agent_file(folder: Path, step: int) -> dict[str, torch.Tensor]:
    path = run_folder.group_folder(run_folder.step_folder(folder, step), 0)
    return checkpoint.load(path, ["agent"])[0]["agent"]


def test_any_lanes_of_an_agent_are_restored(trained: Path) -> None:
    saved = agent_file(trained, 40)
    whole = run_folder.restore(trained)
    assert whole.seeds == (5, 6, 7)
    assert whole.steps == (40, 40, 40)
    assert whole.options.algo == "iql"
    live = state.tensors(whole.agent)
    for name in saved:
        if name.partition(".")[0] in ("pi", "q", "v", "q_bar"):
            assert torch.equal(live[name], saved[name]), name
    some = run_folder.restore(trained, 20, lanes=[2, 0])
    assert some.seeds == (7, 5)
    assert some.config.tau.flatten().tolist() == pytest.approx([0.9, 0.6])
    earlier, live = agent_file(trained, 20), state.tensors(some.agent)
    names = [n for n in earlier if n.startswith(("pi.", "q.", "v.", "q_bar."))]
    assert len(names) > 10
    for name in names:
        assert torch.equal(live[name], earlier[name][[2, 0]]), name


def test_the_best_policy_is_a_lanes_own(trained: Path) -> None:
    (trained / "episodes.csv").unlink()
    for step, returns in ((10, (9, 1, 1)), (20, (1, 9, 1)), (30, (1, 1, 9)), (40, (2, 2, 2))):
        rows = [Episode(k, 5 + k, step, 0, float(r), 1, True) for k, r in enumerate(returns)]
        append_episodes(trained / "episodes.csv", rows)
    best = run_folder.restore(trained, "best")
    assert best.steps == (10, 20, 30)
    live = state.tensors(best.agent)
    for k, step in enumerate(best.steps):
        saved = agent_file(trained, step)
        for name in saved:
            if name.startswith("pi."):
                assert torch.equal(live[name][k], saved[name][k])


def test_lanes_and_checkpoints_that_do_not_fit_are_refused(trained: Path) -> None:
    with pytest.raises(UsageError, match=r"no lane 3; .* has lanes 0 to 2"):
        run_folder.restore(trained, lanes=[3])
    edit(trained / "config.json", lambda config: config["task"].update(obs=[5]))
    with pytest.raises(CheckpointError, match=r"does not fit this agent: .* shape"):
        run_folder.restore(trained)


def test_a_damaged_checkpoint_is_named(trained: Path) -> None:
    path = run_folder.group_folder(run_folder.step_folder(trained, 40), 0) / "agent.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 255
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"agent\.safetensors is damaged"):
        run_folder.restore(trained)
    assert run_folder.restore(trained, 30).steps == (30, 30, 30)
