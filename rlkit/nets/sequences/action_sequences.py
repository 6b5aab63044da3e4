"""A policy of sequences of actions: a recurrent layer that is fed with its own actions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from rlkit.nets.actors import TanhNormal
from rlkit.nets.encoders import encoder
from rlkit.nets.layers import MLP, Init, Linear
from rlkit.nets.sequences.gru import GRU


class SequenceActor(nn.Module):
    """Distributions of one action after another, of what was seen before the first alone.

    h_0 is a net of the state without activation at its end, h_j a GRU's state after the action
    before, and mean and log standard deviation of action j are linear in h_j.
    """

    def __init__(
        self,
        init: Init,
        hidden: Sequence[int] = (256, 256),
        log_std_bounds: tuple[float, float] = (-20.0, 2.0),
    ) -> None:
        """`hidden`: widths of the net, the last one the GRU's. Raises ValueError for discrete
        actions and without a width."""
        super().__init__()
        spec = init.spec
        if spec.discrete:
            raise ValueError(f"SequenceActor is for continuous actions, not {spec.act}")
        if not hidden:
            raise ValueError("hidden is empty; give the width of the recurrent layer at least")
        self.encoder = encoder(init)
        self.first = MLP(init, self.encoder.size, hidden[:-1], hidden[-1])
        self.gru = GRU(init, spec.act_size, hidden[-1])
        self.last = Linear(init, hidden[-1], 2 * spec.act_size)
        self.log_std_bounds = log_std_bounds

    def begin(self, s: Tensor) -> Tensor:
        """The state h_0 `[S, B, H]` of observations `[S, B, *obs]`."""
        return self.first(self.encoder(s))

    def step(self, before: Tensor, h: Tensor) -> Tensor:
        """The state `[S, B, H]` after the action `before` `[S, B, A]`, the executed one; zeros at
        the beginning of an episode."""
        return self.gru.step(before, h)

    def of(self, h: Tensor) -> TanhNormal:
        """The distribution of the action that follows."""
        mean, log_std = self.last(h).chunk(2, -1)
        return TanhNormal(mean, log_std.clamp(*self.log_std_bounds))

    def forward(self, s: Tensor, before: Tensor) -> TanhNormal:
        """The distribution of the first action at `s` after `before`."""
        return self.of(self.step(before, self.begin(s)))
