"""A bandit policy on a stream of requests whose answers come back late.

python examples/own_stream.py
"""

import numpy as np

from rlkit.algos.bandits import Feedback
from rlkit.algos.bandits.contextual import LinearPolicy
from rlkit.algos.bandits.contextual.linear import Config
from rlkit.envs.bandits.observation import Observation

ARMS, FEATURES, BATCH, LATE = 4, 3, 20, 5  # answers come back five batches later
rng = np.random.default_rng(0)
theta = rng.normal(size=(ARMS, FEATURES))  # unknown to the policy

policy = LinearPolicy(ARMS, FEATURES, Config(rule="linucb", disjoint=True))
waiting: list[Feedback] = []
share = []  # of what could be earned
for _ in range(200):
    x = rng.normal(size=(BATCH, FEATURES))
    decision = policy.act(Observation(x, None, BATCH), rng)  # never changes the policy
    means = x @ theta.T
    earned = means[np.arange(BATCH), decision.action]
    reward = earned + 0.3 * rng.normal(size=BATCH)
    waiting.append(Feedback(decision.action, reward, context=x, prob=decision.prob))
    if len(waiting) > LATE:
        policy.learn(waiting.pop(0))  # the only call that does
    share.append(earned.mean() / means.max(1).mean())

print(f"share of what could be earned: {np.mean(share[:20]):.2f}, then {np.mean(share[-20:]):.2f}")
np.savez("policy.npz", **policy.state_dict())
again = LinearPolicy(ARMS, FEATURES, policy.config)
again.load_state_dict(dict(np.load("policy.npz")))
