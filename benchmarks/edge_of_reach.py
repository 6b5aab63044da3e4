"""The edge-of-reach problem (Sims et al. 2024, arXiv 2402.12527) where everything is known.

    python benchmarks/edge_of_reach.py --out benchmarks/results/edge-of-reach.json
    python benchmarks/edge_of_reach.py ravl --updates 2000

Agents learn on the plane of `rlkit.envs.EdgeOfReach` from rollouts of `LENGTH` steps that begin
at a dataset's states, in the TRUE dynamics instead of a learnt model:

    mopo        MOPO; its penalty, whatever its weight, is zero: soft actor-critic without pessimism
    patched     the same, but states that are met at the last step only end there and pay their
                exact value, so that nothing is bootstrapped from states that are never learnt
    ravl        RAVL: 30 critics, diversity of weight 0.001
    ravl-flat   RAVL without diversity: the same critics, the same minimum
    ravl-10     ten critics, the authors' default, with that diversity
    ravl-10-1   ten critics and diversity of weight 1, the authors' default: the term has no unit,
                the squared errors it is added to have that of the rewards

Optimal values are known in closed form, so that "value" below is the critics' value of start states
over the true value of the best policy: much above 1 is overestimation. "return" is of episodes of
30 steps over that of the best policy.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.algos import mopo, ravl
from rlkit.algos.imagination.noise import LaneNoise
from rlkit.algos.imagination.proposals import Proposal
from rlkit.algos.imagination.rollout import Hooks, Step, never
from rlkit.algos.imagination.source import minibatches
from rlkit.core.engine import Engine
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams, generator
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.envs.tasks import edge_of_reach
from rlkit.eval.comparison import compare_means
from rlkit.eval.rollout import Evaluator
from rlkit.eval.statistics import bootstrap_interval, mean
from rlkit.run.records import versions

SEEDS = (5, 6, 7, 8, 9)  # numbers of critics and weights were chosen on 0 to 4
GAMMA = 0.99
LENGTH = 4  # steps of a rollout: the goal is at the edge of their reach
ROWS = 5_000  # of the dataset
EPISODES = 20  # of an evaluation, a seed
SHARED: dict[str, Any] = {
    **{"length": LENGTH, "gamma": GAMMA, "batch_size": 128, "hidden": (64, 64)},
    **{"lr": 1e-3, "lr_q": 1e-3, "lr_alpha": 1e-3, "alpha": 0.2, "real_ratio": 0.05},
    **{"polyak": 0.05},  # so that values reach their fixed point, or diverge, in a few thousand
    **{"model_every": 250, "rollouts": 500, "retain": 5},
    **{"n_models": 1, "n_elites": 1, "hidden_model": (1,)},  # there is one, but nobody asks it
}
PENALTY = 5.0  # λ of MOPO
ARMS: dict[str, tuple[Any, dict[str, Any]]] = {
    "mopo": (mopo, {"penalty": PENALTY}),
    "patched": (mopo, {"penalty": PENALTY}),
    "ravl": (ravl, {"n_critics": 30, "diversity": 0.001}),
    "ravl-flat": (ravl, {"n_critics": 30, "diversity": 0.0}),
    "ravl-10": (ravl, {"n_critics": 10, "diversity": 0.001}),
    "ravl-10-1": (ravl, {"n_critics": 10, "diversity": 1.0}),
}


def dataset(rows: int) -> EpisodeStore:
    """Single steps of random actions from the starts."""
    rng = generator(0, "edge of reach/dataset")
    s = torch.from_numpy(edge_of_reach.starts(rng, rows))
    a = torch.from_numpy(rng.uniform(-1, 1, (rows, 2)))
    s2, r = edge_of_reach.transition(s, a)
    no, numbers = np.zeros(rows, bool), np.arange(rows)
    return EpisodeStore(
        *(x.numpy().astype(np.float32) for x in (s, a, r, s2)), no, ~no, numbers, 0 * numbers
    )


def exact(s: Tensor, a: Tensor, alive: Tensor, noise: LaneNoise) -> Proposal:
    """`propose` of a model that is right and knows it: no deviation."""
    s2, r = edge_of_reach.transition(s, a)
    sure = torch.zeros(s.shape[0], 1, s.shape[1], 3)
    return Proposal(s, a, s2.unsqueeze(1), r.unsqueeze(1), sure, sure)


def hooks(arm: str) -> Callable[[Any], Hooks]:
    """What the source of `mopo` or `ravl` makes of a model, with the true one in its place."""
    penalised = mopo.penalised(PENALTY)

    def beyond(step: Step) -> Tensor:
        return edge_of_reach.beyond_reach(step.s2, LENGTH)

    def patched(step: Step) -> Tensor:
        value = edge_of_reach.optimal_value(step.s2, GAMMA)
        return penalised(step) + torch.where(beyond(step), GAMMA * value, torch.zeros_like(value))

    if arm == "patched":
        end = lambda step: (beyond(step), never(step)[1])  # noqa: E731
        return lambda model: Hooks(exact, reward=patched, terminate=end)
    if arm == "mopo":
        return lambda model: Hooks(exact, reward=penalised)
    return lambda model: Hooks(exact)


def run(arm: str, updates: int) -> dict[str, Any]:
    """Trains all seeds at once; curves of values and returns."""
    module, given = ARMS[arm]
    spec, c = Spec(2, 2, SEEDS), module.Config(**SHARED, **given)
    agent, streams = module.Agent(spec, c), Streams(SEEDS)
    transforms = Transforms(action_low=-np.ones(2), action_high=np.ones(2))
    data = Replay.from_store(dataset(ROWS), spec, transforms)
    stock = Stock(spec, streams, transforms, data)
    source: Any = minibatches(stock, agent, c, hooks(arm), (0, 1, c.length, c.length))
    engine = Engine(agent, c, spec, source, "eager")
    curve, begun = {}, time.process_time()
    with Evaluator(edge_of_reach.EdgeOfReach, SEEDS) as evaluate:
        best = optimal_returns(evaluate)
        for step in range(0, updates, c.model_every):
            source.roll_out(step)
            engine.run(step, c.model_every)
            if (step + c.model_every) % (updates // 6) == 0:
                found = measured(agent, source, evaluate, best)
                curve[step + c.model_every] = found
                print(arm, step + c.model_every, {n: np.round(x, 2) for n, x in found.items()})
    return {"config": c.__dict__, "curve": curve, "cpu_seconds": time.process_time() - begun}


def policy(agent: Any) -> Callable[..., np.ndarray]:
    @torch.no_grad()
    def act(obs: np.ndarray, slots: Any = None) -> np.ndarray:
        return agent.act(torch.from_numpy(obs)).numpy()

    return act


def optimal_returns(evaluate: Evaluator) -> np.ndarray:
    """Mean return `[S]` of the best policy on the evaluation's episodes."""
    episodes = evaluate(
        lambda obs, slots: edge_of_reach.optimal_action(torch.from_numpy(obs)).numpy(), EPISODES
    )
    return np.array([e.return_ for e in episodes]).reshape(len(SEEDS), -1).mean(1)


