"""x W + b for every lane and member, through oneDNN where that is the faster library.

torch sends float32 products to MKL, which on AMD processors runs at half of what oneDNN reaches
(98 against 206 GFLOP/s on one core of an AVX-512 EPYC, 256x256x256). oneDNN's product has no
derivative in torch, so this module gives it one. Small products and other types or devices use
`baddbmm`, whose batching is worth more there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_ONEDNN = torch.backends.mkldnn.is_available()
_WORTH_IT = 1 << 20  # multiply-adds of one member from which oneDNN's call overhead is repaid


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`[M, B, in] @ [M, in, out] + [M, 1, out]` -> `[M, B, out]`, M lanes times members."""
    if _use_onednn(x, weight):
        return _Affine.apply(x, weight, bias)
    return torch.baddbmm(bias, x, weight)


def _use_onednn(x: Tensor, weight: Tensor) -> bool:
    n_in, n_out = weight.shape[-2:]
    return (
        _ONEDNN
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and min(n_in, n_out) > 1
        and x.shape[-2] * n_in * n_out >= _WORTH_IT
    )


# torch.compile asserts that oneDNN's product has constant weights (it is meant for inference), so
# training code must show it an operator of ours instead.
_LIBRARY = torch.library.Library("rlkit", "DEF")
_LIBRARY.define("affine(Tensor x, Tensor weight, Tensor? bias) -> Tensor")


def _products(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    multiply = torch.ops.mkldnn._linear_pointwise
    rows = []
    for k in range(x.shape[0]):
        shift = None if bias is None else bias[k, 0]
        rows.append(multiply(x[k], weight[k].t(), shift, "none", [], ""))
    return rows[0].unsqueeze(0) if len(rows) == 1 else torch.stack(rows)


def _products_shape(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(x.shape[0], x.shape[1], weight.shape[2])


_LIBRARY.impl("affine", _products, "CPU")
torch.library.register_fake("rlkit::affine", _products_shape, lib=_LIBRARY)


class _Affine(torch.autograd.Function):
    """The derivative is written with the same operation, so it can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return torch.ops.rlkit.affine(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        return (
            _Affine.apply(grad, weight.mT, None) if need_x else None,
            _Affine.apply(x.mT, grad, None) if need_weight else None,
            grad.sum(-2, keepdim=True) if need_bias else None,
        )
