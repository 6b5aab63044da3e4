"""Metrics and features of finite MDPs: bisimulation, Lipschitz constants, transport, successors."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.theory.geometry.bisimulation import aggregate as aggregate
    from rlkit.theory.geometry.bisimulation import bisimulation_metric as bisimulation_metric
    from rlkit.theory.geometry.bisimulation import mico_distance as mico_distance
    from rlkit.theory.geometry.bisimulation import policy_bisimulation as policy_bisimulation
    from rlkit.theory.geometry.lipschitz import lipschitz_constant as lipschitz_constant
    from rlkit.theory.geometry.lipschitz import model_distance as model_distance
    from rlkit.theory.geometry.lipschitz import model_gap_bound as model_gap_bound
    from rlkit.theory.geometry.lipschitz import value_constant as value_constant
    from rlkit.theory.geometry.representations import proto_value_functions as proto_value_functions
    from rlkit.theory.geometry.representations import successor_features as successor_features
    from rlkit.theory.geometry.representations import successor_measure as successor_measure
    from rlkit.theory.geometry.representations import (
        successor_representation as successor_representation,
    )
    from rlkit.theory.geometry.transport import wasserstein as wasserstein

__getattr__, __dir__ = lazily(__name__, __file__)
