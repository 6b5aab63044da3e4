"""PEBBLE: a reduction to SAC, phases, relabelling, resume bit for bit, lanes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

from rlkit.algos import pebble, sac
from rlkit.algos.preference.relabelling import COLUMNS, REWARD, VERSION
from rlkit.core import state
from rlkit.core.engine import Engine
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams, generator
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms

SAC = {"hidden": (8,), "batch_size": 8}
SMALL = {
    **{"explore_steps": 6, "novelty_every": 3, "neighbours": 20, "neighbour": 2},
    **{"budget": 10, "per_round": 4, "ask_every": 5, "length": 4, "hidden_reward": (8,)},
    **{"passes": 3, "batch_reward": 4, "reset_updates": 2},
}
WARMUP = 12


class Run:
    """The online loop on random transitions that depend on a lane's seed and the step alone."""

    def __init__(self, seeds=(0, 3), capacity=100, **config) -> None:
        self.c = pebble.Config(**SAC | SMALL | config)
        self.spec = Spec(2, 1, seeds, torch.float64)
        self.replay = Replay(self.spec, capacity, columns=COLUMNS)
        stock = Stock(self.spec, Streams(seeds), Transforms(), replay=self.replay)
        self.agent = pebble.Agent(self.spec, self.c)
        self.source = pebble.source(stock, self.agent, self.c)
        self.engine = Engine(self.agent, self.c, self.spec, self.source)
        self.metrics: dict = {}

    def step(self, t: int) -> None:
        rngs = [generator(seed, "toy", t) for seed in self.spec.seeds]
        s, a, s2 = (np.stack([r.normal(size=(1, n)) for r in rngs]) for n in (2, 1, 2))
        last = np.full((len(rngs), 1), t % 7 == 6)
        self.replay.add(s, np.tanh(a), s[..., 0], last & (t % 2 == 0), last & (t % 2 == 1), s2)
        if t + 1 >= WARMUP:
            self.metrics = self.source.advance(t + 1)
            self.engine.run(t + 1 - WARMUP, 1)

    def go(self, start: int, end: int) -> Run:
        for t in range(start, end):
            self.step(t)
        return self


def same(first: dict, second: dict, tolerance: float = 0.0) -> None:
    assert first.keys() == second.keys()
    for name, x in first.items():
        torch.testing.assert_close(second[name], x, rtol=0, atol=tolerance, msg=name)


def test_the_config_has_all_of_sac() -> None:
    """The agent is SAC's and reads SAC's fields; two temperatures are PEBBLE's own."""
    ours, theirs = asdict(pebble.Config()), asdict(sac.Config())
    own = {"alpha": 0.1, "lr_alpha": 1e-4}
    assert {name: ours.get(name, "missing") for name in theirs} == theirs | own


def test_the_true_reward_through_relabelling_is_sac() -> None:
    """Once asked and relabelled with the true reward, agent and minibatches are SAC's, to the bit:
    exploration, questions, versions and columns leave no trace but in the reward."""
    run = Run(explore_steps=0, budget=4, teacher="rational")
    run.source.learned_reward = lambda rows: run.replay.rows("r")[:, rows]  # type: ignore[method-assign]
    run.go(0, WARMUP)
    assert run.source.interview.left == 0
    plain = sac.Config(**SAC, alpha=run.c.alpha, lr_alpha=run.c.lr_alpha)
    theirs = sac.Agent(run.spec, plain)
    state.load(theirs, state.clone(run.agent))
    twin = Replay(run.spec, 100)
    engine = Engine(theirs, plain, run.spec, Uniform(twin, 8, Streams(run.spec.seeds)))
    for t in range(WARMUP, WARMUP + 15):
        run.step(t)
        for row in range(twin.size, run.replay.size):
            names = ("s", "a", "r", "cont", "last", "s2")
            s, a, r, cont, last, s2 = (run.replay.rows(n)[:, row].unsqueeze(1) for n in names)
            twin.add(s, a, r, cont == 0, (last == 1) & (cont == 1), s2)
        engine.run(t + 1 - WARMUP, 1)
    same(state.tensors(theirs), state.tensors(run.agent))


def test_phases_come_in_their_order() -> None:
    run = Run()
    run.go(0, WARMUP)
    source = run.source
    assert source.interview.rounds == 0
    assert source.rows.version == 1
    torch.testing.assert_close(
        run.replay.rows(REWARD), source.novelty.reward(slice(0, run.replay.size))
    )
    run.go(WARMUP, WARMUP + 3)  # looks again after three steps
    assert source.rows.version == 2
    run.go(WARMUP + 3, WARMUP + 5)
    assert source.interview.rounds == 0
    critic = state.clone(run.agent)
    run.step(WARMUP + 5)  # six steps after the first: questions
    assert source.interview.rounds == 1
    assert source.interview.left == 6
    assert run.metrics["answers"].tolist() == [4, 4]
    moved = state.tensors(run.agent)
    assert moved["step_q.steps"].item() == run.c.reset_updates + 1  # Adam began anew
    assert moved["step_pi.steps"].item() == critic["step_pi.steps"].item() + 3
    run.go(WARMUP + 6, WARMUP + 40)
    assert source.interview.rounds == 3
    assert source.interview.left == 0
    assert source.rows.version == 2 + 3
    assert run.metrics["answers"].tolist() == [10, 10]


