"""Systems that learn a model, each on equal terms with its nearest relatives.

python benchmarks/systems/model_based.py --out benchmarks/results
python benchmarks/systems/model_based.py pets --seeds 100:105

combo    COMBO, MOPO and CQL on `rlkit/pendulum/mixed-v0`: 3,000 updates of batches of 64, nets of
         2x64, one kind of model, rollouts of 5 steps
morec    MOREC with rollouts of 30 steps and MOPO with 30 and with 5, on the same data
vagram   VaGraM and MBPO, by likelihood and by squared error, on Pendulum-v1 with 10 further numbers
         in the observation that rotate and tell nothing, and a model of 2x16
pets     PETS and SAC after equal steps on Pendulum-v1

Scores are the mean return of ten episodes after training, of five where it acts online.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from arms import Found, Seeds, differing, main, of_lanes, options_in

from rlkit.data import datasets
from rlkit.run.settings.options import Options
from rlkit.run.train import train

MIXED = "rlkit/pendulum/mixed-v0"
RATES = {
    "hidden": (64, 64), "lr": 1e-3, "lr_q": 1e-3, "batch_size": 64, "gamma": 0.95, "polyak": 0.02,
}  # fmt: skip
SAC = {**RATES, "lr_alpha": 1e-3}
MODEL: dict[str, Any] = {
    "n_models": 3, "n_elites": 2, "hidden_model": (64, 64), "decay_model": (1e-5,),
    "batch_model": 512, "patience": 2, "max_epochs": 10, "termination": "never",
}  # fmt: skip
PENALTY = 0.5  # of MOPO and MOREC alike: the default of the second
IMAGINED = {"rollouts": 1_000, "model_every": 500}
_RUNS = tempfile.TemporaryDirectory(prefix="systems-model-based-")  # of this process


def offline(algo: str, seeds: Seeds, **config: Any) -> Options:
    return Options(
        algo,
        dataset=MIXED,
        steps=3_000,
        seeds=seeds,
        eval_every=1_500,
        checkpoint_every=3_000,
        normalise_obs=True,
        engine="eager",
        config={**RATES, **config},
    )


def online(algo: str, env: str, seeds: Seeds, steps: int, **given: Any) -> Options:
    return Options(
        algo,
        env=env,
        steps=steps,
        seeds=seeds,
        eval_every=steps,
        eval_episodes=5,
        checkpoint_every=steps,
        engine="eager",
        **given,
    )


def trained(arms: dict[str, Options]) -> dict[str, np.ndarray]:
    """Returns `[S]` of the last evaluation of every arm; trainings are shared in one process."""
    found = {}
    for name, options in arms.items():
        folder, begun = Path(_RUNS.name) / str(abs(hash(repr(options)))), time.monotonic()
        if not folder.exists():
            train(options_in(options, folder))
        found[name] = of_lanes(folder / "episodes.csv")
        print(name, found[name].round(1), f"{time.monotonic() - begun:.0f} s", flush=True)
    return found


def compared(claim: str, measure: str, arms: dict[str, Options], note: str = "") -> Found:
    """Returns of the arms, the first against each of the others."""
    first = next(iter(arms))
    return Found(
        claim=claim,
        values={measure: trained(arms)},
        pairs=[(measure, first, name) for name in arms if name != first],
        settings={name: differing(options) for name, options in arms.items()},
        note=note,
    )


def mopo(seeds: Seeds, length: int = 5) -> Options:
    given = {"length": length, "penalty": PENALTY, "lr_alpha": 1e-3}
    return offline("mopo", seeds, **given, **MODEL, **IMAGINED)


def combo(seeds: Seeds) -> Found:
    datasets.build(MIXED)
    pessimism = {"hidden_q": (64, 64), "n_actions": 2}
    return compared(
        "COMBO against MOPO, and against the CQL that it is without a model",
        "return, pendulum/mixed",
        {
            "COMBO": offline("combo", seeds, **pessimism, **MODEL, **IMAGINED),
            "MOPO": mopo(seeds),
            "CQL": offline("cql", seeds, **pessimism),
        },
    )


def morec(seeds: Seeds) -> Found:
    datasets.build(MIXED)
    judged = {"judge_updates": 1_000, "judges": 5, "penalty": PENALTY}

    def filtered(length: int) -> Options:
        given = {**judged, **MODEL, **IMAGINED, "lr_alpha": 1e-3}
        return offline("morec", seeds, length=length, **given)

    return compared(
        "MOREC against MOPO with the same penalty, by the length of rollouts",
        "return, pendulum/mixed",
        {
            "MOREC, 30": filtered(30),
            "MOPO, 30": mopo(seeds, 30),
            "MOPO, 5": mopo(seeds),
        },
    )


def vagram(seeds: Seeds) -> Found:
    env = "rlkit/PendulumDistracted-v1"
    steps = 2_500
    small = {
        **SAC, **MODEL, "hidden_model": (16, 16), "rollouts": 1_000, "max_epochs": 10,
        "rollout_schedule": (0, 1, 1, 1), "entropy": -1.0, "real_ratio": 0.05,
    }  # fmt: skip

    def arm(algo: str, **given: Any) -> Options:
        return online(algo, env, seeds, steps, warmup=500, utd=1.0, config={**small, **given})

    return compared(
        "VaGraM against MBPO by likelihood and by squared error where ten numbers distract and "
        "the model is small",
        "return, PendulumDistracted",
        {
            "VaGraM": arm("vagram"),
            "MBPO, likelihood": arm("mbpo"),
            "MBPO, squared error": arm("mbpo", deterministic=True),
        },
    )


def pets(seeds: Seeds) -> Found:
    env, steps = "Pendulum-v1", 1_600
    plans = {
        "horizon": 12, "population": 60, "rounds": 3, "particles": 1, "n_models": 3,
        "hidden": (64, 64), "hidden_end": (8,), "batch_size": 128,
    }  # fmt: skip
    return compared(
        "PETS against SAC after as many steps",
        "return, Pendulum",
        {
            "PETS": online("pets", env, seeds, steps, warmup=400, utd=2.0, config=plans),
            "SAC": online("sac", env, seeds, steps, warmup=400, utd=2.0, config=SAC),
            "SAC, 6,400 steps": online("sac", env, seeds, 6_400, warmup=400, config=SAC),
        },
    )


SYSTEMS = {"combo": combo, "morec": morec, "vagram": vagram, "pets": pets}

if __name__ == "__main__":
    main("model_based.py", __doc__ or "", SYSTEMS)
