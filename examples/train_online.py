"""Train online, evaluate on fresh start states, export to one file, and act without torch.

python examples/train_online.py [--quick]
"""

import sys

import numpy as np

import rlkit

QUICK = "--quick" in sys.argv

result = rlkit.train(
    "dqn",
    env="CartPole-v1",
    steps=600 if QUICK else 30_000,
    warmup=200 if QUICK else 1_000,
    eval_every=300 if QUICK else 5_000,
    config={"hidden": (32, 32) if QUICK else (256, 256)},
    out="runs/example-online",
)
episodes = rlkit.evaluate(result.folder, episodes=5)
print(f"return on fresh starts: {np.mean([episode.return_ for episode in episodes]):.0f}")

file = rlkit.export(result.folder).path  # compared with torch before it gets its name
policy = rlkit.load(file)  # needs numpy and safetensors only
print("action:", policy.act([0.0, 0.1, 0.02, 0.0]))

more = rlkit.resume(result.folder, steps=result.step + (300 if QUICK else 10_000))
print(f"continued to step {more.step:,}")
