"""Batched contextual bandits: linear, over regression oracles, and neural."""

from typing import TYPE_CHECKING

from rlkit.lazy import lazily

if TYPE_CHECKING:
    from rlkit.algos.bandits.contextual.ee_net import EENet as EENet
    from rlkit.algos.bandits.contextual.linear import LinearPolicy as LinearPolicy
    from rlkit.algos.bandits.contextual.multitask import GFUCB as GFUCB
    from rlkit.algos.bandits.contextual.neural_gap import NeuralGapPolicy as NeuralGapPolicy
    from rlkit.algos.bandits.contextual.neural_ucb import NeuralPolicy as NeuralPolicy
    from rlkit.algos.bandits.contextual.oracle_policies import OraclePolicy as OraclePolicy
    from rlkit.algos.bandits.contextual.oracles import MeanOracle as MeanOracle
    from rlkit.algos.bandits.contextual.oracles import RidgeOracle as RidgeOracle
    from rlkit.algos.bandits.contextual.oracles import TreesOracle as TreesOracle
    from rlkit.algos.bandits.contextual.policy_generations import run_generations as run_generations

__getattr__, __dir__ = lazily(__name__, __file__)
