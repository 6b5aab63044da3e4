"""Model-based agents against the model-free one they are made of, at equal environment steps."""

from __future__ import annotations

from typing import Any

from claims.claim import Claim, online
from rlkit.run.settings.options import Options

_SMALL = {"hidden": (64, 64), "lr": 1e-3, "lr_q": 1e-3, "lr_alpha": 1e-3}
_MODEL = {
    "hidden_model": (64, 64, 64),
    "decay_model": (2.5e-5, 5e-5, 7.5e-5, 1e-4),
    "rollouts": 5_000,
}
_SINGLE = {"n_models": 1, "n_elites": 1, "deterministic": True}


def pendulum(algo: str, utd: float = 10.0, **config: Any) -> Options:
    """InvertedPendulum-v5 with the paper's ratio and target entropy and smaller networks."""
    if algo != "sac":
        config = {**_MODEL, "rollout_schedule": (1_000, 15_000, 1, 1), **config}
    config = {**_SMALL, "entropy": -0.05, **config}
    env = "InvertedPendulum-v5"
    return online(algo, env, 3_000, 250, warmup=500, utd=utd, config=config)


def hopper(algo: str, utd: float = 5.0, **config: Any) -> Options:
    """Hopper-v5 with a quarter of the paper's ratio."""
    config = {"entropy": -1 / 3, **config}
    return online(algo, "Hopper-v5", 6_000, 1_000, warmup=2_000, utd=utd, config=config)


CLAIMS = {
    "mbpo-pendulum": Claim(
        "MBPO against SAC at equal steps and at equal updates, InvertedPendulum-v5 (at most 1000)",
        {"mbpo": pendulum("mbpo"), "sac-utd10": pendulum("sac"), "sac": pendulum("sac", 1.0)},
    ),
    "mbpo-hopper": Claim(
        "MBPO against SAC at equal steps and at equal updates, Hopper-v5",
        {
            "mbpo": hopper("mbpo", rollout_schedule=(2_000, 15_000, 1, 5), **_MODEL),
            "sac-utd5": hopper("sac"),
            "sac": hopper("sac", 1.0),
        },
    ),
    "lipschitz-pendulum": Claim(
        "smooth critics on a single model against one without and an ensemble, InvertedPendulum-v5",
        {
            "single": pendulum("mbpo", **_SINGLE),
            "ensemble": pendulum("mbpo"),
            "adversarial": pendulum("lipschitz_model", method="adversarial"),
            "uniform": pendulum("lipschitz_model", method="uniform"),
            "spectral": pendulum("lipschitz_model", method="spectral"),
        },
    ),
}
