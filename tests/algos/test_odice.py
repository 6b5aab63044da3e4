"""O-DICE against its conjugates, its projection, and the fixed points of a bandit."""

import numpy as np
import pytest
import torch
from torch import Tensor

from rlkit.algos import odice
from rlkit.core.batch import Batch
from rlkit.core.lanes import resolve
from rlkit.core.optim import Adam
from rlkit.core.spec import Discrete, Spec
from rlkit.data.store import EpisodeStore
from rlkit.testing.cases import Case, make_batch

CASE = Case(odice, config={"hidden_pi": (8, 8)})
FIXED_POINTS = [(0.5, 0.200), (0.6, 0.867), (0.8, 1.700), (0.9, 1.978)]


@pytest.mark.parametrize("f", ["chi2", "kl"])
def test_the_ratio_is_the_slope_of_the_conjugate(f: odice.Divergence) -> None:
    y = torch.linspace(-5, 3, 401, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(odice.conjugate(y, f).sum(), y)
    torch.testing.assert_close(slope, odice.ratio(y.detach(), f))
    assert (slope >= 0).all()


def test_chi2_conjugate_joins_smoothly_at_minus_two() -> None:
    y = torch.tensor([-2 - 1e-7, -2.0, -2 + 1e-7, -9.0, 0.0, 2.0], dtype=torch.float64)
    got = odice.conjugate(y, "chi2")
    torch.testing.assert_close(
        got, torch.tensor([-1, -1, -1, -1, 0, 3.0]).double(), atol=1e-12, rtol=0
    )
    ratio = odice.ratio(y, "chi2")
    torch.testing.assert_close(
        ratio, torch.tensor([0, 0, 0, 0, 1, 2.0]).double(), atol=1e-7, rtol=0
    )


@pytest.mark.parametrize(
    ("f", "cost"),
    [("chi2", lambda x: (x - 1) ** 2), ("kl", lambda x: x * np.log(np.maximum(x, 1e-300)))],
)
def test_conjugate_is_the_largest_affine_gain(f: odice.Divergence, cost) -> None:
    """f*(y) = max over x >= 0 of x y - f(x)."""
    x = np.linspace(0, 12, 240_001)
    for y in (-4.0, -1.0, 0.5, 2.0):
        best = float((x * y - cost(x)).max())
        got = float(odice.conjugate(torch.tensor(y, dtype=torch.float64), f))
        assert best - 1e-12 <= got <= best + 1e-7  # the grid's spacing, squared


# --- the projection ---------------------------------------------------------------------------
def test_projection_is_orthogonal_in_each_lane() -> None:
    rng = torch.Generator().manual_seed(0)
    shapes = ((3, 2, 4, 5), (3, 2, 1, 5), (3, 2, 5, 1))
    g_f, g_b = ([torch.randn(s, generator=rng).double() for s in shapes] for _ in range(2))
    left = odice.orthogonal(g_f, g_b)
    gap = odice.inner(g_f, left) / odice.inner(g_f, g_f).sqrt()
    assert gap.abs().max() < 1e-6
    lost = [b - x for b, x in zip(g_b, left, strict=True)]
    torch.testing.assert_close(odice.inner(lost, left), torch.zeros(3).double(), atol=1e-10, rtol=0)
    none = odice.orthogonal([0 * x for x in g_f], g_b)  # nothing to be orthogonal to
    for kept, whole in zip(none, g_b, strict=True):
        assert torch.equal(kept, whole)


def gradients(agent: odice.Agent, b: Batch, c: odice.Config) -> list[Tensor]:
    """What an update descends along, V left as it is."""
    found: list[Tensor] = []
    agent.step_v.apply = found.extend  # type: ignore[method-assign, assignment]
    agent.update(b, c)
    del agent.step_v.apply
    return found


def test_update_descends_along_the_projected_gradient() -> None:
    """⟨g_f, g - g_f⟩ = 0 where g leaves out the gradient of (1 - λ) E V."""
    spec, c = CASE.spec(), CASE.make_config(lam=0.6)
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    low, low2 = (agent.v_bar(s).amin(1, keepdim=True) for s in (b.s, b.s2))
    r, discount = b.r.unsqueeze(1), c.gamma * b.cont.unsqueeze(1)
    forward = odice.conjugate(r + discount * low2 - agent.v(b.s), "chi2").mean((1, 2))
    backward = odice.conjugate(r + discount * agent.v(b.s2) - low, "chi2").mean((1, 2))
    params = list(agent.v.parameters())
    g_f, g_b, g_v = (
        torch.autograd.grad(loss.sum(), params)
        for loss in (c.lam * forward, c.lam * backward, (1 - c.lam) * agent.v(b.s).mean((1, 2)))
    )
    got = gradients(agent, b, c)
    rest = [g - v - x for g, v, x in zip(got, g_v, g_f, strict=True)]
    scale = odice.inner(g_f, g_f)
    assert (odice.inner(g_f, rest).abs() < 1e-6 * scale).all()
    share = odice.inner(g_f, g_b) / scale
    assert (share.abs() > 1e-3).all()  # there was something to take away
    for x, f, back in zip(rest, g_f, g_b, strict=True):
        torch.testing.assert_close(x, back - share.view(-1, *[1] * (f.dim() - 1)) * f)


def test_eta_zero_is_the_semi_gradient() -> None:
    spec = CASE.spec()
    agents = []
    for options in ({"eta": 0.0}, {"update_rule": "semi"}):
        c = CASE.make_config(**options)
        agents.append(CASE.agent(spec, c))
        for step in range(10):
            agents[-1].update(make_batch(spec, agents[-1], step), c)
    for mine, its in zip(agents[0].v.parameters(), agents[1].v.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-12)


def test_terminal_rows_have_no_backward_gradient() -> None:
    spec = CASE.spec()
    found = []
    for rule in ("orthogonal", "semi", "true"):
        c = CASE.make_config(update_rule=rule)
        agent = CASE.agent(spec, c)
        b = make_batch(spec, agent, 0)
        agent.update(b._replace(cont=torch.zeros_like(b.cont)), c)
        found.append(list(agent.v.parameters()))
    for other in found[1:]:
        for mine, its in zip(found[0], other, strict=True):
            torch.testing.assert_close(mine, its, rtol=0, atol=1e-12)


def test_true_gradient_is_of_one_residual() -> None:
    spec, c = CASE.spec(), CASE.make_config(update_rule="true", lam=0.7)
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    v, v2 = agent.v(b.s), agent.v(b.s2)
    y = b.r.unsqueeze(1) + c.gamma * b.cont.unsqueeze(1) * v2 - v
    loss = 0.7 * odice.conjugate(y, "chi2").mean((1, 2)) + 0.3 * v.mean((1, 2))
    expected = torch.autograd.grad(loss.sum(), list(agent.v.parameters()))
    kept: list[Tensor] = []
    original = Adam.apply
    try:
        Adam.apply = lambda self, g: kept.extend(g) if self is agent.step_v else None  # type: ignore
        agent.update(b, c)
    finally:
        Adam.apply = original  # type: ignore[method-assign]
    for got, wanted in zip(kept, expected, strict=True):
        torch.testing.assert_close(got, wanted)


# --- the bandit π = (0.8, 0.2), r = (0, 1) ------------------------------------------------------
def bandit(lams: tuple[float, ...], **options) -> tuple[odice.Agent, odice.Config, Batch]:
    """An agent of one lane for each λ, and all the data."""
    spec = Spec(1, Discrete(2), range(len(lams)), torch.float64)
    c = odice.Config(
        lam=lams, lr=0.02, hidden=(), hidden_pi=(), norm="none", weight_decay=0.0, **options
    )
    c = resolve(c, spec)
    s = torch.ones(len(lams), 5, 1, dtype=torch.float64)
    a = torch.tensor([0, 0, 0, 0, 1]).expand(len(lams), 5)
    return odice.Agent(spec, c), c, Batch(s, a, a.double(), 0 * s[..., 0], s)


def test_fixed_points_of_the_bandit() -> None:
    """E ω* = (1 - λ)/λ; the last step of an episode has no backward part, so all rules agree."""
    lams, values = (torch.tensor(x).double() for x in zip(*FIXED_POINTS, strict=True))
    agent, c, b = bandit(tuple(lams.tolist()))
    for _ in range(800):
        agent.update(b, c)
    v = agent.v(b.s)[..., 0].detach()  # [S, 2]
    torch.testing.assert_close(v, values.unsqueeze(-1).expand(-1, 2), atol=1e-3, rtol=0)
    ratio = odice.ratio(b.r - v[:, :1], "chi2").mean(-1)
    torch.testing.assert_close(ratio, (1 - lams) / lams, atol=1e-3, rtol=0)


def test_the_ratio_still_ranks_actions_where_the_advantage_vanishes() -> None:
    """ω* prefers the good action with .52 at λ = .8 and .92 at .9; max(y, 0) is 0 everywhere."""
    agent, c, b = bandit((0.8, 0.9), weight="ratio")
    for _ in range(1200):
        metrics = agent.update(b, c)
    good = agent.pi(b.s).log_probs[:, 0, 1].exp().detach()
    torch.testing.assert_close(good, torch.tensor([0.52, 0.92]).double(), atol=5e-3, rtol=0)
    assert (metrics["weighted"] == 1).all()
    other, c, b = bandit((0.8, 0.9))
    other.v.load_state_dict(agent.v.state_dict())
    before = [p.detach().clone() for p in other.pi.parameters()]
    other.v_bar.follow(other.v)
    assert (other.update(b, c)["weighted"] == 0).all()
    assert all(torch.equal(x, y) for x, y in zip(before, other.pi.parameters(), strict=True))


# --- the policy and imitation -------------------------------------------------------------------
@pytest.mark.parametrize("heads", ["each", "mean"])
def test_policy_weights_are_clipped_residuals(heads: str) -> None:
    spec, c = CASE.spec(), CASE.make_config(clip=0.5, weight_decay=0.0, heads=heads)
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    low2 = agent.v_bar(b.s2).amin(1, keepdim=True)
    y = (b.r + c.gamma * b.cont * low2[:, 0]).unsqueeze(1) - agent.v(b.s)
    assert (y > 0.5).any()
    assert (y < 0).any()
    w = y.clamp(0, 0.5).mean(1) if heads == "each" else y.mean(1).clamp(0, 0.5)
    assert not torch.equal(y.clamp(0, 0.5).mean(1), y.mean(1).clamp(0, 0.5))
    expected = -(w * agent.pi(b.s).log_prob(b.a)).mean(-1)
    metrics = agent.update(b, c)
    torch.testing.assert_close(metrics["pi_loss"], expected.detach())
    torch.testing.assert_close(metrics["weighted"], (w > 0).double().mean(-1))


def test_without_squash_the_mean_is_free_and_actions_stay_in_the_box() -> None:
    spec, c = CASE.spec(), CASE.make_config(squash=False)
    agent = CASE.agent(spec, c)
    s = 50 * make_batch(spec, agent, 0).s
    assert agent.pi(s).mode.abs().max() > 1
    assert agent.act(s).abs().max() == 1
    torch.testing.assert_close(agent.act(s), agent.pi(s).mode.clamp(-1, 1))


def test_by_default_rows_are_weighed_from_the_first_thousand_updates_on() -> None:
    """V settles where the mean residual is 0 at λ 0.5: about half the rows keep a weight, and the
    better action wins; at 0.8 none does."""
    agent, c, b = bandit((odice.Config().lam, 0.8))
    for _ in range(800):
        weighted = agent.update(b, c)["weighted"]
    assert weighted.tolist() == pytest.approx([0.2, 0.0])  # one row in five has the reward
    assert agent.pi(b.s).mode[0].eq(1).all()


def test_weight_decay_is_adams() -> None:
    spec, c = CASE.spec(), CASE.make_config(weight_decay=0.3)
    ours, theirs = CASE.agent(spec, c), CASE.agent(spec, c)
    theirs.step_pi = Adam(theirs.pi, c.lr, weight_decay=0.3, decoupled=False)
    for step in range(3):
        b = make_batch(spec, ours, step)
        ours.update(b, c)
        theirs.update(b, CASE.make_config(weight_decay=0.0))
    for mine, its in zip(ours.pi.parameters(), theirs.pi.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-12)


def test_imitation_ignores_rewards() -> None:
    spec, c = CASE.spec(), CASE.make_config(imitate=True)
    agents = [CASE.agent(spec, c) for _ in range(2)]
    for scale, agent in enumerate(agents):
        b = make_batch(spec, agent, 0)
        agent.update(b._replace(r=b.r * scale), c)
    for mine, its in zip(agents[0].v.parameters(), agents[1].v.parameters(), strict=True):
        assert torch.equal(mine, its)


def test_imitation_keeps_the_first_episodes() -> None:
    steps = {"action": np.zeros(2, int), "reward": np.ones(2), "terminated": np.zeros(2, bool)}
    steps |= {"truncated": np.array([False, True])}
    store = EpisodeStore.from_episodes([{"obs": np.full((3, 1), k), **steps} for k in range(4)])
    assert odice.select(store, odice.Config()) is store
    assert odice.select(store, odice.Config(imitate=True)).obs[:, 0].tolist() == [0, 0]
    assert odice.select(store, odice.Config(imitate=True, episodes=3)).episodes == 3
    assert odice.select(store, odice.Config(imitate=True, episodes=0)) is store
    with pytest.raises(ValueError, match=r"only 0\.\.3 exist"):
        odice.select(store, odice.Config(imitate=True, episodes=5))