@torch.no_grad()
def measured(agent: Any, source: Any, evaluate: Evaluator, best: np.ndarray) -> dict[str, Any]:
    """`[S]` each: value of starts and return, both over the optimal; how far policies go."""
    s = source.real.rows("s")[:, :256].expand(len(SEEDS), -1, -1)
    q = agent.q(s, agent.act(s)).amin(1).mean(-1)
    true = edge_of_reach.optimal_value(s, GAMMA).mean(-1)
    episodes = evaluate(policy(agent), EPISODES)
    returns = np.array([e.return_ for e in episodes]).reshape(len(SEEDS), -1).mean(1)
    end = s
    for _ in range(LENGTH):
        end, _ = edge_of_reach.transition(end, agent.act(end))
    away = (end - end.new_tensor(edge_of_reach.GOAL)).norm(dim=-1).mean(-1)
    return {
        "value": (q / true).numpy(),
        "return": returns / best,
        "distance": away.numpy(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arms", nargs="*", choices=[[], *ARMS], help="all by default")
    parser.add_argument("--updates", type=int, default=6_000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = {arm: run(arm, args.updates) for arm in args.arms or ARMS}
    final = {arm: list(found["curve"].values())[-1] for arm, found in runs.items()}
    for arm, found in runs.items():
        found["final"] = {
            n: str(bootstrap_interval(x[:, None], mean)) for n, x in final[arm].items()
        }
        found["curve"] = {
            str(step): {n: [round(float(v), 3) for v in x] for n, x in at.items()}
            for step, at in found["curve"].items()
        }
        print(arm, found["final"])
    first = next(iter(runs))
    compared = {
        f"{arm} - {first}": str(
            compare_means(
                final[arm]["return"][:, None], final[first]["return"][:, None], paired=True
            )
        )
        for arm in runs
        if arm != first
    }
    for text in compared.items():
        print(*text, sep=": ")
    if args.out is not None:
        record = {"command": f"python benchmarks/edge_of_reach.py --updates {args.updates}"}
        record |= {"results": runs, "compared": compared, "versions": versions.collect("cpu")}
        args.out.write_text(json.dumps(record, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
