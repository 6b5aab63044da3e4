"""stable-baselines3 both ways: its agents in our runs, our policies behind its `predict`.

python examples/with_stable_baselines3.py [--quick]
"""

import sys

from stable_baselines3 import PPO

import rlkit
from rlkit.eval.rollout import rollout
from rlkit.policy import Predictor, actor

QUICK = "--quick" in sys.argv
STEPS = 512 if QUICK else 50_000

# its PPO as a run like any other: records, evaluation, checkpoints, comparison
result = rlkit.train(
    "sb3:ppo",
    env="CartPole-v1",
    steps=STEPS,
    eval_every=STEPS // 2,
    eval_episodes=5,
    config={"n_steps": 128},
    out="runs/example-ppo",
)
print("mean return of PPO", result.returns)

# a policy of ours where its `predict` is asked for
ours = Predictor(rlkit.load(rlkit.export(result.folder).path))
action, _ = ours.predict([0.0, 0.1, 0.02, 0.0], deterministic=True)
print("action", action)

# an agent of its own, evaluated by our rollout, which keeps every episode
theirs = PPO("MlpPolicy", "CartPole-v1", n_steps=128, device="cpu").learn(256)
episodes = rollout(actor(theirs), lambda: rlkit.make("CartPole-v1"), episodes=3, seeds=[0])
print("its own episodes", [episode.return_ for episode in episodes])
