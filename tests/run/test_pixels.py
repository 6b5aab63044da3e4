"""Trainings on images: online, from a dataset, resumed, exported, refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

import rlkit
from rlkit.core.errors import UsageError
from rlkit.data import datasets
from rlkit.data.formats import minari_io
from rlkit.envs.make import make
from rlkit.policy.policy import Policy
from rlkit.run import loops
from rlkit.run.preparing import prepare
from rlkit.run.session import Session
from rlkit.run.settings.fits import algorithms, shipped
from rlkit.run.settings.options import Options, resolve
from rlkit.run.train import resume, train

SMALL: dict[str, Any] = {"hidden": (8,), "batch_size": 8}
ENVS = {"discrete": "rlkit/CatchPixels-v0", "continuous": "rlkit/CatchPixelsContinuous-v0"}
PIXELS = [name for name in algorithms() if "pixels" in shipped(name)]


def options(algo: str = "dqn", **given: Any) -> Options:
    usual: dict[str, Any] = {"env": ENVS["discrete"], "steps": 40, "warmup": 10, "seeds": (0, 1)}
    usual |= {"eval_episodes": 0, "log_every": 20, "quiet": True, "config": SMALL}
    return resolve(Options(algo, **usual | given))


def played(folder: Path) -> float:
    """Mean return of 40 episodes."""
    return float(np.mean([episode.return_ for episode in rlkit.evaluate(folder, episodes=40)]))


def follow(env: Any) -> int:
    """-1, 0 or 1: towards the ball."""
    inner = env.unwrapped
    return int(np.sign(inner.ball[1] - inner.paddle))


@pytest.fixture(scope="module", params=["discrete", "continuous"])
def dataset(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Games that are won, and what their actions are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("minari")))
        kind = request.param
        env, episodes = make(ENVS[kind]), []
        for seed in range(60):
            seen, actions, rewards = [env.reset(seed=seed)[0]], [], []
            for _ in range(9):
                move = follow(env)
                action = move + 1 if kind == "discrete" else np.array([0.9 * move], np.float32)
                actions.append(action)
                obs, reward, *_ = env.step(action)
                seen.append(obs)
                rewards.append(reward)
            flags = {"terminated": np.arange(9) == 8, "truncated": np.zeros(9, bool)}
            rows = {"action": np.array(actions), "reward": np.array(rewards, float)}
            episodes.append({"obs": np.stack(seen), **rows, **flags})
        name = f"tests/catch-{kind}-v0"
        minari_io.write(
            episodes,
            name,
            observation_space=env.observation_space,
            action_space=env.action_space,
            env_spec=env.spec,
        )
        yield kind, name


def test_a_dataset_of_images_is_checked_and_stays_uint8(dataset: Any) -> None:
    kind, name = dataset
    found = datasets.check(name)
    assert found.ok, found.problems
    algo = "cql_discrete" if kind == "discrete" else "iql"
    given = resolve(Options(algo, dataset=name, steps=2, config=SMALL))
    task, store = prepare(given)
    assert task.image
    assert store is not None
    assert store.obs.dtype == np.uint8
    session = Session(given, task, store)
    batch = session.source.batch(session.source.indices(0, 1)[0])
    assert batch.s.dtype == torch.uint8
    assert batch.s.shape == (1, 8, 10, 10)
    session.close()


def test_cloning_wins_the_game(dataset: Any, tmp_path: Path) -> None:
    kind, name = dataset
    config: dict[str, Any] = {"hidden": (32,), "batch_size": 64, "lr": 2e-3}
    config |= {} if kind == "discrete" else {"policy": "deterministic"}
    run = train(
        Options(
            "bc", dataset=name, steps=250, config=config, eval_episodes=20, quiet=True,
            eval_every=0, out=str(tmp_path / "run"),
        )
    )  # fmt: skip
    assert played(run.folder) >= 0.8  # the best is 1


@pytest.mark.parametrize("algo", PIXELS)
def test_every_agent_that_takes_images_learns_from_them(
    algo: str, dataset: Any, tmp_path: Path
) -> None:
    kind, name = dataset
    if kind not in shipped(algo) or "offline" not in shipped(algo):
        pytest.skip("of the other actions")
    given = resolve(Options(algo, dataset=name, steps=4, config=SMALL, shift=2, eval_episodes=1,
        out=str(tmp_path / "run"), quiet=True, log_every=2))  # fmt: skip
    folder = train(given).folder
    policy = rlkit.load(folder)
    env = make(ENVS[kind])
    obs, _ = env.reset(seed=0)
    for suffix in ("safetensors", "onnx"):
        made = rlkit.export(folder, tmp_path / f"policy.{suffix}")
        assert made.difference <= 1e-4
    loaded = Policy.load(tmp_path / "policy.safetensors")
    assert loaded.card.image
    np.testing.assert_allclose(loaded.act(obs[None]), policy.act(obs[None]), atol=1e-4)


@pytest.mark.parametrize("algo", ["dqn", "sac", "td3"])
def test_rows_collected_are_images_and_a_resumed_run_goes_on_bit_for_bit(
    algo: str, tmp_path: Path, digests: Callable[[Path], dict[str, str]]
) -> None:
    kind = "discrete" if algo == "dqn" else "continuous"
    given: dict[str, Any] = {"env": ENVS[kind], "workers": 1, "eval_episodes": 1, "eval_every": 20}
    given |= {"capacity": 24, "shift": 2}
    whole = train(options(algo, **given, out=str(tmp_path / "whole"))).folder
    part = train(options(algo, **given, steps=20, out=str(tmp_path / "part"))).folder
    resume(part, 40, quiet=True)
    assert digests(part) == digests(whole)


def test_stacked_frames_are_learnt_from() -> None:
    session = Session(options(env="rlkit/CatchPixelsDrift-v0", envs=2))
    list(loops.run(session))
    assert session.replay is not None
    frames = session.replay.column("s", torch.arange(10).expand(2, -1))
    assert frames.shape == (2, 10, 2, 10, 10)
    assert set(frames.unique().tolist()) == {0, 255}
    session.close()


def test_a_shift_of_nothing_is_none() -> None:
    def parameters(**given: Any) -> dict[str, torch.Tensor]:
        session = Session(options(**given))
        list(loops.run(session))
        found = {name: x.clone() for name, x in session.agent.state_dict().items()}
        session.close()
        return found

    plain, none, some = parameters(), parameters(shift=0), parameters(shift=2)
    assert all(torch.equal(plain[name], none[name]) for name in plain)
    assert not all(torch.equal(plain[name], some[name]) for name in plain)


def test_the_replay_ratio_watches_the_hidden_units_behind_the_image() -> None:
    session = Session(options(seeds=(0,), utd=0.25, utd_later=1.0, steps=20))
    list(loops.run(session))
    session.ratio.sum, session.ratio.count = 0.0, 0
    session.ratio.watch(session.source.batch(session.source.indices(0, 1)[0]))
    assert 0 < session.ratio.sum < 1
    assert session.ratio.count == 1
    session.close()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"algo": "mbpo", "env": ENVS["continuous"]}, "mbpo takes no images.*those that do: bc, "),
        ({"env": "CartPole-v1", "shift": 2}, "shift moves images; the observations of CartPole-v1"),
        ({"env": ENVS["discrete"], "shift": 10}, "shift 10 would move .* 10 x 10, out of sight"),
    ],
)
def test_what_does_not_go_together_is_said(given: dict[str, Any], said: str) -> None:
    given = {"algo": "dqn"} | given
    config = {} if given["algo"] == "mbpo" else SMALL
    with pytest.raises(UsageError, match=said):
        Session(options(**given, config=config))


def test_normalised_images_are_refused(dataset: Any) -> None:
    given = resolve(Options("bc", dataset=dataset[1], normalise_obs=True, config=SMALL))
    with pytest.raises(UsageError, match="normalise_obs is for vectors"):
        prepare(given)


def test_an_own_algorithm_that_says_nothing_gets_what_it_asks_for() -> None:
    space = make(ENVS["discrete"]).observation_space
    assert isinstance(space, spaces.Box)
    task, _ = prepare(options())
    assert (task.obs, task.image) == ((10, 10), True)
    assert type(task).from_json(task.to_json()).image


@pytest.mark.slow
def test_a_deep_q_network_wins_the_game(tmp_path: Path) -> None:
    config = {"hidden": (64,), "batch_size": 32, "lr": 2e-3, "gamma": 0.9, "epsilon_last": 0.02}
    run = train(
        Options(
            "dqn", env=ENVS["discrete"], steps=4000, warmup=300, utd=0.5, quiet=True,
            config=config | {"epsilon_updates": 300}, out=str(tmp_path / "run"), eval_every=2000,
        )
    )  # fmt: skip
    assert played(run.folder) >= 0.8
