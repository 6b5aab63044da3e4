"""Preferences on the toys of `rlkit.testing.preference_toys`, where the right answer is known.

python benchmarks/preference_toys.py --out benchmarks/results/learning-preference-toys.json
python benchmarks/preference_toys.py spo

spo      games of three arms: how much more often than half the best answer beats SPO's plays,
         and the arm that a Bradley-Terry reward of the same preferences puts first (circle,
         DQN behind, all plays); share of plays of the arm that beats all others, with an exact
         judge and with one who errs in a tenth of the answers (condorcet, SAC behind, the last
         200 of 900 plays), and whether the reward puts it first
vpl      two users of opposed minds on a line: return of the policy of each over the best, by
         the user's own measure, the worse of the two; of P-IQL's one policy; share of pairs
         that are foretold rightly from a set of 16 others of a new user of either mind
regret   a corridor with a coin: share of pairs of walks ordered as by true regret, by the
         reward from regrets and by that from sums of rewards, from 300 answers
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlkit.algos import p_iql, sf_regret, spo, vpl
from rlkit.algos.preference.feedback import Preferences
from rlkit.algos.preference.models import regret_model
from rlkit.algos.preference.models.latent_users import Users
from rlkit.algos.preference.models.reward_model import Fit, OwnInit, RewardNet, fit
from rlkit.algos.preference.teachers import users
from rlkit.core.engine import Engine
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.preferences import PairDataset
from rlkit.data.replay import Replay
from rlkit.data.sampling.segments import Segments
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.reports.findings import mean_interval
from rlkit.run.records import versions
from rlkit.testing import preference_toys as toys

SEEDS = (0, 1, 2, 3, 4)


def stock_of(store: EpisodeStore, spec: Spec, columns: tuple[str, ...]) -> Stock:
    """The store as rows of every lane."""
    data = Replay.from_store(store, spec, Transforms(), columns=columns)
    return Stock(spec, Streams(spec.seeds), Transforms(), data)


def first_by_reward(matrix: np.ndarray) -> np.ndarray:
    """The arm `[S]` of the greatest Bradley-Terry reward, fitted to 3000 pairs of even arms."""
    spec, n = Spec(1, Discrete(3), SEEDS), 3000
    arms, said = [], []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        pair = rng.integers(3, size=(n, 2))
        arms.append(pair)
        said.append(rng.random(n) < matrix[pair[:, 1], pair[:, 0]])
    one = torch.ones(len(SEEDS), n, 2, 1)
    a = torch.from_numpy(np.stack(arms)).unsqueeze(-1)
    y = torch.from_numpy(np.stack(said)).float()
    net = RewardNet(OwnInit(spec, "benchmark"), (16,), 1)
    pairs = Preferences(one.unsqueeze(-1), a, one.bool(), y, torch.ones_like(y))
    fit(net, pairs, spec, Fit(lr=1e-2, passes=30, stop=1.0))
    every = torch.arange(3).expand(len(SEEDS), -1)
    r = net(torch.ones(len(SEEDS), 3, 1), every)
    return r.squeeze(1).argmax(-1).numpy()


def play_spo() -> dict[str, dict[str, np.ndarray]]:
    dqn = "n_step=1 hidden=() lr=0.02 batch_size=64 epsilon_updates=300 epsilon_last=0.2"
    sac = "hidden=32,32 lr=3e-3 lr_q=3e-3 batch_size=64 learn_alpha=False alpha=0.02"
    module = "rlkit.testing.preference_toys"
    c = spo.Config(
        teacher=f"{module}:Circle", queue=50, agent="dqn", given=f"{dqn} target_period=1"
    )
    arms = toys.play(spo, c, Spec(1, Discrete(3), SEEDS), 1_500, 1_500)
    chosen = first_by_reward(toys.CIRCLE)
    circle = {
        "SPO": np.array([toys.beaten_by(toys.CIRCLE, x) for x in arms.T]),
        "reward": np.array([toys.beaten_by(toys.CIRCLE, x[None]) for x in chosen]),
    }
    condorcet = {"reward": (first_by_reward(toys.CONDORCET) == 0).astype(float)}
    for name, words in (("SPO", "poll:0"), ("SPO, mistaken:0.1", "mistaken:0.1")):
        c = spo.Config(teacher=f"{module}:Condorcet+{words}", queue=30, given=sac)
        arms = toys.play(spo, c, Spec(1, 1, SEEDS), 900, 400)[-200:]
        condorcet[name] = (arms == 0).mean(0)
    return {"circle: beaten by": circle, "condorcet: share of the winner": condorcet}


def learn_vpl() -> dict[str, dict[str, np.ndarray]]:
    spec, store = Spec(1, 1, SEEDS), toys.line()
    given = "hidden=32,32 batch_size=128 lr=1e-3 beta=10.0 gamma=0.9"
    c = vpl.Config(
        users="columns:right,-right", length=3, pairs=400, latent=3, given=given, steps_vae=800,
        hidden_vae=(32,), batch_vae=32, latents=200,
    )  # fmt: skip
    agent = vpl.Agent(spec, c)
    stock = stock_of(vpl.select(store, c), spec, agent.columns)
    source = vpl.source(stock, agent, c)
    source.begin()
    Engine(agent, c, spec, source).run(0, 800)
    fitted, returns = Users(source.net, source.answered, spec, c), []
    for user, sign in ((0, 1), (1, -1)):
        agent.serve(fitted.latent_of(user))
        returns.append(sign * toys.travelled(agent.act, spec.lanes).numpy() / toys.LINE_BEST)
    new = users.ask(stock._replace(streams=Streams(tuple(seed + 1000 for seed in SEEDS))), c)
    others = Users(source.net, new, spec, c)
    known = others.draw("known", 0, 200)
    asked = others.draw("asked", 0, 2_000)
    lanes, query = np.arange(spec.lanes)[:, None], np.zeros_like(known)
    for user in (0, 1):  # other pairs of the same user as each set is of
        pool = np.stack([x[new.user[x[:, 0]] == user][:200] for x in asked])
        of = (new.user[known[:, :, 0]] == user)[..., None]
        query = np.where(of, pool[lanes, np.arange(200)], query)
    x, _, y, w = others.sets(known)
    z = source.net.posterior(x, y, w).mean
    x, mask, y, _ = others.sets(query)
    right = ((source.net.logits(x, mask, z) > 0) == (y > 0.5)).double().mean((1, 2))
    pairs = source.answered.pairs
    pooled = np.zeros(spec.lanes)
    for k, seed in enumerate(SEEDS):  # each lane's pairs are its own, a file has one's
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pairs.npz"
            s, a, mask_k = (v[k].numpy() for v in (pairs.s, pairs.a, pairs.mask))
            zeros = np.zeros(mask_k.shape)
            cut = Segments(s, a, zeros, zeros + 1, s, mask_k, zeros.astype(int))
            PairDataset(cut, pairs.y[k].numpy()).save(path)
            own = p_iql.Config(
                preferences=str(path), hidden=(32, 32), batch_size=128, lr=1e-3, beta=10.0,
                gamma=0.9, hidden_reward=(32, 32), passes=10, members=1,
            )  # fmt: skip
            alone = Spec(1, 1, (seed,))
            one = p_iql.Agent(alone, own)
            feed = p_iql.source(stock_of(store, alone, ()), one, own)
            feed.begin()
            Engine(one, own, alone, feed).run(0, 800)
            went = float(toys.travelled(one.act, 1)) / toys.LINE_BEST
            pooled[k] = min(went, -went)
    return {
        "return of the worse served, over the best": {"VPL": np.minimum(*returns), "P-IQL": pooled},
        "pairs foretold for new users": {"VPL": right.detach().numpy()},
    }


def learn_regret() -> dict[str, dict[str, np.ndarray]]:
    spec, store = Spec(toys.CELLS, Discrete(2), SEEDS), toys.corridor_walks()
    shares: dict[str, np.ndarray] = {}
    for statistic in ("regret", "return"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "known.npy"
            np.save(path, store.extra["known"])
            c = sf_regret.Config(
                features="columns:step,coin,goal", advantages=str(path), statistic=statistic,
                pairs=300, gamma_sf=toys.CORRIDOR_GAMMA, policies=16, hidden_sf=(), lr_sf=0.1,
                steps_sf=800, polyak_sf=0.2, lr_weights=0.05, steps_weights=500,
            )  # fmt: skip
            agent = sf_regret.Agent(spec, c)
            stock = stock_of(sf_regret.select(store, c), spec, agent.columns)
            source: Any = sf_regret.source(stock, agent, c)
            source.begin()
        maker = source.maker
        w = maker.weights.w.detach()
        if statistic == "regret":
            psi = maker.library.at(torch.eye(toys.CELLS).expand(len(SEEDS), -1, -1))
            acts = [torch.full(psi.shape[:2], a) for a in (0, 1)]
            table = torch.stack(
                [regret_model.advantages(psi, a, w, c.temperature) for a in acts], -1
            )
            values = table.numpy()
        else:
            values = np.einsum(
                "cad,sd->sca", toys.corridor()[1], (w / maker.library.scale[:, 0]).numpy()
            )
        shares[statistic] = np.array([toys.rightly_ordered(x) for x in values])
    return {"walks ordered rightly": shares}


ARMS = {"spo": play_spo, "vpl": learn_vpl, "regret": learn_regret}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arms", nargs="*", choices=[[], *ARMS], help="all by default")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for arm in args.arms or ARMS:
        for what, found in ARMS[arm]().items():
            results[f"{arm}, {what}"] = {
                name: {
                    "mean": str(mean_interval(x)),
                    "by_seed": [round(float(v), 4) for v in x],
                }
                for name, x in found.items()
            }
            told = {name: x["mean"] for name, x in results[f"{arm}, {what}"].items()}
            print(arm, what, told, flush=True)
    if args.out is not None:
        record = {
            "claim": "what SPO, VPL and regret with successor features make of preferences where a "
            "Bradley-Terry reward fails, on toys with known answers; intervals over 5 seeds",
            "command": "python benchmarks/preference_toys.py",
            "results": results,
            "versions": versions.collect("cpu"),
        }
        args.out.write_text(json.dumps(record, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
