"""Warm-Start RL, Zhou et al. 2024, "Efficient Online Reinforcement Learning Fine-Tuning Need Not
Retain Offline Data" (arXiv 2412.07762).

An agent trained offline goes on online, without the dataset:
    (1)  `--from RUN_DIR`: policy, critics, targets, temperature and optimisers of CQL, Cal-QL or
         IQL, and their normalisers, are taken over;
    (2)  warm-up: K = 5000 steps of the policy as it is, stored and not learnt from, so that the
         replay holds what the critics are about to be asked for;
    (3)  soft actor-critic with an ensemble of critics and several updates a step: the minimum in
         the target is over 2 random critics of the ensemble, without the entropy term.

The update is SAC's (see `sac.py`). CQL and Cal-QL should be trained with the ensemble that is to go
on: `rlkit train cal_ql --config.n-critics 10 --config.norm before`. IQL's Gaussian around tanh
of a net becomes SAC's tanh of a Gaussian with the same mode and, where the mode is 0, the same
deviation; its V is left behind, and the policy's optimiser and the temperature begin afresh.
Differs from the authors' code: the two critics are always different ones (theirs are drawn with
replacement); policy and temperature move on the last of `actor_period` minibatches, not on all of
them joined; no LayerNorm in the policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import sac
from rlkit.algos.sac import Agent, draws, source
from rlkit.core.words.ranges import Count, Natural, NonNegative, Positive, checked

__all__ = ["Agent", "Config", "draws", "source"]

RUN = {"utd": 4.0, "warmup": 5_000}
NEEDS_START = True

_HEAD = ("head", "bins", "low", "high", "sigma", "copies")

FITS = ("online", "then-online", "continuous")


@checked("subset <= n_critics")
@dataclass(frozen=True)
class Config(sac.Config):
    alpha: NonNegative = 0.1  # α, first temperature where the start has none (IQL)
    entropy_backup: bool = False  # an entropy term in the target
    lr: Positive = 1e-4  # learning rate of the policy
    lr_alpha: Positive = 1e-4  # learning rate of the temperature
    actor_period: Count = 4  # critic updates for one of the policy
    n_critics: Count = 10  # N, ensemble size; as in the start, as are all widths and the norm
    subset: Natural = 2  # M, critics drawn for the minimum in the target; 0: all
    norm: nets.Norm = "before"  # LayerNorm in the critics


def inherit(c: Config, start: Any) -> Config:
    """`c` with the shapes of the nets in the configuration `start`."""
    n_critics = getattr(start, "n_critics", 2)
    return replace(
        c,
        n_critics=n_critics,
        subset=min(c.subset, n_critics),
        hidden=start.hidden,
        hidden_q=getattr(start, "hidden_q", ()),
        norm=getattr(start, "norm", "none"),
        **{name: getattr(start, name) for name in _HEAD if hasattr(start, name)},
    )


def notice(metrics: Mapping[str, np.ndarray], c: Config) -> str:
    """What to say of critics that the paper does not go on with."""
    lacks = [f"{c.n_critics} critics"] if c.n_critics <= 2 else []
    lacks += ["critics without LayerNorm"] if c.norm == "none" else []
    if not lacks:
        return ""
    return (
        f"WSRL begins with {' and '.join(lacks)}, as the run it starts from; the paper's are 10 "
        "with LayerNorm, and fewer may forget: train the start with --config.n-critics 10 "
        "--config.norm before where it has them (CQL, Cal-QL)"
    )


def adopt(saved: dict[str, Tensor]) -> dict[str, Tensor]:
    """An agent's tensors with IQL's policy in the form of SAC's, all else as it is."""
    if "pi.log_std" not in saved:
        return saved
    kept = {n: x for n, x in saved.items() if not n.startswith(("pi.log_std", "step_pi."))}
    weight, bias = saved["pi.mlp.last.weight"], saved["pi.mlp.last.bias"]  # [S, in, A], [S, 1, A]
    kept["pi.mlp.last.weight"] = torch.cat([weight, torch.zeros_like(weight)], -1)
    kept["pi.mlp.last.bias"] = torch.cat([bias, saved["pi.log_std"].clamp(-5, 2)], -1)
    return kept