def test_the_critic_alone_begins_anew() -> None:
    run = Run()
    run.go(0, WARMUP + 3)
    before = state.clone(run.agent)
    pebble.begin_critic_anew(run.agent, run.spec, run.c)
    after = state.tensors(run.agent)
    changed = {name.split(".")[0] for name, x in before.items() if not torch.equal(after[name], x)}
    assert changed == {"q", "q_bar", "step_q"}
    for name, x in run.agent.q.state_dict().items():
        assert torch.equal(run.agent.q_bar.state_dict()[name], x)
    first = sac.Agent(run.spec, run.c)
    assert not torch.equal(first.q.mlp.last.weight, run.agent.q.mlp.last.weight)


@pytest.mark.parametrize("capacity", [100, 25])  # the ring wraps
def test_every_row_has_the_models_reward(capacity: int) -> None:
    run = Run(capacity=capacity)
    true = {}
    for t in range(WARMUP + 35):
        run.step(t)
        true[t] = run.replay.rows("r")[:, t % capacity].clone()
        if run.source.interview.rounds:
            whole = slice(0, run.replay.size)
            expected = run.source.learned_reward(whole)
            torch.testing.assert_close(run.replay.rows(REWARD), expected, rtol=0, atol=1e-12)
            assert (run.replay.rows(VERSION) == run.source.rows.version).all()
    for t in range(WARMUP + 35 - run.replay.size, WARMUP + 35):
        assert torch.equal(run.replay.rows("r")[:, t % capacity], true[t])


@pytest.mark.parametrize("cut", [WARMUP + 2, WARMUP + 6, WARMUP + 13])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"novelty": "log", "teacher": "noisy+skipping:0.1"},
        {"teacher": "regret+noisy", "teacher_updates": 3},
    ],
)
def test_resume_is_bit_for_bit(cut: int, config: dict) -> None:
    end = WARMUP + 25
    whole = Run(capacity=30, **config).go(0, end)
    first = Run(capacity=30, **config).go(0, cut)
    second = Run(capacity=30, **config)
    second.source.load_state_dict({n: x.clone() for n, x in first.source.state_dict().items()})
    second.replay.load_state_dict({n: x.clone() for n, x in first.replay.state_dict().items()})
    state.load(second.agent, state.clone(first.agent))
    second.go(cut, end)
    same(state.tensors(whole.agent), state.tensors(second.agent))
    same(whole.source.state_dict(), second.source.state_dict())
    same(whole.replay.state_dict(), second.replay.state_dict())
    same(whole.metrics, second.metrics)


def test_lanes_learn_as_they_do_alone() -> None:
    both, alone = (Run(seeds).go(0, WARMUP + 25) for seeds in ((0, 3), (3,)))
    torch.testing.assert_close(
        both.replay.rows(REWARD)[1:], alone.replay.rows(REWARD), rtol=0, atol=1e-10
    )
    for name, x in state.tensors(alone.agent).items():
        other = state.tensors(both.agent)[name]
        torch.testing.assert_close(other[1:] if x.dim() else other, x, rtol=0, atol=1e-10)


def test_disagreement_of_one_mind_is_chance() -> None:
    """With a single member nothing is ever disagreed upon: both selectors run the same."""
    runs = [Run(selector=s, members=1).go(0, WARMUP + 25) for s in ("disagreement", "uniform")]
    same(state.tensors(runs[0].agent), state.tensors(runs[1].agent))
    other = Run(selector="entropy", members=1).go(0, WARMUP + 25)
    pairs = [run.source.interview.preferences.s for run in (runs[0], other)]
    assert torch.equal(pairs[0][:, :4], pairs[1][:, :4])  # the first round is by chance
    assert not torch.equal(pairs[0], pairs[1])


def test_no_exploration_asks_at_once() -> None:
    run = Run(explore_steps=0, reset_updates=0).go(0, WARMUP)
    assert run.source.interview.rounds == 1
    assert run.source.rows.version == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"teacher": "regret", "advantages": "a.npy"}, "name a function of"),
        (
            {"teacher": "regret", "advantages": "no_such_module:f"},
            "cannot import 'no_such_module'",
        ),
        ({"advantages": "no_such_module:f"}, "teacher 'rational' compares rewards"),
        ({"budget": 0}, "must be at least 1"),
        ({"ask_every": 0}, "must be at least 1"),
        ({"members": 0}, "members is 0"),
    ],
)
def test_what_cannot_work_is_refused_at_once(config: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Run(**config)


def test_a_dataset_is_refused() -> None:
    run = Run()
    stock = run.source.stock
    for wrong in (stock._replace(replay=None), stock._replace(data=run.replay)):
        with pytest.raises(UsageError, match="give an env and no dataset"):
            pebble.source(wrong, run.agent, run.c)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"teacher_updates": 7}, "teacher_updates 7 has no effect beside teacher 'rational'"),
        ({"teacher_updates": 7, "teacher": "regret"}, ""),
        (
            {"teacher_updates": 7, "teacher": "regret", "advantages": "a:b"},
            "teacher_updates 7 has no effect beside advantages 'a:b'",
        ),
        (
            {"explore_steps": 0, "neighbour": 3, "novelty": "log"},
            "neighbour 3, novelty 'log' have no effect beside explore_steps 0",
        ),
        ({"neighbour": 3}, ""),
    ],
)
def test_what_nobody_reads_is_said(given: dict[str, Any], said: str) -> None:
    assert pebble.notice({}, pebble.Config(**given)) == said
