"""A2PR against closed forms, its reduction to TD3+BC, and a bandit whose data have two modes."""

import pytest
import torch

from rlkit.algos import a2pr, td3_bc
from rlkit.core.batch import Batch
from rlkit.core.spec import Spec
from rlkit.run.settings import presets
from rlkit.testing.cases import Case, due_flags, make_batch

CASE = Case(a2pr, config={"hidden_q": (8, 8), "hidden_vae": (8, 8)})


def raise_v(agent: a2pr.Agent, by: float) -> None:
    """V everywhere higher by a number."""
    with torch.no_grad():
        agent.v.mlp.last.bias += by


def test_without_candidate_and_gate_it_is_td3_bc() -> None:
    spec = CASE.spec()
    c = CASE.make_config(candidate=False, gate=False, weight=1.0)
    c_theirs = Case(td3_bc).make_config()
    ours, theirs = a2pr.Agent(spec, c), td3_bc.Agent(spec, c_theirs)
    for step in range(10):
        batch = make_batch(spec, ours, step)
        metrics = ours.update(batch, c, **due_flags(ours, step))
        its = theirs.update(batch, c_theirs, **due_flags(theirs, step))
        for name, value in its.items():
            torch.testing.assert_close(metrics[name], value, rtol=0, atol=1e-12)
    for net in ("pi", "q"):
        mine, other = getattr(ours, net).parameters(), getattr(theirs, net).parameters()
        for p, q in zip(mine, other, strict=True):
            torch.testing.assert_close(p, q, rtol=0, atol=1e-12)


@pytest.mark.parametrize("detach", [False, True])
def test_where_nothing_has_an_advantage_the_policy_climbs_its_value_alone(detach: bool) -> None:
    """A known risk of the gate; the step is that of a cloning weight of 0."""
    found = []
    for weight in (0.0, 5.0):
        c = CASE.make_config(weight=weight, detach=detach, actor_period=1)
        agent = CASE.agent(CASE.spec(), c)
        raise_v(agent, 1e3)
        metrics = agent.update(make_batch(CASE.spec(), agent, 0), c)
        assert metrics["held"].eq(0).all()
        assert metrics["better"].eq(0).all()
        found.append(list(agent.pi.parameters()))
    for p, q in zip(*found, strict=True):
        assert torch.equal(p, q)


def test_only_actions_better_than_average_are_reconstructed() -> None:
    spec, c = CASE.spec(), CASE.make_config()
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    coded = agent.vae(b.s, b.a, b.noise["code"].flatten(2))
    none = a2pr.vae_loss(coded, b.a, torch.zeros_like(b.r), 3.0)
    torch.testing.assert_close(none, 0.5 * coded.divergence.mean(-1))
    one = torch.zeros_like(b.r)
    one[:, 4] = 1
    error = (coded.action[:, 4] - b.a[:, 4]).square().mean(-1) / b.r.shape[1]
    torch.testing.assert_close(a2pr.vae_loss(coded, b.a, one, 3.0) - none, 3 * error)


def test_the_target_of_v_is_the_least_of_four_values_after_the_critics_step() -> None:
    spec, c = CASE.spec(), CASE.make_config(smooth=0.0, lr_q=0.1)
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    v = agent.v(b.s).detach()
    a2 = agent.pi_bar(b.s2).mode
    loss = agent.update(b, c, actor=False)["v_loss"]
    least = torch.cat([agent.q(b.s2, a2), agent.q_bar(b.s2, a2)], 1).amin(1)
    expected = (v - b.r - 0.99 * b.cont * least).square().mean(-1)
    torch.testing.assert_close(loss, expected.detach())


def test_the_better_action_is_cloned_and_the_gate_counts_rows() -> None:
    candidate, a = torch.tensor([[0.5], [0.5], [0.5]]), torch.tensor([[-0.5], [-0.5], [-0.5]])
    adv_candidate, adv = torch.tensor([1.0, 0.0, -1.0]), torch.tensor([0.0, 0.0, 0.0])
    wanted = a2pr.cloned(candidate, a, adv_candidate, adv)
    assert wanted.flatten().tolist() == [0.5, 0.5, -0.5]  # equal advantages: the candidate
    loss = a2pr.cloning_loss(torch.zeros(3, 1), wanted, torch.tensor([1.0, 1.0, 0.0]))
    assert float(loss) == pytest.approx(2 * 0.25 / 3)


