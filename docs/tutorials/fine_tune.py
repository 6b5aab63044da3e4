"""Fine-tune without a dip: python docs/tutorials/fine_tune.py"""

# %% [markdown]
# # Fine-tune without a dip
#
# An agent learnt from a dataset and shall go on in the environment. What often happens first is a dip: the
# values it learnt offline do not fit what it now meets, and the policy follows them down. There are two
# ways to go on: keep the data in every minibatch, or leave them behind and warm the replay up first
# (WSRL). Both are here, on a pendulum, with lengths that take a minute; the dip itself, and who avoids it
# by how much, is a matter for [measured runs](../results.md), not for this page.
#
# ## Offline first
#
# A dataset of mediocre play, built from a recipe's frozen policies, and Cal-QL on it. WSRL wants ten
# critics with LayerNorm, so the start has them.

# %%
import numpy as np

import rlkit

DATA, ENV = "rlkit/pendulum/medium-v0", "Pendulum-v1"
data = rlkit.dataset(DATA)  # rolled out now unless it stands already
print(len(data), "steps, mean return", data.returns().mean().round(0))

nets = {"hidden": (32, 32), "hidden_q": (32, 32), "batch_size": 64}
offline = rlkit.train(
    "cal_ql",
    dataset=DATA,
    steps=600,
    seeds=(0, 1),
    eval_every=300,
    eval_episodes=3,
    config={**nets, "n_critics": 10, "norm": "before", "n_actions": 4, "lagrange": False},
    engine="eager",
    quiet=True,
    out="runs/tune-offline",
)
print("offline", offline.returns.round(0))

# %% [markdown]
# ## On, with the data
#
# Dataset, environment and `online`: `pretrain` updates first, then steps in the environment, half of each
# minibatch from the dataset (`mix`).

# %%
with_data = rlkit.train(
    "cal_ql",
    dataset=DATA,
    env=ENV,
    online=True,
    pretrain=600,
    steps=600,
    warmup=0,
    seeds=(0, 1),
    eval_every=300,
    eval_episodes=3,
    config={**nets, "n_actions": 4, "lagrange": False},
    engine="eager",
    quiet=True,
    out="runs/tune-with-data",
)
print("with the data", with_data.returns.round(0))

# %% [markdown]
# ## On, without them
#
# WSRL takes policy, critics and temperature of the offline run. Before its first update it plays `warmup`
# steps, so that the replay holds what the critics are about to be asked for. (5,000 by default; the task
# here is small.)

# %%
without = rlkit.train(
    "wsrl",
    env=ENV,
    from_run=str(offline.folder),
    steps=600,
    warmup=200,
    utd=1.0,
    seeds=(0, 1),
    eval_every=200,
    eval_episodes=3,
    config=nets,
    engine="eager",
    quiet=True,
    out="runs/tune-without",
)
print("without", without.returns.round(0))

# %% [markdown]
# ## Look for the dip
#
# Every evaluation episode is in the run folder, so the curve is there to be read. Draw the curves with
# `rlkit plot runs/tune-with-data runs/tune-without`.

# %%
from rlkit.eval import records

for name in ("runs/tune-with-data", "runs/tune-without"):
    rows = records.read_episodes(f"{name}/episodes.csv")
    lanes, steps, returns = records.mean_returns(rows)
    print(name, dict(zip(steps.tolist(), np.round(returns.mean(0)).tolist(), strict=True)))

# %% [markdown]
# ## At full length
#
# The same three commands, long enough to mean something:
#
# ```bash
# rlkit train cal_ql --dataset rlkit/pendulum/medium-v0 --config.n-critics 10 --config.norm before --steps 50000 --seeds 0:5 --out runs/start
# rlkit train cal_ql --dataset rlkit/pendulum/medium-v0 --env Pendulum-v1 --online --pretrain 50000 --steps 20000 --seeds 0:5
# rlkit train wsrl --from runs/start --env Pendulum-v1 --steps 20000 --seeds 0:5
# ```
