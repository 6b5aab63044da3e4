"""HERON: the decision tree by hand, what its labels teach, and any agent behind it."""

from __future__ import annotations

import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

import rlkit
from rlkit.algos import heron, iql
from rlkit.algos.preference.relabelling import REWARD
from rlkit.algos.preference.teachers import ranking
from rlkit.core import state
from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms

NETS = {"agent": "iql", "given": "hidden=16,16 batch_size=32"}
SMALL: dict[str, Any] = {"hidden_reward": (16,), "pairs": 200, "passes": 5, "batch_reward": 32}


# --- the tree ---------------------------------------------------------------------------------


def said(first: list[float], second: list[float], sigma: list[float]) -> tuple[float, int]:
    y, level = ranking.ranked(torch.tensor([first, second]), torch.tensor(sigma))
    return float(y), int(level)


def test_by_hand() -> None:
    assert said([0, 0], [1, -9], [0.5, 0.5]) == (1, 0)
    assert said([0, 0], [0.4, -9], [0.5, 0.5]) == (0, 1)
    assert said([0, 0], [0.5, 0.6], [0.5, 0.5]) == (1, 1)  # a difference of σ decides nothing
    assert said([0, 0], [0.4, 0.4], [0.5, 0.5]) == (0, 2)  # nobody decides


def test_thresholds_make_cycles_and_none_make_an_order() -> None:
    a, b, c = [0.0, 2.0], [0.6, 1.0], [1.2, 0.0]
    cycle = [said(x, y, [1.0, 0.5])[0] for x, y in ((a, b), (b, c), (c, a))]
    assert cycle == [0, 0, 0]  # each is worse than the one before, all around
    order = [said(x, y, [0.0, 0.0])[0] for x, y in ((a, b), (b, c), (a, c))]
    assert order == [1, 1, 1]


def test_the_pendulums_factors() -> None:
    obs = torch.tensor([[np.cos(2.0), np.sin(2.0), -3.0]])
    z = ranking.pendulum(obs, torch.tensor([[0.5]]), obs)
    torch.testing.assert_close(z, torch.tensor([[-4.0, -9.0, -0.25]]).to(z))


def test_the_pendulums_factors_are_of_the_pendulum_alone() -> None:
    c = heron.Config(**SMALL, agent="sac", given="hidden=8,8")
    for obs, act in ((4, 1), (3, 2)):
        spec = Spec(obs, act)
        stock = Stock(spec, Streams((0,)), Transforms(), replay=Replay(spec, 9))
        with pytest.raises(UsageError, match=rf"those of Pendulum-v1.*\({obs},\)"):
            heron.source(stock, heron.Agent(spec, c), c)
    spec = Spec(3, 1)
    replay, no = Replay(spec, 9), np.zeros((1, 1), bool)
    s = np.ones((1, 1, 3))  # cosine and sine of no angle
    replay.add(s, s[..., :1], s[..., 0], no, no, s)
    with pytest.raises(UsageError, match="cosine and sine are none"):
        ranking.read("pendulum", replay, Transforms())


# --- a dataset --------------------------------------------------------------------------------


def make_store(scale: float = 1.0) -> EpisodeStore:
    """Random episodes, with columns "near" (-|s_0|) and "cheap" (-|a|²), the first in any unit."""
    rng = np.random.default_rng(0)
    episodes = []
    for _ in range(20):
        obs = rng.normal(size=(21, 3)).astype(np.float32)
        action = rng.uniform(-1, 1, (20, 2)).astype(np.float32)
        last = np.arange(20) == 19
        episodes.append(
            {
                "obs": obs,
                "action": action,
                "reward": np.full(20, np.float32(777.0)),  # nobody may read it
                "terminated": np.zeros(20, bool),
                "truncated": last,
            }
        )
    store = EpisodeStore.from_episodes(episodes)
    near, cheap = -np.abs(store.obs[:, 0]), -np.square(store.action).sum(-1)
    return store.with_columns(near=(scale * near).astype(np.float32), cheap=cheap)


def prepared(scale: float = 1.0, **given: Any) -> tuple[Any, heron.Config, Stock]:
    spec = Spec(3, 2, (0, 3), torch.float64)
    c = heron.Config(**{"factors": "columns:near,cheap", **NETS, **SMALL, **given})
    agent = heron.Agent(spec, c)
    store = heron.select(make_store(scale), c)
    data = Replay.from_store(store, spec, Transforms(), columns=agent.columns)
    stock = Stock(spec, Streams(spec.seeds), Transforms(), data)
    return heron.source(stock, agent, c), c, stock


