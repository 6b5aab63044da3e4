"""CQL on histories: what memory is worth where velocities are hidden, and what the bisimulation
loss adds.

python benchmarks/systems/memory.py --out benchmarks/results

history  CartPole whose cart and angle are seen without velocities, from episodes of a controller
         that acts at random half of the time (mean return about 200, at most 500): CQL on histories
         of 4 with the loss (weight 0.03) and without it, and CQL without memory; from 20
         episodes, 1,000 updates each
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
from arms import Found, Seeds, command

import rlkit
from rlkit.algos import cql_discrete, history_cql
from rlkit.core.engine import Engine
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.eval.rollout import rollout
from rlkit.run.task import actor
from rlkit.testing.episode_toys import positions

UPDATES, EPISODES = 1_000, (20,)
SHARED: dict[str, Any] = {"gamma": 0.98, "target_period": 200, "lr": 1e-3, "batch_size": 64}
HISTORY: dict[str, Any] = {**SHARED, "hidden": (64,), "context": 4, "latent": 32, "lr_model": 1e-3}


def hidden() -> gymnasium.Env:
    return rlkit.make("rlkit/CartPolePositions-v1")


def learnt(store: EpisodeStore, seeds: Seeds, weight: float | None) -> np.ndarray:
    """Mean return `[S]` of twenty episodes, after training with a weight of the loss; without one
    CQL of single observations."""
    spec = Spec(2, Discrete(2), seeds)
    transforms = Transforms.fit(store, (0, 1), True)
    data = Replay.from_store(store, spec, transforms)
    stock = Stock(spec, Streams(seeds), transforms, data)
    agent: Any
    if weight is None:
        c: Any = cql_discrete.Config(hidden=(64, 64), **SHARED)
        agent, source = cql_discrete.Agent(spec, c), Uniform(data, c.batch_size, stock.streams)
    else:
        c = history_cql.Config(**HISTORY, bisimulation=weight)
        agent = history_cql.Agent(spec, c)
        source = history_cql.source(stock, agent, c)  # type: ignore[assignment]
    Engine(agent, c, spec, source, "eager").run(0, UPDATES)
    task: Any = SimpleNamespace(transforms=transforms, to_env=lambda a: a)
    found = rollout(actor(agent, spec, task), hidden, 20, seeds)
    return np.array([e.return_ for e in found]).reshape(len(seeds), -1).mean(1)


def history(seeds: Seeds) -> Found:
    weights = {"loss": 0.03, "no loss": 0.0, "no memory": None}
    values: dict[str, dict[str, np.ndarray]] = {}
    for count in EPISODES:
        store, at = positions(count, 1_000 * min(seeds)), f"return, {count} episodes"
        values[at] = {}
        for name, weight in weights.items():
            values[at][name] = learnt(store, seeds, weight)
            print(at, name, values[at][name].round(1), flush=True)
        values[at]["data"] = np.full(len(seeds), store.returns().mean())
    return Found(
        claim="CQL on histories with and without the bisimulation loss, and without memory, where "
        "velocities are hidden",
        values=values,
        pairs=[
            (at, one, other)
            for at in values
            for one, other in (
                ("loss", "no loss"),
                ("no loss", "no memory"),
                ("loss", "data"),
            )
        ],
        settings={"histories": HISTORY, "no memory": {**SHARED, "hidden": (64, 64)}},
    )


SYSTEMS = {"history": history}

main = command("memory.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()
