"""Classical reinforcement learning for control and bandits."""

__version__ = "0.1.0"
