"""Loops are generators of events; what they compute is what the engine alone would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rlkit.core import state
from rlkit.core.files import checkpoint
from rlkit.data.sampling.samplers import Mixed, Uniform
from rlkit.run import loops
from rlkit.run.records.events import Evaluated, Metrics, Note, Progress, Save, merge
from rlkit.run.session import Session
from rlkit.run.settings.options import Options

Build = Callable[..., Options]


def test_offline_is_the_engine_with_milestones_in_order(offline: Build) -> None:
    session = Session(offline(steps=25, eval_every=10, log_every=5, seeds=(0, 1)))
    kinds = [(type(event).__name__, event[0]) for event in loops.offline(session)]
    assert kinds == [
        ("Metrics", 5),
        *[(name, 10) for name in ("Metrics", "Evaluated", "Save")],
        ("Metrics", 15),
        *[(name, 20) for name in ("Metrics", "Evaluated", "Save")],
        *[(name, 25) for name in ("Progress", "Metrics", "Evaluated", "Save")],
    ]
    alone = Session(offline(steps=25, seeds=(0, 1)))
    alone.engine.run(0, 25)
    ours, theirs = state.tensors(session.agent), state.tensors(alone.agent)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    session.close()


def test_metrics_have_a_value_a_lane_and_episodes_their_lane(offline: Build) -> None:
    session = Session(offline(steps=10, seeds=(5, 7), eval_episodes=3))
    events = list(loops.run(session))
    metrics = next(e for e in events if isinstance(e, Metrics))
    assert {name: value.shape for name, value in metrics.values.items()} == {
        name: (2,) for name in ("v_loss", "q_loss", "pi_loss", "adv", "effective")
    }
    evaluated = next(e for e in events if isinstance(e, Evaluated))
    assert [(e.lane, e.seed, e.episode) for e in evaluated.episodes] == [
        (k, seed, i) for k, seed in enumerate((5, 7)) for i in range(3)
    ]
    session.close()


def test_a_group_of_lanes_numbers_them_as_the_whole_does(offline: Build) -> None:
    options = offline(
        steps=10, seeds=(5, 7, 8), config={"hidden": (8,), "tau": (0.6, 0.7, 0.9)}, eval_every=0
    )
    whole, part = Session(options), Session(options, lanes=(1, 2))
    assert part.config.tau.flatten().tolist() == pytest.approx([0.7, 0.9])
    ended = [list(loops.run(session))[-2] for session in (whole, part)]
    assert isinstance(ended[0], Evaluated)
    assert isinstance(ended[1], Evaluated)
    kept = [e for e in ended[0].episodes if e.lane > 0]
    assert kept == list(ended[1].episodes)


@pytest.mark.parametrize(
    ("utd", "envs", "every", "expected"),
    [
        (1.0, 1, 1, [0, 0, 0, 1, 2, 3, 4]),
        (0.5, 1, 1, [0, 0, 0, 0, 1, 1, 2]),
        (3.0, 1, 1, [0, 0, 0, 3, 6, 9, 12]),
        (1.0, 2, 1, [0, 0, 2, 4, 6, 8, 10]),
        (1.0, 1, 2, [0, 0, 0, 0, 2, 2, 4]),
    ],
)
def test_updates_follow_the_ratio_from_the_end_of_the_warm_up(
    online: Build, utd: float, envs: int, every: int, expected: list[int]
) -> None:
    options = online(utd=utd, envs=envs, update_every=every, warmup=2)
    session = Session(options)
    assert [session.ratio.due(turn) for turn in range(7)] == expected
    session.close()


def test_online_fills_the_replay_and_updates_as_told(online: Build) -> None:
    options = online(steps=60, envs=2, utd=0.5, warmup=20, seeds=(0, 1), eval_episodes=0)
    session = Session(options)
    events = list(loops.online(session))
    assert not any(isinstance(e, Evaluated) for e in events)
    assert session.replay is not None
    assert session.replay.size == 60
    assert [e.updates for e in events if isinstance(e, Metrics)] == [5, 20]
    assert session.agent.step_q.steps == 20
    logged = [e for e in events if isinstance(e, Metrics)][-1]
    assert {"q_loss", "train_return", "train_episodes"} <= set(logged.values)
    # lanes are different, and warm-up actions spread over the box
    rows = session.replay.rows("a")
    assert not torch.equal(rows[0], rows[1])
    assert rows[:, :20].min() < -0.5
    assert rows[:, :20].max() > 0.5
    session.close()


def test_lanes_collect_the_same_in_any_company(online: Build) -> None:
    def replay(seeds: tuple[int, ...], lane: int) -> torch.Tensor:
        session = Session(online(steps=40, warmup=30, seeds=seeds, eval_episodes=0))
        list(loops.online(session))
        session.close()
        assert session.replay is not None
        return session.replay.state_dict()[f"rows.{lane}"]

    company, alone = replay((3, 1, 4), 2), replay((4,), 0)
    assert torch.equal(company[:30], alone[:30])
    torch.testing.assert_close(company, alone, rtol=1e-4, atol=1e-4)


def test_fine_tuning_learns_from_the_dataset_first_and_then_from_both(offline: Build) -> None:
    options = offline(
        env="InvertedPendulum-v5",
        online=True,
        steps=30,
        pretrain=20,
        warmup=10,
        mix=0.25,
        eval_episodes=0,
    )
    session = Session(options)
    seen = []
    for event in loops.finetune(session):
        if isinstance(event, Metrics):
            seen.append((event.step, event.updates))
    assert seen == [(10, 10), (20, 20), (30, 20), (40, 30), (50, 40)]
    assert isinstance(session.engine.source, Mixed)
    assert isinstance(session.engine.source.first, Uniform)
    assert session.engine.source.first.batch_size == 4  # a quarter of 16
    assert session.pretrain is not None
    assert isinstance(session.pretrain.source, Uniform)
    assert session.agent.step_q.steps == 40
    session.close()


def test_saving_between_events_saves_that_very_moment(offline: Build, tmp_path: Path) -> None:
    session = Session(offline(steps=20, eval_episodes=0))
    for event in loops.run(session):
        if isinstance(event, Save) and event.step == 10 and event.write is not None:
            event.write(tmp_path / "saved")
            moment = state.clone(session.agent)
    parts, meta = checkpoint.load(tmp_path / "saved")
    assert (meta["step"], meta["seeds"]) == (10, [0])
    assert all(torch.equal(parts["agent"][name], moment[name]) for name in moment)


def test_groups_are_merged_in_lock_step() -> None:
    first = Metrics(5, 5, {"loss": np.array([1.0])}, "eager")
    second = Metrics(5, 5, {"loss": np.array([2.0, 3.0])}, "eager")
    merged = merge([first, second])
    assert isinstance(merged, Metrics)
    assert merged.values["loss"].tolist() == [1, 2, 3]
    assert merge([Progress(3), Progress(3)]) == Progress(3)
    with pytest.raises(AssertionError, match="out of step"):
        merge([first, second._replace(step=6)])
    with pytest.raises(AssertionError, match="out of step"):
        merge([first, Note("text")])
