"""Offline learning from your own logs: python docs/tutorials/offline_logs.py"""

# %% [markdown]
# # Offline learning from your own logs
#
# You have logs of a machine that somebody or something controlled. May a better controller be learnt
# from them, without touching the machine? This page makes logs of a small heating system, turns them
# into a dataset, looks at it, trains on it, and asks whether the result deserves trust.
#
# ## The logs
#
# A room is heated. Each step logs the temperature's error and the outside temperature, the valve's
# position that was chosen, and what the step cost. An engineer's rule with a lot of noise chose.

# %%
import numpy as np


def after(obs, valve, rng):
    """The room one step later, `[error, outside]`, and the step's reward."""
    error, outside = obs
    error = 0.9 * error + 0.5 * valve + 0.2 * outside + 0.05 * rng.normal()
    outside = 0.95 * outside + 0.1 * rng.normal()
    return np.array([error, outside], np.float32), -float(error**2 + 0.05 * valve**2)


def engineer(obs, rng):
    return np.clip(-0.5 * obs[:1] + 0.6 * rng.normal(size=1), -1, 1).astype(np.float32)


rng = np.random.default_rng(0)
rows = []  # one a step, as a logger would write them
for day in range(150):
    obs = rng.normal(size=2).astype(np.float32)
    for step in range(40):
        valve = engineer(obs, rng)
        then, reward = after(obs, float(valve[0]), rng)
        rows.append((day, step, *obs, *valve, reward, *then))
        obs = then
print(len(rows), "rows; the first:", np.round(rows[0], 2))

# %% [markdown]
# ## A dataset
#
# An episode is a day. Its observations have one row more than the rest: the last one. The days end
# because the recording ends, so they are *truncated*, not *terminated*: what would have followed has a
# value (see [concepts](../concepts.md#a-batch-and-cont)).

# %%
from gymnasium import spaces

from rlkit.data import EpisodeStore, write

table = np.array(rows)
episodes = []
for day in np.unique(table[:, 0]):
    part = table[table[:, 0] == day]
    last = np.arange(len(part)) == len(part) - 1
    episodes.append(
        {
            "obs": np.concatenate([part[:, 2:4], part[-1:, 6:8]]).astype(np.float32),
            "action": part[:, 4:5].astype(np.float32),
            "reward": part[:, 5],
            "terminated": np.zeros(len(part), bool),
            "truncated": last,
        }
    )
write(
    episodes,
    "tutorial/heating-v0",
    observation_space=spaces.Box(-np.inf, np.inf, (2,), np.float32),
    action_space=spaces.Box(-1, 1, (1,), np.float32),
    description="a heated room under an engineer's rule",
    overwrite=True,
)
store = EpisodeStore.from_episodes(episodes)
print(store.episodes, "days,", len(store), "steps, mean return", store.returns().mean().round(1))

# %% [markdown]
# `rlkit dataset show tutorial/heating-v0` and `rlkit dataset check tutorial/heating-v0` say more.
#
# ## Train
#
# Three agents on the same rows: cloning (what the engineer does, without the noise), IQL, and TD3+BC.
# There is no environment to evaluate in, so `eval_episodes=0`.

# %%
import rlkit

common = {
    "dataset": "tutorial/heating-v0",
    "steps": 2_000,
    "seeds": (0, 1, 2),
    "eval_episodes": 0,
    "normalise_obs": True,
    "engine": "eager",
    "quiet": True,
}
runs = {
    "bc": rlkit.train("bc", config={"hidden": (32, 32)}, out="runs/heating-bc", **common),
    "iql": rlkit.train(
        "iql", config={"hidden": (32, 32), "tau": 0.8}, out="runs/heating-iql", **common
    ),
    "td3_bc": rlkit.train("td3_bc", config={"hidden": (32, 32)}, out="runs/heating-td3", **common),
}
print({name: run.status for name, run in runs.items()})

# %% [markdown]
# ## Would they be better?
#
# In life you would now compare actions with an engineer, start with small steps, and keep a fallback.
# Here the machine is three lines of code, so that we can look: every policy plays the same days.


# %%
def mean_return(policy, days=200):
    totals = []
    for day in range(days):
        rng = np.random.default_rng(10_000 + day)
        obs, total = rng.normal(size=2).astype(np.float32), 0.0
        for _ in range(40):
            obs, reward = after(obs, float(policy(obs)[0]), rng)
            total += reward
        totals.append(total)
    return np.array(totals)


noise = np.random.default_rng(1)
scores = {"engineer": [mean_return(lambda obs: engineer(obs, noise)).mean()]}
for name, run in runs.items():
    policies = [rlkit.load(run.folder, lane=lane, checkpoint="last") for lane in range(3)]
    scores[name] = [mean_return(policy.act).mean() for policy in policies]
for name, values in scores.items():
    print(f"{name:9}", np.round(values, 1))

# %% [markdown]
# The cloned rule is better than the engineer already, because it has no noise; the other two also use
# the rewards. Whether *they* differ, the seeds say:

# %%
print(rlkit.compare(scores["td3_bc"], scores["bc"]))

# %% [markdown]
# ## What to remember
#
# - Check the data before you train on them; most failures of offline learning are in the table.
# - Train several seeds: their spread is the first thing that a result must survive.
# - Compare with cloning. What only equals it has learnt nothing from the rewards.
# - A policy that leaves the actions of the logs is a guess there, whatever its value function says.
