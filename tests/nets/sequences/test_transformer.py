"""The transformer against torch's own block, its mask, its dropout, its lanes."""

import pytest
import torch
from torch import nn

from rlkit import nets
from rlkit.core.spec import Spec

SPEC = Spec(3, 2, (4, 9), torch.float64)


def net(spec: Spec = SPEC, layers: int = 2, heads: int = 2) -> nets.Transformer:
    return nets.Transformer(nets.Init(spec), 5, 6, layers, heads)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


X, ALL = random(2, 7, 5, 6), torch.ones(2, 7, 5, dtype=torch.bool)


def test_a_block_is_that_of_torch() -> None:
    ours = net(layers=1)
    block = ours.blocks[0]
    for lane in range(2):
        theirs = nn.TransformerEncoderLayer(
            6, 2, 24, 0.0, batch_first=True, norm_first=True, dtype=torch.float64
        )
        pairs = (
            (theirs.self_attn.in_proj_weight, block.project.weight.mT),
            (theirs.self_attn.in_proj_bias, block.project.bias[:, 0]),
            (theirs.self_attn.out_proj.weight, block.join.weight.mT),
            (theirs.self_attn.out_proj.bias, block.join.bias[:, 0]),
            (theirs.linear1.weight, block.widen.weight.mT),
            (theirs.linear1.bias, block.widen.bias[:, 0]),
            (theirs.linear2.weight, block.narrow.weight.mT),
            (theirs.linear2.bias, block.narrow.bias[:, 0]),
        )
        with torch.no_grad():
            for parameter, value in pairs:
                parameter.copy_(value[lane])
        hidden = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64)
        found = torch.nn.functional.layer_norm(theirs(X[lane], hidden), (6,))
        torch.testing.assert_close(ours(X, ALL)[lane], found)


def test_no_token_sees_a_later_one() -> None:
    ours, changed = net(), X.clone()
    changed[:, :, 3:] = random(2, 7, 2, 6, seed=1)
    before, after = ours(X, ALL), ours(changed, ALL)
    assert torch.equal(before[:, :, :3], after[:, :, :3])
    assert not torch.equal(before[:, :, 3], after[:, :, 3])


def test_more_padding_changes_nothing() -> None:
    ours = net()
    padded = X.clone()
    padded[:, :, :2] = 7.0
    mask = ALL.clone()
    mask[:, :, :2] = False
    torch.testing.assert_close(ours(padded, mask)[:, :, 2:], ours(X[:, :, 2:], ALL[:, :, 2:]))
    assert ours(padded, torch.zeros_like(ALL)).isfinite().all()


def test_dropout_leaves_means_and_takes_its_share() -> None:
    ours = net(layers=1)
    assert ours.uniforms == 5 * 6 + 2 * 25 + 2 * 5 * 6
    u = torch.rand(2, 7, ours.uniforms, dtype=torch.float64, generator=torch.Generator())
    assert torch.equal(ours(X, ALL, u, 0.0), ours(X, ALL))
    assert not torch.equal(ours(X, ALL, u, 0.5), ours(X, ALL))
    late = torch.ones_like(u)  # none of its numbers is below any share
    torch.testing.assert_close(ours(X / 2, ALL, late, 0.0), ours(X / 2, ALL))


def test_a_lane_is_the_same_in_other_company_and_heads_divide_the_width() -> None:
    alone = net(Spec(3, 2, (9,), torch.float64))(X[1:], ALL[1:])
    torch.testing.assert_close(alone[0], net()(X, ALL)[1])
    with pytest.raises(ValueError, match="no multiple of its 4 heads"):
        net(heads=4)
