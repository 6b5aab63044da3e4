"""Systems that learn from a dataset, each on equal terms with its nearest relatives.

python benchmarks/systems/offline.py --out benchmarks/results
python benchmarks/systems/offline.py a2pr edac --seeds 100:105

All train on `rlkit/pendulum/mixed-v0` (four checkpoints of one training, equal steps of each) with
nets of 2x64, batches of 64, rates of 1e-3 and 5,000 updates, values with a discount of 0.95 and
targets that follow by 0.02; scores are the mean return of the last two evaluations, of ten episodes
each. TD3+BC's α was chosen among 2.5 and 10, these two numbers and α 40 at 0.99 and 0.005 on seeds
100 to 102.

a2pr     A2PR, TD3+BC at the same proportion of value to cloning and at the same α, BC
edac     5 critics with diversity 0 (SAC-N) and 1 (EDAC), 2 critics as in SAC
dt       Decision Transformer, also by what it is asked for, BC, BC of the best tenth, TD3+BC; a
         bandit in which a return may be luck: the better arm pays with chance 1/2, the likelier one
         with 1/10
ss_orl   TD3+BC on all actions, on what an inverse model completes of a tenth of the episodes (of
         the worse half), and on that tenth alone
guided   BC's policy as it draws, the best of 10 draws by the critic of TD3+BC, V-GPS's softmax of
         them, and TD3+BC itself
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arms import Found, Seeds, command, differing, of_lanes, options_in

from rlkit.algos import bc, cql_discrete
from rlkit.algos import decision_transformer as dt
from rlkit.algos.imitation.inverse_dynamics import hide
from rlkit.core.engine import Engine
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data import datasets
from rlkit.data.formats import minari_io
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.envs.make import make
from rlkit.eval.rollout import rollout
from rlkit.run.policies.critics import Guide
from rlkit.run.policies.evaluation import SPACING, evaluate_run
from rlkit.run.records.folder import restore
from rlkit.run.settings.options import Options
from rlkit.run.task import actor
from rlkit.run.train import train
from rlkit.testing.episode_toys import LUCK, bandit

MIXED = "rlkit/pendulum/mixed-v0"
RETURN = "return, pendulum/mixed"
UPDATES = 5_000
SHARED: dict[str, Any] = {"hidden": (64, 64), "batch_size": 64}
VALUES = {"lr": 1e-3, "lr_q": 1e-3, "gamma": 0.95, "polyak": 0.02}
TD3 = {**VALUES, "alpha": 10.0}  # at 0.99 and 0.005 no agent has its values after so few updates
A2PR = {**TD3, "hidden_q": (64, 64), "hidden_vae": (64, 64)}


@cache
def place() -> Path:
    """The folder of this process's runs, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="systems-offline-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def training(algo: str, seeds: Seeds, dataset: str = MIXED, **config: Any) -> Options:
    """A training on the dataset with the settings that all have."""
    return Options(
        algo,
        dataset=dataset,
        steps=UPDATES,
        seeds=seeds,
        eval_every=2_500,
        checkpoint_every=UPDATES,
        normalise_obs=True,
        engine="eager",
        config={**SHARED, **config},
    )


def run_of(options: Options) -> Path:
    """The folder of a training, which systems of one process share."""
    folder = place() / hashlib.sha256(repr(options).encode()).hexdigest()[:16]
    if not folder.exists():
        begun = time.monotonic()
        datasets.build(MIXED)
        train(options_in(options, folder))
        print(options.algo, of_lanes(folder / "episodes.csv", 2).round(1),
              f"{time.monotonic() - begun:.0f} s", flush=True)  # fmt: skip
    return folder


def compared(claim: str, arms: dict[str, Options], note: str = "", **more: Any) -> Found:
    """Returns of the arms, the first against each of the others."""
    values = {name: of_lanes(run_of(o) / "episodes.csv", 2) for name, o in arms.items()}
    first = next(iter(arms))
    return Found(
        claim=claim,
        values={RETURN: values, **more.get("values", {})},
        pairs=[
            *((RETURN, first, name) for name in arms if name != first),
            *more.get("pairs", []),
        ],
        settings={n: differing(o) for n, o in arms.items()} | more.get("settings", {}),
        note=note,
    )