def test_labels_are_of_the_totals_and_thresholds_of_their_deviations() -> None:
    source, _, stock = prepared(length=4, margin=(0.7, 0.2))
    pairs, told = source.maker.ask(0)
    again, _ = source.maker.ask(0)
    assert all(torch.equal(x, y) for x, y in zip(pairs, again, strict=True))
    near = -(pairs.s[..., 0].abs()).sum(-1)  # [S, pairs, 2]
    cheap = -pairs.a.square().sum((-1, -2))
    decided = torch.zeros_like(pairs.y, dtype=torch.bool)
    for z, margin, level in ((near, 0.7, 0), (cheap, 0.2, 1)):
        sigma = margin * z.flatten(1).std(1, unbiased=False, keepdim=True)
        d = z[..., 1] - z[..., 0]
        mine = (d.abs() > sigma) & ~decided
        assert torch.equal(pairs.y[mine], (d[mine] > 0).double())
        assert torch.allclose(told[f"level_{level}"], mine.double().mean(1))
        decided |= mine
    assert torch.equal(pairs.w, decided.double())
    assert stock.data is not None


def test_a_factors_unit_changes_nothing() -> None:
    one, ten = (prepared(scale)[0].maker.ask(0)[0] for scale in (1.0, 10.0))
    assert torch.equal(one.y, ten.y)
    assert torch.equal(one.w, ten.w)


def test_the_reward_orders_rows_as_the_first_factor_does() -> None:
    source, _, stock = prepared(factors="columns:near", margin=(0.0,), pairs=600, passes=40)
    source.begin()
    assert stock.data is not None
    near = stock.data.rows("near")[0]
    for r in source.rows.rows("r"):
        assert float(torch.corrcoef(torch.stack([r, near]))[0, 1]) > 0.9
        assert float(r.mean()) == pytest.approx(0, abs=1e-6)
        assert float(r.std(correction=0)) == pytest.approx(1)
    assert (source.maker.metrics["reward_accuracy"] > 0.9).all()
    away, _, _ = prepared(factors="columns:-near", margin=(0.0,), pairs=600, passes=40)
    away.begin()
    r = away.rows.rows("r")[0]
    assert float(torch.corrcoef(torch.stack([r, near]))[0, 1]) < -0.9


def test_the_agent_behind_is_the_agent_on_the_learnt_reward() -> None:
    source, c, stock = prepared()
    source.begin()
    agent = heron.Agent(stock.spec, c)
    own = replace(iql.Config(hidden=(16, 16), batch_size=32))
    plain = iql.Agent(stock.spec, own)
    for step in range(5):
        b = source.batch(source.indices(step, 1)[0])
        assert torch.equal(b.r, source.rows.rows("r").gather(1, b.index))
        agent.update(b, c)
        plain.update(b, own)
    for name in ("q", "v", "pi"):
        mine, its = (state.tensors(x) for x in (agent.inner, plain))
        assert all(torch.equal(mine[n], its[n]) for n in its if n.startswith(f"{name}."))


def test_it_goes_on_where_it_was_saved() -> None:
    first, _, _ = prepared()
    first.begin()
    second, _, _ = prepared()
    second.load_state_dict({n: x.clone() for n, x in first.state_dict().items()})
    assert torch.equal(first.rows.rows("r"), second.rows.rows("r"))


BASE: list[Tensor] = []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("margin", (0.1,)), ("pairs", 201), ("length", 3), ("members", 2), ("bounded", True)),
        *(("hidden_reward", (15,)), ("lr_reward", 1e-2), ("batch_reward", 31), ("passes", 6)),
        *(("stop", 0.2), ("scaling", "scale"), ("factors", "columns:cheap,near")),
    ],
)
def test_every_setting_of_the_reward_matters(name: str, value: Any) -> None:
    def learnt(**given: Any) -> Tensor:
        source, _, _ = prepared(**given)
        source.begin()
        return source.rows.rows("r").clone()

    if not BASE:
        BASE.append(learnt())
    assert not torch.equal(BASE[0], learnt(**{name: value}))


# --- what cannot be ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"factors": "pendulm"}, "name nothing; did you mean 'pendulum'"),
        ({"factors": "columns:"}, "name nothing"),
        ({"factors": "my_factors:none"}, "no attribute 'none'"),
        ({"factors": "my_factors:flat"}, r"must give \[..., n\]"),
        ({"factors": "my_factors:infinite"}, "not finite"),
        ({"factors": "my_factors:raising"}, r"raising' fail on tensors .* TypeError"),
        ({"margin": (0.1, 0.2, 0.3)}, "margin has 3 values for 2 factors"),
        ({"margin": (99.0,)}, "decided any of 200 pairs"),
        ({"agent": "mbpo"}, "does not learn continuous actions offline"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    given: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = types.ModuleType("my_factors")
    module.flat = lambda s, a, s2: s[..., 0]
    module.infinite = lambda s, a, s2: s / 0
    module.raising = lambda s: s
    monkeypatch.setitem(sys.modules, "my_factors", module)
    monkeypatch.setattr(trust, "_named", dict(trust._named))
    given = {"given": "", **given} if "agent" in given else given
    with pytest.raises(UsageError, match=said):
        prepared(**given)[0].begin()


def test_agents_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="this algorithm itself"):
        heron.Config(agent="heron")
    with pytest.raises(UsageError, match="is no algorithm"):
        heron.Config(agent="no_such")
    with pytest.raises(UsageError, match="no column 'far'"):
        heron.select(make_store(), heron.Config(factors="columns:far"))


