"""Offline agents on datasets that rlkit's recipes make."""

from __future__ import annotations

import dataclasses
from typing import Any

from claims.claim import Claim, offline
from rlkit.run.settings.options import Options

DOORKEY = "rlkit/minigrid/doorkey-5x5-mixed-v0"


def grid(algo: str, **config: Any) -> Options:
    """Small batches: convolutions over lanes are slow on a CPU."""
    made = offline(algo, DOORKEY, 8_000, 50, False, batch_size=64, hidden=(64,), **config)
    return dataclasses.replace(made, seeds=tuple(range(9)), workers=2, eval_every=8_000)


def short(**config: Any) -> Options:
    """O-DICE on the mixed data, 5,000 updates of small nets."""
    return offline(
        *("odice", DOORKEY, 5_000, 50, False),
        **{"batch_size": 64, "hidden": (64,), "hidden_pi": (64,), **config},
    )


CLAIMS = {
    "iql-doorkey": Claim(
        "discrete IQL on mixed MiniGrid data returns more than cloning it",
        {
            # one reward below 1 an episode: β 90 is β 3 on rewards 30 times as large
            "iql": grid("iql", tau=0.8, beta=90.0),
            "bc": grid("bc"),
        },
    ),
    "odice-doorkey": Claim(
        "O-DICE on mixed MiniGrid data with ω* as weight does not end below the data",
        {
            "ratio": short(weight="ratio"),
            "advantage": short(),
        },
        note="Rewards are below 1, and residuals as small as V's errors: max(y, 0) keeps rows by "
        "chance. ω* is near 1 there, close to cloning.",
    ),
}
