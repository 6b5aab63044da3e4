"""Adam and AdamW over lanes: own learning rate and own gradient clipping for every lane."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from rlkit.core.flat import flatten

Schedule = Callable[[Tensor], Tensor]


def cosine(steps: int) -> Schedule:
    """Multiplier ½(1 + cos(π t / steps)) of the learning rate, 0 after `steps` steps."""
    return lambda t: 0.5 * (1 + torch.cos(math.pi * (t / steps).clamp(max=1.0)))


def linear(steps: int, final: float = 0.0) -> Schedule:
    """Multiplier falling from 1 to `final` over `steps` steps, then constant."""
    return lambda t: 1 - (1 - final) * (t / steps).clamp(max=1.0)


def rising(steps: int) -> Schedule | None:
    """Multiplier (t + 1) / steps at step t, counted from 0, until it is 1; None for no steps."""
    return (lambda t: ((t + 1) / steps).clamp(max=1.0)) if steps else None


def bound(clip: float | Tensor) -> float | Tensor | None:
    """`clip` of an Adam where 0 means that there is none: None, or infinity in a lane."""
    if isinstance(clip, Tensor):
        return clip.masked_fill(clip == 0, math.inf)
    return clip or None


class Adam:
    """Adam (Kingma & Ba 2015) on one net; with `decoupled` weight decay it is AdamW.

    Call it on a loss `[S]` to take one step; it returns the detached loss. Gradients are taken
    with respect to this net alone, so nothing else needs freezing, detaching or zeroing.
    `clip` bounds each lane's gradient norm. `lr`, `clip` and `weight_decay` are numbers or one per
    lane `[S, 1]`.
    """

    def __init__(
        self,
        net: nn.Module,
        lr: float | Tensor,
        *,
        clip: float | Tensor | None = None,
        weight_decay: float | Tensor = 0.0,
        decoupled: bool = True,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        schedule: Schedule | None = None,
    ) -> None:
        self.flat = flatten(net)
        self.lr, self.clip, self.schedule = lr, clip, schedule
        self.weight_decay, self.decoupled, self.betas, self.eps = (
            weight_decay,
            decoupled,
            betas,
            eps,
        )
        self.m, self.v = torch.zeros_like(self.flat.data), torch.zeros_like(self.flat.data)
        # float32 of shape (): the fused kernel's own convention; exact up to 16 million steps
        self.steps = torch.zeros((), dtype=torch.float32, device=self.flat.data.device)
        self._lr_lanes = self.flat.per_lane(lr) if isinstance(lr, Tensor) else None
        if isinstance(weight_decay, Tensor):
            self.weight_decay = self.flat.per_lane(weight_decay)

    def __call__(self, loss: Tensor) -> Tensor:
        return step_jointly((self, loss))[0]

    @torch.no_grad()
    def apply(self, grads: Sequence[Tensor]) -> None:
        """One step, in place, along the gradients of the net's parameters in their order."""
        grad = torch.cat([g.reshape(-1) for g in grads])
        if self.clip is not None:
            norm = self.flat.square_sums(grad).sqrt()
            clip = self.clip.reshape(-1) if isinstance(self.clip, Tensor) else self.clip
            grad = grad * self.flat.per_lane((clip / (norm + 1e-6)).clamp(max=1.0))
        scale = 1.0 if self.schedule is None else self.schedule(self.steps.double())
        lr = (self.lr if self._lr_lanes is None else self._lr_lanes) * scale
        self.steps += 1
        # the fused kernel takes one rate; the compiler fuses the written-out form by itself
        one = self._lr_lanes is None and not isinstance(self.weight_decay, Tensor)
        if one and not torch.compiler.is_compiling():
            self._step_fused(grad, lr)
        else:
            self._step_elementwise(grad, lr)

    def _step_fused(self, grad: Tensor, lr: float | Tensor) -> None:
        kernel = torch._fused_adamw_ if self.decoupled else torch._fused_adam_
        if isinstance(lr, Tensor) and lr.is_cuda:
            lr = lr.float()  # what the kernel reads there
        kernel(
            [self.flat.data],
            [grad],
            [self.m],
            [self.v],
            [],
            [self.steps],
            lr=lr,  # type: ignore[arg-type]
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.weight_decay,  # type: ignore[arg-type]
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )

    def _step_elementwise(self, grad: Tensor, lr: float | Tensor) -> None:
        beta1, beta2 = self.betas
        x, decays = self.flat.data, isinstance(self.weight_decay, Tensor) or self.weight_decay != 0
        if decays and self.decoupled:
            x.mul_(1 - lr * self.weight_decay)
        elif decays:
            grad = grad + self.weight_decay * x
        self.m.lerp_(grad, 1 - beta1)
        self.v.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        scale1, scale2 = self._corrections().to(x.dtype)
        x.sub_(lr * scale1 * self.m / (self.v.sqrt() * scale2 + self.eps))

    def _corrections(self) -> Tensor:
        """1 / (1 - β1^t) and 1 / √(1 - β2^t) after t steps, as two numbers.

        In float64: float32 powers would cost the last digits of float64 runs. As an exponential
        with two uses the compiler computes it once; it would put a power into the loop over all
        parameters, where it took longer than the rest of the step.
        """
        logs = torch.stack([self.steps.double() * math.log(beta) for beta in self.betas])
        powers = torch.stack([torch.ones_like(self.steps), self.steps.new_full((), 0.5)])
        return (-powers * torch.log(-torch.expm1(logs))).exp()

    def forget(self) -> None:
        """Moments and count as before the first step, in place."""
        for moment in (self.m, self.v, self.steps):
            moment.zero_()

    def state_dict(self) -> dict[str, Tensor]:
        """Moments of every parameter `[S, ...]`, so that lanes can be told apart, and the count."""
        moments = {"m": self.flat.views(self.m), "v": self.flat.views(self.v)}
        named = {
            f"{moment}.{name}": view
            for moment, views in moments.items()
            for name, view in zip(self.flat.names, views, strict=True)
        }
        return {**named, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Copies into the existing storage, which captured graphs and compiled code hold."""
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])


def step_jointly(*pairs: tuple[Adam, Tensor]) -> tuple[Tensor, ...]:
    """Step several optimisers, each on its own loss `[S]`, with one backward pass.

    Right only when no loss depends on the parameters of another's net, which holds when every
    loss uses the other nets' old values under `detach`. Returns the detached losses `[S]`.
    """
    params = [p for optimiser, _ in pairs for p in optimiser.flat.params]
    total = torch.stack([loss.sum() for _, loss in pairs]).sum()
    grads = torch.autograd.grad(total, params)
    first = 0
    for optimiser, _ in pairs:
        last = first + len(optimiser.flat.params)
        optimiser.apply(grads[first:last])
        first = last
    return tuple(loss.detach() for _, loss in pairs)
