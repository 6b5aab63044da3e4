"""IQL written both ways the design weighed: stateful laned modules, and torch.func over lanes.

    python benchmarks/speed/designs.py --out benchmarks/results/designs.json

"stateful" is `rlkit.algos.iql` as shipped. "functional" is one update for one lane as a pure
function of a dictionary of parameters, its gradient by `torch.func.grad`, lanes by `torch.vmap`;
its optimiser is the same fused Adam on one flat buffer, outside the differentiated function.
Both run eager and compiled, in turn in one process; ratios are the median over rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from rlkit.algos import iql
from rlkit.core.batch import Batch
from rlkit.core.engine import Engine
from rlkit.core.spec import Spec

OBS, ACT = 17, 6
SETTINGS = [(1, 256, 256), (4, 256, 256), (16, 32, 32)]  # lanes, width, batch
Params = dict[str, Tensor]


class Fixed:
    """A source of one batch."""

    def __init__(self, batch: Batch) -> None:
        self.fixed, self.batch_size = batch, batch.r.shape[1]

    def indices(self, step: int, count: int) -> Tensor:
        return torch.zeros(count, *self.fixed.r.shape, dtype=torch.int64)

    def batch(self, index: Tensor) -> Batch:
        return self.fixed


def mlp(p: Params, name: str, x: Tensor) -> Tensor:
    for k in (0, 1):
        x = torch.relu(x @ p[f"{name}.{k}.w"] + p[f"{name}.{k}.b"])
    return x @ p[f"{name}.2.w"] + p[f"{name}.2.b"]


def loss(p: Params, target: Params, b: tuple[Tensor, ...]) -> Tensor:
    """The three losses of IQL for one lane, values of other nets held constant."""
    s, a, r, cont, s2 = b
    sa = torch.cat([s, a], -1)
    q_bar = torch.minimum(mlp(target, "q1", sa), mlp(target, "q2", sa)).squeeze(-1).detach()
    v = mlp(p, "v", s).squeeze(-1)
    y = r + 0.99 * cont * mlp(p, "v", s2).squeeze(-1).detach()
    adv = q_bar - v.detach()
    eps = (a - mlp(p, "pi", s).tanh()) / p["log_std"].exp()
    log_prob = -(0.5 * eps.square() + p["log_std"]).sum(-1)
    q_loss = sum((mlp(p, name, sa).squeeze(-1) - y).square().mean() for name in ("q1", "q2"))
    pi_loss = -((3.0 * adv).exp().clamp(max=100.0) * log_prob).mean()
    return iql.v_loss(q_bar, v, 0.7) + q_loss + pi_loss


def functional(lanes: int, width: int, batch: Batch, compiled: bool) -> Callable[[], object]:
    shapes: dict[str, tuple[int, ...]] = {"log_std": (lanes, ACT)}
    for name, n_in, n_out in (("q1", OBS + ACT, 1), ("q2", OBS + ACT, 1), ("v", OBS, 1)):
        shapes |= layer_shapes(lanes, name, n_in, width, n_out)
    shapes |= layer_shapes(lanes, "pi", OBS, width, ACT)
    sizes = [torch.Size(shape).numel() for shape in shapes.values()]
    flat = 0.1 * torch.randn(sum(sizes), generator=torch.Generator().manual_seed(0))
    target = flat.clone()
    m, v, steps = torch.zeros_like(flat), torch.zeros_like(flat), torch.zeros(())

    def views(x: Tensor) -> Params:
        pieces = zip(shapes.items(), x.split(sizes), strict=True)
        return {name: piece.view(shape) for (name, shape), piece in pieces}

    p, p_bar = views(flat), views(target)
    fields = (batch.s, batch.a, batch.r, batch.cont, batch.s2)
    gradient = torch.vmap(torch.func.grad(loss))
    if compiled:
        gradient = torch.compile(gradient, fullgraph=True, dynamic=False)

    def update() -> None:
        nonlocal steps
        grads = gradient(p, p_bar, fields)
        grad = torch.cat([g.reshape(-1) for g in grads.values()])
        steps += 1
        torch._fused_adamw_(
            [flat], [grad], [m], [v], [], [steps], lr=3e-4, beta1=0.9, beta2=0.999,
            weight_decay=0.0, eps=1e-8, amsgrad=False, maximize=False,
        )  # fmt: skip
        target.lerp_(flat, 0.005)

    return update


def layer_shapes(lanes: int, name: str, n_in: int, width: int, n_out: int) -> dict:
    widths = [n_in, width, width, n_out]
    weights = {f"{name}.{k}.w": (lanes, widths[k], widths[k + 1]) for k in range(3)}
    return weights | {f"{name}.{k}.b": (lanes, widths[k + 1]) for k in range(3)}


def stateful(lanes: int, width: int, batch: Batch, compiled: bool) -> Callable[[], object]:
    spec, config = Spec(OBS, ACT, range(lanes)), iql.Config(hidden=(width, width))
    mode = "compile" if compiled else "eager"
    engine = Engine(iql.Agent(spec, config), config, spec, Fixed(batch), mode)
    return lambda: engine.run(0, 1)


def measure(lanes: int, width: int, size: int, rounds: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((OBS,), (ACT,), (), (), (OBS,))
    s, a, r, cont, s2 = (
        torch.randn(lanes, size, *shape, generator=generator).tanh() for shape in shapes
    )
    batch = Batch(s, a, r, cont.abs(), s2)
    runs = {
        f"{maker.__name__} {'compiled' if compiled else 'eager'}": maker(
            lanes, width, batch, compiled
        )
        for maker in (stateful, functional)
        for compiled in (False, True)
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            for _ in range(3):
                run()
            start = time.perf_counter()
            for _ in range(20):
                run()
            times[name].append((time.perf_counter() - start) / 20 * 1e3)
    return {name: statistics.median(t) for name, t in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    record = {"command": "python " + " ".join(sys.argv), "milliseconds": {}}
    for lanes, width, size in SETTINGS:
        name = f"{lanes} lanes, 2x{width}, batch {size}"
        record["milliseconds"][name] = measure(lanes, width, size, args.rounds)
        print(name, {k: round(v, 2) for k, v in record["milliseconds"][name].items()}, flush=True)
    if args.out:
        args.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
