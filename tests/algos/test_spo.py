"""SPO: win rates by hand, a reduction to SAC, and games whose minimax winner is known."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

import rlkit
from rlkit.algos import sac, spo
from rlkit.algos.preference.feedback import Preferences
from rlkit.algos.preference.models.reward_model import Fit, OwnInit, RewardNet, fit
from rlkit.algos.preference.relabelling import REWARD
from rlkit.algos.preference.teachers.judges import Panel
from rlkit.core import state
from rlkit.core.engine import Engine
from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams, generator
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.testing.preference_toys import (
    CIRCLE,
    CONDORCET,
    Circle,
    Condorcet,
    beaten_by,
    play,
)
from rlkit.theory.preferences.games import solve_zero_sum

TINY = "hidden=8, batch_size=8"


class Halves:
    """Prefers what is earned in an episode's first half to what is earned in its second: no reward
    of a step says that of one whose length is not known."""

    def summary(self, obs: Tensor, action: Tensor, reward: Tensor, next_obs: Tensor) -> Tensor:
        half = len(reward) // 2
        return torch.stack([reward[:half].sum(), reward[half:].sum()])

    def prefer(self, first: Tensor, second: Tensor) -> Tensor:
        return ((second - first) @ torch.tensor([1.0, -0.5]).double()).sigmoid()


class Odd:
    """Summaries of no one size."""

    def summary(self, obs: Tensor, action: Tensor, reward: Tensor, next_obs: Tensor) -> Tensor:
        return reward

    def prefer(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.full((len(first),), 2.0)


@pytest.fixture(autouse=True)
def _judges(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("my_judges")
    module.Halves, module.Odd, module.bare = Halves, Odd, object()
    module.Circle, module.Condorcet = Circle, Condorcet
    monkeypatch.setitem(sys.modules, "my_judges", module)
    monkeypatch.setattr(trust, "_named", dict(trust._named))


class Run:
    """The online loop on random transitions that depend on a lane's seed and the step alone."""

    def __init__(
        self, seeds: tuple[int, ...] = (0, 3), capacity: int = 200, envs: int = 2, **given: Any
    ) -> None:
        self.c = spo.Config(**{"given": TINY, "queue": 3, **given})
        self.spec = Spec(2, 1, seeds, torch.float64)
        self.agent = spo.Agent(self.spec, self.c)
        self.replay = Replay(self.spec, capacity, envs=envs, columns=self.agent.columns)
        self.units = Transforms(reward_scale=2.0, reward_bias=-1.0)
        stock = Stock(self.spec, Streams(seeds), self.units, replay=self.replay)
        self.source = spo.source(stock, self.agent, self.c)
        self.engine = Engine(self.agent, self.c, self.spec, self.source)
        self.steps: list[tuple[np.ndarray, np.ndarray]] = []  # rewards and ends, [S, E] each

    def add(self, t: int) -> None:
        envs = self.replay.envs
        rngs = [generator(seed, "toy", t) for seed in self.spec.seeds]
        s, a, s2 = (np.stack([r.normal(size=(envs, n)) for r in rngs]) for n in (2, 1, 2))
        ends = np.stack([r.random(envs) < 0.3 for r in rngs])
        self.replay.add(s, np.tanh(a), 2 * s[..., 0] - 1, ends & (t % 2 == 0), ends, s2)
        self.steps.append((s[..., 0], ends))

    def go(self, start: int, end: int, warmup: int = 12) -> Run:
        for t in range(start, end):
            self.add(t)
            if t + 1 >= warmup:
                self.source.advance(t + 1)
                self.engine.run(t + 1 - warmup, 1)
        return self


def by_hand(run: Run, first: int, win: Any, pay: str = "spread", worth: float = 1.0) -> np.ndarray:
    """Rewards `[S, T, E]` of all steps, NaN under way; `first` steps came before the first look;
    `win(summaries of an episode, of others)` is its win rate."""
    lanes, envs = run.steps[0][1].shape
    earned = np.full((lanes, len(run.steps), envs), np.nan)
    for k in range(lanes):
        begun, ended = [0] * envs, []
        for t, (_, ends) in enumerate(run.steps):
            for e in np.flatnonzero(ends[k]):
                ended.append((t, e, begun[e]))
                begun[e] = t + 1
        rewards = [
            np.array([run.steps[t][0][k, e] for t in range(b, end + 1)]) for end, e, b in ended
        ]
        start = [i for i, (t, *_) in enumerate(ended) if t < first][:3]
        queue: list[int] = list(start)
        for i, (t, e, b) in enumerate(ended):
            others = [j for j in queue if j != i]
            total = worth * (win(rewards[i], [rewards[j] for j in others]) if others else 0.5)
            if pay == "spread":
                earned[k, b : t + 1, e] = total / (t + 1 - b)
            else:
                earned[k, b : t + 1, e] = 0
                earned[k, t, e] = total
            if i not in start:
                queue = [*queue, i][-3:] if len(queue) == 3 else [*queue, i]
    return earned


