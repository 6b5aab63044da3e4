"""RAVL: what its critics' ensemble is for, and its reductions."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit.algos import mbpo, ravl, sac
from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.proposals import Proposal
from rlkit.algos.imagination.rollout import Hooks, Imagined, Step, roll_out
from rlkit.core import state
from rlkit.core.engine import Engine
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.testing.cases import Case, make_batch

CASE = Case(ravl, config={"n_critics": 4})
SMALL: dict[str, Any] = {
    "n_critics": 3,
    "hidden": (16, 16),
    "batch_size": 32,
    "length": 2,
    "rollouts": 40,
    "model_every": 20,
    "hidden_model": (16, 16),
    "decay_model": (1e-5,),
    "n_models": 3,
    "n_elites": 2,
    "max_epochs": 3,
}


# --- the problem ------------------------------------------------------------------------------


def chain_rows(length: int, states: int) -> list[Imagined]:
    """Rollouts of `length` steps along the chain 0 -> 1 -> ... -> `states`, which is terminal."""

    def right(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        return Proposal(s, a, (s + 1).unsqueeze(1), torch.zeros_like(s[..., 0]).unsqueeze(1))

    def end(step: Step) -> tuple[Tensor, Tensor]:
        ended = step.s2[..., 0] >= states
        return ended, torch.zeros_like(ended)

    spec = Spec(1, 1)
    start = torch.zeros(1, 3, 1)
    hooks = Hooks(right, terminate=end)
    noise = LaneNoise(spec, "test/chain", 0)
    return list(roll_out(lambda s, noise: torch.ones_like(s), hooks, start, length, noise))


def learnt(rows: list[Imagined], q: np.ndarray, gamma: float) -> np.ndarray:
    """Values `[N, states + 1]` after exact backups from rows, towards the least of N members."""
    q = q.copy()
    columns = [
        [x[0].tolist() for x in (r.s[..., 0], r.r, r.terminated, r.s2[..., 0])] for r in rows
    ]
    kept = [r.kept[0].tolist() for r in rows]
    steps = {  # the transitions that a replay would hold
        row
        for step, alive in zip(columns, kept, strict=True)
        for row, there in zip(zip(*step, strict=True), alive, strict=True)
        if there
    }
    for _ in range(12):
        for s, r, terminated, s2 in steps:
            q[:, int(s)] = r + gamma * (not terminated) * q[:, int(s2)].min()
    return q


@pytest.mark.parametrize(("length", "value"), [(4, 3.2805), (2, 4.05), (8, 0.0), (20, 0.0)])
def test_values_at_the_edge_of_reach_stay_what_they_were(length: int, value: float) -> None:
    """No reward anywhere, but V(0) = γ^k Q0 for ever, until rollouts reach the chain's end."""
    q = learnt(chain_rows(length, 8), np.full((1, 9), 5.0), 0.9)
    assert q[0, 0] == pytest.approx(value)


def test_the_least_of_an_ensemble_lowers_them() -> None:
    rng, rows = np.random.default_rng(0), chain_rows(4, 8)
    one, ten = [], []
    for _ in range(200):
        q0 = rng.normal(0, 1, (10, 9))
        one.append(learnt(rows, q0[:1], 0.9)[0, 0])
        ten.append(learnt(rows, q0, 0.9)[0, 0])
    assert np.mean(one) == pytest.approx(0, abs=0.15)
    assert np.mean(ten) == pytest.approx(0.9**4 * -1.54, abs=0.1)  # E min of ten normals: -1.54


# --- the agent --------------------------------------------------------------------------------


def test_two_critics_without_diversity_are_sac() -> None:
    spec, c = CASE.spec(), CASE.make_config(n_critics=2, diversity=0.0)
    ours = CASE.agent(spec, c)
    theirs_config = sac.Config(hidden=(8, 8), batch_size=12)
    theirs = sac.Agent(spec, theirs_config)
    for step in range(10):
        b = make_batch(spec, ours, step)
        ours.update(b, c)
        theirs.update(b, theirs_config)
    mine = state.tensors(ours)
    for name, tensor in state.tensors(theirs).items():
        torch.testing.assert_close(mine[name], tensor, rtol=0, atol=1e-12)


def test_a_single_critic_is_refused() -> None:
    with pytest.raises(ValueError, match="n_critics is 1"):
        CASE.agent(CASE.spec(), CASE.make_config(n_critics=1))


def test_a_fixed_temperature_stays() -> None:
    spec, c = CASE.spec(), CASE.make_config(learn_alpha=False, alpha=0.2)
    agent = CASE.agent(spec, c)
    metrics = agent.update(make_batch(spec, agent, 0), c)
    assert agent.log_alpha().exp().flatten().tolist() == pytest.approx([0.2, 0.2])
    assert metrics["alpha"].tolist() == pytest.approx([0.2, 0.2])


# --- the rows ---------------------------------------------------------------------------------


def stock(spec: Spec) -> Stock:
    rows = Replay(spec, 96, envs=12)
    for step in range(8):
        b = make_batch(spec, None, step)
        no = torch.zeros_like(b.r, dtype=torch.bool)
        rows.add(b.s, b.a, b.r, no, no, b.s2)
    return Stock(spec, Streams(spec.seeds), Transforms(), rows, None, "HalfCheetah-v5")


def advanced(algorithm: Any, **given: Any) -> dict[str, Tensor]:
    """State, metrics and a minibatch of an offline source after two rounds."""
    spec = Spec(5, 3, (3, 0), torch.float64)
    config = resolve(algorithm.Config(**given), spec)
    agent = algorithm.Agent(spec, config)
    source = algorithm.source(stock(spec), agent, config)
    source.begin()
    metrics: dict[str, Tensor] = {}
    for step in (0, 20):
        metrics |= source.advance(step)
    b = source.batch(source.indices(20, 1)[0])
    every = torch.tensor(float(source.every))
    return {**source.state_dict(), **metrics, "s": b.s, "s2": b.s2, "r": b.r, "every": every}


def test_its_rows_are_those_of_mbpo_offline() -> None:
    """No penalty: the same model and rollouts; policies begin alike, critics do not matter."""
    shared = {n: x for n, x in SMALL.items() if n != "length"}
    ours = advanced(ravl, **SMALL)
    theirs = advanced(mbpo, **shared, real_ratio=0.05, retain=5, rollout_schedule=(0, 1, 2, 2))
    for name in ("s", "s2", "r", "model_error", "imagined_rows"):
        assert torch.equal(ours[name], theirs[name]), name


def test_without_rollouts_it_is_model_free() -> None:
    spec = Spec(5, 3, (3, 0))
    config = ravl.Config(**{**SMALL, "real_ratio": 1.0})
    agent = ravl.Agent(spec, config)
    source = ravl.source(stock(spec), agent, config)
    assert isinstance(source, Uniform)
    Engine(agent, config, spec, source).run(0, 2)


def test_an_unknown_task_is_refused_before_work_begins() -> None:
    spec, config = Spec(5, 3), ravl.Config(**SMALL)
    given = stock(spec)._replace(env_id="CartPole-v1")
    with pytest.raises(ValueError, match="no termination rule is known for 'CartPole-v1'"):
        ravl.source(given, ravl.Agent(spec, config), config)
