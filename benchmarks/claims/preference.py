"""Preference-based agents: how far labels of a synthetic teacher carry."""

from __future__ import annotations

from claims.claim import Claim, online

_SMALL = {"hidden": (64, 64), "lr": 1e-3, "lr_q": 1e-3, "lr_alpha": 1e-3}
_PEBBLE = {
    **_SMALL,
    "explore_steps": 500,
    "ask_every": 800,
    "length": 25,
    "hidden_reward": (64, 64),
    "lr_reward": 1e-3,
}


def pebble(labels: int, selector: str = "disagreement"):
    """PEBBLE with so many labels, a fifth of them in each round."""
    config = {**_PEBBLE, "budget": labels, "per_round": labels // 5, "selector": selector}
    return online("pebble", "Pendulum-v1", 8_000, 1_000, warmup=500, config=config)


CLAIMS = {
    "pebble-pendulum": Claim(
        "PEBBLE with 100 to 400 labels against SAC on the true reward, Pendulum-v1",
        {
            "sac": online("sac", "Pendulum-v1", 8_000, 1_000, warmup=500, config=_SMALL),
            "pebble-400": pebble(400),
            "pebble-200": pebble(200),
            "pebble-100": pebble(100),
            "pebble-200-uniform": pebble(200, "uniform"),
        },
    ),
}
