"""Environments of one's own: their types, their arguments, their faults."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from rlkit.core.errors import RunError, UsageError
from rlkit.data import datasets
from rlkit.data.formats import minari_io
from rlkit.data.recorder import record, record_episode
from rlkit.envs.checking import check_environment, check_observations
from rlkit.envs.make import make
from rlkit.envs.minigrid import is_view, spec_is_view
from rlkit.eval.rollout import rollout
from rlkit.policy.policy import Policy, read
from rlkit.policy.sb3 import actor
from rlkit.run.collector import Collector
from rlkit.run.policies.evaluation import evaluate_file, evaluate_run
from rlkit.run.policies.export import export
from rlkit.run.preparing import prepare
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options, resolve
from rlkit.run.task import Task
from rlkit.run.train import train

Build = Callable[..., Options]
SMALL = {"hidden": (16, 16), "batch_size": 16}


class Halves(gymnasium.Env):
    """Resets to whole numbers and steps by halves; remembers what it was given."""

    observation_space = spaces.Box(-100, 100, (2,), np.float32)

    def __init__(self, action_space: Any = None, end: int = 4) -> None:
        self.action_space = spaces.Box(-0.3, 0.3, (1,), np.float64)
        if action_space is not None:
            self.action_space = action_space
        self.given: list[Any] = []
        self.end = end

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return np.array([1, 2]), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        self.given.append(action)
        assert self.action_space.contains(action), (action, np.asarray(action).dtype)
        return np.array([1 + self.t / 2, 2.25]), 0.5, self.t >= self.end, False, {}


BOXES = [
    spaces.Box(-0.3, 0.3, (1,), np.float64),
    spaces.Box(-0.1, 0.7, (1,), np.float16),
    spaces.Box(-3, 4, (1,), np.int64),
    spaces.Box(-0.3, 0.3, (1, 1), np.float64),
]


@pytest.fixture
def register() -> Iterator[Callable[..., str]]:
    names: list[str] = []

    def put(kind: Any, **kwargs: Any) -> str:
        names.append(f"rlkit-test/Own{len(names)}-v0")
        gymnasium.register(names[-1], entry_point=kind, kwargs=kwargs)
        return names[-1]

    yield put
    for name in names:
        del gymnasium.registry[name]


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


# --- the environment travels --------------------------------------------------------------------
@pytest.fixture
def heavy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Options]:
    """Options of a training on data of Pendulum with g = 9 and 30 steps an episode."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    (tmp_path / "minari").mkdir()

    def build(eval_spec: EnvSpec | None = None, **given: Any) -> Options:
        env, rng = make("Pendulum-v1", g=9.0, max_episode_steps=30), np.random.default_rng(0)
        episodes = [record_episode(env, lambda o: rng.uniform(-2, 2, 1), n) for n in range(4)]
        where = minari_io.write(
            episodes, "tests/heavy-v0", observation_space=env.observation_space,
            action_space=env.action_space, env_spec=env.spec, overwrite=True,
        )  # fmt: skip
        if eval_spec is not None:
            path = where / "data" / "metadata.json"
            raw = json.loads(path.read_text())
            path.write_text(json.dumps(raw | {"eval_env_spec": eval_spec.to_json()}))
        values: dict[str, Any] = {
            "algo": "bc", "dataset": "tests/heavy-v0", "steps": 2, "out": str(tmp_path / "run"),
            "engine": "eager", "eval_episodes": 1, "quiet": True, "config": SMALL,
        }  # fmt: skip
        return resolve(Options(**values | given))

    return build


