"""Tabular learners: temporal differences, Q-learning, optimism, average reward, latent problems."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.theory.learning.latent import LatentMDP as LatentMDP
    from rlkit.theory.learning.latent_learning import learn_latent as learn_latent
    from rlkit.theory.learning.q_learning import learn_control as learn_control
    from rlkit.theory.learning.q_learning import speedy_q as speedy_q
    from rlkit.theory.learning.regret.episodic import learn as learn
    from rlkit.theory.learning.regret.loop import loop_finite as loop_finite
    from rlkit.theory.learning.regret.loop import loop_linear_mixture as loop_linear_mixture
    from rlkit.theory.learning.regret.loop_values import loop_linear as loop_linear
    from rlkit.theory.learning.regret.lsvi import learn_linear as learn_linear
    from rlkit.theory.learning.regret.optimistic_q import learn_optimistic_q as learn_optimistic_q
    from rlkit.theory.learning.regret.shared_lsvi import learn_shared as learn_shared
    from rlkit.theory.learning.td_learning import td_learn as td_learn
    from rlkit.theory.learning.td_matrices import emphatic_system as emphatic_system
    from rlkit.theory.learning.td_matrices import nstep_system as nstep_system
    from rlkit.theory.learning.td_matrices import td_system as td_system

__getattr__, __dir__ = lazily(__name__, __file__)
