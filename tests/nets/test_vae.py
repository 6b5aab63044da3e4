"""The autoencoder of actions: its divergence, its noise, its lanes."""

import torch
from torch.distributions import Normal, kl_divergence

from rlkit import nets
from rlkit.core.spec import Spec

SPEC = Spec(3, 2, (4, 9), torch.float64)


def net(spec: Spec = SPEC) -> nets.ActionVAE:
    return nets.ActionVAE(nets.Init(spec), (6, 6))


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


S, A, EPS = random(2, 5, 3, seed=0), random(2, 5, 2, seed=1).tanh(), random(2, 5, 4, seed=2)


def test_the_divergence_is_the_gaussians() -> None:
    coded = net()(S, A, EPS)
    code = Normal(coded.mean, coded.log_std.exp())
    prior = Normal(torch.zeros_like(coded.mean), torch.ones_like(coded.mean))
    torch.testing.assert_close(coded.divergence, kl_divergence(code, prior).mean(-1))


def test_the_action_is_decoded_from_the_reparameterised_latent() -> None:
    vae = net()
    coded = vae(S, A, EPS)
    z = coded.mean + coded.log_std.exp() * EPS
    assert torch.equal(coded.action, vae.decode(S, z))
    assert coded.action.abs().max() < 1
    assert coded.mean.shape == (2, 5, 4)  # twice as wide as the action


def test_deviations_of_the_code_are_bounded() -> None:
    vae = net()
    with torch.no_grad():
        for bias, bound in ((1e6, 15.0), (-1e6, -4.0)):
            vae.code.last.bias[..., 4:] = bias
            assert vae(S, A, EPS).log_std.eq(bound).all()


def test_a_lane_is_the_same_in_other_company() -> None:
    alone = net(Spec(3, 2, (9,), torch.float64))(S[1:], A[1:], EPS[1:])
    torch.testing.assert_close(alone.action, net()(S, A, EPS).action[1:])
