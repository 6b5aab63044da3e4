"""Classical reinforcement learning for control and bandits."""

__version__ = "0.2.0"
