"""DQN on MiniGrid's DoorKey end to end: sixteen lanes of a training beside stable-baselines3's.

    python benchmarks/speed/doorkey.py --out benchmarks/results/doorkey.json

Both begin to learn after 500 steps, update once in four with minibatches of 64 and nets of 2x128
behind the same convolutions over embedded cells, move their target every 400 steps, and do not
evaluate. stable-baselines3 steps the package's environment, rlkit its kernels. A step's time is of
the processor, one thread, between trainings of two lengths, so that starting and compiling do not
count; by lane. A ratio is the median over rounds of theirs / ours in the same round. `floor` is
what the products of an update would take, a step, at the rate of a product of 512 x 512 numbers.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import minigrid  # noqa: F401  # registers its ids
import stable_baselines3
import torch
from minigrid.wrappers import ImgObsWrapper
from relatives import Counted
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from updates import PACKAGES, processor, spread, versions

from rlkit.algos import dqn
from rlkit.core.batch import Batch
from rlkit.core.spec import Discrete, Spec
from rlkit.run.settings.options import Options
from rlkit.run.train import train

ENV = "MiniGrid-DoorKey-5x5-v0"
WARMUP, EVERY = 500, 4
SETTINGS = {"double": False, "n_step": 1}
KINDS = (11, 6, 4)  # MiniGrid's numbers of objects, colours and states


class Cells(BaseFeaturesExtractor):
    """What rlkit's DQN has before its layers: a table a category, two convolutions of 32."""

    def __init__(self, space: gymnasium.Space) -> None:
        super().__init__(space, 32 * 3 * 3)
        self.tables = torch.nn.ModuleList(torch.nn.Embedding(k, 8) for k in KINDS)
        self.convolutions = torch.nn.Sequential(
            *(torch.nn.Conv2d(24, 32, 3), torch.nn.ReLU()),
            *(torch.nn.Conv2d(32, 32, 3), torch.nn.ReLU(), torch.nn.Flatten()),
        )

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        cells = view.long().movedim(1, -1)  # stable-baselines3 puts an image's kinds first
        embedded = [table(cells[..., k]) for k, table in enumerate(self.tables)]
        return self.convolutions(torch.cat(embedded, -1).permute(0, 3, 1, 2))


def ours(lanes: int, steps: int) -> None:
    with tempfile.TemporaryDirectory() as out:
        train(
            Options(
                "dqn",
                env=ENV,
                seeds=tuple(range(lanes)),
                steps=steps,
                warmup=WARMUP,
                capacity=10_000,
                eval_every=0,
                eval_episodes=0,
                checkpoint_every=steps,
                out=f"{out}/run",
                quiet=True,
                workers=1,
                config=dict(SETTINGS),
            )
        )


def theirs(steps: int) -> None:
    env = ImgObsWrapper(gymnasium.make(ENV))
    settings: dict[str, Any] = {
        "policy_kwargs": {
            "features_extractor_class": Cells,
            "normalize_images": False,
            "net_arch": [128, 128],
        },
        "buffer_size": 10_000,
        "learning_starts": WARMUP,
        "learning_rate": 5e-4,
        "batch_size": 64,
        "train_freq": EVERY,
        "target_update_interval": 400,
    }
    model = stable_baselines3.DQN("MlpPolicy", env, seed=0, device="cpu", **settings)
    model.learn(steps)
    env.close()


def a_step(run: Callable[[int], None], short: int, long: int) -> float:
    """Microseconds of a step: of the processor, between trainings of two lengths."""
    times = []
    for steps in (short, long):
        start = time.process_time()
        run(steps)
        times.append(time.process_time() - start)
    return (times[1] - times[0]) / (long - short) * 1e6


def floor() -> dict[str, float]:
    """Of one lane: operations of a step's share of an update, the rate, and what they take."""
    spec, c = Spec((7, 7, 3), Discrete(7)), dqn.Config(**SETTINGS)
    views, one = torch.zeros(1, c.batch_size, *spec.obs), torch.ones(1, c.batch_size)
    actions = torch.zeros(1, c.batch_size, dtype=torch.long)
    with Counted() as counter:
        dqn.Agent(spec, c).update(Batch(views, actions, one, one, views), c)
    x, times = torch.randn(512, 512), []
    for _ in range(50):
        start = time.perf_counter()
        x @ x
        times.append(time.perf_counter() - start)
    operations, rate = counter.total / EVERY, 2 * 512**3 / min(times)
    return {
        "operations": operations,
        "operations a second": rate,
        "us a step and lane": operations / rate * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--steps", type=int, default=2_000, help="that are timed")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    took: dict[str, list[float]] = {"stable-baselines3": []}
    took |= {f"rlkit, {lanes} lanes": [] for lanes in args.lanes}
    short = WARMUP + 500
    for _ in range(args.rounds):
        took["stable-baselines3"].append(a_step(theirs, short, short + args.steps))
        for lanes in args.lanes:
            each = a_step(lambda n, k=lanes: ours(k, n), short, short + args.steps)
            took[f"rlkit, {lanes} lanes"].append(each / lanes)
    peer = took["stable-baselines3"]
    record = {
        "command": "python " + " ".join(sys.argv),
        "processor": processor(),
        "load_before": os.getloadavg()[0],
        "versions": versions((*PACKAGES, "minigrid")),
        "floor": floor(),
        "results": {
            name: {
                "us a step and lane": spread(own),
                "ratio": spread([p / o for p, o in zip(peer, own, strict=True)]),
            }
            for name, own in took.items()
        },
    }
    print("floor", record["floor"])
    for name, row in record["results"].items():
        print(f"{name:20}", *(f"{key} {value}" for key, value in row.items()))
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