def test_a_constant_candidate_sends_no_gradient_through_the_autoencoder() -> None:
    """The step with `detach` is the one on -λ Q + w (π - sg ā)², with the stepped nets."""
    spec, c = CASE.spec(), CASE.make_config(detach=True, gate=False, actor_period=1, lr=1e-30)
    agent = CASE.agent(spec, c)
    raise_v(agent, -1e3)
    b = make_batch(spec, agent, 0)
    loss = agent.update(b, c)["pi_loss"]
    a = agent.pi(b.s).mode
    candidate = agent.vae(b.s, a, b.noise["candidate"].flatten(2)).action
    better = agent.q(b.s, candidate)[:, 0] >= agent.q(b.s, b.a)[:, 0]
    assert better.any()
    assert not better.all()
    wanted = torch.where(better.unsqueeze(-1), candidate, b.a).detach()
    ours = td3_bc.value_loss(agent.q(b.s, a)[:, 0], 2.5)
    ours = ours + 0.5 * (a - wanted).square().mean((-2, -1))
    torch.testing.assert_close(loss, ours.detach())
    slopes = torch.autograd.grad(ours.sum(), list(agent.pi.parameters()))
    for slope, moment in zip(slopes, agent.step_pi.flat.views(agent.step_pi.m), strict=True):
        torch.testing.assert_close(0.1 * slope, moment)


def test_presets_are_the_authors_settings() -> None:
    found = presets.of("a2pr")
    assert found["hopper_medium"].config == {"weight": 0.4, "gamma": 0.995}
    assert found["walker2d_medium"].config["weight_vae"] == 1.5
    assert all(preset.run == {"normalise_obs": True} for preset in found.values())
    for preset in found.values():
        a2pr.Config(**preset.config)


def two_modes(rows: torch.Generator, lanes: int, size: int) -> Batch:
    """A bandit whose data hold -0.6 and 0.6 equally often; the second pays 1, the first nothing."""
    good = (torch.rand(lanes, size, generator=rows) < 0.5).float()
    a = 1.2 * good.unsqueeze(-1) - 0.6
    a = a + 0.05 * torch.randn(a.shape, generator=rows)
    one = torch.ones(lanes, size, 1)
    return Batch(one, a, good, torch.zeros(lanes, size), one)


@pytest.mark.parametrize("detach", [False, True])
def test_it_leaves_the_worse_of_two_modes(detach: bool) -> None:
    """V is 1/2, the mean of the data; decoded samples of the prior and the policy lie in the good
    mode, where TD3+BC at the same small α stays between the two."""
    lanes, widths = 3, (32, 32)
    spec, rows = Spec(1, 1, range(lanes)), torch.Generator().manual_seed(1)
    shared = {"alpha": 0.1, "hidden": widths, "lr": 1e-3, "lr_q": 3e-3}
    c = a2pr.Config(
        hidden_q=widths, hidden_vae=widths, weight=1.0, weight_vae=50.0, detach=detach, **shared
    )
    c_theirs = td3_bc.Config(**shared)
    ours, theirs = a2pr.Agent(spec, c), td3_bc.Agent(spec, c_theirs)
    for step in range(600):
        batch = two_modes(rows, lanes, 64)
        for agent, config in ((ours, c), (theirs, c_theirs)):
            agent.update(batch, config, **due_flags(agent, step))
    one = torch.ones(lanes, 200, 1)
    with torch.no_grad():
        v = ours.v(one)[:, 0]
        samples = ours.vae.decode(one, torch.randn(lanes, 200, 2, generator=rows))
        mine, its = ours.act(one)[:, 0, 0], theirs.act(one)[:, 0, 0]
    torch.testing.assert_close(v, torch.full_like(v, 0.5), rtol=0, atol=0.1)
    assert (samples > 0.3).float().mean() > 0.95
    assert mine.min() > 0.5
    assert its.max() < 0.35
