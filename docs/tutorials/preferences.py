"""Preferences from a person: python docs/tutorials/preferences.py [--ask]"""

# %% [markdown]
# # Preferences from a person
#
# Nobody has written down what good driving is, but anybody can say which of two clips is better. This page
# cuts pairs of segments from a dataset, asks about them, keeps the answers in a file, fits a reward to
# them, and trains on it. With `--ask` the person is you, in the terminal; without it a stand-in answers by
# the dataset's true reward and errs now and then.
#
# ## The dataset
#
# A cart on a line, pushed at random. (The true reward is how near 0 it stays; the agents will not see
# it.)

# %%
import sys

import numpy as np
from gymnasium import spaces

from rlkit.data import EpisodeStore, write

ASK = "--ask" in sys.argv
rng = np.random.default_rng(0)
T, episodes = 40, []
for _ in range(60):
    obs, action = np.zeros((T + 1, 2), np.float32), rng.uniform(-1, 1, (T, 1)).astype(np.float32)
    obs[0] = rng.normal(size=2)
    for t in range(T):
        speed = 0.8 * obs[t, 1] + 0.3 * action[t, 0]
        obs[t + 1] = obs[t, 0] + 0.3 * speed, speed
    last = np.arange(T) == T - 1
    episodes.append(
        {
            "obs": obs,
            "action": action,
            "reward": -np.abs(obs[1:, 0]).astype(float),
            "terminated": np.zeros(T, bool),
            "truncated": last,
        }
    )
write(
    episodes,
    "tutorial/cart-v0",
    observation_space=spaces.Box(-np.inf, np.inf, (2,), np.float32),
    action_space=spaces.Box(-1, 1, (1,), np.float32),
    overwrite=True,
)
store = EpisodeStore.from_episodes(episodes)
print(store.episodes, "episodes,", len(store), "steps")

# %% [markdown]
# ## Pairs
#
# Two segments of twelve steps, from anywhere. `mask` says which steps are real: all are, because none
# crosses the end of an episode.

# %%
from rlkit.data import Segments
from rlkit.data.preferences import PairDataset

n, H = 120, 12
begin = rng.integers(0, store.episodes, (n, 2)) * T + rng.integers(0, T - H, (n, 2))
rows = begin[..., None] + np.arange(H)
segments = Segments(
    s=store.obs[rows],
    a=store.action[rows],
    r=store.reward[rows],
    cont=np.ones(rows.shape, np.float32),
    s2=store.next_obs[rows],
    mask=np.ones(rows.shape, bool),
    rows=rows,
)

# %% [markdown]
# ## Ask
#
# A segment is drawn in a line of text: where the cart is at each step. y is the probability that the
# *second* is preferred; "the same" is one half.


# %%
def drawn(path):
    """A picture of positions [H]: the track from -2 to 2, later steps as larger letters."""
    track = [" "] * 41
    track[20] = "|"
    for t, position in enumerate(path):
        track[int(np.clip(round(20 + 10 * position), 0, 40))] = "abcdefghijkl"[t]
    return "[" + "".join(track) + "]"


def asked(k):
    print("1", drawn(segments.s[k, 0, :, 0]))
    print("2", drawn(segments.s[k, 1, :, 0]))
    return {"1": 0.0, "2": 1.0}.get(input("which stays nearer to the middle? 1, 2 or = "), 0.5)


def stood_in(k):
    first, second = segments.r[k].sum(-1)
    wrong = rng.random() < 0.05
    return float((second > first) != wrong)


print("1", drawn(segments.s[0, 0, :, 0]))
print("2", drawn(segments.s[0, 1, :, 0]))
count = 20 if ASK else n
y = np.array([asked(k) if ASK else stood_in(k) for k in range(count)], np.float32)
pairs = PairDataset(
    Segments(*(field[:count] for field in segments)), y, origin="a person" if ASK else "a stand-in"
)
pairs.save("answers.npz")
print(len(pairs), "answers; the second was preferred in", int((y > 0.5).sum()))

# %% [markdown]
# ## A reward, and a policy
#
# P-IQL fits an ensemble to the answers and lets IQL learn from its mean. CPL learns the policy from the
# answers at once. Cloning shows what the data alone give.

# %%
import rlkit

common = {
    "dataset": "tutorial/cart-v0",
    "seeds": (0, 1, 2),
    "eval_episodes": 0,
    "engine": "eager",
    "quiet": True,
}
small = {"hidden": (32, 32)}
runs = {
    "bc": rlkit.train("bc", steps=1_000, config=small, out="runs/cart-bc", **common),
    "p_iql": rlkit.train(
        "p_iql",
        steps=1_500,
        config={**small, "preferences": "answers.npz", "hidden_reward": (32, 32)},
        out="runs/cart-p-iql",
        **common,
    ),
    "cpl": rlkit.train(
        "cpl",
        steps=1_000,
        config={**small, "preferences": "answers.npz", "bc_steps": 300, "lr": 1e-3},
        out="runs/cart-cpl",
        **common,
    ),
}

# %% [markdown]
# ## What was understood
#
# The cart drives, and the true reward, which no agent saw, is counted.


# %%
def plays(policy, drives=100):
    world = np.random.default_rng(1)
    obs, total = world.normal(size=(drives, 2)).astype(np.float32), 0.0
    for _ in range(T):
        speed = 0.8 * obs[:, 1] + 0.3 * policy.act(obs)[:, 0]
        obs = np.stack([obs[:, 0] + 0.3 * speed, speed], 1).astype(np.float32)
        total -= np.abs(obs[:, 0]).mean()
    return total


scores = {}
for name, run in runs.items():
    scores[name] = [plays(rlkit.load(run.folder, lane=k, checkpoint="last")) for k in range(3)]
    print(f"{name:6}", np.round(scores[name], 1))
print("data  ", store.returns().mean().round(1))

# %% [markdown]
# ## What to remember
#
# - Answers are data: keep the file, with who answered and when (`origin`, `user`).
# - A reward from comparisons is known up to a constant a step; where episodes end early, that constant
#   matters.
# - Ask about more pairs before you train longer.
