"""Does a log cover a target policy? Weights, effective sample size, arms without support."""

import numpy as np

from rlkit.algos.bandits.off_policy.logs.coverage import Overlap, coverage
from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog, check_target

__all__ = ["Overlap", "overlap"]


def overlap(log: DecisionLog, target: np.ndarray | None = None) -> Overlap:
    """How well `log` covers a target [n, K]; without one, the policy uniform on available arms."""
    if target is None:
        return log.coverage()
    p = check_target(log, target)
    return coverage(p, log.table.action, np.asarray(log.table.prob), log.mask.sum(1))
