"""MOPO: its penalty, its reduction to MBPO, and the offline kind of run."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit.algos import mbpo, mopo, ravl
from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.proposals import Proposal, all_members
from rlkit.algos.imagination.rollout import (
    Hooks,
    Step,
    environment_end,
    predicted,
    roll_out,
    sampled,
)
from rlkit.core import state
from rlkit.core.lanes import resolve
from rlkit.core.spec import Box, Spec
from rlkit.core.streams import Streams
from rlkit.data.recorder import record_episode
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.envs.tasks import edge_of_reach
from rlkit.nets.dynamics import Dynamics
from rlkit.run import loops
from rlkit.run.records.events import Metrics, Note, Save
from rlkit.run.session import Session
from rlkit.run.settings.options import Options
from rlkit.run.settings.options import resolve as resolve_options
from rlkit.run.task import Task
from rlkit.testing.cases import make_batch

SPEC = Spec(5, 3, (3, 0), torch.float64)
KINDS: tuple[mopo.Uncertainty, ...] = ("aleatoric", "distance", "spread")
SMALL: dict[str, Any] = {
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


# --- the penalty ------------------------------------------------------------------------------


def ensemble(n: int = 4) -> Dynamics:
    model = Dynamics(SPEC, (8,), n=n, n_elites=2)
    model.elites.copy_(torch.tensor([[2, 0], [1, 2]]))
    return model.requires_grad_(False)


def imagined_step(model: Dynamics) -> Step:
    b = make_batch(SPEC, None, 0)
    alive = torch.ones_like(b.r, dtype=torch.bool)
    p = all_members(model)(b.s, b.a, alive, LaneNoise(SPEC, "x", 0))
    return Step(p.s, p.a, p.r[:, 0], p.s2[:, 0], None, p)


def changed(step: Step, **given: Tensor | None) -> Step:
    return step._replace(proposal=step.proposal._replace(**given))


def members(step: Step) -> tuple[Tensor, Tensor]:
    assert step.proposal.mean is not None
    assert step.proposal.std is not None
    return step.proposal.mean, step.proposal.std


def test_by_hand() -> None:
    """Two members, two dimensions and the reward."""
    mean = torch.tensor([[[1.0, 5.0, 9.0]], [[-1.0, 1.0, 3.0]]]).unsqueeze(0)  # [1, 2, 1, 3]
    std = torch.tensor([[[1.0, 2.0, 2.0]], [[0.0, 0.0, 4.0]]]).unsqueeze(0)
    s = torch.zeros(1, 1, 2)
    proposal = Proposal(s, s, s.unsqueeze(1), torch.zeros(1, 1, 1), mean, std)
    u = {kind: float(mopo.uncertainty(proposal, kind)) for kind in KINDS}
    assert u["aleatoric"] == pytest.approx(4.0)  # |(0, 0, 4)|, not |(1, 2, 2)| = 3
    assert u["distance"] == pytest.approx(5**0.5)  # (0, 3) is the mean, both are (1, 2) away
    assert u["spread"] == pytest.approx(2.5**0.5)  # variances 1 and 4


def test_the_reward_is_the_models_less_the_penalty() -> None:
    step = imagined_step(ensemble())
    _, std = members(step)
    norm = std.square().sum(-1).sqrt().amax(1)
    got = mopo.penalised(2.0)(step)
    torch.testing.assert_close(got, step.r - 2 * norm)
    assert (got < step.r).all()
    own = mopo.penalised(torch.tensor([[0.0], [3.0]]).double())(step)  # a λ for each lane
    assert torch.equal(own[0], step.r[0])
    torch.testing.assert_close(own[1], step.r[1] - 3 * norm[1])


def test_a_duplicate_of_a_member_changes_nothing() -> None:
    step = imagined_step(ensemble())
    mean, std = members(step)
    u = mopo.uncertainty(step.proposal, "aleatoric")
    for k in range(4):
        more = changed(step, mean=mean, std=torch.cat([std, std[:, k : k + 1]], 1))
        assert torch.equal(mopo.uncertainty(more.proposal, "aleatoric"), u)
    twice = step.proposal._replace(mean=mean.repeat(1, 2, 1, 1))
    for kind in KINDS[1:]:
        torch.testing.assert_close(
            mopo.uncertainty(twice, kind), mopo.uncertainty(step.proposal, kind)
        )


def test_it_scales_with_the_deviations_and_is_never_negative() -> None:
    step = imagined_step(ensemble())
    mean, std = members(step)
    scaled = changed(step, mean=7 * mean, std=7 * std).proposal
    for kind in KINDS:
        u = mopo.uncertainty(step.proposal, kind)
        assert (u >= 0).all()
        torch.testing.assert_close(mopo.uncertainty(scaled, kind), 7 * u)


def test_members_that_agree_are_not_penalised_for_distance() -> None:
    step = imagined_step(ensemble())
    mean, _ = members(step)
    alike = changed(step, mean=mean[:, :1].expand_as(mean)).proposal
    for kind in KINDS[1:]:
        torch.testing.assert_close(mopo.uncertainty(alike, kind), torch.zeros(2, 12).double())


def test_a_member_that_is_no_elite_counts() -> None:
    """Member 3 is in no lane's elites: what is drawn stays, what it is worth does not."""
    model = ensemble()
    before = imagined_step(model)
    with torch.no_grad():
        model.min_log_var[:, 3] += 20
    after = imagined_step(model)
    assert torch.equal(after.s2, before.s2)
    assert torch.equal(after.r, before.r)
    assert (mopo.penalised(1.0)(after) < mopo.penalised(1.0)(before) - 1).all()


