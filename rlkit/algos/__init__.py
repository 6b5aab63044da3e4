"""Algorithms, one file each: `from rlkit.algos import iql` gives `iql.Config` and `iql.Agent`.

Offline: a2pr, bc, cql, cql_discrete, cal_ql, decision_transformer, history_cql, iql, odice, rebrac,
ss_orl, td3_bc; sac as `sac_n` and `edac`.
Online: dqn, sac, stock_dqn, td3; from an offline start wsrl.
With a model: mbpo, lipschitz_model; offline mopo, ravl.
From preferences: pebble, p_iql, cpl, heron, spo, vpl, sf_regret.  From an expert: gail.
Bandits: `bandits`.

`dir(rlkit.algos)` lists them all, `rlkit list` says which take what.
"""

from rlkit.lazy import lazily

__getattr__, __dir__ = lazily(__name__, __file__)
