"""An environment of your own: registered, trained in, and played by what was learnt.

python examples/own_environment.py [--quick]
"""

import sys

import gymnasium
import numpy as np
from gymnasium import spaces

import rlkit
from rlkit.data import record

QUICK = "--quick" in sys.argv


class Line(gymnasium.Env):
    """Stay near 0 on a line; leaving [-5, 5] ends it, fifty steps cut it off."""

    observation_space = spaces.Box(-10, 10, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)  # all randomness from self.np_random
        self.x = self.np_random.uniform(-1, 1)
        return np.array([self.x], np.float32), {}

    def step(self, action):
        self.x = float(np.clip(self.x + action[0] + 0.1 * self.np_random.normal(), -10, 10))
        return np.array([self.x], np.float32), -abs(self.x), abs(self.x) > 5, False, {}


gymnasium.register("Line-v0", entry_point=Line, max_episode_steps=50)

result = rlkit.train(
    "td3",
    env="Line-v0",
    steps=300 if QUICK else 5_000,
    warmup=100 if QUICK else 500,
    eval_every=150 if QUICK else 1_000,
    eval_episodes=3,
    config={"hidden": (32, 32)},
    out="runs/example-line",
)
print("return", result.returns)

policy = rlkit.load(result.folder)
env = rlkit.make("Line-v0")
episodes = record(env, policy.act, episodes=5, seed=0)
print("played", [round(float(episode["reward"].sum()), 1) for episode in episodes])
