"""Regret of bandit policies with intervals, and whether two of them differ.

python examples/bandits.py
"""

import rlkit
from rlkit.eval import bootstrap_interval, mean

MEANS = [0.9, 0.8, 0.8, 0.7, 0.5]
runs = {
    name: rlkit.simulate(name, MEANS, runs=200, horizon=2_000, seed=0, paired=True)
    for name in ("ucb1", "kl_ucb", "ts_beta")
}
for name, run in runs.items():
    print(f"{name:8} regret {bootstrap_interval(run.regret[:, -1:], mean)}")
print(
    "ts_beta - kl_ucb:",
    rlkit.compare(runs["ts_beta"].regret[:, -1], runs["kl_ucb"].regret[:, -1], paired=True),
)
