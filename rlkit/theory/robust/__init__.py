"""Robust and regularised MDPs: worst cases over models, offline and exact."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.theory.robust.r2pvi import OfflineData as OfflineData
    from rlkit.theory.robust.r2pvi import PessimisticPlan as PessimisticPlan
    from rlkit.theory.robust.r2pvi import fit as fit
    from rlkit.theory.robust.rectangular import RobustSet as RobustSet
    from rlkit.theory.robust.rectangular import nature as nature
    from rlkit.theory.robust.rectangular import (
        robust_backward_induction as robust_backward_induction,
    )
    from rlkit.theory.robust.rectangular import robust_policy_value as robust_policy_value
    from rlkit.theory.robust.rectangular import solve_robust as solve_robust
    from rlkit.theory.robust.rectangular import uncertainty as uncertainty
    from rlkit.theory.robust.regularised import correlated_proxy_bound as correlated_proxy_bound
    from rlkit.theory.robust.regularised import solve_regularised as solve_regularised

__getattr__, __dir__ = lazily(__name__, __file__)
