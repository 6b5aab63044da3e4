"""Experiments of two papers, with exact evaluation: R2PVI's chain and put, and a portfolio.

    python benchmarks/speed/tabular_papers.py --out benchmarks/results

Writes tabular-r2pvi.json and .png, tabular-portfolio.json. R2PVI: 20 replications of 100 episodes
(the put: 20 instead of the paper's 3), values computed instead of sampled; seconds are those of a
fit. Portfolio: the paper's setting (20,000 iterations of 128 one-year paths) for three markets and
two critics, some two minutes each on a free core, which is why --iterations can shorten it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rlkit.eval.plots import COLOURS
from rlkit.theory.continuous.mean_variance import Market, learn
from rlkit.theory.robust.r2pvi import OfflineData, PessimisticPlan, fit, fit_variance_aware
from rlkit.theory.robust.r2pvi_settings import PutOption, turning_chain

REPLICATIONS = 20
Q = np.linspace(0.0, 1.0, 11)
P = (0.2, 0.4, 0.5, 0.6, 0.8, 1.0)
STRENGTHS = (0.025, 0.03)  # the paper's, radius or weight
WEIGHTS = (0.3, 1.0, 3.0)  # of the regulariser, besides
MARKETS = {(0.3, 0.2): (1.78, 1.54), (0.5, 0.1): (7.35, 6.00), (-0.3, 0.3): (1.32, 1.20)}
Fit = Callable[[OfflineData], PessimisticPlan]


def chain_fits() -> dict[str, Fit]:
    nominal = turning_chain()
    radius = np.zeros((3, 4))
    radius[0, 3] = 0.1

    def known(method: str, strength: Any, aware: bool = False) -> Fit:
        make = fit_variance_aware if aware else fit
        return lambda data: make(data, method, strength, theta=nominal.theta)

    return {
        "PEVI": lambda data: fit(data, "pevi"),
        "VAPVI": lambda data: fit_variance_aware(data, "pevi"),
        "R2PVI-TV": known("r2pvi-tv", 0.1), "R2PVI-KL": known("r2pvi-kl", 0.1),
        "R2PVI-chi2": known("r2pvi-chi2", 0.1), "VA-R2PVI-TV": known("r2pvi-tv", 0.1, True),
        "DRPVI": known("drpvi-tv", radius), "VA-DRPVI": known("drpvi-tv", radius, True),
        "DRVI-L": known("drvi-kl", radius),
    }  # fmt: skip


def put_fits() -> dict[str, Fit]:
    def one(method: str, strength: float, aware: bool = False) -> Fit:
        make = fit_variance_aware if aware else fit
        return lambda data: make(data, method, strength, beta=0.1, ridge=1.0)

    out: dict[str, Fit] = {"PEVI": lambda data: fit(data, "pevi", beta=0.1, ridge=1.0)}
    for x in STRENGTHS:
        out |= {
            f"R2PVI-TV {x:g}": one("r2pvi-tv", x), f"R2PVI-KL {x:g}": one("r2pvi-kl", x),
            f"R2PVI-chi2 {x:g}": one("r2pvi-chi2", x), f"DRPVI {x:g}": one("drpvi-tv", x),
            f"VA-DRPVI {x:g}": one("drpvi-tv", x, True), f"DRVI-L {x:g}": one("drvi-kl", x),
            f"VA-R2PVI-TV {x:g}": one("r2pvi-tv", x, True),
        }  # fmt: skip
    for x in WEIGHTS:
        out |= {f"R2PVI-{n} {x:g}": one(f"r2pvi-{n.lower()}", x) for n in ("TV", "KL", "chi2")}
    return out


def trained(fits: dict[str, Fit], data: list[OfflineData], value: Callable[[Any], Any]) -> Any:
    """Values [replications, worlds] of every method, as mean and spread, and seconds of a fit."""
    out = {}
    for name, make in fits.items():
        seconds, values = [], []
        for one in data:
            start = time.perf_counter()
            plan = make(one)
            seconds.append(time.perf_counter() - start)
            values.append(value(plan))
        mean, sd = np.mean(values, 0), np.std(values, 0)
        out[name] = {"mean": mean.tolist(), "sd": sd.tolist(), "fit": statistics.median(seconds)}
        print(f"  {name:18}{np.round(mean, 3)}  fit {out[name]['fit'] * 1e3:.1f} ms", flush=True)
    return out


def r2pvi() -> dict[str, Any]:
    nominal, put = turning_chain(), PutOption()
    worlds = [turning_chain(q) for q in Q]
    print("chain, by perturbation")
    chain = trained(
        chain_fits(), [nominal.collect(100, k) for k in range(REPLICATIONS)],
        lambda plan: [world.value(plan) for world in worlds],
    )  # fmt: skip
    print("put, by the probability of going up")
    option = trained(
        put_fits(), [put.collect(100, 0.5, k) for k in range(REPLICATIONS)],
        lambda plan: [put.value(plan, p) for p in P],
    )  # fmt: skip
    best = [put.value(None, p) for p in P]
    return {"chain": {"perturbation": Q.tolist(), "methods": chain},
            "put": {"p": P, "best": best, "methods": option}}  # fmt: skip


def draw(record: dict[str, Any]) -> Figure:
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    chain, put = record["chain"], record["put"]
    for colour, (name, x) in zip(COLOURS * 2, chain["methods"].items(), strict=False):
        style = "--" if name.startswith("VA") else "-"
        left.plot(chain["perturbation"], x["mean"], style, color=colour, label=name)
    left.set_xlabel("perturbation q")
    left.set_ylabel("value")
    left.set_title("linear MDP, weight / radius .1")
    shown = ["PEVI", *(f"{n} 0.03" for n in ("R2PVI-TV", "R2PVI-KL", "R2PVI-chi2", "DRPVI"))]
    for colour, name in zip(COLOURS, shown, strict=False):
        right.plot(put["p"], put["methods"][name]["mean"], color=colour, label=name)
    right.set_xlabel("probability of going up (trained at .5)")
    right.set_title("American put")
    for ax in (left, right):
        ax.legend(fontsize=7)
    return figure


def portfolio(iterations: int) -> dict[str, Any]:
    out = {}
    for (mu, sigma), (offline, squared) in MARKETS.items():
        market = Market(mu, sigma)
        for critic, published in (("ctd", offline), ("mean-square-td", squared)):
            start = time.perf_counter()
            run = learn(market, critic, iterations)
            out[f"mu {mu}, sigma {sigma}, {critic}"] = {
                "sharpe": float(run.sharpe[-1]), "sharpe_by_twentieths": run.sharpe.tolist(),
                "published": published, "ceiling": market.best_sharpe(),
                "policy": list(run.policy), "optimal_policy": list(market.optimal_policy()),
                "w": run.w, "theta": run.theta.tolist(), "seconds": time.perf_counter() - start,
            }  # fmt: skip
            print(f"mu {mu}, sigma {sigma}, {critic}: Sharpe {run.sharpe[-1]:.3f} (published "
                  f"{published}, ceiling {market.best_sharpe():.3g})", flush=True)  # fmt: skip
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="r2pvi,portfolio")
    parser.add_argument("--iterations", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="folder for the json files and the picture")
    args = parser.parse_args()
    head = {
        "command": "python " + " ".join(sys.argv),
        "versions": {n: version(n) for n in ("numpy", "scipy", "numba")},
    }
    parts = {"r2pvi": r2pvi, "portfolio": lambda: portfolio(args.iterations)}
    for name in args.parts.split(","):
        record = head | parts[name]()
        if args.out:
            (args.out / f"tabular-{name}.json").write_text(json.dumps(record, indent=1) + "\n")
            if name == "r2pvi":
                draw(record).savefig(args.out / "tabular-r2pvi.png", dpi=110)


if __name__ == "__main__":
    main()
