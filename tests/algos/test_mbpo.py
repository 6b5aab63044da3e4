"""MBPO: its agent is SAC, its rows come from a model."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit.algos import lipschitz_model, mbpo, sac
from rlkit.core import state
from rlkit.core.engine import Engine
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.run import loops
from rlkit.run.records.events import Metrics, Save
from rlkit.run.session import Session
from rlkit.run.settings.options import Options
from rlkit.testing.cases import make_batch

SMALL: dict[str, Any] = {
    "hidden": (16, 16),
    "batch_size": 32,
    "rollouts": 40,
    "hidden_model": (16, 16),
    "decay_model": (1e-5,),
    "n_models": 3,
    "n_elites": 2,
    "max_epochs": 3,
    "model_every": 20,
}
ONE_OF_THREE = {**SMALL, "n_models": 1, "n_elites": 1}


def stock(spec: Spec) -> Stock:
    replay = Replay(spec, 120, envs=12)
    for step in range(8):
        b = make_batch(spec, None, step)
        no = torch.zeros_like(b.r, dtype=torch.bool)
        replay.add(b.s, b.a, b.r, no, no, b.s2)
    return Stock(spec, Streams(spec.seeds), Transforms(), None, replay, "HalfCheetah-v5")


def test_with_real_rows_only_it_is_sac_bit_for_bit() -> None:
    spec = Spec(5, 3, (3, 0))
    given = stock(spec)
    config = mbpo.Config(real_ratio=1.0, entropy=-1.0, hidden=(8, 8), batch_size=16)
    ours = mbpo.Agent(spec, config)
    assert given.replay is not None
    plain = sac.Config(hidden=(8, 8), batch_size=16)
    theirs = sac.Agent(spec, plain)
    Engine(ours, config, spec, mbpo.source(given, ours, config)).run(0, 20)
    Engine(theirs, plain, spec, Uniform(given.replay, 16, given.streams)).run(0, 20)
    mine = state.tensors(ours)
    for name, tensor in state.tensors(theirs).items():
        assert torch.equal(mine[name], tensor), name


def test_every_setting_of_sac_has_the_same_default_but_the_entropy() -> None:
    theirs = {f.name: f.default for f in dataclasses.fields(sac.Config)}
    ours = {f.name: f.default for f in dataclasses.fields(mbpo.Config)}
    assert {name for name in theirs if ours.get(name, ...) != theirs[name]} == {"entropy"}


def advanced(algorithm: Any, **given: Any) -> dict[str, Tensor]:
    """State, metrics and a minibatch of a source after two rounds."""
    spec = Spec(5, 3, (3, 0), torch.float64)
    config = resolve(algorithm.Config(**given), spec)
    agent = algorithm.Agent(spec, config)
    source = algorithm.source(stock(spec), agent, config)
    metrics: dict[str, Tensor] = {}
    for step in (0, 20):
        metrics |= source.advance(step)
    b = source.batch(source.indices(20, 1)[0])
    every = torch.tensor(float(source.every))
    return {**source.state_dict(), **metrics, "s": b.s, "s2": b.s2, "every": every}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("real_ratio", 0.5),
        ("model_every", 21),
        ("rollouts", 41),
        ("rollout_schedule", (0, 1, 2, 2)),
        ("retain", 1),
        ("n_models", 4),
        ("n_elites", 1),
        ("deterministic", True),
        ("hidden_model", (16, 15)),
        ("lr_model", 2e-3),
        ("lr_model", (1e-3, 2e-3)),
        ("decay_model", (1e-2,)),
        ("batch_model", 16),
        ("holdout", 0.3),
        ("max_holdout", 5),
        ("patience", 0),
        ("max_epochs", 4),
    ],
)
def test_every_setting_of_the_model_matters(name: str, value: Any) -> None:
    context = {"patience": {"lr_model": 1e-30}}.get(name, {})
    base = advanced(mbpo, **{**SMALL, **context})
    changed = advanced(mbpo, **{**SMALL, **context, name: value})
    same = base.keys() == changed.keys() and all(
        base[n].shape == changed[n].shape and torch.equal(base[n], changed[n]) for n in base
    )
    assert not same


def test_a_single_deterministic_model_has_the_same_source() -> None:
    assert lipschitz_model.source is mbpo.source
    ours = advanced(lipschitz_model, **ONE_OF_THREE)
    assert ours["model.weights.0"].shape[1] == 1
    assert not any("log_var" in name for name in ours)


def test_an_unknown_task_is_refused_before_work_begins() -> None:
    spec = Spec(5, 3)
    config = mbpo.Config(**SMALL)
    given = stock(spec)._replace(env_id="CartPole-v1")
    with pytest.raises(ValueError, match="no termination rule is known for 'CartPole-v1'"):
        mbpo.source(given, mbpo.Agent(spec, config), config)


def options(tmp_path: Path, **given: Any) -> Options:
    base: dict[str, Any] = {
        "algo": "mbpo",
        "env": "InvertedPendulum-v5",
        "seeds": (0, 3),
        "steps": 70,
        "warmup": 30,
        "utd": 2.0,
        "engine": "eager",
        "eval_every": 0,
        "eval_episodes": 0,
        "log_every": 10,
        "checkpoint_every": 50,
        "out": str(tmp_path),
        "config": SMALL,
    }
    return Options(**{**base, **given})


def test_a_run_fits_rolls_out_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    """Rounds fall on the end of the warm-up and on every 20th step after it."""
    straight = Session(options(tmp_path))
    saved, seen = tmp_path / "saved", list[dict[str, Any]]()
    for event in loops.run(straight):
        if isinstance(event, Save) and event.step == 50:
            event.write(saved)
        if isinstance(event, Metrics):
            seen.append(event.values)
    assert [("model_error" in values) for values in seen] == [False, False] + [True] * 5
    rounds = [float(values["imagined_rows"][0]) for values in seen[2:]]
    assert rounds == [40, 80, 80, 120, 120]
    assert all(values["q_loss"].shape == (2,) for values in seen[3:])  # updates begin a step later
    again = Session(options(tmp_path))
    step, note = again.load(saved)
    assert (step, note) == (50, "")
    for _ in loops.run(again, step):
        pass
    for mine, theirs in (
        (state.tensors(again.agent), state.tensors(straight.agent)),
        (again.source.state_dict(), straight.source.state_dict()),  # type: ignore[attr-defined]
    ):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    straight.close()
    again.close()


def test_its_run_defaults_are_the_papers() -> None:
    assert mbpo.RUN == {"utd": 20.0, "warmup": 5000}
