"""Networks with a leading lane axis."""

from rlkit.nets.actors import (
    Categorical,
    CategoricalActor,
    DeterministicActor,
    GaussianActor,
    Normal,
    Point,
    TanhGaussianActor,
    TanhNormal,
)
from rlkit.nets.critics import Critic, Value
from rlkit.nets.encoders import Flatten, GridEncoder, encoder
from rlkit.nets.layers import MLP, Init, LayerNorm, Linear, Norm, Scalar, dropout
from rlkit.nets.vmapped import Vmapped

__all__ = [
    "MLP",
    "Categorical",
    "CategoricalActor",
    "Critic",
    "DeterministicActor",
    "Flatten",
    "GaussianActor",
    "GridEncoder",
    "Init",
    "LayerNorm",
    "Linear",
    "Norm",
    "Normal",
    "Point",
    "Scalar",
    "TanhGaussianActor",
    "TanhNormal",
    "Value",
    "Vmapped",
    "dropout",
    "encoder",
]
