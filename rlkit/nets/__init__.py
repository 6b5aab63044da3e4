"""Networks with a leading lane axis."""

from rlkit.nets.action_sequences import SequenceActor
from rlkit.nets.action_values import ActionValues
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
from rlkit.nets.critics import Critic, Value, outputs
from rlkit.nets.dynamics import Dynamics, Prediction
from rlkit.nets.encoders import Flatten, GridEncoder, PixelEncoder, encoder, share_sight
from rlkit.nets.gru import GRU, gru_cell
from rlkit.nets.layers import MLP, Init, LayerNorm, Linear, Norm, Scalar, dropout
from rlkit.nets.transformer import Transformer
from rlkit.nets.vae import ActionVAE, Coded
from rlkit.nets.value_heads import Head, ValueHead, head_of, value_head
from rlkit.nets.vmapped import Vmapped

__all__ = [
    "GRU",
    "MLP",
    "ActionVAE",
    "ActionValues",
    "Categorical",
    "CategoricalActor",
    "Coded",
    "Critic",
    "DeterministicActor",
    "Dynamics",
    "Flatten",
    "GaussianActor",
    "GridEncoder",
    "Head",
    "Init",
    "LayerNorm",
    "Linear",
    "Norm",
    "Normal",
    "PixelEncoder",
    "Point",
    "Prediction",
    "Scalar",
    "SequenceActor",
    "TanhGaussianActor",
    "TanhNormal",
    "Transformer",
    "Value",
    "ValueHead",
    "Vmapped",
    "dropout",
    "encoder",
    "gru_cell",
    "head_of",
    "outputs",
    "share_sight",
    "value_head",
]
