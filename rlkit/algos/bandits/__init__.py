"""Bandit policies: `simulate` runs kernels; the batched policies are one module each."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rlkit.algos.bandits.simulation.simulator import Simulation, simulate

__all__ = ["Simulation", "simulate"]


def __getattr__(name: str) -> Any:
    # Numba is only imported when a kernel is asked for, so that a torch policy does not pay for it.
    if name in __all__:
        from rlkit.algos.bandits.simulation import simulator

        return getattr(simulator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
