"""Train offline on a shipped recipe, look at the scores, and act with what was learnt.

python examples/train_offline.py            # minutes
python examples/train_offline.py --quick    # seconds: everything small
"""

import sys

import rlkit

QUICK = "--quick" in sys.argv
DATASET = "rlkit/pendulum/medium-v0"

data = rlkit.dataset(DATASET)  # rolled out now unless it stands already
print(f"{len(data.reward):,} steps, {data.returns().mean():.0f} the mean return")

result = rlkit.train(
    "iql",
    dataset=DATASET,
    seeds=(0, 1),  # two lanes, trained at once
    steps=200 if QUICK else 10_000,
    eval_every=100 if QUICK else 2_500,
    eval_episodes=2 if QUICK else 10,
    config={"beta": 0.3, "hidden": (32, 32)},
    out="runs/example-offline",
)
print("mean return of each seed:", result.returns.round(1))

policy = rlkit.load(result.folder)  # the best checkpoint of the best seed
env = rlkit.make("Pendulum-v1")
observation, _ = env.reset(seed=0)
total, over = 0.0, False
while not over:
    observation, reward, terminated, truncated, _ = env.step(policy.act(observation))
    total, over = total + float(reward), terminated or truncated
print(f"one episode of the loaded policy: {total:.1f}")
