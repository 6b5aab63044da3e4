"""One algorithm in a loop of your own: IQL on arrays of your own, two seeds as lanes.

python examples/own_loop.py
"""

import torch

from rlkit.algos import iql
from rlkit.core import Batch, Spec, resolve

rng = torch.Generator().manual_seed(0)
N = 2_000
s = torch.randn(N, 2, generator=rng)
a = torch.rand(N, 1, generator=rng) * 2 - 1
r = 1 - (a[:, 0] - s[:, 0].tanh()).square()  # the best action is tanh of the first coordinate

spec = Spec(obs=2, act=1, seeds=(0, 1))
config = resolve(iql.Config(gamma=0.0, tau=0.9, beta=10.0, hidden=(32, 32), lr=1e-3), spec)
agent = iql.Agent(spec, config)
for _ in range(500):
    rows = torch.randint(N, (2, 256), generator=rng)  # other rows for each lane
    batch = Batch(s[rows], a[rows], r[rows], torch.zeros(2, 256), s[rows])
    metrics = agent.update(batch, config)

states = torch.randn(1, 200, 2, generator=rng).expand(2, -1, -1)
error = (agent.act(states)[..., 0] - states[..., 0].tanh()).abs().mean(-1)
print("loss of each lane", metrics["q_loss"])
print("distance from the best action", error)
