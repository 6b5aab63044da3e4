"""What an update of each recent system costs beside its nearest relative, and what it may cost.

    python benchmarks/speed/relatives.py --out benchmarks/results/relatives.json

The arithmetic of an update is counted by torch (multiply-adds of its matrix products and
convolutions, forward and backward). `excess` is the ratio of the times over the ratio of the
arithmetic: above 1, something other than products makes the system slower. Both settings are equal
but for what is named: nets of 2x256, minibatches of 256, observations of 17, actions of 6 (or 6
discrete ones), one thread, eager, time of the processor; relative and system run in turn, and a
ratio is the median over rounds, with its quartiles.

Left out are systems whose update is another agent's to the letter: SS-ORL, HERON, SPO, VPL and
regret with successor features put rewards, actions or latents behind the rows, PETS has no relative
(its update is a step of the model, which others fit in epochs of their own), V-GPS trains
nothing.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from rlkit.algos import decision_transformer, history_cql
from rlkit.core.batch import Batch
from rlkit.core.lanes import resolve
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.run.records import versions

OBS, ACT, BATCH, WINDOW = 17, 6, 256, 10
AIM = 1.5


class Side(NamedTuple):
    """An algorithm and what its Config has other than defaults of 2x256."""

    algo: str
    settings: dict[str, Any] = {}
    preset: str = ""
    obs: tuple[int, ...] | int = OBS
    discrete: bool = False


WIDE = {"n_critics": 10}
GRU = {"latent": 64, "context": WINDOW}
HEADS = ("two_hot", "hl_gauss", "c51")
PAIRS = {
    "A2PR / TD3+BC": (Side("a2pr"), Side("td3_bc")),
    "EDAC / SAC-N": (Side("sac", WIDE, "edac"), Side("sac", WIDE, "sac_n")),
    "Decision Transformer, 1 layer / 3": (
        Side("decision_transformer", {"layers": 1}),
        Side("decision_transformer", {"layers": 3}),
    ),
    "CQL on histories, bisimulation / recurrent": (
        Side("history_cql", GRU, discrete=True),
        Side("history_cql", GRU, "recurrent", discrete=True),
    ),
    "Stock-augmented DQN / DQN, quantiles": (
        Side("stock_dqn", {"bins": 51}, discrete=True),
        Side("dqn", {"head": "quantile", "bins": 51}, discrete=True),
    ),
    "SAC, ggd / scalar": (Side("sac", {}, "ggd"), Side("sac", {"copies": 5})),
    "TD3, ggd / scalar": (Side("td3", {}, "ggd"), Side("td3", {"copies": 5})),
    "DQN, ggd / scalar": (
        Side("dqn", {}, "ggd", discrete=True),
        Side("dqn", {"copies": 5}, discrete=True),
    ),
    **{
        f"{algo.upper()}, {head} / scalar": (Side(algo, {"head": head}), Side(algo))
        for algo in ("sac", "td3", "iql")
        for head in HEADS
    },
    "DQN cloning beside / DQN": (
        Side("dqn", {"imitation": 1.0}, discrete=True),
        Side("dqn", discrete=True),
    ),
    "SRL / SAC": (Side("srl"), Side("sac")),
    "VaGraM / MBPO": (Side("vagram"), Side("mbpo")),
    "Lipschitz, adversarial / MBPO": (Side("lipschitz_model"), Side("mbpo")),
    "COMBO / CQL": (Side("combo", {"n_actions": 4}), Side("cql", {"n_actions": 4})),
    "MOREC / MOPO": (Side("morec"), Side("mopo")),
    "RAVL / MOPO": (Side("ravl"), Side("mopo")),
    "SAC on images / TD3 on images": (
        Side("sac", {"batch_size": 32}, obs=(9, 32, 32)),
        Side("td3", {"batch_size": 32}, obs=(9, 32, 32)),
    ),
}


def agent_of(side: Side) -> tuple[Any, Any, Spec]:
    """The agent of one lane, its resolved Config, its task."""
    module = importlib.import_module(f"rlkit.algos.{side.algo}")
    spec = Spec(side.obs, Discrete(ACT) if side.discrete else ACT, image=side.obs != OBS)
    wide = {"hidden": (256, 256), "hidden_q": (256, 256), "batch_size": BATCH}
    default = module.Config()
    kept = {k: v for k, v in wide.items() if hasattr(default, k)}
    given = module.PRESETS[side.preset][0] if side.preset else {}
    c = resolve(type(default)(**{**kept, **given, **side.settings}), spec)
    return module.Agent(spec, c), c, spec


def batch_of(side: Side, agent: Any, spec: Spec, size: int) -> Any:
    """A random minibatch of the kind that the agent learns from."""
    rng = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(1, size, *shape, generator=rng)

    def actions(*shape: int) -> torch.Tensor:
        if spec.discrete:
            return torch.randint(ACT, (1, size, *shape), generator=rng)
        return normal(*shape, ACT).tanh()

    streams = Streams(spec.seeds)
    noise = {
        name: torch.from_numpy(streams.draw(name, d.kind, 0, d.shape(spec, size))[0]).float()
        for name, d in getattr(agent, "noise", {}).items()
    }
    one = torch.ones(1, size)
    if side.algo == "decision_transformer":
        t = torch.arange(20).expand(1, size, 20)
        made = actions(20)
        return decision_transformer.Steps(normal(20, OBS), made, normal(20), t, t >= 0, noise)
    if side.algo == "history_cql":
        mask = torch.ones(1, size, WINDOW, dtype=torch.bool)
        a = actions(WINDOW)
        return history_cql.History(normal(WINDOW, OBS), a, mask, normal(), one, normal(OBS), noise)
    if spec.image:
        s, s2 = (torch.randint(256, (1, size, *spec.obs), dtype=torch.uint8) for _ in range(2))
    else:
        s, s2 = normal(*spec.obs), normal(*spec.obs)
    own = Batch(s, actions(), normal(), one, s2, mc=normal(), a2=actions(), real=one, expert=one)
    return own._replace(noise=noise, other=own, s0=s, before=actions())


class Counted(TorchDispatchMode):
    """Sums the operations of products; torch's own counter cannot be had inside `autograd.grad`."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.total += count(*args, **(kwargs or {}), out_val=out)
        return out


