"""Starting from the agent of another run."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rlkit.core import state
from rlkit.core.errors import RunError, UsageError
from rlkit.core.spec import Box, Discrete
from rlkit.run import loops
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import Note, Save
from rlkit.run.session import Session
from rlkit.run.settings.options import Options
from rlkit.run.train import resume, train
from rlkit.run.transfer import starts

Build = Callable[..., Options]
CQL: dict[str, Any] = {
    "algo": "cql",
    "config": {"hidden": (8,), "hidden_q": (9,), "n_actions": 2, "batch_size": 16, "n_critics": 3},
}
WSRL: dict[str, Any] = {
    "algo": "wsrl",
    "config": {"batch_size": 16, "actor_period": 2},
    "utd": 2.0,
    "warmup": 30,
    "steps": 60,
}


@pytest.fixture
def start(offline: Build, tmp_path: Path) -> Path:
    """A run of CQL, two lanes, on normalised observations."""
    options = offline(**CQL, seeds=(0, 3), normalise_obs=True, out=str(tmp_path / "start"))
    return train(options).folder


def test_actor_critics_and_optimisers_are_those_of_the_start(start: Path, online: Build) -> None:
    options = online(**WSRL, seeds=(3, 0), from_run=str(start))
    session = Session(options)
    first = next(iter(loops.run(session)))
    assert isinstance(first, Note)
    assert "pi, q, q_bar, log_alpha, step_pi, step_q, step_alpha" in first.text
    theirs = [run_folder.lane_tensors(start, [[0, 1]], lane, 40) for lane in (1, 0)]
    for name, tensor in state.tensors(session.agent).items():
        expected = [lane[name] for lane in theirs]
        joined = torch.cat(expected) if expected[0].dim() else expected[0]
        assert torch.equal(tensor, joined), name
    transforms = session.task.transforms.state()
    assert transforms == run_folder.restore(start).task.transforms.state()
    session.close()


def test_nothing_moves_during_the_warm_up(start: Path, online: Build, tmp_path: Path) -> None:
    options = online(**WSRL, seeds=(0,), from_run=str(start), checkpoint_every=10)
    session = Session(options)
    saved = {}
    for event in loops.run(session):
        if isinstance(event, Save):
            saved[event.step] = state.clone(session.agent)
    names = [name for name in saved[10] if not torch.equal(saved[10][name], saved[30][name])]
    assert names == []
    steps = float(saved[40]["step_q.steps"] - saved[30]["step_q.steps"])
    assert steps == 20  # two updates a step, from the first step after the warm-up on
    assert float(saved[40]["step_pi.steps"] - saved[30]["step_pi.steps"]) == 10
    assert session.replay is not None
    assert session.replay.size == 60  # online rows only
    session.close()


def test_the_warm_up_is_the_policys_own(start: Path, online: Build) -> None:
    """Not uniform: the first actions are samples of the policy that was trained."""
    options = online(**WSRL, seeds=(0,), from_run=str(start))
    session = Session(options)
    events = loops.run(session)
    next(events)
    while session.replay is not None and session.replay.size < 5:
        next(events)
    s, a = session.replay.rows("s")[:, :1], session.replay.rows("a")[:, :1]
    noise = torch.from_numpy(session.streams.draw("act", "normal", 0, (1, 1))[0])
    torch.testing.assert_close(a, session.agent.act(s, noise).detach())
    session.close()


def test_a_run_goes_on_when_its_start_is_gone(start: Path, online: Build) -> None:
    folder = train(online(**WSRL, seeds=(0,), from_run=str(start))).folder
    shutil.rmtree(start)
    found = resume(folder, 70, quiet=True)
    assert found.step == 70
    assert f"the run it started from, {start}, is not there (any more)" in found.notes
    shutil.rmtree(folder / "checkpoints")  # now it would have to start from it again
    with pytest.raises(RunError, match="start is not a run folder"):
        resume(folder, 80, quiet=True)


def test_iql_is_a_start_too(offline: Build, online: Build, tmp_path: Path) -> None:
    start = train(offline(out=str(tmp_path / "start"))).folder
    options = online(**WSRL, from_run=str(start))
    session = Session(options)
    note = next(iter(loops.run(session)))
    assert isinstance(note, Note)
    assert "begun afresh: log_alpha, step_pi, step_alpha" in note.text
    session.close()


def test_what_does_not_fit_is_told_before_anything_is_written(
    start: Path, online: Build, tmp_path: Path
) -> None:
    base = online(**WSRL, seeds=(0,), from_run=str(start))
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"from_run": None}, UsageError, "wsrl goes on from another run: give --from RUN_DIR"),
        ({"from_run": str(tmp_path / "none")}, RunError, "not a run folder"),
        ({"seeds": (5,)}, UsageError, r"has seeds \(0, 3\), none for seed 5"),
        ({"env": "Hopper-v5"}, UsageError, "knows observations"),
    ]
    for change, kind, text in cases:
        with pytest.raises(kind, match=text):
            train(dataclasses.replace(base, **change))
        assert not base.folder().exists()


def test_other_shapes_are_named(start: Path, online: Build) -> None:
    options = online(seeds=(0,), from_run=str(start))  # SAC as the test configures it
    with pytest.raises(UsageError, match=r"cql, does not fit sac: .*shape.*config it has there"):
        train(options)
    assert not options.folder().exists()


@pytest.mark.parametrize(("algo", "good"), [("wsrl", "iql"), ("td3", "td3_bc"), ("bc", "iql")])
def test_agents_of_another_form_are_refused_by_name_of_those_that_would_do(
    offline: Build, online: Build, tmp_path: Path, algo: str, good: str
) -> None:
    theirs = "cql" if algo != "wsrl" else "td3_bc"
    config = {"hidden": (8, 8), "batch_size": 16}
    given: dict[str, Any] = {"config": config, "eval_every": 0, "steps": 4}
    start = train(offline(algo=theirs, **given, out=str(tmp_path / "start"))).folder
    ours: dict[str, Any] = {"batch_size": 16} if algo == "wsrl" else config
    options = online(algo=algo, config=ours, from_run=str(start), out=str(tmp_path / "new"))
    with pytest.raises(
        UsageError, match=f"{theirs}, does not fit {algo}, which can begin from"
    ) as e:
        train(options)
    assert good in str(e.value).partition("runs of: ")[2].partition(" (")[0].split(", ")
    assert not (tmp_path / "new").exists()


def test_agents_of_stable_baselines3_begin_afresh(start: Path, online: Build) -> None:
    with pytest.raises(UsageError, match="sb3:sac begins afresh: --from is for agents of rlkit"):
        train(online(algo="sb3:sac", config={}, from_run=str(start)))


def test_what_an_agent_can_begin_from_is_what_has_its_form() -> None:
    act = Box(2)
    assert {"cal_ql", "cql", "iql", "sac", "wsrl"} <= set(starts("wsrl", act))
    assert not {"td3", "td3_bc", "odice", "dqn"} & set(starts("wsrl", act))
    assert {"td3", "td3_bc", "rebrac"} <= set(starts("td3", act))
    assert starts("cql_discrete", Discrete(3)) == ["cql_discrete"]