def test_a_function_is_asked_in_the_environments_units(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("my_factors")
    module.all = lambda s, a, s2: torch.cat([s, a, s2], -1)
    monkeypatch.setitem(sys.modules, "my_factors", module)
    monkeypatch.setattr(trust, "_named", dict(trust._named))
    store = make_store()
    units = Transforms(
        obs_mean=np.array([1.0, 2, 3], np.float32),
        obs_std=np.array([2.0, 2, 2], np.float32),
        action_low=np.array([-1.0, -1], np.float32),
        action_high=np.array([1.0, 3], np.float32),
    )
    data = Replay.from_store(store, Spec(3, 2, (0,)), units)
    z = ranking.read("my_factors:all", data, units)[0].numpy()
    whole = np.concatenate([store.obs, store.action, store.next_obs], -1)
    np.testing.assert_allclose(z, whole, atol=1e-5)


# --- in an environment ------------------------------------------------------------------------


def test_a_run_in_an_environment_relabels_and_goes_on(tmp_path: Path) -> None:
    config = {**SMALL, "agent": "sac", "given": "hidden=8,8 batch_size=16", "refit_every": 30}
    given: dict[str, Any] = {
        **{"env": "Pendulum-v1", "seeds": (0, 1), "warmup": 40, "utd": 1, "engine": "eager"},
        **{"eval_every": 0, "eval_episodes": 0, "quiet": True, "config": config},
    }
    straight = rlkit.train("heron", steps=120, out=str(tmp_path / "a"), **given)
    assert straight is not None
    rlkit.train("heron", steps=80, out=str(tmp_path / "b"), **given)
    rlkit.resume(str(tmp_path / "b"), steps=120, quiet=True)
    found = [sorted((tmp_path / x).rglob("*.safetensors")) for x in "ab"]
    last = [[p for p in files if "step_000000120" in str(p)] for files in found]
    assert last[0]
    assert [p.name for p in last[0]] == [p.name for p in last[1]]
    for mine, its in zip(*(map(load_file, files) for files in last), strict=True):
        assert mine.keys() == its.keys()
        assert all(np.array_equal(mine[n], its[n]) for n in mine)


def online() -> tuple[Any, Replay]:
    spec = Spec(3, 1, (0, 3))
    c = heron.Config(**SMALL, given="batch_size=16 hidden=8,")
    agent = heron.Agent(spec, c)
    replay = Replay(spec, 300, columns=agent.columns)
    env = gymnasium.make("Pendulum-v1")
    obs, _ = env.reset(seed=0)
    rng = np.random.default_rng(0)
    for t in range(150):
        a = rng.uniform(-1, 1, 1).astype(np.float32)
        after, *_ = env.step(2 * a)
        no = np.zeros((2, 1), bool)
        rows = [np.broadcast_to(x, (2, 1, len(x))) for x in (obs, a, after)]
        replay.add(rows[0], rows[1], np.zeros((2, 1), np.float32), no, no | (t == 149), rows[2])
        obs = after
    units = Transforms(action_low=np.array([-2.0]), action_high=np.array([2.0]))
    stock = Stock(spec, Streams(spec.seeds), units, None, replay)
    return heron.source(stock, agent, c), replay


def test_new_rows_are_labelled_and_old_ones_anew() -> None:
    source, replay = online()
    metrics = source.advance(0)
    first = replay.rows(REWARD).clone()
    torch.testing.assert_close(first.mean(1), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(first.std(1, correction=0), torch.ones(2), atol=1e-3, rtol=0)
    assert {"decided", "level_0", "reward_accuracy"} <= metrics.keys()
    source.advance(399)
    assert torch.equal(replay.rows(REWARD), first)
    source.advance(400)
    assert not torch.equal(replay.rows(REWARD), first)
    b = source.batch(source.indices(0, 1)[0])
    assert torch.equal(b.r, replay.rows(REWARD).gather(1, b.index))
    assert (replay.rows("r") == 0).all()


def test_what_an_environment_cannot_give_is_refused() -> None:
    spec = Spec(3, 1, (0,))
    for given, said in (
        ({"agent": "pebble"}, "draws minibatches of its own"),
        ({"factors": "columns:speed"}, "columns of a dataset"),
    ):
        c = heron.Config(**given)
        agent = heron.Agent(spec, c)
        stock = Stock(
            spec, Streams((0,)), Transforms(), None, Replay(spec, 9, columns=agent.columns)
        )
        with pytest.raises(UsageError, match=said):
            heron.source(stock, agent, c)
