"""Images through convolutions: layouts, lanes, torch's numbers, and whose convolutions they are."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rlkit import nets
from rlkit.core.pixels import layout
from rlkit.core.spec import Discrete, Spec
from rlkit.nets.encoders import Lent


def images(spec: Spec, batch: int = 3) -> Tensor:
    drawn = torch.Generator().manual_seed(1)
    shape = (spec.lanes, batch, *spec.obs)
    return torch.randint(256, shape, generator=drawn, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("obs", "channels", "order"),
    [
        ((10, 12), 1, (0, 1)),
        ((84, 84, 3), 3, (2, 0, 1)),
        ((10, 11, 4), 4, (2, 0, 1)),
        ((4, 84, 84), 4, (0, 1, 2)),
        ((3, 64, 48, 3), 9, (0, 3, 1, 2)),
    ],
)
def test_the_axes_of_an_image(obs: tuple[int, ...], channels: int, order: tuple[int, ...]) -> None:
    found = layout(obs)
    assert (found.channels, found.order) == (channels, order)
    assert (found.height, found.width) == (obs[order[-2]], obs[order[-1]])


@pytest.mark.parametrize("obs", [(9, 20), (4, 84, 9), (7, 7, 3), (100,), (2, 3, 10, 10, 3)])
def test_what_is_no_image_is_refused(obs: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"images of \d+ x \d+; 10 x 10|it has 2, 3 or 4 axes"):
        Spec(obs, 2, image=True)


@pytest.mark.parametrize("obs", [(10, 12), (40, 37, 3), (3, 12, 12), (2, 12, 11, 3)])
def test_a_lane_sees_what_torch_makes_of_its_image(obs: tuple[int, ...]) -> None:
    spec = Spec(obs, 2, (4, 0, 9), torch.float64, image=True)
    encoder = nets.encoder(nets.Init(spec))
    assert isinstance(encoder, nets.PixelEncoder)
    s, see, found = images(spec), encoder.see, layout(obs)
    for k in range(spec.lanes):
        x = s[k].double().permute(0, *(axis + 1 for axis in found.order))
        x = x.reshape(3, found.channels, found.height, found.width) / 255 - 0.5
        for kernel, bias, stride in zip(see.kernels, see.biases, see.strides, strict=True):
            x = F.relu(F.conv2d(x, kernel[k], bias[k], stride=stride))
        torch.testing.assert_close(see(s)[k], x.flatten(1))
    assert len(see.strides) == (4 if min(found.height, found.width) >= 36 else 2)
    features = encoder(s)
    assert features.shape == (3, 3, 50)
    assert features.abs().max() < 1


def test_the_policy_borrows_the_critics_convolutions_and_trains_none() -> None:
    spec = Spec((10, 10), 2, (0, 1), image=True)
    init = nets.Init(spec)
    pi, q = nets.DeterministicActor(init, (8,)), nets.Critic(init, (8,), 2)
    names = {name for name, _ in pi.named_parameters()}
    nets.share_sight(pi, q)
    assert {n for n in names if ".see." in n} == names - {n for n, _ in pi.named_parameters()}
    s = images(spec)
    before = pi(s).mode
    twin = copy.deepcopy(pi)  # as a target makes one
    with torch.no_grad():
        q.encoder.see.biases[0].add_(0.3)
    assert not torch.equal(pi(s).mode, before)
    assert torch.equal(twin(s).mode, pi(s).mode)  # it looks through the same ones
    assert isinstance(twin.encoder.see, Lent)
    (slope,) = torch.autograd.grad(
        pi(s).mode.sum(), q.encoder.see.biases[0], allow_unused=True, retain_graph=False
    )
    assert slope is None


def test_vectors_and_grids_share_nothing() -> None:
    for spec in (Spec(4, 2), Spec((7, 7, 3), 2)):
        init = nets.Init(spec)
        pi, q = nets.DeterministicActor(init, (8,)), nets.Critic(init, (8,), 2)
        names = [name for name, _ in pi.named_parameters()]
        nets.share_sight(pi, q)
        assert [name for name, _ in pi.named_parameters()] == names


def test_ones_own_encoder_gets_numbers_that_it_can_multiply() -> None:
    def own() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(100, 6))

    spec = Spec((10, 10), Discrete(3), (0, 1), encoder=own, image=True)
    values = nets.ActionValues(nets.Init(spec), (8,))
    assert values(images(spec)).shape == (2, 3, 3, 1)


def test_hidden_units_of_action_values_can_be_watched() -> None:
    spec = Spec(5, Discrete(3), (0, 1))
    s = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    plain = nets.ActionValues(nets.Init(spec), (8, 7))
    duel = nets.ActionValues(nets.Init(spec), (8, 7), dueling=True)
    a = torch.zeros(2, 4, dtype=torch.int64)
    assert [x.shape[-1] for x in plain.activations(s, a)] == [8, 7]
    assert [x.shape[-1] for x in duel.activations(s, a)] == [8, 7, 8, 7]
    last = plain.mlp.last(plain.activations(s, a)[-1])
    torch.testing.assert_close(last.unsqueeze(-1), plain(s))
