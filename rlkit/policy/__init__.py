"""Exported policies: one file that acts with numpy alone, ONNX, and stable-baselines3 both ways."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.policy.policy import Policy as Policy
    from rlkit.policy.sb3 import Predictor as Predictor
    from rlkit.policy.sb3 import actor as actor
    from rlkit.policy.steering import Steered as Steered

__getattr__, __dir__ = lazily(__name__, __file__)
