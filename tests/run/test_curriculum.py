"""Tasks that a teacher chooses while an agent collects."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

import rlkit
from rlkit.algos.bandits.teachers import AlpGmm, RandomTeacher, Riac
from rlkit.algos.bandits.teachers.by_name import TEACHERS, read
from rlkit.cli.main import main
from rlkit.core.errors import UsageError
from rlkit.envs.tasks.contextual import Contextual
from rlkit.eval.records import read_episodes
from rlkit.run import loops
from rlkit.run.session import Session
from rlkit.run.settings.options import Options, resolve
from rlkit.run.settings.plan import settled
from rlkit.run.train import train

ENV = "rlkit/CartPoleTasks-v1"
Build = Callable[..., Options]


def taught(online: Build, **given: Any) -> Options:
    usual = {"algo": "dqn", "env": ENV, "steps": 300, "eval_every": 150, "capacity": 300}
    return online(**usual | {"curriculum": "alp_gmm:fit_rate=12", "envs": 2} | given)


def played(options: Options, lanes: list[int] | None = None) -> Session:
    session = Session(options, lanes=lanes)
    for _ in loops.run(session):
        pass
    return session


@pytest.mark.parametrize("name", TEACHERS)
def test_every_episode_has_its_teachers_task_and_tells_its_return(
    name: str, online: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Any, np.ndarray, float]] = []
    kind = TEACHERS[name][0]
    update = kind.update

    def noted(self: Any, task: np.ndarray, outcome: float) -> None:
        told.append((self, np.array(task), outcome))
        update(self, task, outcome)

    monkeypatch.setattr(kind, "update", noted)
    session = played(taught(online, curriculum=name, seeds=(0, 3), eval_episodes=0))
    replay, teaching = session.replay, session.teaching
    assert replay is not None
    assert teaching is not None
    low, high = (np.array(x) for x in ([0.1, 0.05, 1.0], [2.0, 1.0, 20.0]))
    rows = {n: replay.rows(n).numpy() for n in ("s", "r", "last")}
    for k in range(2):
        mine = [(t, r) for who, t, r in told if who is teaching.teachers[k]]
        found = []
        for e in range(2):  # rows of an environment in order: what its episodes were of
            s, r, last = (rows[n][k, e::2] for n in ("s", "r", "last"))
            first = 0
            for end in np.flatnonzero(last):
                assert (s[first : end + 1, 4:] == s[first, 4:]).all()
                task = low + (s[first, 4:].astype(float) + 1) / 2 * (high - low)
                found.append((end, e, task, r[first : end + 1].sum()))
                first = end + 1
        assert len(found) == len(mine) > 3
        for (_, _, task, total), (given, outcome) in zip(
            sorted(found, key=str2), mine, strict=True
        ):
            np.testing.assert_allclose(task, given, rtol=1e-4)
            assert total == outcome
    assert not np.allclose(teaching.tasks[0], teaching.tasks[1])
    # lanes are the same in any company
    alone = played(taught(online, curriculum=name, seeds=(0, 3), eval_episodes=0), [1])
    assert alone.teaching is not None
    np.testing.assert_array_equal(alone.teaching.tasks[0], teaching.tasks[1])


def str2(row: tuple[Any, ...]) -> tuple[int, int]:
    return row[0], row[1]


def test_a_resumed_run_is_the_same_bit_for_bit(
    online: Build, digests: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    straight = taught(online, out=str(tmp_path / "straight"))
    train(straight)
    half = dataclasses.replace(straight, steps=150, out=str(tmp_path / "half"))
    train(half)
    rlkit.resume(half.folder(), steps=300, quiet=True)
    assert digests(half.folder()) == digests(straight.folder())
    assert any("teaching" in name for name in digests(half.folder()))


def test_evaluations_play_a_fixed_set_of_tasks_whatever_the_teacher(online: Build) -> None:
    options = taught(online, steps=40, warmup=40, utd=0.0, eval_every=20, eval_episodes=3)
    session = Session(options)
    seen: list[np.ndarray] = []
    assert session.evaluator is not None
    act = session.act

    def watched(obs: np.ndarray, slots: Any) -> np.ndarray:
        if not slots.t.any():
            seen.append(obs[0, :, 4:].copy())
        return act(obs, slots)

    for _ in range(2):
        session.evaluator(watched, 3)
        assert session.teaching is not None
        session.teaching.begin(0, 0)
    session.close()
    assert len(np.unique(seen[0], axis=0)) == 3
    np.testing.assert_array_equal(seen[0], seen[1])


def test_the_command_line_trains_with_a_teacher(tmp_path: Path) -> None:
    out = tmp_path / "run"
    line = f"train sac --env rlkit/PendulumTasks-v1 --curriculum riac:points=4 --out {out} --quiet"
    main([*line.split(), "--steps", "450", "--warmup", "440", "--eval-episodes", "1"])
    assert len(read_episodes(out / "episodes.csv")) >= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"curriculum": "alp_gm"}, "unknown teacher 'alp_gm'; did you mean 'alp_gmm'"),
        ({"curriculum": "riac:fit_rate=3"}, "teacher riac: no setting 'fit_rate'"),
        ({"curriculum": "random:points=3"}, "it has none"),
        ({"curriculum": "alp_gmm:fit_rate=0"}, "teacher alp_gmm: fit_rate is 0"),
        ({"curriculum": "alp_gmm:worst=1"}, "give worst and best together"),
        ({"curriculum": "alp_gmm:worst=1,best=0"}, "returns run from 1.0 to 0.0"),
        ({"levels": 3}, "levels and curriculum both choose"),
        ({"algo": "sb3:dqn", "config": None}, "rlkit's own agents"),
        ({"env": "CartPole-v1"}, "CartPole-v1 has no task_space"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str, online: Build) -> None:
    with pytest.raises(UsageError, match=message):
        settled(taught(online, **change))


def test_a_dataset_alone_has_no_curriculum(offline: Build) -> None:
    with pytest.raises(UsageError, match="curriculum is for what collects"):
        resolve(offline(curriculum="riac"))


def test_returns_are_the_tasks_own_or_as_told(register: Callable[..., str], online: Build) -> None:
    def untold() -> gymnasium.Env:
        return Contextual(gymnasium.make("CartPole-v1").unwrapped, {"length": (0.1, 1.0)})

    name = register(untold)
    with pytest.raises(UsageError, match="alp_gmm:worst=LOW,best=HIGH"):
        settled(taught(online, env=name, curriculum="alp_gmm"))
    settled(taught(online, env=name, curriculum="random"))  # uses no returns
    options = taught(online, env=name, curriculum="alp_gmm:worst=-5,best=70")
    session = Session(options)
    assert session.teaching is not None
    assert session.teaching.teachers[0].box.best == 70  # type: ignore[attr-defined]
    session.close()


def test_teachers_by_name() -> None:
    low, high = np.zeros(2), np.ones(2)
    made = read("riac:points=10,leaves_only=True").make(low, high, (0.0, 2.0), 5)
    assert isinstance(made, Riac)
    assert (made.config.points, made.config.leaves_only) == (10, True)
    assert (made.seed, made.box.best) == (5, 2.0)
    alp = read("alp_gmm").make(low, high, (0.0, 2.0), 0)
    assert isinstance(alp, AlpGmm)
    assert isinstance(read("random").make(low, high, (0.0, 2.0), 0), RandomTeacher)
