"""VPL: users of opposed minds, of whom one reward makes nothing and a latent makes both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit.algos import iql, p_iql, vpl
from rlkit.algos.preference.latent_rows import LatentRows
from rlkit.algos.preference.models.latent_users import Users
from rlkit.core import state
from rlkit.core.engine import Engine
from rlkit.core.errors import UsageError
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.preferences import PairDataset
from rlkit.data.replay import Replay
from rlkit.data.sampling.segments import Segments
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.policy.trace import trace
from rlkit.testing.preference_toys import LINE_BEST, line, travelled

SMALL: dict[str, Any] = {
    **{"users": "columns:right,-right", "given": "hidden=16,16 batch_size=32", "pairs": 200},
    **{"latent": 3, "hidden_vae": (16,), "steps_vae": 20, "batch_vae": 8, "set_size": 4},
    **{"latents": 11, "comparisons": 7, "length": 3},
}


def stock_of(store: EpisodeStore, spec: Spec, columns: tuple[str, ...]) -> Stock:
    data = Replay.from_store(store, spec, Transforms(), columns=columns, gamma=0.99)
    return Stock(spec, Streams(spec.seeds), Transforms(), data)


def prepared(seeds: tuple[int, ...] = (0, 3), **given: Any) -> tuple[LatentRows, vpl.Agent, Any]:
    spec = Spec(1, 1, seeds, torch.float64)
    asked = () if "preferences" not in given else ("users", "pairs", "length")
    c = vpl.Config(**{**{name: x for name, x in SMALL.items() if name not in asked}, **given})
    agent = vpl.Agent(spec, resolve(c, spec))
    store = vpl.select(line(), c)
    return vpl.source(stock_of(store, spec, agent.columns), agent, c), agent, c


def pairs_file(path: Path, users: int = 2, count: int = 80) -> str:
    """Pairs of single steps; users of odd numbers (7, 8, ...) prefer the greater action."""
    rng = np.random.default_rng(1)
    a = rng.uniform(-1, 1, (count, 2, 1, 1)).astype(np.float32)
    s = rng.uniform(-1, 1, a.shape).astype(np.float32)
    user = 7 + np.arange(count) % users
    greater = (a[:, 1] > a[:, 0]).reshape(count)
    zeros = np.zeros((count, 2, 1))
    cut = Segments(s, a, zeros, zeros + 1, s, zeros == 0, zeros.astype(int))
    PairDataset(cut, np.where(user % 2, greater, ~greater).astype(float), user=user).save(path)
    return str(path)


# --- who is asked what ------------------------------------------------------------------------


def test_users_answer_by_their_own_factor() -> None:
    source, _, _ = prepared()
    asked = source.answered
    right = (asked.pairs.s + 0.3 * asked.pairs.a).clamp(-1, 1).squeeze(-1).sum(-1)  # [S, n, 2]
    greater = (right[..., 1] > right[..., 0]).double()
    even = torch.from_numpy(asked.user % 2 == 0)
    assert torch.equal(asked.pairs.y[:, even], greater[:, even])
    assert torch.equal(asked.pairs.y[:, ~even], 1 - greater[:, ~even])


def test_the_user_column_of_a_file_is_read(tmp_path: Path) -> None:
    path = pairs_file(tmp_path / "pairs.npz", users=3)
    source, _, _ = prepared(preferences=path, user=8)
    assert source.answered.names.tolist() == [7, 8, 9]
    np.testing.assert_array_equal(source.answered.user, np.arange(80) % 3)
    assert source.user == 1
    assert source.length == 1
    fitted = Users(source.net, source.answered, source.stock.spec, source.c)
    index = fitted.draw("any", 0, 30)  # [S, 30, m]
    assert (source.answered.user[index] == source.answered.user[index[..., :1]]).all()
    assert set(source.answered.user[index[0, :, 0]]) == {0, 1, 2}
    with pytest.raises(UsageError, match=r"user 5 answered nothing .* there are 7, 8, 9"):
        prepared(preferences=path, user=5)


def test_whoever_is_served_is_asked_for_by_a_number_that_is_there(tmp_path: Path) -> None:
    many, one = (pairs_file(tmp_path / f"{n}.npz", users=n) for n in (3, 1))
    for given in ({}, {"user": 7}):
        source, _, _ = prepared(preferences=many, serve=one, **given)
        assert source.beginning.endswith(f"then acting for user 7 of {one}")
    with pytest.raises(UsageError, match=r"user 5 answered nothing of .*1.npz; there are 7"):
        prepared(preferences=many, serve=one, user=5)


def test_pairs_of_another_task_are_refused_by_name(tmp_path: Path) -> None:
    path = pairs_file(tmp_path / "pairs.npz")
    found = PairDataset.load(path)
    wide = np.repeat(found.segments.s, 2, -1)
    PairDataset(found.segments._replace(s=wide, s2=wide), found.y).save(path)
    with pytest.raises(UsageError, match=r"pairs.npz: pairs have observations of shape \(2,\)"):
        prepared(preferences=path, user=7)


def test_nothing_that_is_set_goes_unread_in_silence() -> None:
    assert "comparisons 7 has no effect beside scaling 'none'" in vpl.notice(
        {}, vpl.Config(scaling="none", comparisons=7)
    )
    for c in (vpl.Config(scaling="none"), vpl.Config(comparisons=7)):
        assert vpl.notice({}, c) == ""


# --- minibatches ------------------------------------------------------------------------------


@pytest.mark.parametrize("scaling", ["wins", "standard", "scale", "none"])
def test_rows_have_a_latent_and_its_reward(scaling: Any) -> None:
    source, _, _ = prepared(scaling=scaling)
    source.begin()
    assert source.data is not None
    index = source.indices(0, 3)[2]
    b = source.batch(index)
    for k in range(2):
        for j in (0, 5, 31):
            row, m = int(index[k, j]) // 11, int(index[k, j]) % 11
            z = source.z[k, m]
            assert torch.equal(b.s[k, j], torch.cat([source.data.rows("s")[0, row], z]))
            assert torch.equal(b.s2[k, j], torch.cat([source.data.rows("s2")[0, row], z]))

            def value(x: Tensor, z: Tensor = z, k: int = k) -> Tensor:
                rows = torch.zeros(2, len(x), x.shape[-1]).double()
                rows[k] = x
                wide = torch.zeros(2, len(x), 3).double()
                wide[k] = z
                return source.net.reward(rows, wide)[k]

            own = value(torch.cat([b.s[k, j, :1], b.a[k, j]]).unsqueeze(0))[0]
            others = source.others[k, m]
            expected = {
                "none": own,
                "wins": (own - others).sigmoid().mean(),
                "scale": own / others.std(correction=0),
                "standard": (own - others.mean()) / others.std(correction=0),
            }[scaling]
            torch.testing.assert_close(b.r[k, j], expected, rtol=0, atol=1e-10)
    assert len(set((index % 11).flatten().tolist())) > 5


def test_it_is_iql_on_observations_with_latents() -> None:
    source, agent, c = prepared()
    source.begin()
    own = iql.Config(hidden=(16, 16), batch_size=32)
    plain = iql.Agent(Spec(4, 1, (0, 3), torch.float64), own)
    for step in range(4):
        b = source.batch(source.indices(step, 1)[0])
        agent.update(b, c)
        plain.update(b, own)
    mine, its = state.tensors(agent.inner), state.tensors(plain)
    assert mine.keys() == its.keys()
    assert all(torch.equal(mine[name], its[name]) for name in its)
    s = torch.randn(2, 6, 1).double()
    z = agent.served.z.unsqueeze(1).expand(-1, 6, -1)
    assert torch.equal(agent.act(s), plain.act(torch.cat([s, z], -1)))


def test_an_exported_policy_acts_for_the_user_served() -> None:
    source, agent, _ = prepared((0,))
    source.begin()
    before = agent.served.z.clone()
    s = torch.linspace(-1, 1, 5).double().view(1, 5, 1)
    agent.serve(before + 2)
    program = trace(agent, source.stock.spec)
    expected = agent.act(s)[0].detach()
    np.testing.assert_allclose(program(s[0].numpy()), expected, atol=1e-12)
    agent.serve(before)
    assert not torch.equal(agent.act(s)[0], expected)


def test_it_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    first, agent, _ = prepared()
    first.begin()
    second, other, _ = prepared()
    second.load_state_dict({n: x.clone() for n, x in first.state_dict().items()})
    state.load(other, state.clone(agent))
    index = first.indices(4, 1)[0]
    mine, its = first.batch(index), second.batch(index)
    assert torch.equal(mine.r, its.r)
    assert torch.equal(mine.s, its.s)
    assert torch.equal(agent.served.z, other.served.z)
    assert agent.served.z.abs().sum() > 0


def test_lanes_are_fitted_as_they_are_alone() -> None:
    (both, agent, _), (alone, other, _) = prepared((0, 3)), prepared((3,))
    for source in (both, alone):
        source.begin()
    torch.testing.assert_close(both.z[1:], alone.z, rtol=0, atol=1e-10)
    torch.testing.assert_close(agent.served.z[1:], other.served.z, rtol=0, atol=1e-10)


BASE: list[Tensor] = []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("users", "columns:right"), ("teacher", "noisy:0.1"), ("pairs", 150), ("length", 2)),
        *(("set_size", 5), ("kl", 0.1), ("cycles", 2), ("hidden_vae", (15,)), ("lr_vae", 1e-2)),
        *(("batch_vae", 7), ("steps_vae", 19), ("latents", 12), ("comparisons", 6)),
        *(("scaling", "none"), ("user", 1), ("latent", 4)),
    ],
)
def test_every_setting_of_the_latents_matters(name: str, value: Any) -> None:
    def learnt(**given: Any) -> Tensor:
        source, agent, _ = prepared((0,), **given)
        source.begin()
        index = torch.arange(1, 33).unsqueeze(0) * source.c.latents - 1
        return torch.cat([source.batch(index).r.flatten(), agent.served.z.flatten()])

    if not BASE:
        BASE.append(learnt())
    other = learnt(**{name: value})
    assert BASE[0].shape != other.shape or not torch.equal(BASE[0], other)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"users": ""}, "nobody is asked"),
        ({"users": "columns:left"}, "no column 'left'"),
        ({"teacher": "regret"}, "users compare by factors"),
        ({"user": 2}, "user 2 answered nothing"),
        ({"agent": "decision_transformer", "given": ""}, "cannot learn under latents"),
        ({"agent": "cal_ql", "given": ""}, "cannot learn under latents"),
        ({"agent": "dqn", "given": ""}, "does not learn continuous actions offline"),
        ({"agent": "vpl", "given": ""}, "this algorithm itself"),
        ({"pairs": 1}, "pairs is 1, fewer than the 2 users of 'columns:right,-right'"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        prepared(**given)


def test_grids_are_refused() -> None:
    with pytest.raises(ValueError, match="appends to vectors"):
        vpl.Agent(Spec((7, 7, 3), 1, (0,)), vpl.Config())


# --- two users of opposed minds ---------------------------------------------------------------


def test_each_user_gets_a_policy_of_their_own_where_one_reward_serves_neither(
    tmp_path: Path,
) -> None:
    spec, store = Spec(1, 1, (0, 1)), line()
    given = "hidden=32,32 batch_size=128 lr=1e-3 beta=10.0 gamma=0.9"
    fit = {"steps_vae": 400, "batch_vae": 32, "hidden_vae": (32,), "set_size": 8, "latents": 200}
    c = vpl.Config(**{**SMALL, **fit, "given": given, "pairs": 400})
    agent = vpl.Agent(spec, c)
    source = vpl.source(stock_of(vpl.select(store, c), spec, agent.columns), agent, c)
    source.begin()
    assert (source.metrics["vae_accuracy"] > 0.9).all()
    Engine(agent, c, spec, source).run(0, 600)
    fitted = Users(source.net, source.answered, spec, c)
    z = [fitted.latent_of(user) for user in (0, 1)]
    returns = []
    for latent in z:
        agent.serve(latent)
        returns.append(travelled(agent.act, 2))
    assert (returns[0] > 0.85 * LINE_BEST).all()
    assert (returns[1] < -0.85 * LINE_BEST).all()
    # between the two the reward turns over
    x = source.net.steps(torch.tensor([[[-0.5], [0.5]]] * 2), torch.zeros(2, 2, 1))
    slopes = []
    for share in (0.0, 1.0):
        latent = (1 - share) * z[0] + share * z[1]
        r = source.net.reward(x, latent.unsqueeze(1).expand(-1, 2, -1))
        slopes.append(r[:, 1] - r[:, 0])
    assert (slopes[0] > 0).all()
    assert (slopes[1] < 0).all()

    # the same answers, of nobody in particular
    pairs, path = source.answered.pairs, tmp_path / "pooled.npz"
    s, a, mask = (x[0].numpy() for x in (pairs.s, pairs.a, pairs.mask))
    zeros = np.zeros(mask.shape)
    cut = Segments(s, a, zeros, zeros + 1, s, mask, zeros.astype(int))
    PairDataset(cut, pairs.y[0].numpy()).save(path)
    own = p_iql.Config(
        preferences=str(path), hidden=(32, 32), batch_size=128, lr=1e-3, beta=10.0, gamma=0.9,
        hidden_reward=(32, 32), passes=10, members=1,
    )  # fmt: skip
    pooled = p_iql.Agent(spec, own)
    feed = p_iql.source(stock_of(store, spec, ()), pooled, own)
    feed.begin()
    Engine(pooled, own, spec, feed).run(0, 600)
    one = travelled(pooled.act, 2)
    assert (torch.minimum(one, -one) < 0.3 * LINE_BEST).all()  # nobody can be served by both
    assert (one.abs() < 0.85 * LINE_BEST).all()