def test_true_dynamics_are_not_penalised() -> None:
    """Whatever λ is: then nothing stands between MOPO and the edge of reach."""
    spec = Spec(2, 2, (0,))

    def exact(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
        s2, r = edge_of_reach.transition(s, a)
        zeros = torch.zeros(*s2.shape[:1], 1, s2.shape[1], 3)
        return Proposal(s, a, s2.unsqueeze(1), r.unsqueeze(1), zeros, zeros)

    def rewards(hook: Any) -> Tensor:
        agent = mopo.Agent(spec, mopo.Config(hidden=(8,)))
        start, noise = torch.zeros(1, 20, 2), LaneNoise(spec, "x", 0)
        steps = roll_out(sampled(agent), Hooks(exact, reward=hook), start, 4, noise)
        return torch.stack([x.r for x in steps])

    for kind in KINDS:
        assert torch.equal(rewards(mopo.penalised(100.0, kind)), rewards(predicted))


# --- its source -------------------------------------------------------------------------------


def stock(spec: Spec = SPEC) -> Stock:
    rows = Replay(spec, 96, envs=12)
    for step in range(8):
        b = make_batch(spec, None, step)
        no = torch.zeros_like(b.r, dtype=torch.bool)
        rows.add(b.s, b.a, b.r, no, no, b.s2)
    return Stock(spec, Streams(spec.seeds), Transforms(), rows, None, "HalfCheetah-v5")


def advanced(algorithm: Any, **given: Any) -> dict[str, Tensor]:
    """State, metrics and a minibatch of an offline source after two rounds."""
    config = resolve(algorithm.Config(**given), SPEC)
    source = algorithm.source(stock(), algorithm.Agent(SPEC, config), config)
    source.begin()
    metrics: dict[str, Tensor] = {}
    for step in (0, 20):
        metrics |= source.advance(step)
    b = source.batch(source.indices(20, 1)[0])
    every = torch.tensor(float(source.every))
    found = {**source.state_dict(), **metrics, "s": b.s, "s2": b.s2, "r": b.r, "every": every}
    return {name: x.clone() for name, x in found.items()}


def test_without_penalty_it_is_mbpo_offline() -> None:
    shared = {name: x for name, x in SMALL.items() if name != "length"}
    ours = advanced(mopo, **SMALL, penalty=0.0)
    theirs = advanced(
        mbpo, **shared, retain=5, rollout_schedule=(0, 1, 2, 2), entropy=-1.0, lr=1e-4
    )
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-9, atol=1e-9)


def test_the_penalty_lowers_imagined_rewards_and_touches_nothing_else() -> None:
    plain, ours = (advanced(mopo, **SMALL, penalty=weight) for weight in (0.0, 4.0))
    real = 2  # of 32 rows
    assert torch.equal(ours["r"][:, :real], plain["r"][:, :real])
    assert (ours["r"][:, real:] < plain["r"][:, real:]).all()
    for name in ("s", "s2", "imagined_rows", "model_error"):
        assert torch.equal(ours[name], plain[name])


BASES: dict[Any, dict[str, Tensor]] = {}
OF_BOTH: list[tuple[str, Any]] = [
    ("length", 3),
    ("real_ratio", 0.5),
    ("model_every", 21),
    ("rollouts", 41),
    ("retain", 1),
    ("n_models", 4),
    ("n_elites", 1),
    ("hidden_model", (16, 15)),
    ("lr_model", 2e-3),
    ("decay_model", (1e-2,)),
    ("batch_model", 16),
    ("holdout", 0.3),
    ("max_holdout", 5),
    ("max_epochs", 4),
]


@pytest.mark.parametrize(
    ("algorithm", "name", "value"),
    [
        (mopo, "penalty", 1.0),
        (mopo, "penalty", (2.5, 1.0)),
        (mopo, "uncertainty", "distance"),
        (mopo, "uncertainty", "spread"),
        (ravl, "deterministic", True),
        *((algorithm, *setting) for algorithm in (mopo, ravl) for setting in OF_BOTH),
    ],
    ids=lambda x: x.__name__.rpartition(".")[2] if hasattr(x, "__name__") else str(x),
)
def test_every_setting_of_the_source_matters(algorithm: Any, name: str, value: Any) -> None:
    if algorithm not in BASES:
        BASES[algorithm] = advanced(algorithm, **SMALL)
    assert differ(BASES[algorithm], advanced(algorithm, **{**SMALL, name: value}))


