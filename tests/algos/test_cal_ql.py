"""Cal-QL: its one change to CQL, returns by hand, and the rows it learns from online."""

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit.algos import cal_ql, cql
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling import monte_carlo
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.testing.cases import Case, make_batch

TINY = {"hidden_q": (8, 8), "n_actions": 3}
CASE = Case(cal_ql, config=TINY)


# --- the bound --------------------------------------------------------------------------------
@pytest.mark.parametrize("options", [{}, {"lagrange": False, "max_backup": False}])
def test_without_a_bound_it_is_cql(options: dict) -> None:
    """Returns of -inf lift nothing, so every parameter moves as CQL's."""
    spec, c = CASE.spec(), CASE.make_config(**options)
    ours = CASE.agent(spec, c)
    same = cql.Config(**c.__dict__)
    theirs = cql.Agent(spec, same)
    for step in range(5):
        b = make_batch(spec, ours, step)
        metrics = ours.update(b._replace(mc=torch.full_like(b.r, -torch.inf)), c)
        theirs.update(b, same)
    assert (metrics["bounded"] == 0).all()
    for name in ("pi", "q", "q_bar", "log_alpha", "log_weight"):
        mine, its = (getattr(x, name).state_dict() for x in (ours, theirs))
        for key, tensor in mine.items():
            torch.testing.assert_close(tensor, its[key], rtol=0, atol=1e-13)


def test_a_high_bound_stops_the_push_on_the_policys_actions_only() -> None:
    q = torch.randn(2, 2, 12, 30, dtype=torch.float64, requires_grad=True)
    log_prob = torch.zeros(2, 12, 30, dtype=torch.float64)
    high = torch.full((2, 12), 50.0, dtype=torch.float64)
    bounded, lifted = cal_ql.calibrated(q, high)
    cost = cql.penalty(bounded, log_prob, torch.zeros(2, 2, 12, dtype=torch.float64), 1.0)
    (slope,) = torch.autograd.grad(cost.sum(), q)
    assert (slope[..., 10:] == 0).all()
    assert (slope[..., :10] > 0).all()
    assert (lifted == 1).all()


def test_share_of_lifted_values_by_hand() -> None:
    q = torch.tensor([9.0, -9.0, 0.0, 1.0, 2.0, 3.0]).view(1, 1, 1, 6)  # two uniform, four policy's
    bounded, lifted = cal_ql.calibrated(q, torch.tensor([[1.5]]))
    assert bounded.flatten().tolist() == [9.0, -9.0, 1.5, 1.5, 2.0, 3.0]
    assert lifted.tolist() == [0.5]


@pytest.mark.parametrize("bounded", [True, False])
def test_bandit_value_of_the_policys_action_stops_at_the_datas_return(bounded: bool) -> None:
    """A table of two actions: one of the data, worth 1, and one only the policy takes. CQL pushes
    the second down for ever, Cal-QL until it is worth the data's return."""
    q = torch.tensor([0.0, 5.0], dtype=torch.float64)
    nowhere, log_prob = torch.tensor([-1e9]).double(), torch.zeros(1, 1, 3).double()
    returns = torch.tensor([[1.0]]).double()
    for _ in range(1500):
        q.requires_grad_()
        drawn = torch.cat([nowhere, q[1:], q[1:]]).view(1, 1, 1, 3)
        if bounded:
            drawn, _ = cal_ql.calibrated(drawn, returns)
        data = q[:1].view(1, 1, 1)
        loss = (data - 1).square() + 5.0 * cql.penalty(drawn, log_prob, data, 1.0)
        (slope,) = torch.autograd.grad(loss.sum(), q)
        q = (q - 0.02 * slope).detach()
    assert (q[1] >= 1 - 0.1) == bounded
    assert (q[1] < -10) == (not bounded)


