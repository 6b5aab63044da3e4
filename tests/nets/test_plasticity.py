"""Figures of plasticity against cases that can be counted by hand."""

import pytest
import torch

from rlkit.core.spec import Spec
from rlkit.nets import Critic, Init
from rlkit.nets.plasticity import active_share, dormant_share, feature_rank, weight_norm

SPEC = Spec(6, 2, (0, 1))


def _critic() -> tuple[Critic, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    critic = Critic(Init(SPEC), (64, 64))
    return critic, torch.randn(2, 512, 6, generator=rng), torch.rand(2, 512, 2, generator=rng)


def test_half_the_units_of_a_fresh_net_are_active() -> None:
    critic, s, a = _critic()
    torch.testing.assert_close(
        active_share(critic.activations(s, a)), torch.full((2,), 0.5), atol=0.06, rtol=0
    )


def test_a_dead_layer_counts_nothing_and_lanes_stay_apart() -> None:
    critic, s, a = _critic()
    with torch.no_grad():
        critic.mlp.layers[1].bias[0] -= 1e3
        critic.mlp.layers[0].bias[1] += 1e3
    first, second = critic.activations(s, a)
    share = active_share([first, second])
    alive = (first[0] > 0).float().mean()
    assert float(share[0]) == pytest.approx(float(alive) / 2)
    assert float(active_share([first])[1]) == 1.0
    assert dormant_share([second]).tolist()[0] == 1.0
    assert dormant_share([first]).tolist()[1] == 0.0


def test_dormant_share_by_hand() -> None:
    x = torch.tensor([[[[4.0, 0.0, 0.05, 3.95]]]])  # mean 2: below 0.05 is dormant
    assert dormant_share([x]).tolist() == [0.5]
    assert dormant_share([x], threshold=0.0).tolist() == [0.25]


def test_rank_of_features() -> None:
    rng = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(32, 4, generator=rng))[0]
    features = (basis[:, :3] @ torch.eye(3, 8)).expand(2, 1, 32, 8)
    assert feature_rank(features).tolist() == [3.0, 3.0]
    weak = features.clone()
    weak[1] *= torch.tensor([1.0, 1e-4, 1e-4, 0, 0, 0, 0, 0])
    assert feature_rank(weak).tolist() == [3.0, 1.0]


def test_weight_norm_is_of_all_parameters() -> None:
    critic, _, _ = _critic()
    lane = torch.cat([p[1].detach().flatten() for p in critic.parameters()])
    assert float(weight_norm(critic)[1]) == pytest.approx(float(lane.norm()), rel=1e-6)
