"""Linear environments: rewards x'theta, shared or per-arm parameters, fixed or drawn features."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rlkit.envs.bandits.armed import NOISES, checked
from rlkit.envs.bandits.counts import check_whole
from rlkit.envs.bandits.dynamics import NOISELESS

FIXED, PER_RUN, PER_ROUND = range(3)
FEATURES = {"per_run": PER_RUN, "per_round": PER_ROUND}


class LinearTables(NamedTuple):
    """A linear environment as plain arrays for the kernel."""

    draw: int  # FIXED features, or unit-sphere ones drawn PER_RUN or PER_ROUND
    noise: int
    sigma: float
    random_theta: bool  # every run draws its parameters on the unit sphere
    common_context: bool  # all arms see the same feature vector, parameters are per arm
    features: np.ndarray  # [K, d]
    theta: np.ndarray  # [1, d] shared or [K, d] per arm
    offsets: np.ndarray  # [K] misspecification added to the linear reward


@dataclass(frozen=True, eq=False)
class LinearArms:
    """K arms with expected reward x_a' theta + offset_a.

    features  [K, d], or "per_run" or "per_round": drawn uniformly on the unit sphere then
    theta     [d] shared, [K, d] per arm, or None: drawn on the unit sphere anew in every run
    context   True: one drawn feature vector serves all arms (a contextual bandit); parameters are
              then per arm
    offsets   [K] misspecification; noise gaussian with standard deviation sigma, or none
    """

    features: ArrayLike | str
    theta: ArrayLike | None = None
    arms: int = 0  # K and d are needed where features are drawn
    dim: int = 0
    context: bool = False
    offsets: ArrayLike | None = None
    noise: str = "gaussian"
    sigma: float = 0.1

    def tables(self) -> LinearTables:
        if self.noise not in ("gaussian", "none"):
            raise ValueError(f"noise is {self.noise!r}; linear arms have gaussian noise or none")
        if not self.sigma > 0:
            raise ValueError(f"sigma is {self.sigma}; the noise scale must be positive")
        if isinstance(self.features, str):
            if self.features not in FEATURES:
                raise ValueError(f"features is {self.features!r}; choose {', '.join(FEATURES)}")
            check_whole(self, "arms", "dim")
            draw, features = FEATURES[self.features], np.zeros((self.arms, self.dim))
        else:
            if self.context:
                raise ValueError("context=True needs drawn features, not a fixed matrix")
            draw, features = FIXED, checked(self.features, "features", 2, -1e12, 1e12)
        arms, dim = features.shape
        models = arms if self.context else 1
        if self.theta is None:
            theta = np.zeros((models, dim))
        else:
            theta = np.atleast_2d(np.asarray(self.theta, np.float64))
            theta = checked(theta, "theta", 2, -1e12, 1e12)
            if theta.shape not in ((arms, dim), (1, dim)) or (self.context and len(theta) != arms):
                raise ValueError(
                    f"theta has shape {theta.shape}; needed is "
                    + (f"({arms}, {dim})" if self.context else f"({dim},) or ({arms}, {dim})")
                )
        offsets = np.zeros(arms) if self.offsets is None else np.asarray(self.offsets, np.float64)
        if offsets.shape != (arms,):
            raise ValueError(f"offsets has shape {offsets.shape}; needed is ({arms},)")
        return LinearTables(
            draw,
            NOISES[self.noise] if self.noise != "none" else NOISELESS,
            float(self.sigma),
            self.theta is None,
            self.context,
            features,
            theta,
            offsets,
        )