# --- returns ----------------------------------------------------------------------------------
def test_returns_of_sparse_episodes_by_hand() -> None:
    """Two failures and a success pay -5, -5, 5, which ends it: the sums; a failed episode is worth
    -5 / (1 - γ) at each of its steps, timed out though it is."""
    gamma = 0.9
    r = np.array([-5.0, -5, 5, -5, -5, -5, -5])
    cont, last = np.array([1.0, 1, 0, 1, 1, 1, 1]), np.array([0, 0, 1, 0, 0, 0, 1.0])
    got = monte_carlo.returns(r, cont, last, gamma, -5.0)
    success = [-5 - 4.5 + 0.81 * 5, -5 + 4.5, 5]
    np.testing.assert_allclose(got, [*success, *[-5 / (1 - gamma)] * 4], rtol=1e-12)


def test_a_timeout_never_promises_more_than_going_on_at_the_lowest_reward() -> None:
    got = monte_carlo.returns(np.array([2.0, 3]), np.ones(2), np.array([0.0, 1]), 0.5, -1.0)
    np.testing.assert_allclose(got, [2 + 0.5 * 3 - 0.25 * 2, 3 - 0.5 * 2])


# --- rows -------------------------------------------------------------------------------------
SPEC = Spec(2, 1, (3, 0), torch.float64)


def dataset(spec: Spec = SPEC) -> Replay:
    """An episode that ends and one that is cut off, rewards 0..4."""
    n = 5
    store = EpisodeStore.from_episodes(
        [
            {
                "obs": np.zeros((k + 1, 2)), "action": np.zeros((k, 1)),
                "reward": np.arange(first, first + k, dtype=float),
                "terminated": np.arange(k) == (k - 1 if ends else -1),
                "truncated": np.arange(k) == (-1 if ends else k - 1),
            }
            for first, k, ends in ((0, 2, True), (2, n - 2, False))
        ]
    )  # fmt: skip
    return Replay.from_store(store, spec, Transforms(action_low=[-1], action_high=[1]))


def add(ring: Replay, r: list[float], ended: list[bool], cut: bool = False) -> None:
    """One step of every environment, the same in both lanes, each lane's rewards 10 apart."""
    shape = (2, ring.envs)
    lanes = np.array([[x + 10 * k for x in r] for k in range(2)], dtype=float)
    flag, none = np.broadcast_to(np.array(ended), shape), np.zeros(shape, bool)
    obs = np.zeros((*shape, 2))
    first, second = (none, flag) if cut else (flag, none)
    ring.add(obs, np.zeros((*shape, 1)), lanes, first, second, obs)


def finished(ring: Replay, batch: int = 400) -> monte_carlo.Finished:
    return monte_carlo.Finished(ring, batch, Streams(SPEC.seeds), "replay", [0.5], 0.0)


def drawn(source: monte_carlo.Finished, step: int = 0) -> tuple[Tensor, Tensor]:
    """Rows drawn and their returns, each lane's as a mapping from one to the other."""
    index = source.indices(step)[0]
    return index, source.batch(index).mc


def test_dataset_rows_come_with_their_returns_and_each_lane_its_discount() -> None:
    c = CASE.make_config(gamma=torch.tensor([[0.5], [0.9]]), batch_size=64)
    agent = CASE.agent(SPEC, CASE.make_config())
    rows = cal_ql.source(Stock(SPEC, Streams(SPEC.seeds), Transforms(), dataset()), agent, c)
    batch = rows.batch(rows.indices(0, 1)[0])
    for lane, gamma in enumerate((0.5, 0.9)):
        by_hand = {0: gamma, 1: 1, 4: 4, 3: 3 + gamma * 4, 2: 2 + gamma * 3 + gamma**2 * 4}
        for r, mc in zip(batch.r[lane].tolist(), batch.mc[lane].tolist(), strict=True):
            assert mc == pytest.approx(by_hand[int(r)], rel=1e-6)
        assert set(batch.r[lane].tolist()) == set(range(5))


