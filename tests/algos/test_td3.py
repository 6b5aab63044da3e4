"""TD3 against closed forms."""

import pytest
import torch

from rlkit.algos import td3
from rlkit.testing.cases import Case, make_batch


def test_target_noise_is_clipped_before_the_action_is() -> None:
    a = torch.tensor([[[0.9, 0.0, -0.2]]])
    noise = torch.tensor([[[1.0, 10.0, -10.0]]])
    got = td3.target_action(a, noise, 0.2, 0.5)
    torch.testing.assert_close(got, torch.tensor([[[1.0, 0.5, -0.7]]]))


def test_exploration_noise_has_the_configured_size_and_stays_in_the_box() -> None:
    case = Case(td3)
    spec = case.spec()
    agent = case.agent(spec, case.make_config(explore=(0.1, 0.4)))
    s = make_batch(spec, agent, 0).s
    still, ones = agent.act(s), torch.full((2, 12, 3), 1.0, dtype=torch.float64)
    moved = agent.act(s, ones) - still
    inside = (still + 0.4) < 1
    assert inside[1].any()
    torch.testing.assert_close(moved[1][inside[1]], torch.full_like(moved[1][inside[1]], 0.4))
    assert (agent.act(s, 100 * ones) == 1).all()


def test_targets_move_on_policy_updates_only() -> None:
    case = Case(td3)
    spec, config = case.spec(), case.make_config()
    agent = case.agent(spec, config)
    before = agent.q_bar.flat.data.clone()
    agent.update(make_batch(spec, agent, 0), config, actor=False)
    assert torch.equal(agent.q_bar.flat.data, before)
    agent.update(make_batch(spec, agent, 1), config, actor=True)
    assert not torch.equal(agent.q_bar.flat.data, before)


def test_policy_climbs_the_first_critic() -> None:
    case = Case(td3)
    spec, config = case.spec(), case.make_config(lr=1e-4)
    agent = case.agent(spec, config)
    batch = make_batch(spec, agent, 0)
    agent.update(batch, config)  # moves the critic; the policy's loss below uses it as it is
    before = agent.q(batch.s, agent.pi(batch.s).mode)[:, 0].mean(-1)
    agent.step_pi(-agent.q(batch.s, agent.pi(batch.s).mode)[:, 0].mean(-1))
    after = agent.q(batch.s, agent.pi(batch.s).mode)[:, 0].mean(-1)
    assert (after > before).all()


def test_discrete_actions_are_refused() -> None:
    with pytest.raises(ValueError, match="continuous"):
        Case(td3, discrete=True).agent(Case(td3, discrete=True).spec(), td3.Config())
