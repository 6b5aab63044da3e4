"""A look at a training while it runs: own logging, own early stop.

python examples/callback.py [--quick]
"""

import sys

import numpy as np

import rlkit
from rlkit.run.records.events import Evaluated, Event, Metrics

QUICK = "--quick" in sys.argv


def watch(event: Event) -> bool | None:
    """Called with every event after it has been recorded; False ends the training."""
    if isinstance(event, Metrics):
        print(f"step {event.step:,}: loss of Q {event.values['q_loss'].mean():.3f}")
    if isinstance(event, Evaluated):
        reached = np.mean([episode.return_ for episode in event.episodes])
        print(f"step {event.step:,}: return {reached:.0f}")
        return bool(reached < (-10_000 if QUICK else -200))  # enough is enough
    return None


result = rlkit.train(
    "sac",
    watch,
    env="Pendulum-v1",
    steps=300 if QUICK else 20_000,
    warmup=50 if QUICK else 1_000,
    eval_every=100 if QUICK else 1_000,
    log_every=100 if QUICK else 1_000,
    eval_episodes=2,
    config={"hidden": (64, 64)},
    out="runs/example-callback",
)
print(result.status, "at step", result.step)
