"""Rewards and preferences: distances, identifiability, games, and online learning to play them."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.theory.preferences.games import nash_conv as nash_conv
    from rlkit.theory.preferences.games import solve_zero_sum as solve_zero_sum
    from rlkit.theory.preferences.identifiability import Segments as Segments
    from rlkit.theory.preferences.identifiability import compare_all as compare_all
    from rlkit.theory.preferences.identifiability import fit_reward as fit_reward
    from rlkit.theory.preferences.online_learning import extragradient as extragradient
    from rlkit.theory.preferences.online_learning import (
        follow_regularised_leader as follow_regularised_leader,
    )
    from rlkit.theory.preferences.online_learning import hedge as hedge
    from rlkit.theory.preferences.online_learning import mirror_descent as mirror_descent
    from rlkit.theory.preferences.preference_games import bradley_terry as bradley_terry
    from rlkit.theory.preferences.preference_games import minimax_winner as minimax_winner
    from rlkit.theory.preferences.preference_games import nash_md as nash_md
    from rlkit.theory.preferences.preference_games import self_play as self_play
    from rlkit.theory.preferences.reward_metrics import optimality_regret as optimality_regret
    from rlkit.theory.preferences.reward_metrics import reward_distance as reward_distance
    from rlkit.theory.preferences.reward_metrics import standardise as standardise

__getattr__, __dir__ = lazily(__name__, __file__)
