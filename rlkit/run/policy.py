"""`Policy` under the name by which version 0.1 knew it."""

from rlkit.policy.policy import Policy

__all__ = ["Policy"]
