"""Contract checks for agents and toy problems with known answers."""

from rlkit.testing.cases import Case
from rlkit.testing.checks import CHECKS, Skipped, check_agent, run_check

__all__ = ["CHECKS", "Case", "Skipped", "check_agent", "run_check"]
