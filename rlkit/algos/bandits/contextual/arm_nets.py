"""Networks on arms for bandits: inputs, per-row parameter gradients, flat parameters, saving.

A net maps one vector an arm to a number. With one context [B, d] for all arms the vector of arm a
is the context in block a of K d zeros; with contexts [B, K, d] it is x_a. Everything carries the
lane axis S of `rlkit.nets`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rlkit.algos.bandits.interface import Observation, check_context
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import Count, Positive, Widths
from rlkit.nets.layers import MLP, Init


@dataclass(frozen=True, kw_only=True)
class NetConfig:
    """What every policy on a net of arms has to know of it."""

    hidden: Widths = (100,)  # widths of the net
    lr: Positive = 1e-3
    batch: Count = 64  # rows of a minibatch of the history
    per_arm: bool = False  # contexts [B, K, d] instead of [B, d]
    seeds: tuple[int, ...] = (0,)  # one lane each
    device: str = "cpu"
    dtype: torch.dtype = torch.float32


def arm_inputs(context: Tensor, arms: int, per_arm: bool) -> Tensor:
    """Inputs [S, B, K, D] from contexts [S, B, d] (D = K d) or [S, B, K, d] (D = d)."""
    if per_arm:
        return context
    eye = torch.eye(arms, dtype=context.dtype, device=context.device)
    blocks = eye[:, :, None] * context[..., None, None, :]  # [S, B, K, K, d]
    return blocks.flatten(-2)


def chosen_inputs(context: Tensor, action: Tensor, arms: int, per_arm: bool) -> Tensor:
    """Inputs [S, B, D] of the chosen arms [S, B]."""
    if per_arm:
        index = action[..., None, None].expand(*action.shape, 1, context.shape[-1])
        return context.gather(2, index).squeeze(2)
    one_hot = F.one_hot(action, arms).to(context.dtype)
    return (one_hot[..., None] * context[..., None, :]).flatten(-2)


class ArmNet:
    """An MLP [D -> hidden -> 1] for each lane, its first parameters, and gradients by row."""

    def __init__(
        self,
        arms: int,
        dim: int,
        hidden: Sequence[int],
        seeds: Sequence[int],
        per_arm: bool,
        dtype: torch.dtype,
        device: str,
    ) -> None:
        self.arms, self.dim, self.per_arm = arms, dim, per_arm
        width = dim if per_arm else arms * dim
        self.spec = Spec(width, 1, tuple(seeds), dtype, device)
        self.net = MLP(Init(self.spec), width, tuple(hidden), 1)
        self.first = self.flat().detach().clone()  # [S, P]

    @property
    def lanes(self) -> int:
        return self.spec.lanes

    def flat(self) -> Tensor:
        """All parameters [S, P], still attached to the graph under grad mode."""
        return torch.cat([p.flatten(1) for p in self.net.parameters()], dim=1)

    def tensor(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values, dtype=self.spec.dtype, device=self.spec.device)

    def context(self, obs: Observation) -> Tensor:
        """The checked contexts of an observation as [S, b, ...]; rows come lane by lane."""
        rows = check_context(obs, self.arms, self.dim, self.per_arm)
        if len(rows) % self.lanes:
            raise ValueError(f"{len(rows)} rows do not split evenly over {self.lanes} lanes")
        return self.tensor(rows).unflatten(0, (self.lanes, -1))

    def predict(self, context: Tensor) -> Tensor:
        """Output of every arm [S, b, K] for contexts [S, b, ...]."""
        inputs = arm_inputs(context, self.arms, self.per_arm)
        return self.net(inputs.flatten(1, 2)).squeeze(-1).unflatten(1, (-1, self.arms))

    def outputs(self, context: Tensor, action: Tensor) -> Tensor:
        """Outputs [S, B] of the chosen arms."""
        return self.net(chosen_inputs(context, action, self.arms, self.per_arm)).squeeze(-1)

    def factors(self, inputs: Tensor, lanes: slice = slice(None)) -> list[tuple[Tensor, Tensor]]:
        """What enters each layer [S, n, in] and what comes back to it [S, n, out].

        Their outer product is the output's gradient by the layer's weights, what comes back that by
        its bias. `lanes` takes some of the lanes only, S being their number.
        """
        layers = [*self.net.layers, self.net.last]
        weights = [layer.weight.detach()[lanes] for layer in layers]
        shown = [inputs]
        for weight, layer in zip(weights[:-1], layers[:-1], strict=True):
            shown.append(torch.relu(shown[-1] @ weight + layer.bias.detach()[lanes]))
        delta, found = inputs.new_ones(*inputs.shape[:2], 1), []
        for k in range(len(layers) - 1, -1, -1):
            found.append((shown[k], delta))
            delta = (delta @ weights[k].mT) * (shown[k] > 0)
        return found[::-1]

    def gradients(self, inputs: Tensor, lanes: slice = slice(None)) -> Tensor:
        """Gradient of the output by all parameters [S, n, P] at every input [S, n, D]."""
        parts: list[Tensor] = []
        for shown, back in self.factors(inputs, lanes):
            parts += [(shown[..., :, None] * back[..., None, :]).flatten(2), back]
        return torch.cat(parts, dim=2)

    def square_sums(self, inputs: Tensor, lanes: slice = slice(None)) -> Tensor:
        """Squares of the gradients summed over the inputs [S, P], without forming them."""
        parts: list[Tensor] = []
        for shown, back in self.factors(inputs, lanes):
            parts += [(shown.square().mT @ back.square()).flatten(1), back.square().sum(1)]
        return torch.cat(parts, dim=1)

    def weighted_squares(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """sum_j weights_j g_j² [S, n] of the gradients g, for weights [S, P], likewise."""
        total, first = inputs.new_zeros(inputs.shape[:2]), 0
        for shown, back in self.factors(inputs):
            rows, columns = shown.shape[-1], back.shape[-1]
            last = first + rows * columns
            of_layer = weights[:, first:last].unflatten(1, (rows, columns))
            of_bias = weights[:, last : last + columns, None]
            squares = back.square()
            total = total + ((shown.square() @ of_layer) * squares).sum(-1)
            total = total + (squares @ of_bias).squeeze(-1)
            first = last + columns
        return total

    def state_dict(self) -> dict[str, np.ndarray]:
        named = {
            f"net.{n}": p.detach().cpu().numpy().copy() for n, p in self.net.named_parameters()
        }
        return {**named, "first": self.first.cpu().numpy().copy()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        for name, p in self.net.named_parameters():
            p.copy_(self.tensor(state[f"net.{name}"]))
        self.first.copy_(self.tensor(state["first"]))


def save_optimiser(optimiser: Adam) -> dict[str, np.ndarray]:
    return {n: t.detach().cpu().numpy().copy() for n, t in optimiser.state_dict().items()}


def load_optimiser(optimiser: Adam, state: dict[str, np.ndarray]) -> None:
    optimiser.load_state_dict({n: torch.as_tensor(v) for n, v in state.items()})


def join_states(**parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """One flat dictionary with names `part.name`."""
    return {f"{part}.{name}": v for part, own in parts.items() for name, v in own.items()}


def part_of(state: dict[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    """The entries of one part of `join_states`."""
    start = f"{part}."
    return {n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}