def a2pr(seeds: Seeds) -> Found:
    return compared(
        "A2PR against TD3+BC at the same proportion of value to cloning (A2PR's weight of cloning "
        "is 0.5, so that its alpha of 10 is 20 there), and at the same alpha",
        {
            "A2PR": training("a2pr", seeds, **A2PR),
            "TD3+BC": training("td3_bc", seeds, **TD3 | {"alpha": 20.0}),
            "TD3+BC, alpha 10": training("td3_bc", seeds, **TD3),
            "BC": cloned(seeds),
        },
    )


def cloned(seeds: Seeds, **config: Any) -> Options:
    return training("bc", seeds, lr=1e-3, policy="tanh_gaussian", **config)


def edac(seeds: Seeds) -> Found:
    def critics(n: int, diversity: float = 0.0) -> Options:
        given = {"n_critics": n, "diversity": diversity, "lr_alpha": 1e-3, **VALUES}
        return training("sac", seeds, **given)

    return compared(
        "EDAC against SAC-N with as many critics, and SAC-N by its number of critics",
        {
            "EDAC, 5": critics(5, 1.0),
            "SAC-N, 5": critics(5),
            "SAC-N, 2": critics(2),
            "TD3+BC": training("td3_bc", seeds, **TD3),
        },
    )


# --- conditioning on returns ----------------------------------------------------------------------
BANDIT = {
    "context": 1, "width": 8, "layers": 1, "max_steps": 9, "dropout": 0.0, "warmup_steps": 5,
    "clip": 1.0, "weight_decay": 0.0, "lr": 3e-2, "relative": False, "unit": 1.0, "batch_size": 64,
}  # fmt: skip


def luck(seeds: Seeds) -> dict[str, np.ndarray]:
    """The expected reward of policies learnt from the bandit, sampled; the best is 0.5."""
    spec, store = Spec(1, Discrete(2), seeds), bandit(LUCK)
    one, found = torch.ones(len(seeds), 1, 1), {}

    def stock(columns: tuple[str, ...] = ()) -> Stock:
        data = Replay.from_store(store, spec, Transforms(), columns=columns, gamma=1.0)
        return Stock(spec, Streams(seeds), Transforms(), data)

    c = dt.Config(**BANDIT)  # type: ignore[arg-type]
    agent = dt.Agent(spec, c)
    Engine(agent, c, spec, dt.source(stock(agent.columns), agent, c), "eager").run(0, 300)
    agent.target = 1.0
    law: Any = agent.policy(agent.window(one, None))
    found["DT, asked for 1"] = law.logits[:, 0, 0].softmax(-1)[:, 0]
    own = bc.Config(lr=1e-2, hidden=(8,), batch_size=64)
    theirs = bc.Agent(spec, own)
    Engine(theirs, own, spec, Uniform(stock().data, 64, Streams(seeds)), "eager").run(0, 300)
    found["BC"] = theirs.pi(one).log_probs.exp()[:, 0, 0]
    # with an alpha of 0.1 the penalty alone costs an arm of a tenth of the data 0.4
    of_values = cql_discrete.Config(alpha=0.01, lr=1e-2, hidden=(8,), batch_size=64)
    last = cql_discrete.Agent(spec, of_values)
    Engine(last, of_values, spec, Uniform(stock().data, 64, Streams(seeds)), "eager").run(0, 600)
    found["CQL"] = (last.act(one)[:, 0] == 0).float()
    return {name: (0.1 + 0.4 * x.detach().double()).numpy() for name, x in found.items()}


def asked(folder: Path) -> dict[str, np.ndarray]:
    """Returns `[S]` of a trained Decision Transformer by what is asked for: the data's best return,
    and shares of the way to it from the worst."""
    restored, found = restore(folder, "last", None), {}
    agent: Any = restored.agent
    starts = [seed + SPACING for seed in restored.seeds]
    for target in (1.0, 0.8, 0.6):
        agent.target = target
        act = actor(agent, restored.spec, restored.task)
        episodes = rollout(act, restored.task.make_env, 10, starts)
        returns = np.array([e.return_ for e in episodes]).reshape(len(starts), -1)
        found[f"asked for {target}"] = returns.mean(1)
    return found