def outright(own: np.ndarray, others: list[np.ndarray]) -> float:
    return float(np.mean([own.sum() > other.sum() for other in others]))


def halves(own: np.ndarray, others: list[np.ndarray]) -> float:
    def score(r: np.ndarray) -> float:
        half = len(r) // 2
        return float(r[:half].sum() - 0.5 * r[half:].sum())

    return float(np.mean([1 / (1 + np.exp(score(o) - score(own))) for o in others]))


@pytest.mark.parametrize(
    ("teacher", "win"), [("rational", outright), ("my_judges:Halves+poll:0", halves)]
)
@pytest.mark.parametrize(("pay", "worth"), [("spread", 1.0), ("end", 3.0)])
def test_every_finished_step_has_its_win_rate(
    teacher: str, win: Any, pay: Any, worth: float
) -> None:
    run = Run(teacher=teacher, pay=pay, worth=worth)
    run.go(0, 40)
    expected = by_hand(run, 12, win, pay, worth)
    found = run.replay.rows(REWARD).view(2, 40, 2)
    done = torch.from_numpy(~np.isnan(expected))
    assert 0.5 < done.double().mean() < 1
    torch.testing.assert_close(found[done], torch.from_numpy(expected)[done], rtol=0, atol=1e-12)


@pytest.mark.parametrize("capacity", [200, 26])  # the ring wraps
def test_steps_under_way_are_not_drawn_and_all_others_are(capacity: int) -> None:
    run = Run(capacity=capacity).go(0, 40)
    expected = by_hand(run, 12, outright)[:, -capacity // 2 :]  # [S, T, E], of what is still there
    held = expected.shape[1]
    time = (np.arange(40 - held, 40) % (capacity // 2))[:, None] * 2 + np.arange(2)
    b = run.source.batch(run.source.indices(0, 400)[0])
    torch.testing.assert_close(b.r, run.replay.rows(REWARD).gather(1, b.index))
    drawn = run.source.indices(0, 400).numpy()  # [count, S, B]
    for k in range(2):
        whole = set(time[~np.isnan(expected[k])].tolist())
        assert set(drawn[:, k].reshape(-1).tolist()) == whole
    assert (run.replay.rows("r") != run.replay.rows(REWARD)).all()


def test_it_is_sac_on_win_rates() -> None:
    """SAC with plain uniform minibatches of one-step episodes, whose rewards are worked out here,
    goes the same way to the bit."""
    rngs = [np.random.default_rng(k) for k in (0, 3)]
    spec, c = Spec(2, 1, (0, 3), torch.float64), spo.Config(given=TINY, queue=4)
    agent = spo.Agent(spec, c)
    own = sac.Config(hidden=(8,), batch_size=8)
    plain = sac.Agent(spec, own)
    mine, its = Replay(spec, 60, columns=agent.columns), Replay(spec, 60)
    source = spo.source(Stock(spec, Streams(spec.seeds), Transforms(), replay=mine), agent, c)
    engines = (
        Engine(agent, c, spec, source),
        Engine(plain, own, spec, Uniform(its, 8, Streams(spec.seeds))),
    )
    returns: list[np.ndarray] = []
    yes, no = np.ones((2, 1), bool), np.zeros((2, 1), bool)
    for t in range(30):
        s, a, s2 = (np.stack([r.normal(size=(1, n)) for r in rngs]) for n in (2, 1, 2))
        r = s[..., 0]
        before = np.stack(returns[-4:]) if returns else np.zeros((0, 2, 1))
        wins = (r > before).mean(0) if returns else np.full((2, 1), 0.5)
        returns.append(r)
        mine.add(s, np.tanh(a), r, yes, no, s2)
        its.add(s, np.tanh(a), wins, yes, no, s2)
        source.advance(t + 1)
        for engine in engines:
            engine.run(t, 1)
    theirs = state.tensors(plain)
    assert all(torch.equal(x, theirs[name]) for name, x in state.tensors(agent.inner).items())


def test_mistakes_squeeze_win_rates_and_keep_their_order() -> None:
    source = Run(teacher="rational").source
    own, others = torch.tensor([0.3]).double(), torch.randn(500, 1, dtype=torch.float64)
    clean = source.panel.win_rate(own, others, torch.rand(500, 2))
    noisy = Run(teacher="mistaken:0.2+poll:0").source.panel
    assert noisy.win_rate(own, others, torch.rand(500, 2)) == pytest.approx(0.6 * clean + 0.2)
    drawn = Run(teacher="mistaken:0.2").source.panel
    assert drawn.win_rate(own, others, torch.rand(500, 2)) == pytest.approx(
        0.6 * clean + 0.2, abs=0.08
    )
    assert source.panel.win_rate(own, own.expand(3, 1), torch.rand(3, 2)) == 0.5


def test_a_teacher_of_returns_with_a_word_for_a_number_is_no_judge() -> None:
    for teacher in ("noisy:x", "rational:x"):
        with pytest.raises(UsageError, match=teacher) as told:
            Run(teacher=teacher)
        assert "import" not in str(told.value)


@pytest.mark.parametrize("cut", [13, 21])
@pytest.mark.parametrize("teacher", ["noisy", "my_judges:Halves"])
def test_resume_is_bit_for_bit(cut: int, teacher: str) -> None:
    whole = Run(capacity=40, teacher=teacher).go(0, 35)
    first, second = (Run(capacity=40, teacher=teacher) for _ in range(2))
    first.go(0, cut)
    second.source.load_state_dict({n: x.clone() for n, x in first.source.state_dict().items()})
    second.replay.load_state_dict({n: x.clone() for n, x in first.replay.state_dict().items()})
    state.load(second.agent, state.clone(first.agent))
    second.go(cut, 35)
    assert torch.equal(whole.replay.rows(REWARD), second.replay.rows(REWARD))
    theirs = state.tensors(second.agent)
    assert all(torch.equal(x, theirs[name]) for name, x in state.tensors(whole.agent).items())


def test_an_episode_that_a_resume_cuts_off_is_judged() -> None:
    run = Run(envs=1).go(0, 14)
    while run.source.going[0, 0] == 0:
        run.go(len(run.steps), len(run.steps) + 1)
    judged = run.source.judged.copy()
    under_way = run.source.going[:, 0] > 0
    run.replay.cut()
    run.go(len(run.steps), len(run.steps) + 1)
    assert (run.source.judged - judged >= under_way).all()
    assert (run.source.going <= 1).all()


def test_lanes_are_judged_as_they_are_alone() -> None:
    both, alone = (Run(seeds, teacher="noisy").go(0, 30) for seeds in ((0, 3), (3,)))
    assert torch.equal(both.replay.rows(REWARD)[1:], alone.replay.rows(REWARD))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"teacher": "regret"}, "not whole episodes"),
        ({"teacher": "myopic:0.9"}, "not whole episodes"),
        ({"teacher": "my_judges:None_such"}, "no attribute"),
        ({"teacher": "my_judges:bare"}, "no function 'summary'"),
        ({"teacher": "my_judges:Circle+noisy:2"}, "there can be mistaken and poll"),
        ({"agent": "pebble"}, "draws minibatches of its own"),
        ({"agent": "bc", "given": ""}, "does not learn continuous actions online"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Run(**{"given": "", **given})


def test_a_judge_that_raises_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Asks:
        def __init__(self, what: int) -> None: ...

    class Fails:
        def summary(self, reward: Any) -> Any: ...
        def prefer(self, first: Any, second: Any) -> Any:
            return "the first"

    module: Any = types.ModuleType("raising_judges")
    module.Asks, module.Fails = Asks, Fails
    monkeypatch.setitem(sys.modules, "raising_judges", module)
    monkeypatch.setattr(trust, "_named", dict(trust._named))
    with pytest.raises(UsageError, match=r"'raising_judges:Asks': TypeError: .*'what'"):
        Panel("raising_judges:Asks")
    panel, x = Panel("raising_judges:Fails"), torch.zeros(4, 1)
    with pytest.raises(UsageError, match=r"summary fails on tensors .* TypeError"):
        panel.summary(x, x, x[:, 0], x)
    with pytest.raises(UsageError, match="prefer fails on tensors"):
        panel.win_rate(x[0].double(), x.double(), torch.rand(4, 2))


def test_what_a_judge_may_not_say_is_refused() -> None:
    run = Run(teacher="my_judges:Odd", envs=1)
    with pytest.raises(UsageError, match="all must have as many"):
        run.go(0, 40)
    panel = run.source.panel
    one = torch.zeros(1).double()
    with pytest.raises(UsageError, match=r"2 chances in \[0, 1\]"):
        panel.win_rate(one, one.expand(2, 1), torch.rand(2, 2))
    with pytest.raises(UsageError, match="give an env and no dataset"):
        spo.source(run.source.stock._replace(data=run.replay), run.agent, run.c)
    short = Run(envs=1)
    short.add(1)
    short.steps.clear()
    if short.replay.rows("last").any():
        pytest.fail("the first step of this toy ends nothing")
    with pytest.raises(UsageError, match="several episodes"):
        short.source.advance(1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("queue", 4), ("worth", 2.0), ("pay", "end"), ("teacher", "mistaken:0.4")],
)
def test_every_setting_of_the_win_rates_matters(name: str, value: Any) -> None:
    base, other = Run().go(0, 30), Run(**{name: value}).go(0, 30)
    assert not torch.equal(base.replay.rows(REWARD), other.replay.rows(REWARD))


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    config = {"agent": "dqn", "given": "n_step=1 hidden=8, batch_size=8", "queue": 4}
    given: dict[str, Any] = {
        **{"env": "CartPole-v1", "seeds": (0, 1), "warmup": 60, "utd": 1, "engine": "eager"},
        **{"eval_every": 0, "eval_episodes": 0, "quiet": True, "config": config},
    }
    rlkit.train("spo", steps=160, out=str(tmp_path / "a"), **given)
    rlkit.train("spo", steps=100, out=str(tmp_path / "b"), **given)
    rlkit.resume(str(tmp_path / "b"), steps=160, quiet=True)
    found = [sorted((tmp_path / x).rglob("*.safetensors")) for x in "ab"]
    last = [[p for p in files if "step_000000160" in str(p)] for files in found]
    assert last[0]
    assert [p.name for p in last[0]] == [p.name for p in last[1]]
    for mine, its in zip(*(map(load_file, files) for files in last), strict=True):
        assert mine.keys() == its.keys()
        assert all(np.array_equal(mine[n], its[n]) for n in mine)


# --- games ------------------------------------------------------------------------------------


def rewarded(matrix: np.ndarray) -> int:
    """The arm that a Bradley-Terry reward puts first, fitted to pairs of evenly drawn arms."""
    rng, n = np.random.default_rng(0), 3000
    arms = rng.integers(3, size=(n, 2))
    y = rng.random(n) < matrix[arms[:, 1], arms[:, 0]]
    spec = Spec(1, Discrete(3), (0,))
    one = torch.ones(1, n, 2, 1)
    pairs = Preferences(
        s=one.unsqueeze(-1),
        a=torch.from_numpy(arms).view(1, n, 2, 1),
        mask=one.bool(),
        y=torch.from_numpy(y).float().view(1, n),
        w=torch.ones(1, n),
    )
    net = RewardNet(OwnInit(spec, "test"), (16,), 1)
    fit(net, pairs, spec, Fit(lr=1e-2, passes=30, stop=1.0))
    return int(net(torch.ones(1, 3, 1), torch.arange(3).view(1, 3)).argmax())


def test_in_a_circle_play_approaches_the_minimax_winner_and_a_reward_is_beaten() -> None:
    spec = Spec(1, Discrete(3), (0, 1, 2))
    given = "n_step=1 hidden=() lr=0.02 batch_size=64 epsilon_updates=300 epsilon_last=0.2"
    c = spo.Config(
        teacher="my_judges:Circle", queue=50, agent="dqn", given=f"{given} target_period=1"
    )
    arms = play(spo, c, spec, 700, 700)
    winner = solve_zero_sum(CIRCLE - 0.5)
    np.testing.assert_allclose(winner.row, [0.3, 0.3, 0.4], atol=1e-6)
    assert max(beaten_by(CIRCLE, arms[:, k]) for k in range(3)) < 0.12
    assert beaten_by(CIRCLE, np.array([rewarded(CIRCLE)])) == pytest.approx(0.3)


@pytest.mark.parametrize(
    "teacher",
    [
        "my_judges:Condorcet+poll:0",
        pytest.param("my_judges:Condorcet+mistaken:0.1", marks=pytest.mark.slow),
    ],
)
def test_who_beats_all_others_is_found_and_a_reward_prefers_another(teacher: str) -> None:
    """Arm 1 wins most against evenly drawn arms, so a reward puts it first; arm 0 beats it."""
    spec = Spec(1, 1, (0, 1))
    given = "hidden=32,32 lr=3e-3 lr_q=3e-3 batch_size=64 learn_alpha=False alpha=0.02"
    c = spo.Config(teacher=teacher, queue=30, given=given)
    arms = play(spo, c, spec, 900, 400)[-200:]
    assert (np.stack([(arms[:, k] == 0).mean() for k in range(2)]) > 0.8).all()
    assert rewarded(CONDORCET) == 1
