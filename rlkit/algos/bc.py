"""Behaviour cloning, and %BC: cloning the best part of the data (Chen et al. 2021, 2106.01345).

    deterministic   L = E mean_d (π(s)_d - a_d)²
    otherwise       L = -E log π(a|s)         Gaussian, tanh-Gaussian, or categorical

`select` keeps the best trajectories by undiscounted return. Differs from CORL's %BC: a fraction
of all steps is kept, as in the paper, unless `fraction_of` says episodes; and trajectories are
cut at the stored flags, so none is mixed with its neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from rlkit import nets
from rlkit.core.batch import Batch
from rlkit.core.learner import Learner
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.words.ranges import Count, Positive, PositiveShare, Widths, checked

if TYPE_CHECKING:
    from rlkit.data.store import EpisodeStore

FITS = ("offline", "continuous", "discrete", "pixels")


@checked()
@dataclass(frozen=True)
class Config:
    policy: Literal["deterministic", "gaussian", "tanh_gaussian"] = "gaussian"  # continuous head
    fraction: PositiveShare = 1.0  # best share of the data that is cloned; 0.1 is 10%BC
    fraction_of: Literal["steps", "episodes"] = "steps"  # what `fraction` counts
    lr: Positive = 3e-4  # learning rate
    batch_size: Count = 256  # B, transitions an update
    hidden: Widths = (256, 256)  # widths of the policy net
    norm: nets.Norm = "none"  # LayerNorm in the policy net


_HEADS = {
    "deterministic": nets.DeterministicActor,
    "gaussian": nets.GaussianActor,
    "tanh_gaussian": nets.TanhGaussianActor,
}


def select(store: EpisodeStore, c: Config) -> EpisodeStore:
    """The episodes to clone."""
    return store if c.fraction == 1.0 else store.best(c.fraction, by=c.fraction_of)


def square_loss(action: Tensor, a: Tensor) -> Tensor:  # [..., B, A] -> [...]
    """Squared error, averaged over the batch and the action's dimensions."""
    return (action - a).square().mean((-2, -1))


def likelihood_loss(log_prob: Tensor) -> Tensor:  # [..., B] -> [...]
    """Negative log-likelihood of the data's actions."""
    return -log_prob.mean(-1)


class Agent(Learner):
    """A policy `pi` that copies the data's actions."""

    def __init__(self, spec: Spec, c: Config) -> None:
        if c.policy not in _HEADS:
            raise ValueError(f"policy {c.policy!r} is unknown; use one of {', '.join(_HEADS)}")
        actor = nets.CategoricalActor if spec.discrete else _HEADS[c.policy]
        self.pi = actor(nets.Init(spec), c.hidden, c.norm)
        self.step_pi = Adam(self.pi, c.lr)
        self.act_noise = self.pi.noise

    def update(self, b: Batch, c: Config) -> dict[str, Tensor]:
        """One step of cloning on `b`, batches `[S, B, ...]`; losses `[S]` from before it."""
        d = self.pi(b.s)
        point = isinstance(d, nets.Point)
        loss = square_loss(d.mode, b.a) if point else likelihood_loss(d.log_prob(b.a))
        return {"pi_loss": self.step_pi(loss)}

    def act(self, s: Tensor, noise: Tensor | None = None) -> Tensor:
        """The most likely action, or a sample when `noise` `[S, B, A]` is given."""
        d = self.pi(s)
        return d.mode if noise is None else d.sample(noise)