class Runner:
    """Updates of one side, in turn with those of the other."""

    def __init__(self, side: Side) -> None:
        self.agent, self.c, spec = agent_of(side)
        self.b = batch_of(side, self.agent, spec, self.c.batch_size)
        self.periods = dict(getattr(self.agent, "periods", {}))
        self.cycle = math.lcm(1, *(p for p in self.periods.values() if p <= 2))
        self.step = 0

    def update(self) -> None:
        due = {name: (self.step + 1) % period == 0 for name, period in self.periods.items()}
        self.agent.update(self.b, self.c, **due)
        self.step += 1

    def arithmetic(self) -> float:
        """Operations of an update, over a cycle of what is done every second time."""
        with Counted() as counter:
            for _ in range(self.cycle):
                self.update()
        return counter.total / self.cycle

    def seconds(self, updates: int) -> float:
        """Time of the processor of an update."""
        begun = time.process_time()
        for _ in range(updates):
            self.update()
        return (time.process_time() - begun) / updates


def measured(pair: tuple[Side, Side], rounds: int, wanted: float) -> dict[str, Any]:
    """Ratio of the arithmetic, of the times with its quartiles, and of these two."""
    own, other = (Runner(side) for side in pair)
    work = own.arithmetic() / other.arithmetic()
    for runner in (own, other):
        runner.seconds(2 * runner.cycle)
    count = [
        r.cycle * max(1, round(wanted / r.seconds(2 * r.cycle) / r.cycle)) for r in (own, other)
    ]
    times = [(own.seconds(count[0]), other.seconds(count[1])) for _ in range(rounds)]
    ratios = np.array([a / b for a, b in times])
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    return {
        "ms": round(1000 * float(np.median([a for a, _ in times])), 2),
        "ms of the relative": round(1000 * float(np.median([b for _, b in times])), 2),
        "arithmetic": round(work, 3),
        "time": round(float(middle), 3),
        "time quartiles": [round(float(low), 3), round(float(high), 3)],
        "excess": round(float(middle) / work, 3),
    }


def every(names: list[str], rounds: int, wanted: float) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in names:
        found = measured(PAIRS[name], rounds, wanted)
        mark = "" if found["excess"] <= AIM else "   above the aim"
        print(
            f"{name:45}{found['time']:7.2f}{found['arithmetic']:7.2f}{found['excess']:7.2f}{mark}"
        )
        yield name, found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="pairs; all by default")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of a side in a round")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'system / relative':45}{'time':>7}{'work':>7}{'excess':>7}")
    found = dict(every(args.names or list(PAIRS), args.rounds, args.seconds))
    if args.out:
        record = {
            "claim": f"no update takes more than {AIM} times what its arithmetic explains",
            "command": "python benchmarks/speed/relatives.py",
            "results": found,
            "versions": versions.collect("cpu"),
        }
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
