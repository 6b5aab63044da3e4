"""Runs whose agents are stable-baselines3's; `Predictor` and `actor` as version 0.1 knew them."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.policy.sb3 import Predictor as Predictor
    from rlkit.policy.sb3 import actor as actor

__getattr__, __dir__ = lazily(__name__, __file__)
