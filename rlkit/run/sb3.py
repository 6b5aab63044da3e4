"""`Predictor` and `actor` under the name by which version 0.1 knew them."""

from rlkit.policy.sb3 import Predictor, actor

__all__ = ["Predictor", "actor"]
