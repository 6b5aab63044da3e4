"""What a batched bandit environment shows: contexts and the arms that are available."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Observation:
    """B rows to decide on.

    context [B, d], or [B, K, d] with one feature vector an arm; None for context-free bandits
    mask [B, K] of available arms; None means all of them
    size number of rows, needed only where both are None
    """

    context: np.ndarray | None = None
    mask: np.ndarray | None = None
    size: int = 0

    def __len__(self) -> int:
        for array in (self.context, self.mask):
            if array is not None:
                return len(array)
        return self.size

    def rows(self, index: Any) -> "Observation":
        """The observation of the chosen rows."""
        context = None if self.context is None else self.context[index]
        mask = None if self.mask is None else self.mask[index]
        return Observation(context, mask, len(np.arange(len(self))[index]))
