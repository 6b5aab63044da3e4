"""Networks with a leading lane axis."""

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
from rlkit.nets.encoders import Flatten, GridEncoder, PixelEncoder, encoder, hats, share_sight
from rlkit.nets.layers import MLP, Init, LayerNorm, Linear, Norm, Scalar, dropout
from rlkit.nets.sequences.action_sequences import SequenceActor
from rlkit.nets.sequences.gru import GRU, gru_cell
from rlkit.nets.sequences.histories import HistoryValues, LatentModel
from rlkit.nets.sequences.returns import ReturnConditioned
from rlkit.nets.sequences.transformer import Transformer
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
    "HistoryValues",
    "Init",
    "LatentModel",
    "LayerNorm",
    "Linear",
    "Norm",
    "Normal",
    "PixelEncoder",
    "Point",
    "Prediction",
    "ReturnConditioned",
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
    "hats",
    "head_of",
    "outputs",
    "share_sight",
    "value_head",
]
