"""Going on online from an offline agent: what the warm-up is for."""

from __future__ import annotations

from claims.claim import Claim, offline, online

_NETS = {"hidden": (64, 64), "norm": "before"}


def going_on(warmup: int):
    """WSRL from the run "start", its first update after `warmup` steps of that policy."""
    return online("wsrl", "Pendulum-v1", 4_000, 250, from_run="start", warmup=warmup)


CLAIMS = {
    "wsrl-pendulum": Claim(
        "WSRL from IQL against the same without its warm-up and against SAC from scratch",
        {
            "start": offline(
                "iql",
                "rlkit/pendulum/medium-v0",
                5_000,
                beta=0.1,
                tau=0.8,
                n_critics=5,
                **_NETS,
            ),
            "wsrl": going_on(1_000),
            "no_warmup": going_on(0),
            "sac": online(
                "sac",
                "Pendulum-v1",
                4_000,
                250,
                utd=4.0,
                warmup=1_000,
                config={**_NETS, "n_critics": 5, "subset": 2, "actor_period": 4},
            ),
        },
        compare={"wsrl": "no_warmup", "no_warmup": "sac"},
    ),
}