def made(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Gravity of each pendulum that steps from now on."""
    from gymnasium.envs.classic_control.pendulum import PendulumEnv

    found, step = [], PendulumEnv.step

    def watched(self: Any, action: Any) -> Any:
        found.append(self.g)
        return step(self, action)

    monkeypatch.setattr(PendulumEnv, "step", watched)
    return found


def test_arguments_and_time_limit_travel_with_run_and_policy(
    heavy: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    train(heavy())
    file = export(tmp_path / "run").path
    assert read(file)[0].env == "Pendulum-v1"
    gravity = made(monkeypatch)
    (episode,) = evaluate_file(file, 1)
    assert (episode.length, set(gravity)) == (30, {9.0})
    gravity.clear()
    episodes, _ = evaluate_run(tmp_path / "run", 1)
    assert (episodes[0].length, set(gravity)) == (30, {9.0})
    (episode,) = evaluate_file(file, 1, env="Pendulum-v1")
    assert episode.length == 200
    assert set(gravity) == {9.0, 10.0}


def test_arguments_of_an_id_travel_too(
    register: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    name = register(entry, g=8.0)
    train(
        Options(
            "sac", env=name, steps=4, warmup=4, utd=0, out=str(tmp_path / "run"), engine="eager",
            eval_episodes=0, quiet=True, config=SMALL,
        )
    )  # fmt: skip
    file = export(tmp_path / "run", checkpoint="last").path
    del gymnasium.registry[name]  # as in a process that never heard of it
    gravity = made(monkeypatch)
    monkeypatch.setattr("rlkit.run.policies.evaluation._LONGEST", 5)
    evaluate_file(file, 1)
    evaluate_run(tmp_path / "run", 1, "last")
    assert set(gravity) == {8.0}
    gymnasium.register(name, entry)


def test_the_environment_named_for_evaluation_is_the_one(
    heavy: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = dataclasses.replace(
        gymnasium.spec("Pendulum-v1"), kwargs={"g": 7.0}, max_episode_steps=50
    )
    gravity = made(monkeypatch)
    options = heavy(named)
    gravity.clear()
    result = train(options)
    assert set(gravity) == {7.0}
    (told,) = [note for note in result.notes if "evaluated in" in note]
    assert "Pendulum-v1 (g 7.0, 50 steps)" in told
    assert "its rows are of Pendulum-v1 (g 9.0, 30 steps)" in told
    episodes, _ = evaluate_run(tmp_path / "run", 1)
    assert episodes[0].length == 50


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


# --- faults -------------------------------------------------------------------------------------
def broken(what: str) -> type[Halves]:
    class Broken(Halves):
        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            obs, info = super().reset(seed=seed)
            if what == "no info":
                return obs
            return (np.zeros(3, np.float32) if what == "shape at reset" else obs), info

        def step(self, action: Any) -> Any:
            obs, reward, terminated, truncated, info = super().step(action)
            if what == "four":
                return obs, reward, terminated, info
            if what == "shape":
                obs = np.zeros(3, np.float32)
            if what == "nan":
                obs = np.array([np.nan, 0.0])
            if what == "reward":
                reward = np.nan
            if what == "raises":
                raise KeyError("torque")
            return obs, reward, terminated, truncated, info

    return Broken


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no info", "was not a tuple of the form"),
        (
            "shape at reset",
            r"`reset\(\)` method is not within.*shape is \(3,\), the space's \(2,\)",
        ),
        ("four", "old step API"),
        ("shape", r"`step\(\)` method is not within.*shape is \(3,\)"),
        ("nan", "is not finite|NaN"),
        ("reward", "NaN"),
        ("raises", "KeyError: 'torque'"),
    ],
)
def test_a_broken_environment_is_refused_in_one_line(
    what: str, message: str, register: Callable[..., str], tmp_path: Path
) -> None:
    name = register(broken(what))
    with pytest.raises(UsageError, match=message) as caught:
        train(Options("sac", env=name, out=str(tmp_path / "run"), quiet=True))
    assert str(caught.value).startswith(f"environment {name}: ")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_what_breaks_later_ends_the_run_by_name(register: Callable[..., str]) -> None:
    class Late(Halves):
        def step(self, action: Any) -> Any:
            obs, reward, *rest = super().step(action)
            return obs, (np.inf if len(self.given) > 30 else reward), *rest

    task, _ = prepare(Options("sac", env=register(Late, end=50)))
    collect = Collector(task, task.spec((3,)), 1)
    collect.reset()
    for _ in range(30):
        collect.step(np.zeros((1, 1, 1), np.float32))
    with pytest.raises(RunError, match=r"the reward inf at step 30 of episode 0 of seed 3"):
        collect.step(np.zeros((1, 1, 1), np.float32))


def test_sound_environments_pass() -> None:
    check_environment(Halves())  # whose reset is of another type than its space
    check_environment(make("MiniGrid-Empty-5x5-v0"))


# --- images -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(0, 1, (7, 7, 3), np.float32),
        spaces.Box(0, 255, (7, 7, 3), np.uint8),
        spaces.Box(0, 255, (84, 84, 3), np.uint8),
        spaces.Box(0, 255, (3, 64, 64), np.uint8),
        spaces.Box(0, 255, (10, 10), np.uint8),
    ],
    ids=str,
)
def test_an_image_is_not_taken_for_a_grid(space: spaces.Box, register: Callable[..., str]) -> None:
    class Picture(gymnasium.Env):
        observation_space = space
        action_space = spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
            return space.sample(), {}

        def step(self, action: Any) -> Any:
            return space.sample(), 0.0, False, False, {}

    with pytest.raises(UsageError, match=r"are an image or a grid"):
        prepare(Options("dqn", env=register(Picture)))


def test_minigrid_is_known_by_what_it_is() -> None:
    env = make("MiniGrid-Empty-5x5-v0")
    assert is_view(env)
    assert env.spec is not None
    assert spec_is_view(env.spec)
    assert prepare(Options("dqn", env="MiniGrid-Empty-5x5-v0"))[0].obs == (7, 7, 3)
    from minigrid.wrappers import FullyObsWrapper, ImgObsWrapper, RGBImgPartialObsWrapper

    plain = gymnasium.make("MiniGrid-Empty-5x5-v0")
    assert is_view(ImgObsWrapper(FullyObsWrapper(plain)))
    picture = ImgObsWrapper(RGBImgPartialObsWrapper(plain, tile_size=1))
    assert picture.observation_space.shape == (7, 7, 3)
    assert not is_view(picture)
    with pytest.raises(ValueError, match="image"):
        check_observations(picture.observation_space, is_view(picture))


def test_a_dataset_of_images_is_refused_before_its_rows_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlkit.data import datasets

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    picture = spaces.Box(0, 255, (7, 7, 3), np.uint8)
    episode = {
        "obs": np.stack([picture.sample() for _ in range(4)]),
        "action": np.array([0, 1, 1]),
        "reward": np.arange(3.0),
        "terminated": np.array([False, False, True]),
        "truncated": np.zeros(3, bool),
    }
    minari_io.write(
        [episode], "tests/pictures-v0", observation_space=picture, action_space=spaces.Discrete(2)
    )
    checked = datasets.check("tests/pictures-v0")
    monkeypatch.setattr(minari_io, "read", lambda name: pytest.fail("rows were read"))
    with pytest.raises(UsageError, match="are an image or a grid") as caught:
        prepare(resolve(Options("cql", dataset="tests/pictures-v0")))
    assert str(caught.value) in checked.problems


def test_a_policy_that_has_no_spaces_is_still_held_to_its_bounds(
    heavy: Build, tmp_path: Path
) -> None:
    train(heavy(eval_episodes=0))
    task = Task.from_json(run_folder.read_config(tmp_path / "run")["task"])
    old = dataclasses.replace(task, spaces=None)
    assert torch.equal(torch.tensor(old.to_env(np.ones((1, 1)))), torch.tensor([[2.0]]))


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
