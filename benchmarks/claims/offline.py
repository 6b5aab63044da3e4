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


CLAIMS = {
    "iql-doorkey": Claim(
        "discrete IQL on mixed MiniGrid data returns more than cloning it",
        {
            # one reward below 1 an episode: β 90 is β 3 on rewards 30 times as large
            "iql": grid("iql", tau=0.8, beta=90.0),
            "bc": grid("bc"),
        },
    ),
}
