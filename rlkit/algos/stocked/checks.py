"""Whether rows and environments carry the stock that an agent counts with, in its unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rlkit.core.errors import UsageError
from rlkit.core.words.ranges import idle_beside

if TYPE_CHECKING:
    from gymnasium import Env

    from rlkit.data.store import EpisodeStore
    from rlkit.data.transforms import Transforms

_MOST = 0.2  # share of rows whose stock may lie where all look alike
Discount = float | tuple[float, ...]  # γ, or one a lane


def check_store(store: EpisodeStore, gamma: Discount) -> None:
    """Raises UsageError where the last number of a dataset's observations is no stock."""
    from rlkit.envs.tasks.stocked import check_rows

    for one in _each(gamma):
        rows = (store.obs[..., -1], store.reward, store.next_obs[..., -1])
        check_rows(*rows, one, "the dataset has no stock")


def check_env(env: Env, gamma: Discount, name: str) -> None:
    """Raises UsageError for an environment whose observations do not end in a stock."""
    from rlkit.envs.tasks import stocked

    for one in _each(gamma):
        stocked.check_env(env, one, name)


def check_units(units: Transforms) -> None:
    """Raises UsageError for scaled rewards or observations of a dataset: the stock adds up rewards
    as the environment pays them."""
    if units.obs_mean is not None or (units.reward_scale, units.reward_bias) != (1, 0):
        scaled = "normalise_obs" if units.obs_mean is not None else "reward"
        raise UsageError(
            f"{scaled} would change the unit of the stock, which is the rewards': leave it out"
        )


def notice(metrics: Mapping[str, np.ndarray], c: Any) -> str:
    """What to say of stocks that the net cannot tell from one another, at first of a risk that no
    utility reads; "" where there is nothing."""
    if not metrics:
        return "" if c.utility == "exponential" else idle_beside(c, f"utility={c.utility}", "risk")
    beyond = metrics.get("beyond", np.zeros(1))
    if not (beyond > _MOST).any():
        return ""
    return (
        f"{beyond.max():.0%} of the rows have a stock beyond config.stock_low..stock_high "
        f"(`beyond`), where the net sees the last point alone: give bounds that hold the returns"
    )


def _each(gamma: Discount) -> list[float]:
    return list(gamma) if isinstance(gamma, tuple) else [float(gamma)]
