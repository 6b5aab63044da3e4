"""Pure exploration: best arms, designs and allocations, learning to learn actively."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.algos.bandits.identification.active_games import Transductive as Transductive
    from rlkit.algos.bandits.identification.active_games import questions as questions
    from rlkit.algos.bandits.identification.active_learning import learn as learn
    from rlkit.algos.bandits.identification.allocation import (
        optimal_allocation as optimal_allocation,
    )
    from rlkit.algos.bandits.identification.design import g_optimal_design as g_optimal_design
    from rlkit.algos.bandits.identification.incoherent import basis_pursuit as basis_pursuit
    from rlkit.algos.bandits.identification.misspecified import (
        phased_elimination as phased_elimination,
    )
    from rlkit.algos.bandits.identification.misspecified import (
        sparse_elimination as sparse_elimination,
    )
    from rlkit.algos.bandits.identification.pure_exploration import Identification as Identification
    from rlkit.algos.bandits.identification.pure_exploration import identify as identify

__getattr__, __dir__ = lazily(__name__, __file__)
