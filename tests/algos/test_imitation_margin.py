"""Cloning in action values while they are learnt: the margin loss, its rows, its reduction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rlkit
from rlkit.algos import dqn
from rlkit.algos.imitation.margin import copies_margin_loss, margin_loss
from rlkit.core import state
from rlkit.core.errors import UsageError
from rlkit.core.lanes import resolve
from rlkit.data.formats import minari_io
from rlkit.run.policies.recording import record
from rlkit.run.session import Session
from rlkit.run.settings.options import Options
from rlkit.run.settings.options import resolve as checked
from rlkit.testing.cases import Case

EMPTY = "MiniGrid-Empty-Random-5x5-v0"


def test_the_loss_by_hand() -> None:
    q = torch.tensor([[1.0, 0.5, 0.0], [0.0, 2.0, 1.9], [0.3, 0.3, 0.3], [5.0, 0.0, 0.0]])
    a, expert = torch.tensor([0, 1, 2, 1]), torch.tensor([1.0, 1.0, 1.0, 0.0])
    # leads by 0.5: 0.3 short of the margin; leads by 0.1; leads by nothing; not an expert's
    expected = ((0.5 + 0.8 - 1.0) + (1.9 + 0.8 - 2.0) + 0.8) / 4
    assert margin_loss(q, a, expert, 0.8) == pytest.approx(expected)
    assert margin_loss(q[:1], a[:1], expert[:1], 0.5) == 0
    assert margin_loss(q[:1], a[:1], expert[:1], 0.4) == 0


def test_copies_and_lanes_have_their_own() -> None:
    spec = Case(dqn, discrete=True).spec((0, 1))
    case = Case(dqn, discrete=True, config={"imitation": 1.0, "copies": 2})
    b = case.make_batch(spec, case.agent(spec, case.make_config()), 0)
    q = torch.randn(2, 2, *b.a.shape[1:], 3, generator=torch.Generator().manual_seed(0)).double()
    margins = torch.tensor([[0.5], [1.5]]).double()
    found = copies_margin_loss(q, b, margins)
    assert b.expert is not None
    for k in range(2):
        own = sum(margin_loss(q[k, i], b.a[k], b.expert[k], float(margins[k])) for i in range(2))
        assert found[k] == pytest.approx(float(own))


def test_without_an_experts_rows_it_is_dqn() -> None:
    plain = Case(dqn, discrete=True, config={"target_period": 2})
    cloning = Case(dqn, discrete=True, config={"target_period": 2, "imitation": 3.0})
    spec = plain.spec()
    agents = [case.agent(spec, case.make_config()) for case in (plain, cloning)]
    for step in range(4):
        b = plain.make_batch(spec, agents[0], step)
        for agent, case in zip(agents, (plain, cloning), strict=True):
            c = resolve(case.make_config(), spec)
            none = b._replace(expert=torch.zeros_like(b.r))
            agent.update(none, c, target=step % 2 == 1)
    ours, theirs = (state.tensors(agent) for agent in agents)
    for name, tensor in theirs.items():
        torch.testing.assert_close(tensor, ours[name], rtol=1e-13, atol=1e-13)


def test_the_weight_ends_when_it_is_told_to() -> None:
    case = Case(dqn, discrete=True, config={"imitation": 2.0, "imitation_updates": 3})
    spec = case.spec()
    agent, c = case.agent(spec, case.make_config()), resolve(case.make_config(), spec)
    weights = []
    for step in range(5):
        weights.append(float(agent.imitation(c)))
        agent.update(case.make_batch(spec, agent, step), c)
    assert weights == [2, 2, 2, 0, 0]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Shortest paths to the goal on four training levels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", str(tmp_path_factory.mktemp("minari")))
        record("planner", "tests/shown-v0", episodes=30, env=EMPTY, levels=4)
        yield "tests/shown-v0"


def options(dataset: str, **given: Any) -> Options:
    config = {"hidden": (32,), "n_step": 1, "imitation": 1.0} | given.pop("config", {})
    usual: dict[str, Any] = {"dataset": dataset, "env": EMPTY, "online": True, "steps": 30}
    usual |= {"warmup": 20, "eval_episodes": 0, "quiet": True, "config": config}
    return checked(Options("dqn", **usual | given))


def test_rows_of_the_dataset_are_an_experts(shown: str) -> None:
    session = Session(options(shown, mix=0.25, pretrain=2))
    assert session.pretrain is not None
    first = session.pretrain.source
    b = first.batch(first.indices(0, 1)[0])
    assert b.expert is not None
    assert b.expert.all()  # before the first step there are no others
    from rlkit.run import loops

    list(loops.run(session))
    b = session.source.batch(session.source.indices(0, 1)[0])
    assert b.expert is not None
    assert b.expert.sum(-1).tolist() == [16.0]
    assert b.expert[0, :16].all()
    session.close()


def test_shortest_paths_are_cloned(shown: str, tmp_path: Path) -> None:
    config = {"hidden": (64,), "lr": 2e-3, "gamma": 0.9, "target_period": 50}
    run = rlkit.train(
        "dqn", dataset=shown, env=EMPTY, steps=250, quiet=True, eval_every=0, eval_episodes=4,
        config=config | {"n_step": 1, "imitation": 1.0}, out=str(tmp_path / "run"),
    )  # fmt: skip
    store, _ = minari_io.read(shown)
    found = rlkit.evaluate(run.folder, episodes=12)
    # of an optimal policy: 1 - 0.9 steps / 100 each, and no path is longer than seven steps
    assert store.returns().min() >= 1 - 0.9 * 7 / 100 - 1e-6
    assert np.mean([e.return_ for e in found]) >= 0.75


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"env": "CartPole-v1", "config": {"imitation": 1.0}}, "give --dataset"),
        ({"config": {"imitation": -1.0}}, "imitation"),
    ],
)
def test_what_cannot_be_imitated_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        checked(Options("dqn", **{"env": EMPTY} | given))


def test_priorities_and_demonstrations_do_not_go_together(shown: str) -> None:
    with pytest.raises(ValueError, match="prioritised=False"):
        Session(options(shown, config={"prioritised": True}))
