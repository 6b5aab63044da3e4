"""Environments of one's own: their types, and other spaces than they were trained for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlkit.core.errors import UsageError
from rlkit.data import datasets
from rlkit.data.formats import minari_io
from rlkit.data.recorder import record, record_episode
from rlkit.eval.rollout import rollout
from rlkit.policy.policy import Policy
from rlkit.policy.sb3 import actor
from rlkit.run.collecting.collector import Collector
from rlkit.run.policies.evaluation import evaluate_file, evaluate_run
from rlkit.run.policies.export import export
from rlkit.run.preparing import prepare
from rlkit.run.settings.options import Options, resolve
from rlkit.run.task import Task
from rlkit.run.train import train
from tests.run.environments.own_environment import BOXES, SMALL, Halves


# --- types --------------------------------------------------------------------------------------
def test_a_reset_in_integers_cuts_no_later_observation(register: Callable[..., str]) -> None:
    task, _ = prepare(Options("sac", env=register(Halves)))
    collect = Collector(task, task.spec((0,)), 1)
    collect.reset()
    for t in range(1, 6):
        step = collect.step(np.zeros((1, 1, 1), np.float32))
        assert step.s2[0, 0].tolist() == [1 + ((t - 1) % 4 + 1) / 2, 2.25]
    seen = []

    def act(obs: np.ndarray, slots: Any) -> np.ndarray:
        seen.append(obs[0, 0].tolist())
        return np.zeros((1, 1, 1))

    rollout(act, Halves, 1, [0])
    assert seen == [[1, 2], [1.5, 2.25], [2, 2.25], [2.5, 2.25]]
    episode = record_episode(Halves(), lambda obs: np.zeros(1))
    assert episode["obs"][1:, 0].tolist() == [1.5, 2, 2.5, 3]
    assert episode["obs"].dtype == np.float32


def test_fractions_in_an_integer_space_are_refused_not_cut() -> None:
    class Lying(Halves):
        observation_space = spaces.Box(0, 255, (2,), np.uint8)

    with pytest.raises(ValueError, match="fractions, and its space declares uint8"):
        rollout(lambda obs, slots: np.zeros((1, 1, 1)), Lying, 1, [0])
    with pytest.raises(ValueError, match="fractions"):
        record_episode(Lying(), lambda obs: np.zeros(1))


@pytest.mark.parametrize("box", BOXES, ids=str)
def test_actions_are_of_the_space_wherever_they_are_made(
    box: spaces.Box, register: Callable[..., str]
) -> None:
    task, _ = prepare(Options("sac", env=register(lambda: Halves(box))))
    task = Task.from_json(json.loads(json.dumps(task.to_json())))
    collect = Collector(task, task.spec((0,)), 1)
    collect.reset()
    for a in (-1.0, 1.0, 0.123, -7.0):  # Halves checks them
        step = collect.step(np.full((1, 1, 1), a, np.float32))
        assert step.a.dtype == np.float32
    wild = np.full((1, 1, *box.shape), 9.0, np.float32)
    rollout(lambda obs, slots: wild, lambda: Halves(box), 1, [0])
    model = type("Model", (), {"predict": lambda self, obs, *rest: (wild[0], None)})()
    rollout(actor(model), lambda: Halves(box), 1, [0])
    for sign in (-1, 1):
        episode = record_episode(Halves(box), lambda obs, sign=sign: sign * wild[0, 0])
        assert box.contains(episode["action"][0])
    record(Halves(box), lambda obs: wild[0], steps=3)
    envs = gymnasium.vector.SyncVectorEnv([lambda: Halves(box)] * 2)
    record(envs, lambda obs: np.repeat(wild[0], 2, 0), steps=4)


@pytest.mark.parametrize("box", [*BOXES[:3], spaces.Box(-0.3, 0.3, (), np.float64)], ids=str)
@pytest.mark.filterwarnings("ignore:.*Casting input x to numpy array")  # of gymnasium: a scalar
def test_exported_policies_act_inside_the_space(
    box: spaces.Box, register: Callable[..., str], tmp_path: Path
) -> None:
    options = Options(
        "sac", env=register(lambda: Halves(box)), steps=4, warmup=4, utd=0,
        out=str(tmp_path / "run"), engine="eager", eval_episodes=1, quiet=True, config=SMALL,
    )  # fmt: skip
    train(options)
    file = export(tmp_path / "run").path
    graph = export(tmp_path / "run", onnx=True).path
    policy = Policy.load(file)
    obs = np.random.default_rng(0).normal(0, 1e4, (50, 2)).astype(np.float32)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    for action in (*policy.act(obs), *policy.act(obs, False), *session.run(None, {"obs": obs})[0]):
        assert box.contains(action)
    assert np.isfinite([e.return_ for e in evaluate_file(file, 1)]).all()


def test_observations_of_another_kind_are_refused_though_flat_they_are_alike(
    register: Callable[..., str], tmp_path: Path
) -> None:
    class Parts(Halves):
        def __init__(self, space: spaces.Space) -> None:
            super().__init__(spaces.Box(-1, 1, (1,), np.float32))
            self.observation_space = space
            space.seed(0)

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return self.observation_space.sample(), super().reset(seed=seed)[1]

        def step(self, action: Any) -> Any:
            return self.observation_space.sample(), *super().step(action)[1:]

    one, two = spaces.Discrete(2), spaces.Discrete(3)
    names = [
        register(lambda space=space: Parts(space))
        for space in (spaces.Dict(a=one, b=two), spaces.Tuple((one, two)), spaces.Discrete(5))
    ]
    options = Options(
        "sac", env=names[0], steps=4, warmup=4, utd=0, out=str(tmp_path / "run"), engine="eager",
        eval_episodes=1, quiet=True, config=SMALL,
    )  # fmt: skip
    train(options)
    evaluate_run(tmp_path / "run", 1)
    for other, kind in zip(names[1:], ("Tuple", "Discrete"), strict=True):
        with pytest.raises(UsageError, match=f"observations: {kind} here, Dict there"):
            evaluate_run(tmp_path / "run", 1, env=other)


# --- other spaces -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (spaces.Box(-0.5, 0.3, (1,), np.float64), r"actions: low is -0.5 here, -0.3 there"),
        (spaces.Box(-0.3, 0.3, (1, 1), np.float64), r"actions of shape \(1, 1\)"),
        (spaces.Box(-0.3, 0.3, (1,), np.float32), None),
    ],
)
def test_other_actions_are_refused_by_name(
    other: spaces.Box, message: str | None, register: Callable[..., str], tmp_path: Path
) -> None:
    train(
        Options(
            "sac", env=register(Halves), steps=4, warmup=4, utd=0, out=str(tmp_path / "run"),
            engine="eager", eval_episodes=0, quiet=True, config=SMALL,
        )
    )  # fmt: skip
    file = export(tmp_path / "run", checkpoint="last").path
    elsewhere = register(lambda: Halves(other))
    for evaluate in (
        lambda: evaluate_file(file, 1, env=elsewhere),
        lambda: evaluate_run(tmp_path / "run", 1, "last", env=elsewhere),
    ):
        if message is None:
            evaluate()
            continue
        with pytest.raises(UsageError, match=message):
            evaluate()


def test_other_numbering_and_other_observations_are_refused_by_name(
    register: Callable[..., str], tmp_path: Path
) -> None:
    class Counted(Halves):
        def __init__(self, start: int, high: float = 100.0) -> None:
            super().__init__(spaces.Discrete(3, start=start))
            self.observation_space = spaces.Box(-100, high, (2,), np.float32)

    train(
        Options(
            "dqn", env=register(lambda: Counted(-1)), steps=4, warmup=4, utd=0,
            out=str(tmp_path / "run"),
            engine="eager", eval_episodes=0, quiet=True, config=SMALL,
        )
    )  # fmt: skip
    file = export(tmp_path / "run", checkpoint="last").path
    for kind, message in (
        (lambda: Counted(0), "actions: start is 0 here, -1 there"),
        (lambda: Counted(-1, 50.0), r"observations: high is 50.0 here, 100.0 there"),
    ):
        with pytest.raises(UsageError, match=message):
            evaluate_file(file, 1, env=register(kind))


def test_check_of_a_dataset_says_what_the_training_says(
    register: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    box, starting = spaces.Box(-0.3, 0.3, (1,), np.float64), spaces.Discrete(3, start=5)
    others = {
        "boxes": (box, [spaces.Box(-0.5, 0.5, (1,)), spaces.Box(-0.3, 0.5, (1,))]),
        "numbers": (starting, [spaces.Discrete(3), spaces.Discrete(3, start=6)]),
    }
    for name, (space, wrong) in others.items():
        env = Halves(space)
        space.seed(0)
        draw = lambda obs, space=space: space.sample()  # noqa: E731
        minari_io.write(
            [record_episode(env, draw, n) for n in range(3)], f"tests/{name}-v0",
            observation_space=env.observation_space, action_space=space,
        )  # fmt: skip
        same = spaces.Box(-0.3, 0.3, (1,), np.float32) if space is box else space
        for one in (same, *wrong):
            env_id = register(lambda one=one: Halves(one))
            found = datasets.check(f"tests/{name}-v0", env_id).problems
            asked = resolve(Options("bc", dataset=f"tests/{name}-v0", env=env_id))
            if one is same:  # as float32 knows it
                assert found == ()
                prepare(asked)
                continue
            with pytest.raises(UsageError) as told:
                prepare(asked)
            told_alike = str(told.value).removeprefix("dataset ")
            assert [problem.removeprefix("dataset ") for problem in found] == [told_alike]