def decision_transformer(seeds: Seeds) -> Found:
    small = {"context": 10, "width": 32, "layers": 1, "dropout": 0.0, "max_steps": 200}
    own = {"lr": 1e-3, "warmup_steps": 500, "batch_size": 32}
    arm = training("decision_transformer", seeds, **small, **own)
    arm = replace(arm, config={k: v for k, v in arm.config.items() if k != "hidden"})
    toy, at, by = luck(seeds), "reward, a bandit of luck", "return by what is asked for"
    return compared(
        "Decision Transformer asked for the best return of the data, against cloning all of it, "
        "cloning its best tenth and learning values; and where a return may be luck",
        {
            "DT": arm,
            "BC": cloned(seeds),
            "BC of the best tenth": cloned(seeds, fraction=0.1, fraction_of="episodes"),
            "TD3+BC": training("td3_bc", seeds, **TD3),
        },
        values={at: toy, by: asked(run_of(arm))},
        pairs=[
            (at, "DT, asked for 1", "CQL"),
            (at, "DT, asked for 1", "BC"),
            (by, "asked for 1.0", "asked for 0.6"),
        ],
        settings={"luck": BANDIT},
    )


# --- actions that are missing ---------------------------------------------------------------------
KNOWN = "rlkit-systems/pendulum/known-tenth-v0"  # the labelled episodes as a dataset
FIT = {"hidden_idm": (64, 64), "lr_idm": 1e-3, "steps_idm": 2_000, "dropout_idm": 0.0}


def write_known() -> None:
    """The episodes whose actions `labelled = 0.1` leaves known, written as a dataset."""
    datasets.build(MIXED)
    store, _ = datasets.read(MIXED)
    known = np.unique(store.episode[hide(store, 0.1, 0.5, 0).extra["action_known"]])
    env = make("Pendulum-v1")
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    minari_io.write(store.select(known), KNOWN, **spaces, env_spec=env.spec, overwrite=True)


def ss_orl(seeds: Seeds) -> Found:
    write_known()
    given = "hidden=64,64 batch_size=64 lr=1e-3 lr_q=1e-3 gamma=0.95 polyak=0.02 alpha=10.0"
    completed = training("ss_orl", seeds, labelled=0.1, agent="td3_bc", given=given, **FIT)
    config = {k: v for k, v in completed.config.items() if k not in SHARED}
    return compared(
        "TD3+BC on the data whose actions an inverse model tells from a tenth of the episodes, all "
        "of the worse half, against all true actions and against that tenth alone",
        {
            "told from a tenth": replace(completed, config=config),
            "all actions": training("td3_bc", seeds, **TD3),
            "the tenth alone": training("td3_bc", seeds, dataset=KNOWN, **TD3),
        },
    )


# --- guidance -------------------------------------------------------------------------------------
def guided(seeds: Seeds) -> Found:
    actor, critic = cloned(seeds), training("td3_bc", seeds, **TD3)
    folder, of = run_of(actor), run_of(critic)
    guides = {
        "best of 10": Guide(of, 10, 0.0),
        "softmax of 10, beta 1": Guide(of, 10, 1.0),
        "best of 50": Guide(of, 50, 0.0),
        "one draw": Guide(of, 1, 0.0),
        "mean action": None,
    }
    found = {}
    for name, guide in guides.items():
        episodes, _ = evaluate_run(folder, 10, "last", guide=guide)
        found[name] = np.array(
            [np.mean([e.return_ for e in episodes if e.lane == k]) for k in range(len(seeds))]
        )
    found["TD3+BC itself"] = np.array([np.mean(x) for x in _returns(of, len(seeds))])
    return Found(
        claim="BC's policy guided by the critic of TD3+BC against its own draws, and against the "
        "policy of the critic's own training",
        values={RETURN: found},
        pairs=[(RETURN, "best of 10", name) for name in found if name != "best of 10"],
        settings={"BC": differing(actor), "TD3+BC": differing(critic)},
    )


def _returns(folder: Path, lanes: int) -> list[list[float]]:
    episodes, _ = evaluate_run(folder, 10, "last")
    return [[e.return_ for e in episodes if e.lane == k] for k in range(lanes)]


SYSTEMS = {
    "a2pr": a2pr,
    "edac": edac,
    "dt": decision_transformer,
    "ss_orl": ss_orl,
    "guided": guided,
}

main = command("offline.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()