def test_online_only_finished_episodes_are_drawn() -> None:
    ring = Replay(SPEC, 40, envs=2)
    source = finished(ring)
    for t in range(6):
        add(ring, [t, 100 + t], [t == 3, t == 1])  # environment 0 ends at 3, environment 1 at 1
    index, mc = drawn(source)
    assert set(index.flatten().tolist()) == {0, 2, 4, 6, 1, 3}
    g3, g2 = 3.0, 2 + 0.5 * 3
    by_hand = {6: g3, 4: g2, 2: 1 + 0.5 * g2, 0: 0.5 * (1 + 0.5 * g2), 3: 101, 1: 100 + 0.5 * 101}
    for row, value in zip(index[0].tolist(), mc[0].tolist(), strict=True):
        assert value == pytest.approx(by_hand[row])
    last = mc[1][index[1] == 6]
    torch.testing.assert_close(last, torch.full_like(last, 13.0))  # lane 1 has its own rewards
    shares = np.bincount(source.indices(1, 50).flatten().numpy(), minlength=8) / (2 * 50 * 400)
    np.testing.assert_allclose(shares[[0, 1, 2, 3, 4, 6]], 1 / 6, atol=0.01)


def test_a_lane_without_a_finished_episode_learns_unbounded() -> None:
    ring = Replay(SPEC, 10)
    source = finished(ring)
    for t in range(3):
        add(ring, [t], [False])
    index, mc = drawn(source)
    assert set(index.flatten().tolist()) == {0, 1, 2}
    assert (mc == -torch.inf).all()
    add(ring, [3.0], [True], cut=True)  # a timeout counts as finished
    index, mc = drawn(source, 1)
    assert set(index.flatten().tolist()) == {0, 1, 2, 3}
    assert mc.isfinite().all()


def test_the_ring_forgets_in_the_middle_of_episodes() -> None:
    """Turns of the ring, looked at now and then: rows and returns are those of a fresh look."""
    rng = np.random.default_rng(0)
    ring = Replay(SPEC, 14, envs=2)
    source = finished(ring, 8)
    for t in range(60):
        add(ring, rng.standard_normal(2).tolist(), (rng.random(2) < 0.2).tolist(), t % 3 == 0)
        if rng.random() < 0.4 or t % 6 == 0:  # a turn of the ring is 7 steps
            (rows, mc), (again, fresh) = drawn(source, t), drawn(finished(ring, 8), t)
            assert torch.equal(rows, again)
            assert torch.equal(mc, fresh)
            known = mc.isfinite()
            following, going = ring.following(rows)
            there = source.returns.gather(1, following)
            r, cont = ring.column("r", rows), ring.column("cont", rows)
            expected = r + 0.5 * torch.where(going, there, torch.zeros_like(there))
            assert ((cont == 1) | ~going).all()
            torch.testing.assert_close(mc[known], expected[known])


def test_a_broken_off_recording_ends_its_episodes() -> None:
    ring = Replay(SPEC, 10)
    add(ring, [1.0], [False])
    add(ring, [2.0], [False])
    ring.cut()
    add(ring, [4.0], [True])
    index, mc = drawn(finished(ring))
    values = dict(zip(index[0].tolist(), mc[0].tolist(), strict=True))
    assert values == pytest.approx({0: 2.0, 1: 2.0, 2: 4.0})


def test_online_minibatches_hold_both() -> None:
    ring = Replay(SPEC, 10)
    for t in range(3):
        add(ring, [50.0 + t], [t == 2])
    c = CASE.make_config(batch_size=8, gamma=0.5)
    agent = CASE.agent(SPEC, c)
    stock = Stock(SPEC, Streams(SPEC.seeds), Transforms(), dataset(), ring)
    source = cal_ql.source(stock, agent, c)
    batch = source.batch(source.indices(0, 2)[1])
    assert source.batch_size == 8
    assert (batch.r[:, :4] < 5).all()
    assert (batch.r[:, 4:] >= 50).all()
    assert batch.mc.isfinite().all()


def test_what_cannot_be_bounded_is_refused() -> None:
    c = CASE.make_config()
    agent, stock = CASE.agent(SPEC, c), Stock(SPEC, Streams(SPEC.seeds), Transforms())
    with pytest.raises(UsageError, match="dataset"):
        cal_ql.source(stock._replace(replay=Replay(SPEC, 5)), agent, c)
    with pytest.raises(UsageError, match="gamma"):
        cal_ql.source(stock._replace(data=dataset()), agent, CASE.make_config(gamma=1.0))
    with pytest.raises(ValueError, match="empty"):
        finished(Replay(SPEC, 5)).indices(0)
