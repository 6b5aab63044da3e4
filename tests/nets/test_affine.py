"""x W + b: the oneDNN path has the values and derivatives of `baddbmm`, and is used when worth it.

Both libraries sum the same products in another order: a float32 dot product of n terms of size 1
carries an error of about 1e-7 √n, so n = 128 allows 1e-5 for values of size 10.
"""

import copy

import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.core.spec import Spec
from rlkit.nets import affine as module
from rlkit.nets.affine import affine

if not module._ONEDNN:
    pytest.skip("torch is built without oneDNN", allow_module_level=True)

M, BATCH, IN, OUT = 3, 128, 96, 128  # above the threshold of 2^20 multiply-adds


def _inputs(members: int = M, batch: int = BATCH, n_in: int = IN, n_out: int = OUT) -> list[Tensor]:
    rng = torch.Generator().manual_seed(0)
    shapes = ((members, batch, n_in), (members, n_in, n_out), (members, 1, n_out))
    return [torch.randn(shape, generator=rng).requires_grad_() for shape in shapes]


def _plain(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias, x, weight)


def _close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5 * float(other.detach().abs().max()))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the weights that go through oneDNN's product, forward and backward."""
    seen: list[tuple[int, ...]] = []
    original = module._Affine.forward

    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        seen.append(tuple(weight.shape))
        return original(ctx, x, weight, bias)

    monkeypatch.setattr(module._Affine, "forward", staticmethod(forward))
    return seen


def test_values_and_first_derivatives(calls: list) -> None:
    x, weight, bias = inputs = _inputs()
    out, expected = affine(*inputs), _plain(*inputs)
    assert len(calls) == 1
    assert _close(out, expected)
    slope = torch.cos(torch.arange(out.numel(), dtype=torch.float32)).view_as(out)
    pairs = zip(
        torch.autograd.grad((out * slope).sum(), inputs),
        torch.autograd.grad((expected * slope).sum(), inputs),
        inputs,
        strict=True,
    )
    for one, other, parameter in pairs:
        assert one.shape == parameter.shape
        assert _close(one, other)
    assert calls == [tuple(weight.shape), (M, OUT, IN), (M, BATCH, OUT)]
    assert x.grad is None
    assert bias.grad is None


def test_gradient_of_a_plain_sum() -> None:
    """Its incoming gradient is one number expanded, a tensor without strides of its own."""
    inputs = _inputs()
    ours = torch.autograd.grad(affine(*inputs).sum(), inputs)
    theirs = torch.autograd.grad(_plain(*inputs).sum(), inputs)
    assert all(_close(one, other) for one, other in zip(ours, theirs, strict=True))


def test_second_derivatives_of_a_gradient_penalty() -> None:
    """Two layers, so that the penalty on dq/dx depends on both weights; as in WGAN-GP and EDAC."""
    x, w1, b1 = _inputs()
    _, w2, b2 = _inputs(n_in=OUT, n_out=OUT)

    def penalty(product) -> tuple[Tensor, ...]:
        hidden = product(x, w1, b1).tanh()
        out = product(hidden, w2 * 0.1, b2).square().mean((-2, -1))
        (slope,) = torch.autograd.grad(out.sum(), [x], create_graph=True)
        loss = (1e3 * slope.square().sum(-1) - 1).square().mean()
        return torch.autograd.grad(loss, [x, w1, b1, w2, b2])

    for one, other in zip(penalty(affine), penalty(_plain), strict=True):
        assert float(other.abs().max()) > 1e-4
        assert _close(one, other)


def test_only_what_needs_a_gradient_is_computed(calls: list) -> None:
    x, weight, bias = _inputs()
    out = affine(x.detach(), weight, bias)
    calls.clear()
    out.sum().backward()
    assert calls == [(M, BATCH, OUT)]
    frozen = affine(x, weight.detach(), bias.detach())
    calls.clear()
    frozen.sum().backward()
    assert calls == [(M, OUT, IN)]


def test_used_only_where_it_is_worth_it(calls: list) -> None:
    affine(*_inputs(batch=8))
    affine(*_inputs(n_out=1, batch=20_000))
    affine(*[t.double() for t in _inputs()])
    assert calls == []
    affine(*_inputs())
    assert len(calls) == 1


def test_a_lane_is_the_same_to_the_bit_in_any_company() -> None:
    inputs = _inputs(5)
    together = affine(*inputs)
    gradients = torch.autograd.grad(together.square().sum(), inputs)
    for lanes in (slice(0, 1), slice(3, 5), slice(4, 5)):
        own = [t[lanes].detach().clone().requires_grad_() for t in inputs]
        alone = affine(*own)
        assert torch.equal(alone, together[lanes])
        for one, other in zip(
            torch.autograd.grad(alone.square().sum(), own), gradients, strict=True
        ):
            assert torch.equal(one, other[lanes])


def test_non_contiguous_inputs() -> None:
    x, weight, bias = (t.detach() for t in _inputs())
    expected = _plain(x, weight, bias)
    assert _close(affine(x.mT.contiguous().mT, weight, bias), expected)
    assert _close(affine(x, weight.mT.contiguous().mT, bias), expected)
    shared = x[:1].expand(M, BATCH, IN)
    assert _close(affine(shared, weight, bias), _plain(shared, weight, bias))


@pytest.mark.parametrize("n", [0, 2])
def test_a_whole_net_learns_the_same_on_both_paths(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    init = nets.Init(Spec(IN, 2, (0, 1)))
    net = nets.MLP(init, IN, (OUT, OUT), 1, n, "before")
    twin = copy.deepcopy(net)
    x = _inputs(2)[0].detach()
    net(x).square().mean().backward()
    monkeypatch.setattr(module, "_ONEDNN", False)
    twin(x).square().mean().backward()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert p.grad is not None
        assert q.grad is not None
        assert q.grad.abs().max() > 0
        assert torch.allclose(p.grad, q.grad, rtol=1e-3, atol=1e-4 * float(q.grad.abs().max()))
