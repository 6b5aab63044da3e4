"""Laws of returns: distributional evaluation and control, risk, stock augmentation."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.theory.returns.distributional import evaluate_laws as evaluate_laws
    from rlkit.theory.returns.distributional import exact_laws as exact_laws
    from rlkit.theory.returns.laws import Categorical as Categorical
    from rlkit.theory.returns.laws import Outcomes as Outcomes
    from rlkit.theory.returns.laws import Quantile as Quantile
    from rlkit.theory.returns.laws import cvar as cvar
    from rlkit.theory.returns.stock import Utility as Utility
    from rlkit.theory.returns.stock import best_cvar as best_cvar
    from rlkit.theory.returns.stock import exponential as exponential
    from rlkit.theory.returns.stock import optimal_cvar as optimal_cvar
    from rlkit.theory.returns.stock import solve_stock as solve_stock

__getattr__, __dir__ = lazily(__name__, __file__)
