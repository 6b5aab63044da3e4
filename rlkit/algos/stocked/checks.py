"""Whether rows and environments carry the stock that an agent counts with, in its unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rlkit.core.errors import UsageError

if TYPE_CHECKING:
    from gymnasium import Env

    from rlkit.data.store import EpisodeStore
    from rlkit.data.transforms import Transforms

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


def _each(gamma: Discount) -> list[float]:
    return list(gamma) if isinstance(gamma, tuple) else [float(gamma)]