def differ(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() != other.keys() or any(
        one[n].shape != other[n].shape or not torch.equal(one[n], other[n]) for n in one
    )


def test_a_deterministic_model_can_be_penalised_for_its_spread() -> None:
    given = {**SMALL, "uncertainty": "spread"}
    plain = advanced(mopo, **given)
    found = advanced(mopo, **given, deterministic=True)
    assert differ(plain, found)
    lowered = advanced(mopo, **given, deterministic=True, penalty=50.0)
    assert (lowered["r"][:, 2:] < found["r"][:, 2:]).all()
    config = mopo.Config(deterministic=True)
    with pytest.raises(ValueError, match="set uncertainty to"):
        mopo.source(stock(), mopo.Agent(SPEC, config), config)


@pytest.mark.parametrize("algorithm", [mopo, ravl])
def test_patience_matters(algorithm: Any) -> None:
    """Without learning the score never improves: a fit of more patience takes more epochs."""
    epochs = [
        advanced(algorithm, **SMALL, lr_model=1e-30, patience=patience)["model_epochs"].tolist()
        for patience in (0, 1)
    ]
    assert epochs == [[2, 2], [3, 3]]


def test_with_real_rows_only_there_is_no_model() -> None:
    config = mopo.Config(**{**SMALL, "real_ratio": 1.0})
    assert isinstance(mopo.source(stock(), mopo.Agent(SPEC, config), config), Uniform)


def test_an_unknown_task_is_refused_before_work_begins() -> None:
    config = mopo.Config(**SMALL)
    given = stock()._replace(env_id="CartPole-v1")
    with pytest.raises(ValueError, match="no termination rule is known for 'CartPole-v1'"):
        mopo.source(given, mopo.Agent(SPEC, config), config)


def test_the_tasks_own_rule_ends_rollouts() -> None:
    """Rows of a learnt model of Hopper end where Hopper would fall."""
    spec = Spec(11, 3, (0,), torch.float64)
    end = environment_end("Hopper-v5", Transforms(), spec)
    rows = Replay(spec, 40, envs=40)
    s = torch.randn(1, 40, 11, generator=torch.Generator().manual_seed(0)).double() * 0.05
    s[..., 0] += 1.2
    no = torch.zeros(1, 40, dtype=torch.bool)
    rows.add(s, torch.zeros(1, 40, 3).double(), torch.zeros(1, 40).double(), no, no, s)
    given = Stock(spec, Streams(spec.seeds), Transforms(), rows, None, "Hopper-v5")
    config = mopo.Config(**SMALL)
    source: Any = mopo.source(given, mopo.Agent(spec, config), config)
    source.begin()
    source.advance(0)
    imagined = source.imagined.replay.rows
    step = imagined_step(ensemble())._replace(s2=imagined("s2"), r=imagined("r"))
    ended, _ = end(step)
    kept = imagined("kept") > 0
    assert torch.equal((imagined("cont") == 0)[kept], ended[kept])


# --- an offline run ---------------------------------------------------------------------------


def recorded() -> tuple[Task, EpisodeStore]:
    """Random episodes of a pendulum."""
    env, rng = gymnasium.make("InvertedPendulum-v5"), np.random.default_rng(0)
    space = env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    episodes = [
        record_episode(env, lambda obs: rng.uniform(-3, 3, 1).astype(np.float32), seed)
        for seed in range(20)
    ]
    store = EpisodeStore.from_episodes(episodes)
    env.close()
    transforms = Transforms(action_low=space.low, action_high=space.high)
    return Task((4,), Box(1), transforms, "InvertedPendulum-v5", None, (1,)), store


@pytest.mark.parametrize("algorithm", ["mopo", "ravl"])
def test_a_run_fits_once_rolls_out_and_resumes_bit_for_bit(tmp_path: Path, algorithm: str) -> None:
    task, store = recorded()
    options = resolve_options(
        Options(
            algorithm,
            dataset="tests/pendulum-v0",
            seeds=(0, 3),
            steps=50,
            engine="eager",
            eval_every=0,
            eval_episodes=0,
            log_every=10,
            checkpoint_every=25,
            out=str(tmp_path),
            config={**SMALL, **({"n_critics": 3} if algorithm == "ravl" else {})},
        )
    )
    straight = Session(options, task, store)
    saved, seen, notes = tmp_path / "saved", list[dict[str, Any]](), list[str]()
    for event in loops.run(straight):
        if isinstance(event, Save) and event.step == 25:
            event.write(saved)
        if isinstance(event, Metrics):
            seen.append(event.values)
        if isinstance(event, Note):
            notes.append(event.text)
    assert notes == ["fitting the dynamics model to the dataset"]
    assert len({float(values["model_error"][0]) for values in seen}) == 1  # one fit
    rows = [float(values["imagined_rows"][0]) for values in seen]
    assert rows[0] == rows[1] < rows[2] == rows[3] < rows[4]  # rounds at 0, 20 and 40
    again = Session(options, task, store)
    step, note = again.load(saved)
    assert (step, note) == (25, "")
    assert not [event for event in loops.run(again, step) if isinstance(event, Note)]
    for mine, theirs in (
        (state.tensors(again.agent), state.tensors(straight.agent)),
        (again.source.state_dict(), straight.source.state_dict()),  # type: ignore[attr-defined]
    ):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    straight.close()
    again.close()
