"""Systems that learn online, on small tasks, each on equal terms with what it is measured against.

python benchmarks/systems/online.py --out benchmarks/results
python benchmarks/systems/online.py stock --seeds 100:105

stock   BetTwice and StopOrGo, whose exact plans are known: CVaR of the return of one agent at
        four levels, beside the best; expected utilities over first stocks, less the best
srl     Pendulum: the frequency-averaged score and the return of deciding in every step, of SAC and
        of SRL with sequences of eight actions, after as many steps and updates
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arms import Found, Seeds, command, differing, options_in

from rlkit.algos.stock_dqn import best_cvar, utility_of
from rlkit.envs.tasks.stocked import IDS
from rlkit.eval import frequency
from rlkit.run.records import folder as run_folder
from rlkit.run.settings.options import Options
from rlkit.run.train import train
from rlkit.testing.bets import Law, cvar, law_of
from rlkit.theory.returns import stock as exact
from rlkit.theory.returns.laws import Categorical

LEVELS = (0.1, 0.25, 0.5, 1.0)  # τ of CVaR
RISK = 0.5  # of the exponential utility
GRID = np.arange(-16.0, 16.5)  # stocks of the exact plans: every one that can come
STOCK: dict[str, Any] = {
    "gamma": 1.0, "bins": 25, "hidden": (64,), "lr": 3e-3, "huber": 0.05, "target_period": 25,
    "epsilon_updates": 700, "epsilon_last": 0.1, "stock_low": -12.0, "stock_high": 12.0,
    "stock_bins": 25, "risk": RISK,
}  # fmt: skip
UTILITIES = {
    "shortfall": exact.SHORTFALL,
    "homeostasis": exact.HOMEOSTASIS,
    "quadratic": exact.QUADRATIC,
    "exponential": exact.exponential(RISK),
}


def expected(law: Law, utility: str, first: float) -> float:
    """E f(c + G)."""
    x = torch.tensor([first + paid for paid in law], dtype=torch.float64)
    return float(utility_of(utility, x, RISK) @ torch.tensor([*law.values()], dtype=torch.float64))


def stock_agent(env: str, seeds: Seeds, **changed: Any) -> Any:
    """The agent after 6,000 steps a lane, all lanes at once."""
    options = Options(
        "stock_dqn", env=env, seeds=seeds, steps=6_000, warmup=400, envs=4, utd=0.5, update_every=1,
        eval_every=0, eval_episodes=1, config=STOCK | changed,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = train(options_in(options, Path(folder) / "run"))
        return run_folder.restore(run.folder).agent


def stock(seeds: Seeds) -> Found:
    lanes = range(len(seeds))
    bet, going = "rlkit/BetTwice-v1", "rlkit/StopOrGo-v1"
    model, first = IDS[bet][0](), torch.arange(-8.0, 8.5)
    plan = exact.solve_stock(model, 1.0, exact.SHORTFALL, GRID, Categorical(np.arange(-6.0, 7.0)))
    levels: dict[str, dict[str, np.ndarray]] = {}
    arms = {
        "stock": stock_agent(bet, seeds),
        "stock unseen by the net": stock_agent(bet, seeds, stock_bins=1),
        "mean": stock_agent(bet, seeds, utility="mean"),
    }
    start = torch.tensor([1.0, 0.0, 0.0])
    for tau in LEVELS:
        rows = levels[f"BetTwice, CVaR at {tau}"] = {}
        for name, agent in arms.items():
            begin = best_cvar(agent, start, tau, first)[1] if name != "mean" else 0 * first
            rows[name] = np.array(
                [cvar(law_of(agent, model, k, float(begin[k])), tau) for k in lanes]
            )
        rows["exact plan"] = np.full(len(seeds), exact.best_cvar(plan, tau)[0])
    for env, utility in [(bet, u) for u in UTILITIES] + [(going, "homeostasis")]:
        model, stocks = IDS[env][0](), IDS[env][1]
        atoms = Categorical(np.arange(-9.0, 10.0))
        best = exact.solve_stock(model, 1.0, UTILITIES[utility], GRID, atoms, horizon=8).at_start()
        wanted = np.interp(stocks, GRID, best).mean()
        rows = levels[f"{env[6:-3]}, E f less the best, {utility}"] = {}
        for name, changed in (("stock", {}), ("stock unseen by the net", {"stock_bins": 1})):
            agent = stock_agent(env, seeds, utility=utility, **changed)
            rows[name] = np.array([
                np.mean([expected(law_of(agent, model, k, c), utility, c) for c in stocks]) - wanted
                for k in lanes
            ])  # fmt: skip
        print(env, utility, rows, flush=True)
    pairs = [(m, "stock", "exact plan") for m in levels if "CVaR" in m]
    pairs += [(m, "stock", "mean") for m in levels if "CVaR" in m]
    pairs += [(m, "stock", "stock unseen by the net") for m in levels]
    return Found(
        claim="what one stock-augmented agent reaches of the exact plan's CVaR at four levels, and "
        "of the best expected utilities over all first stocks",
        values=levels,
        pairs=pairs,
        settings=STOCK | {"steps": 6_000, "envs": 4, "utd": 0.5},
    )


CONTROL: dict[str, Any] = {
    "hidden": (64, 64), "batch_size": 64, "lr": 1e-3, "lr_q": 1e-3, "lr_alpha": 1e-3,
    "polyak": 0.01,
}  # fmt: skip
SEQUENCES: dict[str, Any] = {
    "length": 8, "hidden_q": (64, 64), "hidden_model": (64, 64), "lr_model": 1e-3,
}  # fmt: skip


def srl(seeds: Seeds) -> Found:
    base = Options("sac", env="Pendulum-v1", seeds=seeds, steps=8_000, warmup=400, envs=2, utd=0.5,
                   eval_every=0, eval_episodes=5, frequencies=True, config=CONTROL)  # fmt: skip
    arms = {
        "SAC": base,
        "SRL": dataclasses.replace(base, algo="srl", config=CONTROL | SEQUENCES),
    }
    scores: dict[str, np.ndarray] = {}
    plain: dict[str, np.ndarray] = {}
    for name, options in arms.items():
        with tempfile.TemporaryDirectory() as folder:
            run = train(options_in(options, Path(folder) / "run"))
            played = frequency.read(run.folder / "frequencies.csv")
        by_length = {n: np.array([played[k][n] for k in played]) for n in frequency.LENGTHS}
        known = frequency.scale(base.env)
        assert known is not None
        scores[name] = frequency.frequency_score(by_length, *known)
        plain[name] = by_length[1]
        print(name, {n: x.round() for n, x in by_length.items()}, flush=True)
    return Found(
        claim="the frequency-averaged score on Pendulum, at most 29/30, and the return of deciding "
        "in every step",
        values={"frequency-averaged score": scores, "return": plain},
        pairs=[(m, "SRL", "SAC") for m in ("frequency-averaged score", "return")],
        settings={name: differing(o) for name, o in arms.items()},
    )


SYSTEMS = {"stock": stock, "srl": srl}

main = command("online.py", __doc__, SYSTEMS)

if __name__ == "__main__":
    main()
