"""Continuous time: policy evaluation by martingales, diffusions, mean-variance portfolios."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.theory.continuous.continuous_time import clstd as clstd
    from rlkit.theory.continuous.continuous_time import ctd_offline as ctd_offline
    from rlkit.theory.continuous.continuous_time import ctd_online as ctd_online
    from rlkit.theory.continuous.continuous_time import fit_martingale_loss as fit_martingale_loss
    from rlkit.theory.continuous.diffusions import Brownian as Brownian
    from rlkit.theory.continuous.diffusions import GeometricBrownian as GeometricBrownian
    from rlkit.theory.continuous.diffusions import OrnsteinUhlenbeck as OrnsteinUhlenbeck
    from rlkit.theory.continuous.mean_variance import Market as Market
    from rlkit.theory.continuous.mean_variance import learn as learn

__getattr__, __dir__ = lazily(__name__, __file__)
